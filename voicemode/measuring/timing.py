"""When an engine's sound comes: what the doctor and the bench measure speech by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from voicemode import clock
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenDecoder, Stage, TtsEngine
from voicemode.sound.levels import audible_from
from voicemode.speech import EncodedAudio, SpeechRequest, Voice


class TimedEngine:
    """An engine and its decoder that note when something passes them, in monotonic seconds. `chunks` has, for each
    request, the times of its chunks; `first_sound` is when the first sample came out of a decoder, `first_audible` when
    the first did that anybody hears."""

    def __init__(self, engine: TtsEngine, open_decoder: OpenDecoder) -> None:
        self.chunks: list[list[float]] = []
        self.first_sound: float | None = None
        self.first_audible: float | None = None
        self.sent_as = ""
        self._engine = engine
        self._open_decoder = open_decoder

    @property
    def name(self) -> str:
        return self._engine.name

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with self._engine.synthesize(request) as audio:
            times = [clock.monotonic()]  # The first bytes are there.
            self.chunks.append(times)
            self.sent_as = self.sent_as or audio.format.value
            yield replace(audio, chunks=_noted(audio.chunks, times))

    async def voices(self) -> list[Voice]:
        return await self._engine.voices()

    async def close(self) -> None:
        """The engine is somebody else's."""

    def open_decoder(self, audio: EncodedAudio, wanted: PcmFormat) -> Stage[bytes, Frame]:
        return _NotingDecoder(self, self._open_decoder(audio, wanted))

    def note(self, frames: list[Frame]) -> list[Frame]:
        """What has come out of a decoder."""
        if self.first_sound is None and any(frame.samples for frame in frames):
            self.first_sound = clock.monotonic()
        if self.first_audible is None and any(audible_from(frame) is not None for frame in frames):
            self.first_audible = clock.monotonic()
        return frames


async def _noted(chunks: AsyncIterator[bytes], times: list[float]) -> AsyncIterator[bytes]:
    """The first chunk has been noted."""
    first = True
    async for chunk in chunks:
        if not first:
            times.append(clock.monotonic())
        first = False
        yield chunk


class _NotingDecoder:
    def __init__(self, timed: TimedEngine, decoder: Stage[bytes, Frame]) -> None:
        self._timed = timed
        self._decoder = decoder

    def feed(self, item: bytes) -> list[Frame]:
        return self._timed.note(self._decoder.feed(item))

    def flush(self) -> list[Frame]:
        return self._timed.note(self._decoder.flush())


async def said(
    engine: TtsEngine, request: SpeechRequest, open_decoder: OpenDecoder, fmt: PcmFormat
) -> tuple[Frame, EncodedAudio]:
    """The whole of one request as sound that nobody hears, and what came."""
    data = bytearray()
    async with engine.synthesize(request) as audio:
        decoder = open_decoder(audio, fmt)
        async for chunk in audio.chunks:
            data += b"".join(frame.data for frame in await asyncio.to_thread(decoder.feed, chunk))
        data += b"".join(frame.data for frame in await asyncio.to_thread(decoder.flush))
    return Frame(data=bytes(data), format=fmt), audio
