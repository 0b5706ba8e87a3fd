"""Where the sounds that are kept come from: each tap stands before a port and looks like it.

flow ─> … ─> kept_sink ─> the loudspeaker          flow <─ Microphone <─ the microphone
canceller in its KeptCanceller                     flow <─ KeptStreams <─ the engines
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from voicemode import clock
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import EchoCanceller, Lost, OpenSink, Pull, Sink, TtsEngine
from voicemode.sound.passing import Passing
from voicemode.speech import EncodedAudio, SpeechRequest, Voice

if TYPE_CHECKING:
    from voicemode.recording.sound_tracks import Block, SoundTrack
    from voicemode.recording.turns import KeptTurns

TOGETHER_SECONDS = 0.1
"""Of sound are handed to the recordings at a time: their thread wakes ten times a second for each side."""

LONGEST_OPENING_SECONDS = 10.0
"""Of sound are kept of a loudspeaker that pulls before it is open; it is open in a fraction of that."""


class _Gathering:
    """Blocks on their way to a track, some at a time. One thread at a time."""

    def __init__(self, track: SoundTrack) -> None:
        self._track = track
        self._blocks: list[Block] = []
        self._bytes = 0
        self._enough = track.format.samples(TOGETHER_SECONDS) * track.format.bytes_per_sample

    def add(self, data: bytes, at: float) -> None:
        self._blocks.append((data, at))
        self._bytes += len(data)
        if self._bytes >= self._enough:
            self.hand_over()

    def hand_over(self) -> None:
        blocks, self._blocks, self._bytes = self._blocks, [], 0
        self._track.put(blocks)


# The loudspeaker.


def kept_sink(
    open_sink: OpenSink, turns: KeptTurns, *, now: Callable[[], float] = clock.monotonic
) -> OpenSink:
    """A loudspeaker of which everything that it pulls is kept, with the time at which it is audible."""

    @asynccontextmanager
    async def opening(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        track = turns.track("sink", format)
        if track is None:
            async with open_sink(format, pull, lost) as sink:
                yield sink
            return
        track.opened()
        pulled = _Pulled(pull, track, now)
        try:
            async with open_sink(format, pulled, lost) as sink:
                pulled.sink = sink
                yield sink
        finally:
            pulled.close()
            turns.released(track)

    return opening


class _Pulled:
    """A `ports.Pull` that keeps what it gives. In the device's thread it puts blocks into a list, and hands the list
    over now and then."""

    def __init__(self, pull: Pull, track: SoundTrack, now: Callable[[], float]) -> None:
        self.sink: Sink | None = None
        """Known some blocks after the first pull."""
        self._pull = pull
        self._now = now
        self._size = track.format.bytes_per_sample
        self._rate = track.format.rate
        self._gathering = _Gathering(track)
        self._early: list[Block] = []
        self._most_early = int(LONGEST_OPENING_SECONDS * self._rate)

    def __call__(self, samples: int) -> bytes:
        data = self._pull(samples)
        at = self._now()
        sink = self.sink
        if sink is not None:
            if self._early:
                self._hand_over_early(sink)
            self._gathering.add(data, self._audible(data, at, sink.latency))
        elif self._most_early > 0:
            self._most_early -= samples
            self._early.append((data, at))
        return data

    def close(self) -> None:
        """Nothing is pulled any more."""
        if self.sink is not None:
            self._hand_over_early(self.sink)
            self._gathering.hand_over()

    def _hand_over_early(self, sink: Sink) -> None:
        early, self._early = self._early, []
        for data, at in early:
            self._gathering.add(data, self._audible(data, at, sink.latency))

    def _audible(self, data: bytes, at: float, latency: float) -> float:
        """When the first sample is: a device's latency is that of its last."""
        return at + latency - len(data) / self._size / self._rate


# The microphone.


class Timed(Protocol):
    """A microphone's frames; `captured` is when the end of the one that was read last was at the microphone (None: not
    known)."""

    @property
    def captured(self) -> float | None: ...

    async def __anext__(self) -> Frame: ...


