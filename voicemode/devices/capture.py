"""A microphone's frames on their way from the device's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

from voicemode.errors import DeviceLost, VoiceModeError
from voicemode.pcm import Frame, Framer, PcmFormat
from voicemode.ports import Stage
from voicemode.sound.laying import Steady

FRAME_SECONDS = 0.010
LAG_SECONDS = 5.0
"""A reader this far behind gets `DeviceLost` after what was kept: a recording with a hole in it would be
transcribed as if it were whole."""


class Capture:
    """Cuts what a device's thread gives into frames of 10 ms and hands them to one reader on the loop.

    `last_at` is when the device last gave something (None: not yet). The frames that came before a loss are read
    first, then iterating raises. `captured` is when the end of the frame that was read last was at the microphone.
    """

    def __init__(self, fmt: PcmFormat, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.format = fmt
        self.last_at: float | None = None
        self.overflows = 0
        """Times the device threw samples away because its thread came too late."""
        self._loop = loop
        self._now = now
        self.captured: float | None = None
        self._steady = Steady()
        self._frames: deque[tuple[Frame, float]] = deque()
        self._most = round(LAG_SECONDS / FRAME_SECONDS)
        self._lock = threading.Lock()
        self._ready = asyncio.Event()
        self._waking = False
        self._error: VoiceModeError | None = None
        self._given = 0
        self._alive = False
        self._over = False
        self._left = False
        self._framer = Framer(fmt, fmt.samples(FRAME_SECONDS))
        self._source = fmt
        self._convert: Stage[Frame, Frame] | None = None

    def convert_from(self, source: PcmFormat, stage: Stage[Frame, Frame] | None) -> None:
        """The device gives `source`; `stage` turns it into the format asked for. Before the first `give`."""
        self._source, self._convert = source, stage

    @property
    def zeros(self) -> float:
        """Seconds that were given and were all zeros; 0 once anything else came."""
        return 0.0 if self._alive else self._given / self._source.bytes_per_sample / self._source.rate

    @property
    def over(self) -> bool:
        return self._over

    def give(self, data: bytes, *, delay: float = 0.0) -> None:
        """Whole samples from the device's thread, the last of them captured `delay` seconds ago as far as the device
        tells; never raises."""
        self.last_at = self._now()
        if self._over:
            return
        seconds = len(data) / self._source.bytes_per_sample / self._source.rate
        ended = self._steady.began(self.last_at - delay, seconds) + seconds
        self._given += len(data)
        self._alive = self._alive or any(data)
        try:
            frames = self._cut(data)
        except Exception as problem:  # the edge of the device's thread
            self.lose(_failed(problem))
            return
        ended -= self._framer.held_seconds
        last = len(frames) - 1
        timed = [(frame, ended - (last - n) * FRAME_SECONDS) for n, frame in enumerate(frames)]
        with self._lock:
            self._frames.extend(timed)
            full = len(self._frames) > self._most
        if full:
            self.lose(DeviceLost(f"The microphone was not read for {LAG_SECONDS:g} s.", retryable=True))
        elif frames:
            self._wake()

    def stop(self) -> None:
        """Leaves: the reader ends, the rest is dropped."""
        self._over = self._left = True
        self._wake()

    def lose(self, error: VoiceModeError) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            self._error = error
        self._wake()

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        while True:
            with self._lock:
                if self._frames and not self._left:
                    frame, self.captured = self._frames.popleft()
                    return frame
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            await self._ready.wait()
            self._ready.clear()

    def _cut(self, data: bytes) -> list[Frame]:
        if self._convert is None:
            return self._framer.feed(data)
        converted = self._convert.feed(Frame(data=data, format=self._source))
        return [frame for piece in converted for frame in self._framer.feed(piece.data)]

    def _wake(self) -> None:
        with self._lock:
            if self._waking or self._loop.is_closed():
                return
            self._waking = True
        self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        with self._lock:
            self._waking = False
        self._ready.set()


def _failed(problem: Exception) -> DeviceLost:
    error = DeviceLost(
        f"The microphone's sound could not be converted ({type(problem).__name__}: {problem})."
    )
    error.__cause__ = problem
    return error
