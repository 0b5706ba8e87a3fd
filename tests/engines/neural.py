"""What the tests of neural engines share: tiny models made once, and how to read their tones back."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from shutil import copytree

import numpy

from scripts import tiny_models
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.neural.ear import NeuralEar
from voicemode.engines.neural.voice import NeuralVoice
from voicemode.models.catalogue import find
from voicemode.models.model import Family, Speaker
from voicemode.models.store import Installed, Store, at
from voicemode.pcm import LISTENING, Frame

SPEAKERS = (
    Speaker(id="low", number=0),
    Speaker(id="high", number=1, language="de-DE", espeak="de"),
    Speaker(id="broken", number=2, language="fr-FR", espeak="fr-fr"),
)
LONG = "one two three, four five six. " * 60


@cache
def made(kind: str) -> Installed:
    """A tiny model of this kind; one set for all tests of a process, deleted with it."""
    model = at(tiny_models.MAKERS[kind](Path(_folder().name) / kind))
    if kind in ("kokoro", "kitten"):
        model = replace(model, speakers=SPEAKERS, languages=tuple(each.language for each in SPEAKERS))
    return model


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="voicemode-tests-", ignore_cleanup_errors=True)


@asynccontextmanager
async def voice(model: Installed, **how: float) -> AsyncIterator[NeuralVoice]:
    reader = EmbeddedVoice()
    engine = NeuralVoice(model, ipa=reader.ipa, **how)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        await engine.close()
        await reader.close()


@asynccontextmanager
async def ear(*models: Installed, **how: float) -> AsyncIterator[NeuralEar]:
    engine = NeuralEar(models or (made("ear"),), **how)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        await engine.close()


def recording(text: str, mix: dict[str, float] | None = None) -> Frame:
    return Frame(data=tiny_models.spoken(text, mix=mix), format=LISTENING)


def between(one: str, other: str) -> float:
    """The frequency in the middle of two neighbours, which could be either."""
    return tiny_models.mel_bin_hertz((tiny_models.tone_bin(one) + tiny_models.tone_bin(other)) // 2)


def tones(pcm: bytes) -> list[float]:
    """Hz of every token's tone, silent ones left out."""
    samples = numpy.frombuffer(pcm, "<i2").astype("float64")
    step = round((tiny_models.TOKEN_SECONDS + tiny_models.TOKEN_GAP_SECONDS) * tiny_models.RATE)
    size = round(tiny_models.TOKEN_SECONDS * tiny_models.RATE)
    found = []
    for start in range(0, len(samples) - size + 1, step):
        spectrum = numpy.abs(numpy.fft.rfft(samples[start : start + size]))
        if spectrum.max() > 1000:
            found.append(float(spectrum.argmax()) * tiny_models.RATE / size)
    return found


KINDS = {each: "ear" if each is Family.ZIPFORMER else str(each) for each in Family}


def put(store: Store, *names: str) -> Store:
    """Tiny models in the place of real ones."""
    for name in names:
        model = find(name)
        tiny = made(KINDS[model.family])
        unpacked = store.parts / name
        copytree(tiny.folder, unpacked)
        for role, path in tiny.files.items():
            (unpacked / path.name).rename(unpacked / model.files[role])
        store.place(unpacked, model, sha256="", url="")
    return store
