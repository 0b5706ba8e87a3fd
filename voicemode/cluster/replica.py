"""The work behind a deployment: one engine in a process of its own, asked by ingresses that may be far away."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from voicemode.app import open_app
from voicemode.cluster.plan import Deployed
from voicemode.cluster.wire import Failed, Preloaded, Said, Tail, failed, head_of
from voicemode.configuration.config import Config
from voicemode.engines.voice_cache import VoiceCache
from voicemode.errors import ConfigurationError, EngineError, UnknownVoice, VoiceModeError
from voicemode.machine.settings_files import load_config, working_folder
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import SpeechRequest, Transcript, TranscriptionRequest, Trouble, Voice
from voicemode.speech_server.composing import tell_log
from voicemode.speech_server.engines import STANDARD_VOICES, Checks, Warms
from voicemode.speech_server.failures import failure

Holding = Callable[[Callable[[str], Awaitable[object]], int], Callable[[str], Awaitable[object]]]
"""(how a voice is loaded, how many are held) → the same, but a voice that is held is not loaded again, and the cluster
knows who holds it."""


class SpeechReplica:
    """Answers with values of `wire`: an exception would arrive as one of Ray's, with a stack in place of a sentence."""

    def __init__(self, engine: TtsEngine, *, voices: int, holding: Holding) -> None:
        self._engine = engine
        self._hold = holding(self._load, voices) if voices else None

    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[Said]:
        troubles: list[Trouble] = []
        try:
            if request.voice is not None and request.voice not in STANDARD_VOICES:
                await self._held(request.voice)
            async with self._engine.synthesize(replace(request, tell=troubles.append)) as audio:
                yield head_of(audio, troubles)
                async with _gathered(audio.chunks) as parts:
                    async for part in parts:
                        yield part
                yield Tail(reworded=audio.reworded())
        except VoiceModeError as error:
            yield failed(error, troubles)
        except Exception as error:  # a door's edge
            yield _mistake(error, self._engine.name, troubles)

    async def voices(self) -> list[Voice] | Failed:
        try:
            return await self._engine.voices()
        except VoiceModeError as error:
            return failed(error)
        except Exception as error:  # a door's edge
            return _mistake(error, self._engine.name)

    async def preload(self, voice: str) -> Preloaded | Failed:
        try:
            return await self._preloaded(voice)
        except VoiceModeError as error:
            return failed(error)
        except Exception as error:  # a door's edge
            return _mistake(error, self._engine.name)

    async def warm(self) -> Failed | None:
        try:
            if isinstance(self._engine, Warms):
                await self._engine.warm()
        except VoiceModeError as error:
            return failed(error)
        except Exception as error:  # a door's edge
            return _mistake(error, self._engine.name)
        return None

    async def check(self) -> Failed | None:
        """Whether its engine can speak, where that knows without speaking."""
        try:
            if isinstance(self._engine, Checks):
                await self._engine.check()
        except VoiceModeError as error:
            return failed(error)
        except Exception as error:  # a door's edge
            return _mistake(error, self._engine.name)
        return None

    async def _preloaded(self, voice: str) -> Preloaded:
        cache = self._cache
        if cache is None:
            if voice not in {each.id for each in await self._engine.voices()}:
                raise UnknownVoice(f"{self._engine.name} has no voice {voice[:64]!r}.")
            await self._held(voice)
            return Preloaded(level="engine", seconds=0.0)
        found = await cache.get(voice)
        await self._held(voice)
        return Preloaded(level=found.level, seconds=found.seconds)

    async def _held(self, voice: str) -> None:
        if self._hold is not None:
            await self._hold(voice)

    async def _load(self, voice: str) -> object:
        if self._cache is not None:
            await self._cache.get(voice)
        return voice

    @property
    def _cache(self) -> VoiceCache[object] | None:
        cache = getattr(self._engine, "cache", None)
        return cache if isinstance(cache, VoiceCache) else None


def _mistake(error: Exception, engine: str, troubles: Sequence[Trouble] = ()) -> Failed:
    """Of our own, or of a library's. Ray would log it with all that it says, which could be a client's words."""
    told = failure(error)
    tell_log(told)
    return failed(
        EngineError(
            f"{engine} failed by a mistake ({told.error}).",
            engine=engine,
            hint="The log of its replica has the place.",
        ),
        troubles,
    )


@asynccontextmanager
async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The same bytes, all that is there at a time: an item costs the cluster a millisecond, and engines may say 60 ms
    of sound at a time. Nothing is held back. Leaving the block stops reading."""
    here = bytearray()
    fresh = asyncio.Event()

    async def read() -> None:
        try:
            async for chunk in chunks:
                here.extend(chunk)
                fresh.set()
        finally:
            fresh.set()

    async def parts() -> AsyncIterator[bytes]:
        while not reading.done() or here:
            await fresh.wait()
            fresh.clear()
            if here:
                part = bytes(here)
                here.clear()
                yield part
        await reading  # Raises what broke the stream.

    reading = asyncio.create_task(read())
    try:
        yield parts()
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()  # Looked at, so that it is not reported as forgotten.


class HearingReplica:
    """A recogniser behind a deployment."""

    def __init__(self, engine: SttEngine) -> None:
        self._engine = engine

    async def transcribe(self, request: TranscriptionRequest) -> Transcript | Failed:
        try:
            return await self._engine.transcribe(request)
        except VoiceModeError as error:
            return failed(error)
        except Exception as error:  # a door's edge
            return _mistake(error, self._engine.name)


async def open_voice(deployed: Deployed, environment: Mapping[str, str], stack: AsyncExitStack) -> TtsEngine:
    """The engine, warm; `stack` closes it. Raises `ConfigurationError` where nothing has its name."""
    if deployed.import_path:
        made = cast(TtsEngine, _made(deployed, environment))
        stack.push_async_callback(made.close)
    else:
        # Named in the configuration: an engine that is too heavy to be there unasked is there then.
        named = {**environment, "VOICEMODE_SPEECH_ENGINES": deployed.name}
        app = await stack.enter_async_context(open_app(_config(named), named))
        made = cast(TtsEngine, _of_name(deployed, app.line_up.speakers))
    if isinstance(made, Warms):
        await made.warm()
    return made


async def open_ear(deployed: Deployed, environment: Mapping[str, str], stack: AsyncExitStack) -> SttEngine:
    if deployed.import_path:
        made = cast(SttEngine, _made(deployed, environment))
        stack.push_async_callback(made.close)
        return made
    app = await stack.enter_async_context(open_app(_config(environment), environment))
    return cast(SttEngine, _of_name(deployed, app.line_up.transcription.engines))


def _config(environment: Mapping[str, str]) -> Config:
    return load_config(environment, working_folder())


def _of_name(deployed: Deployed, engines: Any) -> Any:
    by_name = {engine.name: engine for engine in engines}
    if deployed.name not in by_name:
        raise ConfigurationError(
            f"There is no engine {deployed.name!r} on this node; there are {', '.join(by_name)}.",
            hint="Change its name in the file, or give it an import_path.",
        )
    return by_name[deployed.name]


def _made(deployed: Deployed, environment: Mapping[str, str]) -> object:
    module, _, function = deployed.import_path.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{deployed.import_path} of the engine {deployed.name!r} cannot be imported: {error}.",
            hint="Is its package installed on every node?",
        ) from error
    return make(environment)
