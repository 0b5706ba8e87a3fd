"""Our own sound, told from others': what the loudspeaker pulls is taken out of what the microphone gives, and what is
left of it is known for what it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from voicemode import clock
from voicemode.echo import EchoGate, Path
from voicemode.laying import Steady
from voicemode.levels import decibels
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import EchoCanceller, Lost, OpenSink, Pull, Sink

PIECE_SECONDS = 0.01
"""What cancellers take."""

LONGEST_WAIT = 2_000
"""Pulled blocks that may wait for a microphone frame: some seconds, for a microphone that gives none."""

CATCHING_UP = 2e-4
"""A loudspeaker that once pulled late is not taken to be late for ever."""


class Tap:
    """An `OpenSink` that shows what the loudspeaker pulls to `listener`, from the loudspeaker's own thread."""

    def __init__(self, open_sink: OpenSink) -> None:
        self.listener: Callable[[Frame], None] | None = None
        self._open_sink = open_sink

    def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AbstractAsyncContextManager[Sink]:  # noqa: A002
        def shown(samples: int) -> bytes:
            data = pull(samples)
            listener = self.listener
            if listener is not None:
                listener(Frame(data=data, format=format))
            return data

        return self._open_sink(format, shown, lost)


class OwnSound:
    """The `Echo` of one opening of the microphone: a canceller, and behind it a gate, which outlives it.

    `free` and `clean` are about the frame that `near` was given last.
    """

    def __init__(
        self,
        tap: Tap,
        canceller: EchoCanceller,
        gate: EchoGate,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._tap = tap
        self._canceller = canceller
        self._gate = gate
        self._now = now
        self._pulled: deque[tuple[Frame, float]] = deque(maxlen=LONGEST_WAIT)
        self._pulled_to = 0.0
        self._steady = Steady()
        self._more = False
        self.quieted = Frame(data=b"", format=canceller.format)
        tap.listener = self.far

    @property
    def frame_samples(self) -> int:
        return self._canceller.format.samples(PIECE_SECONDS)

    @property
    def clean(self) -> bool:
        """While nothing is known of the way from loudspeaker to microphone, every voice may be ours."""
        return self._gate.path is not Path.UNKNOWN

    @property
    def free(self) -> bool:
        return self._more

    def far(self, frame: Frame) -> None:
        """What the loudspeaker has pulled. From its thread: it is only put down here.

        Its time is when its turn to sound comes, as long after the sound before it as that lasts: a loudspeaker that
        begins to hold more pulls ahead, and the way to the microphone is no longer for it.
        """
        at = max(self._now(), self._pulled_to)
        self._pulled_to = at + frame.seconds * (1 - CATCHING_UP)
        self._pulled.append((frame, at))

    def near(self, frame: Frame) -> Frame:
        """What was pulled until then goes before it, and no more: a burst of frames finds each its own.

        Whether it is free is judged by what the canceller leaves of the echo, which is least. Given back is the words:
        the canceller takes the beginning of a voice with the echo, which is then neither found nor understood.
        """
        began = self._steady.began(self._now(), frame.seconds)
        while self._pulled and self._pulled[0][1] <= began + frame.seconds:
            played, at = self._pulled.popleft()
            self._canceller.far(played)
            if any(played.data):
                self._gate.played(decibels(played), at, played.seconds)
        self.quieted = self._canceller.near(frame)
        self._more = self._gate.heard(decibels(self.quieted), began).more
        return self._canceller.words

    def close(self) -> None:
        if self._tap.listener == self.far:
            self._tap.listener = None
        self._canceller.close()
