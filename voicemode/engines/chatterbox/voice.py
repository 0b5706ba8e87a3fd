"""Chatterbox as a `TtsEngine`: the model in a thread of its own, one request at a time, stopped between two chunks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from voicemode import clock
from voicemode.configuration.presets import delivery
from voicemode.engines.chatterbox.model import (
    NAME,
    Chatterbox,
    ChatterboxSettings,
    give_back,
    load,
    look_for_package,
)
from voicemode.engines.embedded.order import possible, speakable
from voicemode.engines.voice_cache import FetchVoice, VoiceCache
from voicemode.errors import EngineError, EngineUnavailable, InvalidRequest, StreamBroken, UnknownVoice
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, Delivery, EncodedAudio, SpeechRequest, Voice

Result = TypeVar("Result")

LANGUAGE = "en"
OWN_VOICE = "default"
"""The voice that the weights bring along."""
LONGEST_CHARACTERS = 10_000
NOTHING_SECONDS = 0.1
"""Silence in place of a text with nothing in it to pronounce, such as a lone dash."""
MODEL = "chatterbox"
OWN_SPEED = "Chatterbox speaks at its own speed, not at the one asked for."

LoadModel = Callable[[ChatterboxSettings], Chatterbox]


class ChatterboxVoice:
    """`folders` hold recordings of voices (`voice_cache`); `remote` fetches others. The model is loaded by `warm`, or
    with the first request."""

    def __init__(
        self,
        settings: ChatterboxSettings | None = None,
        *,
        folders: Sequence[Path] = (),
        remote: FetchVoice | None = None,
        load_model: LoadModel = load,
    ) -> None:
        self._settings = settings or ChatterboxSettings()
        self._load_model = load_model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voicemode chatterbox")
        self._model: Chatterbox | None = None
        self._loading = asyncio.Lock()
        self._not_loaded: EngineError | None = None
        """Why the last attempt failed."""
        self._jobs: set[_Job] = set()
        self._closed = False
        self._pace: float | None = None
        """Seconds of sound made in a second."""
        self.cache: VoiceCache[object] = VoiceCache(
            self._prepare, engine=NAME, folders=folders, remote=remote
        )

    @property
    def name(self) -> str:
        return NAME

    @property
    def at_work(self) -> int:
        """Requests that the model is busy with, or will be."""
        return sum(not job.over.is_set() for job in self._jobs)

    async def warm(self) -> None:
        """Loads the model and has it say a word, which on a GPU takes longer than any later one; then a sentence, to
        see how fast it is. Raises `EngineError`."""
        await self._say("Hello.")
        begun = clock.monotonic()
        seconds = await self._say("This is how fast I speak.")
        self._pace = seconds / max(clock.monotonic() - begun, 0.001)

    async def check(self) -> None:
        """Raises `EngineError` where it cannot speak: the last attempt to load it failed, or there is nothing to
        load. Loads nothing."""
        if self._model is not None:
            return
        if self._not_loaded is not None:
            raise self._not_loaded
        await asyncio.to_thread(look_for_package)

    async def holds(self) -> float | None:
        """Streams at once that keep ahead of real time, as `warm` has found; None before it."""
        return self._pace

    async def _say(self, text: str) -> float:
        """Seconds of the sound."""
        size = 0
        async with self.synthesize(SpeechRequest(text=text)) as audio:
            async for chunk in audio.chunks:
                size += len(chunk)
        assert audio.pcm is not None
        return audio.pcm.seconds(size // audio.pcm.bytes_per_sample)

    async def voices(self) -> list[Voice]:
        known = await asyncio.to_thread(self.cache.names)
        return [Voice(id=each, engine=NAME, language=LANGUAGE) for each in (OWN_VOICE, *known)]

    async def close(self) -> None:
        self._closed = True
        for job in self._jobs:
            job.stop.set()
        await self.cache.close()
        # What waits for its turn finds that it is to stop, and says so to who waits for it.
        if self._model is not None:
            self._model = None
            self._thread.submit(give_back)
        self._thread.shutdown(wait=False)

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        text = speakable(request.text)
        if len(text) > LONGEST_CHARACTERS:
            raise InvalidRequest(
                f"{NAME} says at most {LONGEST_CHARACTERS:,} characters at once, not {len(text):,}.",
                hint="Say it in parts.",
                about="text",
            )
        speed = possible(request.speed)
        if request.language and request.language.lower().replace("_", "-").split("-")[0] != LANGUAGE:
            raise UnknownVoice(
                f"{NAME} has no voice for the language {request.language[:64]!r}.",
                hint="It speaks English.",
                about="language",
            )
        model = await self._ready()
        voice = await self._voice(request.voice, model)
        job = _Job(asyncio.get_running_loop())
        self._jobs.add(job)
        try:
            self._thread.submit(job.run, model, text, voice, request.delivery or delivery())
            first = await job.next()
            if first is None and self._closed:
                raise EngineUnavailable(f"{NAME} has been closed.", engine=NAME)
            pcm = PcmFormat(rate=model.rate)
            yield EncodedAudio(
                chunks=_chunks(first or pcm.silence(pcm.samples(NOTHING_SECONDS)), job),
                format=AudioFormat.PCM,
                engine=NAME,
                voice=request.voice or OWN_VOICE,
                model=MODEL,
                pcm=pcm,
                note=OWN_SPEED if speed != 1.0 else "",
            )
        finally:
            job.stop.set()
            self._jobs = {each for each in self._jobs if not each.over.is_set()}

    async def _ready(self) -> Chatterbox:
        if self._closed:
            raise EngineUnavailable(f"{NAME} has been closed.", engine=NAME)
        async with self._loading:
            if self._model is None:
                try:
                    self._model = await self._in_thread(lambda: self._load_model(self._settings))
                except EngineError as error:
                    self._not_loaded = error
                    raise
                self._not_loaded = None
            return self._model

    async def _voice(self, voice: str | None, model: Chatterbox) -> object:
        if voice is not None and voice != OWN_VOICE:
            try:
                return (await self.cache.get(voice)).value
            except InvalidRequest as error:
                raise UnknownVoice(error.message, hint=error.hint) from error
        if model.own_voice is None:
            raise UnknownVoice(
                f"The weights of {NAME} bring no voice of their own.",
                hint="Name a voice that has a recording.",
            )
        return model.own_voice

    async def _prepare(self, recording: bytes) -> object:
        model = await self._ready()
        return await self._in_thread(lambda: model.prepare(recording))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Job:
    """One text on its way through the model's thread. `over` once the thread has left it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = threading.Event()
        self.over = threading.Event()
        self._ended = False
        self._loop = loop
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def run(self, model: Chatterbox, text: str, voice: object, how: Delivery) -> None:
        """In the thread."""
        try:
            for chunk in model.speak(text, voice, how, self.stop.is_set):
                if chunk:
                    self._tell(chunk)
            self._tell(None)
        except Exception as error:  # the thread's edge: torch has errors of its own for everything
            self._tell(error)
        finally:
            self.over.set()

    async def next(self) -> bytes | None:
        """The next chunk, None at the end and from then on. Raises `EngineError`."""
        if self._ended:
            return None
        item = await self._chunks.get()
        self._ended = not isinstance(item, bytes)
        if isinstance(item, Exception):
            raise EngineError(f"{NAME} failed: {str(item) or type(item).__name__}.", engine=NAME) from item
        return item

    def _tell(self, item: bytes | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, item)


async def _chunks(first: bytes, job: _Job) -> AsyncIterator[bytes]:
    item: bytes | None = first
    while item is not None:
        yield item
        try:
            item = await job.next()
        except EngineError as error:
            raise StreamBroken(
                f"{NAME} stopped in the middle of a text: {error.message}", engine=NAME, retryable=True
            ) from error
