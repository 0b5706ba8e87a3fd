"""One text becoming sound for one client: sentences to engines, in order, encoded while they come, timed by stage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

from voicemode import clock
from voicemode.codecs import open_decoder
from voicemode.codecs.encoding import CONTENT_TYPES, open_encoder
from voicemode.codecs.telephone import CONTENT_TYPE, Telephone
from voicemode.events import Event, FirstByte, SpeechBroken, SpeechReceived, SpeechRequested
from voicemode.flows.rendering import NewSplitter, Rendering, RenderingPorts
from voicemode.pcm import SPEECH, Frame
from voicemode.playout.links import Links
from voicemode.ports import Stage, TtsEngine
from voicemode.sound.crossfade import Crossfade
from voicemode.speech import AudioFormat, SpeechRequest
from voicemode.speech_server.admission import Progress
from voicemode.speech_server.asked import Asked

Take = Callable[[bytes], Awaitable[None]]
"""Takes encoded sound; waiting in it holds the engine back."""

OnSentence = Callable[[int, str], None]
"""Told of each piece of the text, by number, when all of its sound has been given."""

CHUNK_BYTES = 9_600
"""Decoded at a time: 200 ms of raw sound, so that one stream does not hold up the others."""

DEAR = frozenset({AudioFormat.MP3, AudioFormat.AAC})
"""Many streams of them take more than the event loop's core has. With opus threads gained nothing certain (0021)."""

LIMIT_SECONDS = 2.0

READ_AT_ONCE = 500
"""Characters: reading them takes 3 ms of the event loop, and 100,000 of them 0.6 s."""


@dataclass(slots=True)
class Stages:
    """How one reply came about, in seconds: the voice loaded, waiting for the engine, decoding and encoding; the first
    sound and the end, from the request on. `sound` is what was sent. `engine` and `voice` say who spoke."""

    voice_load: float = 0.0
    generation: float = 0.0
    transcoding: float = 0.0
    first_chunk: float | None = None
    total: float = 0.0
    sound: float = 0.0
    engine: str = ""
    voice: str = ""
    pieces: int = 0
    breaks: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """In milliseconds, as S5 reports them."""

        def ms(seconds: float | None) -> float | None:
            return None if seconds is None else round(seconds * 1000, 3)

        return {
            "voice_load_ms": ms(self.voice_load),
            "generation_ms": ms(self.generation),
            "transcoding_ms": ms(self.transcoding),
            "first_chunk_ms": ms(self.first_chunk),
            "total_ms": ms(self.total),
            "audio_seconds": round(self.sound, 3),
            "backend": self.engine,
            "voice": self.voice,
        }

    def as_header(self) -> str:
        """`Server-Timing`, which browsers show; what is not known yet is left out."""
        known = {
            "voice": self.voice_load,
            "generation": self.generation,
            "transcoding": self.transcoding,
            "first": self.first_chunk,
            "total": self.total,
        }
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in known.items() if seconds)


