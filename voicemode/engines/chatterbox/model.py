"""The `chatterbox-tts` package as it is: loading it, making a voice of a recording, speaking piece by piece.

Everything here blocks and belongs to one thread. Of the package's own class two kinds are known: the original, whose
`generate` gives a piece of text as a whole, and the streaming forks, whose `generate_stream` gives chunks of speech
tokens (and prints its metrics unless told not to). Seen to work with 0.1.7, `scripts/chatterbox_weights.py`.
"""

from __future__ import annotations

import gc
import importlib.util
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicemode.configuration.presets import TOKENS_PER_SECOND
from voicemode.engines.neural.reading import clauses
from voicemode.errors import EngineUnavailable, InvalidRequest, VoiceModeError
from voicemode.speech import Delivery
from voicemode.text.sentences import cut_long

NAME = "chatterbox"
INSTALL = "Install voicemode with it: `uv tool install 'voicemode[chatterbox]'`; see the README."
FIRST_CHARACTERS = 15
PIECE_CHARACTERS = 200
"""The model stops after 1,000 speech tokens, 40 s; so much text is about 14."""
LEAST_CFG_WEIGHT = 1e-6
"""At 0 `generate` of 0.1.7 prepares one sequence where its sampling wants two, and fails; so little sounds the same."""
_WHOLE = 32_767


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatterboxSettings:
    """`device` is cuda, mps, cpu or auto (the first of these that there is); `weights` a folder with the model's files,
    None: from Hugging Face, into its own cache."""

    device: str = "auto"
    weights: Path | None = None


class _Stopped(Exception):
    """Whoever listened has left."""


class Chatterbox:
    """A loaded model. `tts` is the package's object."""

    def __init__(self, tts: Any) -> None:
        self._tts = tts
        self.rate = int(tts.sr)
        self.streams = hasattr(tts, "generate_stream")
        self._steps: int | None = None
        self._stopped: Callable[[], bool] = _never
        self.own_voice: object | None = tts.conds
        """What the weights bring along; None where they bring no voice."""
        self.sets_steps = self._take_over_decoder()
        self._stop_at_tokens()
        self._draw_no_bar()

    def prepare(self, recording: bytes) -> object:
        """What the model speaks with in the voice of `recording`. Raises `InvalidRequest`.

        The package wants a path, and librosa reads the file: it lies in a folder that only this user can open.
        """
        import torch

        with tempfile.TemporaryDirectory(prefix="voicemode-") as folder:
            path = Path(folder, "voice")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(recording)
            try:
                # Without it the voice holds on to all that was calculated on the way, for a training that never comes.
                with torch.no_grad():
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
        """s16le mono samples at `rate`, chunk by chunk; looks at `stopped` before each, and at each speech token."""
        self._stopped = stopped
        try:
            for piece in pieces(text):
                if stopped():
                    return
                # Set for each piece: a voice prepared meanwhile has left its own here.
                self._tts.conds, self._steps = voice, delivery.steps
                for sound in self._sound(piece, delivery):
                    yield samples(sound)
                    if stopped():
                        return
        except _Stopped:
            return
        finally:
            self._stopped = _never

    def _sound(self, piece: str, delivery: Delivery) -> Iterator[Any]:
        how = {
            "exaggeration": delivery.exaggeration,
            "cfg_weight": max(delivery.cfg_weight, LEAST_CFG_WEIGHT),
            "temperature": delivery.temperature,
        }
        if not self.streams:
            yield self._tts.generate(piece, **how)
            return
        for sound, _ in self._tts.generate_stream(
            piece, chunk_size=delivery.chunk, print_metrics=False, **how
        ):
            yield sound

    def _take_over_decoder(self) -> bool:
        """`generate` has no argument for the decoder's steps; its decoder has one, since version 0.1.5. And a piece in
        which the model finds nothing to say would end in an error about the size of a kernel; it becomes as much
        silence as a token has, since the watermark needs 33 ms."""
        import torch

        decoder = self._tts.s3gen
        inner = decoder.inference
        sets_steps = "n_cfm_timesteps" in inspect.signature(inner).parameters

        def inference(speech_tokens: Any, *args: Any, **named: Any) -> Any:
            if not speech_tokens.numel():
                return torch.zeros(1, self.rate // TOKENS_PER_SECOND), None
            if sets_steps and named.get("n_cfm_timesteps") is None:
                named["n_cfm_timesteps"] = self._steps
            return inner(speech_tokens, *args, **named)

        decoder.inference = inference
        return sets_steps

    def _stop_at_tokens(self) -> None:
        """`generate` returns after a whole piece, up to 40 s of sound; its transformer is called for every 40 ms."""
        transformer: Any = getattr(self._tts.t3, "tfmr", None)
        if hasattr(transformer, "register_forward_pre_hook"):
            transformer.register_forward_pre_hook(self._go_on)

    def _go_on(self, *_: object) -> None:
        if self._stopped():
            raise _Stopped

    def _draw_no_bar(self) -> None:
        """The sampling shows its progress on stderr, a bar for each piece, which in a server's log is noise."""
        module: Any = sys.modules[type(self._tts.t3).__module__]
        if hasattr(module, "tqdm"):
            module.tqdm = _undrawn


def look_for_package() -> None:
    """Whether there is something to load, without importing it. Raises `EngineUnavailable`."""
    for name in ("torch", "chatterbox"):
        if importlib.util.find_spec(name) is None:
            raise EngineUnavailable(
                f"Chatterbox needs the package chatterbox-tts, which is not installed: there is no {name}.",
                engine=NAME,
                hint=INSTALL,
            )


def load(settings: ChatterboxSettings) -> Chatterbox:
    """Takes ten seconds and more, and three gigabytes the first time. Raises `EngineUnavailable`."""
    try:
        import torch
        from chatterbox.tts import ChatterboxTTS
    except ImportError as error:
        raise EngineUnavailable(
            f"Chatterbox needs the package chatterbox-tts, which cannot be imported: {_said(error)}.",
            engine=NAME,
            hint=INSTALL,
        ) from error
    # Some forks mark nothing and have no Perth.
    if getattr(sys.modules.get("perth"), "PerthImplicitWatermarker", "") is None:
        raise EngineUnavailable(
            "Chatterbox's watermark needs pkg_resources, which setuptools brings before version 82 only.",
            engine=NAME,
            hint=f"Install 'setuptools<82' beside it, as the extra does. {INSTALL}",
        )
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


def give_back() -> None:
    """The memory of models that nobody holds: a model refers to itself, so it waits for the collector of such rings."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


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


def _never() -> bool:
    return False


def _undrawn(tokens: Iterable[int], **_: object) -> Iterable[int]:
    return tokens


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0][:300].rstrip(".") if lines else "") or type(error).__name__
