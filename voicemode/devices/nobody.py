"""A loudspeaker that nobody hears and a microphone that hears one sound, both at the pace of a real one."""

from __future__ import annotations

import random
import threading
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from voicemode import clock
from voicemode.devices.threads import in_thread
from voicemode.devices.tracks import Pace
from voicemode.errors import DeviceError
from voicemode.pcm import Frame, Framer, PcmFormat
from voicemode.ports import Lost, Pull, Sink

PERIOD_SECONDS = 0.01
LEAVING_SECONDS = 1.0
ROOM = 12
"""Amplitude of the noise around a sound: some -70 dBFS. A microphone that gives zeros is broken."""


class _Nobody:
    """Pulls in a thread of its own, as a sound card does. What is pulled counts as audible at once."""

    name = "nobody"
    latency = 0.0

    def __init__(self, fmt: PcmFormat, pull: Pull) -> None:
        self._pull = pull
        self._samples = fmt.samples(PERIOD_SECONDS)
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._run, name="voicemode nobody", daemon=True)

    def ask(self, short: Callable[[], bool]) -> None:
        """Nothing is pulled ahead of time."""

    def abort(self) -> None:
        self._over.set()

    def _run(self) -> None:
        due = clock.monotonic()
        while not self._over.wait(max(due - clock.monotonic(), 0.0)):
            self._pull(self._samples)
            due += PERIOD_SECONDS


@asynccontextmanager
async def open_nobody(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
    """An `OpenSink`: takes 10 ms every 10 ms."""
    sink = _Nobody(format, pull)
    sink.thread.start()
    try:
        yield sink
    finally:
        sink.abort()
        with anyio.CancelScope(shield=True):
            await in_thread(sink.thread.join, what="Leaving", limit_seconds=LEAVING_SECONDS)


class HeardOnce:
    """An `OpenSource`: a quiet room in which `sound` is heard once, after `lead` seconds. `ended_at` is the moment
    (monotonic seconds) of what lies `until` seconds into the sound, once it has been heard."""

    def __init__(self, sound: Frame, *, lead: float, until: float) -> None:
        self.ended_at: float | None = None
        self._sound = sound
        self._lead = lead
        self._until = until

    @asynccontextmanager
    async def __call__(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        if format != self._sound.format:
            raise DeviceError(f"The sound is {self._sound.format}, and {format} is asked for.")
        yield self._frames(_room(format))

    async def _frames(self, room: Callable[[int], Frame]) -> AsyncIterator[Frame]:
        fmt = self._sound.format
        size = fmt.samples(PERIOD_SECONDS)
        lead = [room(size) for _ in range(max(round(self._lead / PERIOD_SECONDS), 1))]
        framer = Framer(fmt, size)
        frames = [*lead, *framer.feed(self._sound.data), *framer.flush()]
        end = sum(frame.seconds for frame in lead) + self._until
        pace, position = Pace(), 0.0
        await pace.wait(position)
        while True:
            frame = frames.pop(0) if frames else room(size)
            position += frame.seconds
            # A microphone gives a block when its last sample has been heard.
            await pace.wait(position)
            if self.ended_at is None and position >= end:
                self.ended_at = clock.monotonic() - (position - end)
            yield frame


def _room(fmt: PcmFormat) -> Callable[[int], Frame]:
    noise = random.Random(1)

    def frame(samples: int) -> Frame:
        values = array("h", (noise.randint(-ROOM, ROOM) for _ in range(samples * fmt.channels)))
        return Frame(data=values.tobytes(), format=fmt)

    return frame
