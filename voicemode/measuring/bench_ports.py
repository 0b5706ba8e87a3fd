"""What stands between flows and world while the bench measures: ports that note when, and some that do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from voicemode import clock
from voicemode.measuring.timing import TimedEngine
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.links import Links
from voicemode.ports import Lost, OpenDecoder, OpenSink, Pull, Recording, Sink, TtsEngine
from voicemode.sound.levels import audible_from
from voicemode.sound.mixing import FULL, scaled
from voicemode.speech import AudioFormat, RecordingNote

QUIET_GAIN = FULL // 10
"""20 dB down."""


class Watched(TimedEngine):
    """With a loudspeaker that notes when it is given something audible."""

    def __init__(self, engine: TtsEngine, open_decoder: OpenDecoder, open_sink: OpenSink) -> None:
        super().__init__(engine, open_decoder)
        self.audible = asyncio.Event()
        """Set when the loudspeaker has been given the first audible sample."""
        self._pulled_at: float | None = None
        self._latency = 0.0
        self._open_sink = open_sink
        self._loop = asyncio.get_running_loop()

    @property
    def audible_at(self) -> float | None:
        """When the first audible sample was heard, by the loudspeaker's own clock."""
        return None if self._pulled_at is None else self._pulled_at + self._latency

    @asynccontextmanager
    async def open_sink(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        opened: Sink | None = None

        def noting(samples: int) -> bytes:
            data = pull(samples)
            if self._pulled_at is None:
                before = audible_from(Frame(data=data, format=format))
                if before is not None:
                    if opened is not None:  # By now it may know better than when it was opened.
                        self._latency = opened.latency
                    self._pulled_at = clock.monotonic() + format.seconds(before)
                    with suppress(RuntimeError):  # The loop has closed: nobody waits for it.
                        self._loop.call_soon_threadsafe(self.audible.set)
            return data

        async with self._open_sink(format, noting, lost) as sink:
            opened = sink
            self._latency = sink.latency
            yield sink


class ConfiguredLinks(Links):
    """Of which nothing is learnt: the configured buffer, and the format that is asked for."""

    def format(self, engine: str, wanted: AudioFormat, *, running: float | None = None) -> AudioFormat:
        return wanted


def quietly(open_sink: OpenSink) -> OpenSink:
    """The same loudspeaker, not so loud."""

    @asynccontextmanager
    async def opening(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        async with open_sink(format, lambda samples: scaled(pull(samples), QUIET_GAIN), lost) as sink:
            yield sink

    return opening


class FreeFloor:
    """For what nobody hears."""

    @asynccontextmanager
    async def hold(
        self, who: str, on_wait: Callable[[str], None] = lambda holder: None
    ) -> AsyncIterator[float]:
        yield 0.0


class _NoRecording:
    def write(self, frame: Frame) -> None: ...

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None: ...

    async def saved(self) -> Path | None:
        return None


def begin_nothing(*, kind: str, turn: str, format: PcmFormat) -> Recording:  # noqa: A002
    """A `BeginRecording` that keeps nothing."""
    return _NoRecording()
