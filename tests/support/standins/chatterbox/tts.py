"""`chatterbox.tts`: the class that is loaded, with the arguments that it takes and the errors that it raises."""

from __future__ import annotations

import io
import threading
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import perth
import torch
from torch import Tensor

from .models.s3gen import S3GEN_SR, S3Gen
from .models.t3 import T3
from .models.t3.modules.cond_enc import T3Cond

Made = TypeVar("Made", bound="ChatterboxTTS")

NEEDED = ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json")
MOST_TOKENS = 1_000
LEAST_SECONDS = 0.03
"""Of a recording: what its spectrum is padded with."""


class NoBackendError(Exception):
    """audioread's, of a file that nothing can read."""


@dataclass
class Conditionals:
    """`gen` holds how high the voice is, in place of what the decoder is given there, and whether that hangs on to what
    it was calculated from."""

    t3: T3Cond
    gen: dict[str, Any]


class ChatterboxTTS:
    made: ClassVar[list[ChatterboxTTS]] = []

    def __init__(
        self, t3: T3, s3gen: S3Gen, ve: Any, tokenizer: Any, device: str, conds: Conditionals | None = None
    ) -> None:
        self.sr = S3GEN_SR
        self.t3 = t3
        self.s3gen = s3gen
        self.device = device
        self.conds = conds
        self.watermarker = perth.PerthImplicitWatermarker()
        self.said: list[dict[str, Any]] = []
        self.gate = threading.Event()
        """Closed: a generation takes until it is opened."""
        self.gate.set()
        self.seconds = 0.0
        """What a generation takes on this machine."""
        ChatterboxTTS.made.append(self)

    @classmethod
    def from_local(cls: type[Made], ckpt_dir: Path | str, device: str) -> Made:
        for name in NEEDED:
            if not Path(ckpt_dir, name).exists():
                raise FileNotFoundError(f"No such file or directory: {Path(ckpt_dir, name)}")
        return with_voice(cls, _known(device), 220.0 if Path(ckpt_dir, "conds.pt").exists() else None)

    @classmethod
    def from_pretrained(cls: type[Made], device: str) -> Made:
        return with_voice(cls, _known(device), 220.0)

    def prepare_conditionals(self, wav_fpath: str, exaggeration: float = 0.5) -> None:
        """The voice of a recording: the lowest note in it."""
        data = Path(wav_fpath).read_bytes()
        if not data:
            raise EOFError
        if not data.startswith(b"RIFF"):
            raise NoBackendError
        with wave.open(io.BytesIO(data)) as file:
            values = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
            rate = file.getframerate()
        if not len(values):
            raise RuntimeError("min(): Expected reduction dim to be specified for input.numel() == 0.")
        if len(values) / rate <= LEAST_SECONDS:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension"
            )
        hertz = float(np.abs(np.fft.rfft(values)).argmax()) * rate / len(values)
        self.conds = _conditionals(hertz, exaggeration)

    def generate(
        self,
        text: str,
        repetition_penalty: float = 1.2,
        min_p: float = 0.05,
        top_p: float = 1.0,
        audio_prompt_path: str | None = None,
        exaggeration: float = 0.5,
        cfg_weight: float = 0.5,
        temperature: float = 0.8,
    ) -> Tensor:
        if audio_prompt_path:
            self.prepare_conditionals(audio_prompt_path, exaggeration=exaggeration)
        assert self.conds is not None, "Please `prepare_conditionals` first or specify `audio_prompt_path`"
        if exaggeration != self.conds.t3.emotion_adv:
            self.conds.t3 = T3Cond(self.conds.t3.speaker_emb, emotion_adv=exaggeration)
        self.gate.wait(30)
        threading.Event().wait(self.seconds)
        self.said.append(
            {
                "text": text,
                "exaggeration": exaggeration,
                "cfg_weight": cfg_weight,
                "temperature": temperature,
            }
        )
        tokens = self.t3.inference(
            t3_cond=self.conds.t3,
            text_tokens=text,
            max_new_tokens=MOST_TOKENS,
            temperature=temperature,
            cfg_weight=cfg_weight,
            repetition_penalty=repetition_penalty,
            min_p=min_p,
            top_p=top_p,
        )
        sound, _ = self.s3gen.inference(speech_tokens=tokens, ref_dict=self.conds.gen)
        marked = self.watermarker.apply_watermark(sound.squeeze(0).numpy(), sample_rate=self.sr)
        return Tensor(marked).unsqueeze(0)


def with_voice(cls: type[Made], device: str = "cpu", hertz: float | None = 220.0) -> Made:
    """A model as the package's loading makes it; no voice of its own where `hertz` is None."""
    return cls(T3(), S3Gen(), None, None, device, conds=None if hertz is None else _conditionals(hertz, 0.5))


def _conditionals(hertz: float, exaggeration: float) -> Conditionals:
    return Conditionals(
        T3Cond(speaker_emb=hertz, emotion_adv=exaggeration),
        {"hertz": hertz, "requires_grad": torch.is_grad_enabled()},
    )


def _known(device: str) -> str:
    if device.split(":")[0] not in ("cuda", "mps", "cpu"):
        raise RuntimeError(f"Expected one of cpu, cuda, mps device type at start of device string: {device}")
    return device
