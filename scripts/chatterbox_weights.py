"""Weights for the package chatterbox-tts made of chance: full size, loaded and run as those it fetches, and noise to
hear. So its calls, its shapes, its time and its memory can be seen where the real weights cannot be had.

`python scripts/chatterbox_weights.py FOLDER [SECONDS]` with a Python that has the package; then
`voicemode serve --engine chatterbox` with `VOICEMODE_CHATTERBOX_WEIGHTS=FOLDER`. Every piece of text lasts SECONDS
(2 if not said), whatever its words.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.t3 import T3
from chatterbox.models.voice_encoder import VoiceEncoder
from chatterbox.tts import ChatterboxTTS
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE

RATE = 24_000
TOKENS_PER_SECOND = 25
SEED = 20
STRONG, FACTOR = 30.0, 5.0
"""Of a hidden number among a thousand of size one, and of the row that it is multiplied by."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?-'\"()"


def main(folder: Path, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    _save(VoiceEncoder(), folder / "ve.safetensors")
    t3 = T3()
    _end_after(t3, round(seconds * TOKENS_PER_SECOND))
    _save(t3, folder / "t3_cfg.safetensors")
    _save(S3Gen(), folder / "s3gen.safetensors")
    _tokenizer(t3).save(str(folder / "tokenizer.json"))
    del t3
    (folder / "conds.pt").unlink(missing_ok=True)
    tts = ChatterboxTTS.from_local(folder, "cpu")
    _record(folder / "voice.wav")
    with torch.no_grad():
        tts.prepare_conditionals(str(folder / "voice.wav"))
    tts.conds.save(folder / "conds.pt")


def _save(module: torch.nn.Module, path: Path) -> None:
    # Clones: safetensors refuses tensors that share their memory.
    save_file({name: value.detach().clone() for name, value in module.state_dict().items()}, path)


def _end_after(t3: T3, tokens: int) -> None:
    """The first number of a hidden state counts: each position sets it, and the logit of the end follows it."""
    with torch.no_grad():
        for embedding in (t3.text_emb, t3.speech_emb):
            embedding.weight[:, 0] = 0.0
        positions = t3.speech_pos_emb.emb.weight
        positions[:tokens, 0] = -STRONG
        positions[tokens:, 0] = STRONG
        rows = t3.speech_head.weight
        rows[:, 0] = 0.0
        # What is no sound, never; the end alone, once it is time.
        rows[t3.hp.start_speech_token :] = 0.0
        rows[t3.hp.start_speech_token :, 0] = FACTOR
        rows[t3.hp.stop_speech_token, 0] = 2 * FACTOR


def _tokenizer(t3: T3) -> Tokenizer:
    """A letter a token. The numbers of start and end are the model's."""
    first = {"[STOP]": t3.hp.stop_text_token, "[UNK]": 1, "[SPACE]": 2, "[START]": t3.hp.start_text_token}
    known = first | {letter: number for number, letter in enumerate(LETTERS, start=3)}
    made = Tokenizer(BPE(vocab=known, merges=[], unk_token="[UNK]"))
    made.add_special_tokens(list(first))
    return made


def _record(path: Path) -> None:
    """Six seconds that change, since a voice is made of them."""
    at = torch.arange(6 * RATE) / RATE
    swelling = 0.5 + 0.5 * torch.sin(2 * torch.pi * 3 * at)
    sound = 0.3 * swelling * torch.sin(2 * torch.pi * (150 * at + 20 * torch.sin(2 * torch.pi * at)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32_767).to(torch.int16).numpy().tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 2.0)
