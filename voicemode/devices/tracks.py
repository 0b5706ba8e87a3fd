"""A track: the assistant's voice for someone who asks for it every 20 ms, a WebRTC peer say.

Whatever is fed in comes out as frames of one length with timestamps in samples; silence where there is nothing to say.
Frames are made when they are asked for, so an interruption is heard in the very next one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from voicemode import clock
from voicemode.devices.watchdog import Watchdog
from voicemode.errors import DeviceError, DeviceLost, VoiceModeError
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Lost, Pull, Sink
from voicemode.sound.mixing import added

FRAME_SECONDS = 0.02
"""What WebRTC sends in one packet."""

LATE_SECONDS = 0.2
"""A consumer that was away for longer is not given what it missed in one burst: the pace begins anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedFrame:
    """`pts` is the frame's first sample, counted from the track's first; its time base is 1/`frame.format.rate`."""

    frame: Frame
    pts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """What an interruption found, in samples: `spoken` had been taken of what was being said, `unspoken` was thrown
    away."""

    spoken: int
    unspoken: int


@dataclass(kw_only=True, slots=True)
class _Utterance:
    """Where it begins and ends among the bytes written; `end` is None while it is written."""

    begin: int
    end: int | None = None

    def taken(self, position: int) -> bool:
        return self.end is not None and self.end <= position

    @property
    def bytes(self) -> int:
        return (self.end or self.begin) - self.begin