class Utterance:
    """`text` is a whole text, or comes piece by piece; `threads` encode what is `DEAR`. `faded` joins its pieces by a
    crossfade, as S5 does.

    Raises `InvalidRequest` when there is nothing to say.
    """

    def __init__(
        self,
        engine: TtsEngine,
        asked: Asked,
        text: str | AsyncIterator[str],
        *,
        source: AudioFormat,
        new_splitter: NewSplitter,
        progress: Progress,
        threads: Executor,
        on_sentence: OnSentence = lambda number, text: None,
        faded: bool = False,
    ) -> None:
        self.stages = Stages()
        self._progress = progress
        self._on_sentence = on_sentence
        self._to: Stage[Frame, bytes] = encoder(asked)
        self._dear = asked.audio_format in DEAR
        self._threads = threads
        self._fade = Crossfade(SPEECH) if faded else None
        self._piece: int | None = None
        self._waiting_since = clock.monotonic()
        self._decoding = 0.0
        self._texts: dict[int, str] = {}
        self._rendering = Rendering(
            RenderingPorts(
                engine=engine,
                open_decoder=open_decoder,
                format=SPEECH,
                chunk_bytes=CHUNK_BYTES,
                # Its own: what one client's speech taught is not seen by another's.
                links=Links(fill_seconds=0.0, limit_seconds=LIMIT_SECONDS),
                new_splitter=new_splitter,
            ),
            in_parts(text) if isinstance(text, str) and len(text) > READ_AT_ONCE else text,
            SpeechRequest(
                text="",
                voice=asked.voice,
                speed=asked.speed,
                instructions=asked.instructions,
                format=source,
                language=asked.language,
                delivery=asked.delivery,
            ),
            turn="",
            emit=self._watch,
        )

    async def prepare(self) -> None:
        """Returns when the first sound is there. Raises `VoiceModeError` when there will be none."""
        try:
            await self._rendering.prepare()
        except BaseException:
            await self._rendering.drop()
            raise

    async def run(self, take: Take) -> None:
        """Gives all the sound to `take`. Raises `VoiceModeError` where it breaks off for good; cancelling ends the
        engine's work."""

        async def write(number: int, frame: Frame) -> None:
            now = clock.monotonic()
            self._progress.waited += now - self._waiting_since
            self.stages.generation = max(0.0, self._progress.waited - self._decoding)
            frames = [frame]
            if self._fade is not None:
                joined = self._fade.join() if self._piece not in (None, number) else []
                frames = [*joined, *self._fade.feed(frame)]
            self._piece = number
            await self._send(await self._encoded_aside(frames), take)
            # A client that takes everything at once must not keep the others waiting.
            await asyncio.sleep(0)
            await self._progress.give_way(clock.monotonic())
            self._waiting_since = clock.monotonic()

        try:
            await self._rendering.run(write)
            if self._fade is not None:
                await self._send(self._encoded(self._fade.flush()), take)
            await self._send((self._timed(self._to.flush), 0.0), take)
        finally:
            self._end()

    async def drop(self) -> None:
        """Nobody wants it any more, and `run` was never entered."""
        await self._rendering.drop()
        self._end()

    def _end(self) -> None:
        self.stages.total = clock.monotonic() - self._progress.began
        self.stages.sound = self._progress.sound
        self.stages.notes = self._rendering.notes

    async def _send(self, encoded: tuple[bytes, float], take: Take) -> None:
        data, seconds = encoded
        if not data:
            self._progress.sound += seconds  # Inside the encoder: it goes out with what follows.
            return
        now = clock.monotonic()
        if self.stages.first_chunk is None:
            self.stages.first_chunk = now - self._progress.began
        self._progress.sent(seconds, now)
        await take(data)

    async def _encoded_aside(self, frames: list[Frame]) -> tuple[bytes, float]:
        """What is dear to encode is encoded in a thread: the codecs let go of the interpreter's lock."""
        if not self._dear:
            return self._encoded(frames)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._encoded, frames)

    def _encoded(self, frames: list[Frame]) -> tuple[bytes, float]:
        seconds = sum(frame.seconds for frame in frames)

        def feed() -> list[bytes]:
            return [data for frame in frames for data in self._to.feed(frame)]

        return self._timed(feed), seconds

    def _timed(self, encode: Callable[[], list[bytes]]) -> bytes:
        before = clock.monotonic()
        out = encode()
        self.stages.transcoding += clock.monotonic() - before
        return out[0] if len(out) == 1 else b"".join(out)

    def _watch(self, event: Event) -> None:
        match event:
            case SpeechRequested():
                self._texts[event.piece] = event.text
            case FirstByte():
                self.stages.engine, self.stages.voice = event.engine, event.voice
            case SpeechReceived():
                self.stages.transcoding += event.decoding
                self._decoding += event.decoding
                self.stages.pieces += 1
                self._on_sentence(event.piece, self._texts.pop(event.piece, ""))
            case SpeechBroken():
                self.stages.breaks += 1
                self._progress.broke = True


@cache
def encoders() -> ThreadPoolExecutor:
    """A thread a core, of their own: hundreds of streams must not stand in line before everything else that waits for
    a thread."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="voicemode encoder")


async def in_parts(text: str) -> AsyncIterator[str]:
    """A long text, so that the others are served while it is read, and its first sentence is said meanwhile."""
    for start in range(0, len(text), READ_AT_ONCE):
        yield text[start : start + READ_AT_ONCE]
        await asyncio.sleep(0)


def encoder(asked: Asked) -> Stage[Frame, bytes]:
    """The stage that makes the bytes asked for."""
    to = asked.audio_format
    return Telephone() if to is None else open_encoder(to)


def content_type(asked: Asked) -> str:
    to = asked.audio_format
    return CONTENT_TYPE if to is None else CONTENT_TYPES[to]
