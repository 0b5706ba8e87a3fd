"""The engines by name: who speaks when a client names a model, and which voices there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol, runtime_checkable

from voicemode.engines.first import FirstSpeech
from voicemode.engines.http_voices import OPENAI_VOICES
from voicemode.errors import ConfigurationError, EngineError, UnknownVoice
from voicemode.ports import TtsEngine
from voicemode.speech import EncodedAudio, SpeechRequest, Voice
from voicemode.speech_server.admission import FIRST_LIMIT
from voicemode.speech_server.answers import UnknownModel

USUAL_MODELS = ("voicemode", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""What clients name who were written for OpenAI: whoever speaks first in the configuration answers."""

STANDARD_VOICES = (*OPENAI_VOICES, "default")
"""Names that clients were built with. An engine that has no such voice speaks with its own."""

VOICES_SECONDS = 2.0


@runtime_checkable
class Warms(Protocol):
    async def warm(self) -> None: ...


@runtime_checkable
class Checks(Protocol):
    """An engine of this machine, which knows without speaking whether it can."""

    async def check(self) -> None:
        """Raises `EngineError` where it cannot. Loads nothing."""


@runtime_checkable
class Measured(Protocol):
    async def holds(self) -> float | None:
        """Streams at once that keep ahead of real time on this machine; None where that was not measured."""


@runtime_checkable
class Bounded(Protocol):
    def text(self) -> AbstractContextManager[None]:
        """Room for a text, all of its pieces. Raises `Full`."""


class Lenient:
    """An engine that takes OpenAI's standard voices for its own usual one, where it has none of that name."""

    def __init__(self, engine: TtsEngine) -> None:
        self.engine = engine

    @property
    def name(self) -> str:
        return self.engine.name

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with AsyncExitStack() as stack:
            try:
                audio = await stack.enter_async_context(self.engine.synthesize(request))
            except UnknownVoice:
                if request.voice not in STANDARD_VOICES:
                    raise
                usual = replace(request, voice=None)
                audio = await stack.enter_async_context(self.engine.synthesize(usual))
            yield audio

    async def voices(self) -> list[Voice]:
        return await self.engine.voices()

    async def close(self) -> None:
        await self.engine.close()


class Engines:
    """`engines` in order of preference; the first that works answers a client who names none of them."""

    def __init__(self, engines: Sequence[TtsEngine]) -> None:
        self._by_name = {engine.name: Lenient(engine) for engine in engines}
        self.usual = FirstSpeech(list(self._by_name.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def behind(self, engine: TtsEngine | None = None) -> list[TtsEngine]:
        """Those that may speak where this one is chosen (None: all), for what only some of them can do."""
        all_of_them = self._by_name.values()
        chosen = (
            all_of_them if engine in (None, self.usual) else [each for each in all_of_them if each is engine]
        )
        return [each.engine for each in chosen]

    def choose(self, model: str) -> TtsEngine:
        """Raises `UnknownModel`."""
        if not model or model in USUAL_MODELS:
            return self.usual
        engine = self._by_name.get(model)
        if engine is None:
            raise UnknownModel(model, self.models())
        return engine

    def models(self) -> tuple[str, ...]:
        return (*USUAL_MODELS, *self._by_name)

    async def voices(self) -> list[Voice]:
        """Of every engine that can be asked within 2 s."""
        lists = await asyncio.gather(*(_voices_of(engine) for engine in self._by_name.values()))
        return [voice for voices in lists for voice in voices]


async def none_can(engines: Sequence[TtsEngine]) -> list[EngineError]:
    """Why none of them can speak, of each; empty where one can, as far as is known."""
    reasons: list[EngineError] = []
    for engine in engines:
        if not isinstance(engine, Checks):
            return []
        try:
            await engine.check()
        except EngineError as error:
            reasons.append(error)
        else:
            return []
    return reasons


def picked(engines: Sequence[TtsEngine], names: Sequence[str]) -> list[TtsEngine]:
    """The engines of these names, in this order; all of them where none is named. Raises `ConfigurationError`."""
    if not names:
        return list(engines)
    by_name = {engine.name: engine for engine in engines}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigurationError(
            f"There is no engine {unknown[0]!r}; there are {', '.join(by_name)}.",
            hint="Change --engine or VOICEMODE_SPEECH_ENGINES.",
        )
    return [by_name[name] for name in names]


async def first_guess(engines: Sequence[TtsEngine]) -> float:
    """How many streams to let in before any was seen: what the one that is asked first was measured to hold."""
    first = engines[0]
    known = await first.holds() if isinstance(first, Measured) else None
    return known or FIRST_LIMIT


async def _voices_of(engine: TtsEngine) -> list[Voice]:
    try:
        async with asyncio.timeout(VOICES_SECONDS):
            return await engine.voices()
    except (TimeoutError, EngineError):
        return []