class Pace:
    """Lets sound pass no faster than it plays. The time since the first frame decides, so errors do not add up."""

    def __init__(
        self,
        now: Callable[[], float] = clock.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._begun: float | None = None

    async def wait(self, position: float) -> None:
        """Until the sound at `position` (seconds) is due."""
        now = self._now()
        if self._begun is None or now - (self._begun + position) > LATE_SECONDS:
            self._begun = now - position
        early = self._begun + position - now
        if early > 0:
            await self._sleep(early)


class Track:
    """Takes sound from `write`, or from flows through `open_sink`, and gives frames to one consumer.

    `frame` gives the next one at once (the consumer keeps the time), `recv` when it is due. `spoken` is called with
    the samples of an utterance when its last one has been spoken: when the consumer asks for what follows it.
    `through` wraps the pull that frames are made from (a mixer, a tee). `latency` is the seconds from a frame's end to
    the listener's ear, as far as the consumer knows.
    """

    def __init__(
        self,
        fmt: PcmFormat = SPEECH,
        *,
        name: str = "track",
        frame_seconds: float = FRAME_SECONDS,
        latency: float = 0.0,
        spoken: Callable[[int], None] = lambda samples: None,
        through: Callable[[Pull], Pull] = lambda pull: pull,
        pace: Pace | None = None,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.format = fmt
        self.name = name
        self.latency = latency + frame_seconds
        self._samples = fmt.samples(frame_seconds)
        self._spoken = spoken
        self._pull = through(self._gather)
        self._pace = pace or Pace(now)
        self._now = now
        self._last_at: float | None = None
        self._pts = 0
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._written = 0
        """Bytes, from the beginning; what was thrown away is not counted."""
        self._taken = 0
        self._utterances: deque[_Utterance] = deque()
        """What is being said, oldest first; the last one may still be written."""
        self._inputs: list[_Input] = []

    # What is said.

    @property
    def buffered(self) -> int:
        """Samples written and not taken yet."""
        return len(self._buffer) // self.format.bytes_per_sample

    def write(self, data: bytes) -> None:
        """Adds s16le of the track's format, cut anywhere."""
        with self._lock:
            self._current()
            self._buffer += data
            self._written += len(data)

    def end(self) -> None:
        """What was written is one utterance: `spoken` is called after its last sample. Half a sample is dropped."""
        with self._lock:
            half = self._written % self.format.bytes_per_sample
            del self._buffer[len(self._buffer) - half :]
            self._written -= half
            self._current().end = self._written

    def interrupt(self) -> Interrupted:
        """Throws away what was written and not taken. `spoken` is not called for what is not complete."""
        size = self.format.bytes_per_sample
        with self._lock:
            spoken = 0
            while self._utterances and not self._utterances[-1].taken(self._taken):
                spoken += max(self._taken - self._utterances.pop().begin, 0)
            found = Interrupted(spoken=spoken // size, unspoken=len(self._buffer) // size)
            self._buffer.clear()
            self._written = self._taken
        return found

    @asynccontextmanager
    async def open_sink(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        """The track as the loudspeaker of a flow; see `ports.OpenSink`. Several may be open: they are added."""
        if format != self.format:
            raise DeviceError(
                f"The track {self.name!r} carries {_words(self.format)}, not {_words(format)}.",
                hint="Open the track in the flow's format, or put a panner or converter between them.",
            )
        source = _Input(self, pull, lost)
        with self._lock:
            self._inputs.append(source)
        loop = asyncio.get_running_loop()
        watchdog = Watchdog(loop, lambda: self._last_at, source.lose, self._now, f"The track {self.name!r}")
        try:
            yield source
        finally:
            watchdog.stop()
            source.abort()
            with self._lock:
                self._inputs.remove(source)

    # What the consumer asks.

    async def recv(self) -> TimedFrame:
        """The next frame, when it is due."""
        await self._pace.wait(self.format.seconds(self._pts))
        return self.frame()

    def frame(self) -> TimedFrame:
        """The next frame, at once. One consumer, from any one thread; never blocks."""
        self._last_at = self._now()
        for samples in self._said():
            self._spoken(samples)
        data = self._pull(self._samples)
        taken = TimedFrame(frame=Frame(data=data, format=self.format), pts=self._pts)
        self._pts += self._samples
        return taken

    def _current(self) -> _Utterance:
        """The utterance that is being written."""
        if not self._utterances or self._utterances[-1].end is not None:
            self._utterances.append(_Utterance(begin=self._written))
        return self._utterances[-1]

    def _said(self) -> list[int]:
        """Samples of each utterance that the frames until now have brought to its end."""
        said = []
        with self._lock:
            while self._utterances and self._utterances[0].taken(self._taken):
                said.append(self._utterances.popleft().bytes // self.format.bytes_per_sample)
        return said

    def _gather(self, samples: int) -> bytes:
        size = samples * self.format.bytes_per_sample
        with self._lock:
            whole = min(size, self.buffered * self.format.bytes_per_sample)
            data = bytes(self._buffer[:whole])
            del self._buffer[:whole]
            self._taken += whole
            inputs = list(self._inputs)
        data += bytes(size - whole)
        for source in inputs:
            data = added(data, source.take(samples))
        return data


class _Input:
    """A flow that speaks on a track (`ports.Sink`)."""

    def __init__(self, track: Track, pull: Pull, lost: Lost) -> None:
        self._track = track
        self._pull = pull
        self._lost = lost
        self._over = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._track.name

    @property
    def latency(self) -> float:
        return self._track.latency

    def ask(self, short: Callable[[], bool]) -> None:
        """Nothing is pulled ahead of time."""

    def abort(self) -> None:
        self._over = True

    def take(self, samples: int) -> bytes:
        silence = self._track.format.silence(samples)
        if self._over:
            return silence
        try:
            data = self._pull(samples)
        except Exception as problem:  # the edge of the consumer's thread
            self._fail(repr(problem))
            return silence
        if len(data) != len(silence):
            self._fail(f"{len(data)} bytes for {samples} samples")
        return silence if self._over else data

    def _fail(self, why: str) -> None:
        self.lose(DeviceLost(f"Playback stopped: the next samples could not be had ({why})."))

    def lose(self, error: VoiceModeError) -> None:
        """Nobody takes the sound any more: told once, and not at all after the end."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self._lost(error)


def _words(fmt: PcmFormat) -> str:
    return f"{fmt.rate} Hz with {fmt.channels} channel{'s' if fmt.channels > 1 else ''}"
