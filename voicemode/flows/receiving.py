"""One stream of speech becoming frames, and what it has shown of itself so far."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from voicemode import clock
from voicemode.errors import EngineError, StreamBroken
from voicemode.events import SpeechReceived
from voicemode.flows.ahead import ReadAhead
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenDecoder, Stage
from voicemode.sound.joins import Contour
from voicemode.speech import AudioFormat, EncodedAudio

TELLING_SECONDS = 0.5
"""Less decoded sound says little about a link: decoders hold some back."""

BREATH_SECONDS = 0.005
"""Of decoding, after which others have their turn: what came at once would otherwise hold up the loop for all of it."""

FINE_BYTES = 512
"""Decoded at a time of a compressed stream: half a second of the smallest, which takes a few milliseconds."""

Give = Callable[[Frame], Awaitable[None]]
"""Takes a frame; waiting in it holds the decoder back."""


class Receiving:
    """Decodes what `ahead` reads, `chunk_bytes` at a time, so that a large chunk does not hold up the loop; more than
    `longest` seconds of sound are a stream that does not end."""

    def __init__(
        self, ahead: ReadAhead, fmt: PcmFormat, *, chunk_bytes: int, longest: float = math.inf
    ) -> None:
        self.contour = Contour(fmt)
        self._ahead = ahead
        self._format = fmt
        self._chunk_bytes = chunk_bytes
        self._longest = longest
        self._kept = False
        self._chunks = self._bytes = self._samples = 0
        self._decoding = self._breathed = 0.0

    @property
    def seconds(self) -> float:
        """Of sound, so far."""
        return self._format.seconds(self._samples)

    @property
    def speed(self) -> float | None:
        """Seconds of sound that come per second, as far as it can be told by now."""
        if self._kept or self.seconds < TELLING_SECONDS:
            return None
        arrivals = self._ahead.arrivals
        return arrivals.speed(self.seconds * arrivals.bytes / self._bytes)

    async def run(self, audio: EncodedAudio, open_decoder: OpenDecoder, give: Give) -> None:
        """Raises `EngineError` where the stream breaks, after all that came of it has been given."""
        self._kept = audio.kept
        decoder = open_decoder(audio, self._format)
        plain = audio.format in (AudioFormat.PCM, AudioFormat.WAV)
        size = self._chunk_bytes if plain else min(self._chunk_bytes, FINE_BYTES)
        try:
            async for chunk in self._ahead:
                self._chunks += 1
                for start in range(0, len(chunk), size):
                    part = chunk[start : start + size]
                    self._bytes += len(part)
                    await self._give(self._timed(decoder, part), give)
                self._ahead.arrivals.decoded(self.seconds)
                if self.seconds > self._longest:
                    raise StreamBroken(
                        f"{audio.engine} gave more than {self._longest:.0f} s of sound, several times what the text "
                        "can need.",
                        engine=audio.engine,
                        hint="The voice has run away: try another model or voice.",
                    )
        except StreamBroken:
            # A decoder that cannot make sense of a torn end has given all it can.
            with suppress(EngineError):
                await self._give(decoder.flush(), give)
            raise
        before = clock.monotonic()
        frames = await asyncio.to_thread(decoder.flush)
        self._decoding += clock.monotonic() - before
        await self._give(frames, give)

    def received(self, *, turn: str, piece: int) -> SpeechReceived:
        """The event that tells the whole of it, once `run` is over."""
        return SpeechReceived(
            at=clock.monotonic(),
            turn=turn,
            piece=piece,
            chunks=self._chunks,
            bytes_received=self._bytes,
            seconds=self.seconds,
            elapsed=self._ahead.arrivals.elapsed,
            decoding=self._decoding,
        )

    def _timed(self, decoder: Stage[bytes, Frame], data: bytes) -> list[Frame]:
        before = clock.monotonic()
        try:
            return decoder.feed(data)
        finally:
            self._decoding += clock.monotonic() - before

    async def _give(self, frames: list[Frame], give: Give) -> None:
        for frame in frames:
            self._samples += frame.samples
            self.contour.feed(frame)
            await give(frame)
        if clock.monotonic() - self._breathed > BREATH_SECONDS:
            await asyncio.sleep(0)
            self._breathed = clock.monotonic()