OpenTimed = Callable[[PcmFormat], AbstractAsyncContextManager[Timed]]


class Microphone:
    """An `OpenSource` that knows when what it gave last was captured; all that it gives is kept, where there is
    somebody to keep it."""

    def __init__(
        self,
        open_source: OpenTimed,
        turns: KeptTurns | None,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._open_source = open_source
        self._turns = turns
        self._now = now
        self._source: Timed | None = None

    def captured(self) -> float:
        """When the end of the frame that was read last was at the microphone, as far as that is known."""
        at = self._source.captured if self._source is not None else None
        return self._now() if at is None else at

    @asynccontextmanager
    async def __call__(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        track = self._turns.track("mic", format) if self._turns is not None else None
        reading: _Reading | None = None
        if track is not None:
            track.opened()
            reading = _Reading(self.captured, track)
        try:
            async with self._open_source(format) as source:
                self._source = source
                yield _Read(source, reading)
        finally:
            self._source = None
            if self._turns is not None and track is not None and reading is not None:
                reading.close()
                self._turns.released(track)


class _Reading:
    def __init__(self, captured: Callable[[], float], track: SoundTrack) -> None:
        self._captured = captured
        self._gathering = _Gathering(track)

    def keep(self, frame: Frame) -> None:
        self._gathering.add(frame.data, self._captured() - frame.seconds)

    def close(self) -> None:
        self._gathering.hand_over()


class _Read:
    """Frames on their way to who asked for them."""

    def __init__(self, source: Timed, reading: _Reading | None) -> None:
        self._source = source
        self._reading = reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        frame = await self._source.__anext__()
        if self._reading is not None:
            self._reading.keep(frame)
        return frame


class KeptCanceller:
    """An `EchoCanceller` whose words are kept. `captured` is when the end of the frame that it is given was."""

    def __init__(self, canceller: EchoCanceller, turns: KeptTurns, captured: Callable[[], float]) -> None:
        self._canceller = canceller
        self._turns = turns
        self._captured = captured
        self._track: SoundTrack | None = None
        self._reading: _Reading | None = None

    @property
    def format(self) -> PcmFormat:
        return self._canceller.format

    @property
    def words(self) -> Frame:
        return self._canceller.words

    @property
    def anew(self) -> bool:
        return self._canceller.anew

    @property
    def known(self) -> bool:
        return self._canceller.known

    @property
    def rest(self) -> float:
        return self._canceller.rest

    def far(self, frame: Frame) -> None:
        self._canceller.far(frame)

    def near(self, frame: Frame) -> Frame:
        quieted = self._canceller.near(frame)
        words = self._canceller.words
        if self._reading is None:
            self._track = self._turns.track("clean", words.format)
            if self._track is not None:
                self._track.opened()
                self._reading = _Reading(self._captured, self._track)
        if self._reading is not None:
            self._reading.keep(words)
        return quieted

    def close(self) -> None:
        if self._track is not None and self._reading is not None:
            self._reading.close()
            self._turns.released(self._track)
            self._track = self._reading = None
        self._canceller.close()


# The engines.


class KeptStreams:
    """A `TtsEngine` whose answers are kept as they come, for requests that say whose they are."""

    def __init__(self, engine: TtsEngine, turns: KeptTurns) -> None:
        self._engine = engine
        self._turns = turns

    @property
    def name(self) -> str:
        return self._engine.name

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with self._engine.synthesize(request) as audio:
            stream = self._turns.stream(request.turn, request.piece, audio)
            if stream is None:
                yield audio
                return
            try:
                yield replace(audio, chunks=Passing(audio.chunks, passed=stream.put, ended=stream.ended))
            finally:
                stream.close()

    async def voices(self) -> list[Voice]:
        return await self._engine.voices()

    async def close(self) -> None:
        await self._engine.close()
