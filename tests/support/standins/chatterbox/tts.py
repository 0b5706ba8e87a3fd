"""`chatterbox.tts`: the class that is loaded, with the arguments that it takes and the errors that it raises."""

from __future__ import annotations

import io
import threading
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

CHARACTERS_PER_SECOND = 14.0
MOST_SECONDS = 1_000 / 25
NEEDED = ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json")


class Tensor:
    """As much of torch's as `generate` gives its caller."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values

    def squeeze(self, dim: int) -> Tensor:
        return Tensor(self._values.squeeze(dim))

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> npt.NDArray[np.float32]:
        return self._values


@dataclass
class Conditionals:
    hertz: float


class S3Gen:
    """`inference` as since version 0.1.5; `steps` notes what it was called with."""

    def __init__(self) -> None:
        self.steps: list[int | None] = []

    def inference(
        self,
        speech_tokens: Any,
        ref_wav: Any = None,
        ref_sr: int | None = None,
        ref_dict: Any = None,
        drop_invalid_tokens: bool = True,
        n_cfm_timesteps: int | None = None,
        speech_token_lens: Any = None,
    ) -> tuple[Tensor, None]:
        self.steps.append(n_cfm_timesteps)
        at = np.arange(round(float(speech_tokens) * 24_000)) / 24_000
        return Tensor((0.3 * np.sin(2 * np.pi * ref_dict.hertz * at)).astype("float32")[None, :]), None


class ChatterboxTTS:
    made: ClassVar[list[ChatterboxTTS]] = []

    def __init__(self, device: str, conds: Conditionals | None) -> None:
        self.sr = 24_000
        self.device = device
        self.conds = conds
        self.s3gen = S3Gen()
        self.said: list[dict[str, Any]] = []
        self.gate = threading.Event()
        """Closed: a generation takes until it is opened."""
        self.gate.set()
        self.seconds = 0.0
        """What a generation takes on this machine."""
        ChatterboxTTS.made.append(self)

    @classmethod
    def from_local(cls, ckpt_dir: Path | str, device: str) -> ChatterboxTTS:
        for name in NEEDED:
            if not Path(ckpt_dir, name).exists():
                raise FileNotFoundError(f"No such file or directory: {Path(ckpt_dir, name)}")
        return cls(_known(device), Conditionals(220.0) if Path(ckpt_dir, "conds.pt").exists() else None)

    @classmethod
    def from_pretrained(cls, device: str) -> ChatterboxTTS:
        return cls(_known(device), Conditionals(220.0))

    def prepare_conditionals(self, wav_fpath: str, exaggeration: float = 0.5) -> None:
        """The voice of a recording: the lowest note in it."""
        with wave.open(io.BytesIO(Path(wav_fpath).read_bytes())) as file:
            values = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
            rate = file.getframerate()
        if not len(values):
            raise ValueError("zero-size array to reduction operation maximum which has no identity")
        self.conds = Conditionals(float(np.abs(np.fft.rfft(values)).argmax()) * rate / len(values))

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
        else:
            assert self.conds is not None, (
                "Please `prepare_conditionals` first or specify `audio_prompt_path`"
            )
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
        seconds = min(len(text) / CHARACTERS_PER_SECOND, MOST_SECONDS)
        return self.s3gen.inference(speech_tokens=seconds, ref_dict=self.conds)[0]


def _known(device: str) -> str:
    if device.split(":")[0] not in ("cuda", "mps", "cpu"):
        raise RuntimeError(f"Expected one of cpu, cuda, mps device type at start of device string: {device}")
    return device
