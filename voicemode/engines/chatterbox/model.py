"""The `chatterbox-tts` package as it is: loading it, making a voice of a recording, speaking piece by piece.

Everything here blocks and belongs to one thread. Of the package's own class two kinds are known: the original, whose
`generate` gives a piece of text as a whole, and the streaming forks, whose `generate_stream` gives chunks of speech
tokens (and prints its metrics unless told not to).
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicemode.engines.neural.reading import clauses
from voicemode.errors import EngineUnavailable, InvalidRequest, VoiceModeError
from voicemode.sentences import cut_long
from voicemode.speech import Delivery

NAME = "chatterbox"
INSTALL = (
    "Install it beside voicemode, on Python 3.11: "
    "`uv tool install --python 3.11 --with chatterbox-tts voicemode`; see the README."
)
FIRST_CHARACTERS = 15
PIECE_CHARACTERS = 200
"""The model stops after 1,000 speech tokens, 40 s; so much text is about 14."""
_WHOLE = 32_767


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatterboxSettings:
    """`device` is cuda, mps, cpu or auto (the first of these that there is); `weights` a folder with the model's files,
    None: from Hugging Face, into its own cache."""

    device: str = "auto"
    weights: Path | None = None


class Chatterbox:
    """A loaded model. `tts` is the package's object."""

    def __init__(self, tts: Any) -> None:
        self._tts = tts
        self.rate = int(tts.sr)
        self.streams = hasattr(tts, "generate_stream")
        self._steps: int | None = None
        self.own_voice: object | None = tts.conds
        """What the weights bring along; None where they bring no voice."""
        self.sets_steps = self._take_over_steps()

    def prepare(self, recording: bytes) -> object:
        """What the model speaks with in the voice of `recording`. Raises `InvalidRequest`.

        The package wants a path, and librosa reads the file: it lies in a folder that only this user can open.
        """
        with tempfile.TemporaryDirectory(prefix="voicemode-") as folder:
            path = Path(folder, "voice")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(recording)
            try:
                self._tts.prepare_conditionals(str(path), exaggeration=0.5)
            except Exception as error:  # librosa, soundfile and torch each have errors of their own
                raise InvalidRequest(
                    f"Chatterbox cannot make a voice of the recording: {_said(error)}.",
                    hint="Give a WAV file with at least a second of clear speech.",
                ) from error
        made: object = self._tts.conds
        return made

    def speak(
        self, text: str, voice: object, delivery: Delivery, stopped: Callable[[], bool]
    ) -> Iterator[bytes]:
        """s16le mono samples at `rate`, chunk by chunk; looks at `stopped` before each."""
        for piece in pieces(text):
            if stopped():
                return
            # Set for each piece: a voice prepared meanwhile has left its own here.
            self._tts.conds, self._steps = voice, delivery.steps
            for sound in self._sound(piece, delivery):
                yield samples(sound)
                if stopped():
                    return

    def _sound(self, piece: str, delivery: Delivery) -> Iterator[Any]:
        how = {
            "exaggeration": delivery.exaggeration,
            "cfg_weight": delivery.cfg_weight,
            "temperature": delivery.temperature,
        }
        if not self.streams:
            yield self._tts.generate(piece, **how)
            return
        for sound, _ in self._tts.generate_stream(
            piece, chunk_size=delivery.chunk, print_metrics=False, **how
        ):
            yield sound

    def _take_over_steps(self) -> bool:
        """`generate` has no argument for the decoder's steps; its decoder has one, since version 0.1.5."""
        decoder = self._tts.s3gen
        inner = decoder.inference
        if "n_cfm_timesteps" not in inspect.signature(inner).parameters:
            return False

        def inference(*args: Any, **named: Any) -> Any:
            if named.get("n_cfm_timesteps") is None:
                named["n_cfm_timesteps"] = self._steps
            return inner(*args, **named)

        decoder.inference = inference
        return True


def load(settings: ChatterboxSettings) -> Chatterbox:
    """Takes ten seconds and more, and two gigabytes the first time. Raises `EngineUnavailable`."""
    try:
        import torch
        from chatterbox.tts import ChatterboxTTS
    except ImportError as error:
        raise EngineUnavailable(
            f"Chatterbox needs the package chatterbox-tts, which cannot be imported: {_said(error)}.",
            engine=NAME,
            hint=INSTALL,
        ) from error
    device = settings.device if settings.device != "auto" else _best_device(torch)
    try:
        if settings.weights is not None:
            return Chatterbox(ChatterboxTTS.from_local(settings.weights, device))
        return Chatterbox(ChatterboxTTS.from_pretrained(device))
    except VoiceModeError:
        raise
    except Exception as error:  # torch, safetensors, huggingface_hub, requests: all their own
        where = settings.weights or "Hugging Face"
        raise EngineUnavailable(
            f"Chatterbox cannot be loaded from {where} for the device {device!r}: {_said(error)}.",
            engine=NAME,
            hint="Check the name of the device (cuda, mps, cpu), the network, and the folder of the weights.",
        ) from error


def pieces(text: str) -> list[str]:
    """The first short, so that sound starts early; later ones gather clauses, for an intonation that hangs together."""
    made: list[str] = []
    held = ""
    parts = (part for words, mark in clauses(text) for part in cut_long(f"{words}{mark}", PIECE_CHARACTERS))
    for part in parts:
        if held and len(held) + len(part) >= PIECE_CHARACTERS:
            made.append(held)
            held = ""
        held = f"{held} {part}".strip()
        if not made and len(held) >= FIRST_CHARACTERS:
            made.append(held)
            held = ""
    return [*made, held] if held else made


def samples(sound: Any) -> bytes:
    """A tensor of floats, (1, n), as s16le."""
    values = sound.squeeze(0).detach().cpu().numpy()
    data: bytes = (values.clip(-1.0, 1.0) * _WHOLE).round().astype("<i2").tobytes()
    return data


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0][:300].rstrip(".") if lines else "") or type(error).__name__
