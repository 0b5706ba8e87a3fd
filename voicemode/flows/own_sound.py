"""Our own sound, told from others': what the loudspeaker pulls is taken out of what the microphone gives, and what is
left of it is known for what it is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from voicemode import clock
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import EchoCanceller, Lost, OpenSink, Pull, Sink
from voicemode.sound.laying import Steady
from voicemode.sound.levels import decibels
from voicemode.turn_taking.echo import EchoGate, Path
from voicemode.turn_taking.rests import RestGate

PIECE_SECONDS = 0.01
"""What cancellers take."""

LONGEST_WAIT = 2_000
"""Pulled blocks that may wait for a microphone frame: some seconds, for a microphone that gives none."""

HINT_DECIBELS = 3.0
"""Where the canceller has left something by mistake, as it does for moments after our pauses, the words are as ever."""

HOLE_SECONDS = 0.05
"""Between two microphone frames: the microphone was opened anew."""

BEYOND_DECIBELS = 3.0
"""Above the rest of us that a canceller may have left: what is fainter says nothing. In a room of -10 dB 95 of 100
frames of own speech alone are below 2 dB and no run of others lasts 0.12 s; who talks over us is 10 dB above, from the
second second on (decision 0010)."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class EchoGates:
    """One before the canceller, one for each of its two answers. They outlive the openings of the microphone."""

    microphone: EchoGate = field(default_factory=EchoGate)
    quieted: EchoGate = field(default_factory=EchoGate)
    words: EchoGate = field(default_factory=EchoGate)


class OwnSound:
    """The `Echo` of one opening of the microphone: a canceller, and gates behind it.

    `free`, `mistaken` and `clean` are about the frame that `near` was given last.
    """

    def __init__(
        self,
        tap: Tap,
        canceller: EchoCanceller,
        gates: EchoGates,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._tap = tap
        self._canceller = canceller
        self._gates = gates
        self._now = now
        self._pulled: deque[tuple[Frame, float]] = deque(maxlen=LONGEST_WAIT)
        self._pulled_to = 0.0
        self._steady = Steady()
        self._heard_to = -math.inf
        self._more = False
        self.mistaken = False
        self.quieted = Frame(data=b"", format=canceller.format)
        self._rests = RestGate()
        gates.words.forget_loss()
        tap.listener = self.far

    @property
    def frame_samples(self) -> int:
        return self._canceller.format.samples(PIECE_SECONDS)

    @property
    def clean(self) -> bool:
        """While nothing is known of the way from loudspeaker to microphone, every voice may be ours."""
        return self._gates.quieted.path is not Path.UNKNOWN

    @property
    def known(self) -> bool:
        return self._canceller.known

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

        What the canceller quiets most has least of us, but of a user who talks over us it often has nothing either; the
        words have all of the user and a rest of us. Free is what stands out in the words, or in both a little, and is
        louder than that rest may be. Given back are the words: what the quieting takes of a voice's beginning is
        neither found nor understood.
        """
        began = self._steady.began(self._now(), frame.seconds)
        if began - self._heard_to > HOLE_SECONDS:
            self._forget(began)
        self._heard_to = began + frame.seconds
        while self._pulled and self._pulled[0][1] <= began + frame.seconds:
            self._meet(*self._pulled.popleft())
        self.quieted = self._canceller.near(frame)
        words = self._canceller.words
        self.mistaken = self._canceller.anew
        if self.mistaken:
            self._gates.words.forget_loss()
            self._rests.begin(known=self._canceller.known)
        self._more = self._stands_out(frame, self.quieted, words, began)
        return words

    def _stands_out(self, frame: Frame, quieted: Frame, words: Frame, began: float) -> bool:
        """With headphones there is no rest of us, whatever the canceller is unsure of."""
        in_microphone = self._gates.microphone.heard(decibels(frame), began)
        in_quieted = self._gates.quieted.heard(decibels(quieted), began)
        in_words = self._gates.words.heard(decibels(words), began)
        in_rests = self._rests.heard(decibels(words), self._canceller.rest)
        if in_microphone.path is Path.OPEN:
            return in_words.more or in_quieted.more
        if decibels(words) < self._canceller.rest + BEYOND_DECIBELS:
            return False
        return in_rests or in_words.more or (in_quieted.more and in_words.excess > HINT_DECIBELS)

    def _meet(self, played: Frame, at: float) -> None:
        self._canceller.far(played)
        if not any(played.data):
            return
        level = decibels(played)
        for gate in (self._gates.microphone, self._gates.quieted, self._gates.words):
            gate.played(level, at, played.seconds)

    def _forget(self, began: float) -> None:
        """What was pulled while no microphone was open. Cancellers go by the order of what they are given: all of it at
        once would be taken for what is played next, and its echo would come before it."""
        while self._pulled and self._pulled[0][1] + self._pulled[0][0].seconds <= began:
            self._pulled.popleft()

    def close(self) -> None:
        if self._tap.listener == self.far:
            self._tap.listener = None
        self._canceller.close()
