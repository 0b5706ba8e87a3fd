"""What of the microphone's sound is the loudspeaker's echo: learnt from levels alone, whatever the room and the delay.

    level of what the loudspeaker is given ──▸ delay · loss · tail of the room ──▸ how loud the echo should be
    level of what the microphone hears ──────▸ more than that ──▸ somebody else

Levels are decibels (`levels.decibels`), times are seconds on one clock. The delay is the one at which both levels rise
and fall together; the loss is what lies between them there. No sample is touched: a step costs 20–40 µs.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

STEP_SECONDS = 0.01
"""One microphone frame, and the grain of delays."""

SILENCE = -96.0
QUIETEST = -75.0
"""Quieter levels are one: how far below a room's noise a level lies tells nothing of an echo."""

JITTER_SECONDS = 0.05
"""Blocks that are told so much too early or late follow each other all the same: devices pull in bursts."""

DRIFT = 0.02
"""Of such a difference that is believed: a sound card's clock goes its own way, by some ms in a minute."""

FLOOR_RISE = 3.0
"""The room's level follows a louder room by so many dB per second, and a quieter one at once."""

DOUBT = 0.1
"""What a frame that holds more than the echo weighs in what is learnt of the echo: it is mostly the user, but when the
volume was turned up it is the echo itself."""

LEAST_FRAMES = 20
"""A loss is known from so many frames in which the echo sounded."""

MOST_TOLD = 1_000
"""Blocks that are kept while no microphone frame comes: 2.7 s at the smallest, and an echo is over by then."""

EVERY = 2
"""Every second frame is compared with what was played: neighbours tell the same, and it is most of the work."""

OPEN_LOSS = 20.0
"""What does not rise and fall with what is played is fainter than that by at least so much: more is the user, who may
have been speaking all the time."""

AUDIBLE_DECIBELS = -50.0
"""Of what is played; fainter sound tells nothing of an echo."""

SPREAD = 1.5
"""Standard deviations above its mean that an echo may be: 93 in 100 frames are below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EchoRules:
    """`margin` dB above the expected echo is more than echo. An echo comes within `longest_delay` seconds. Sound below
    `audible` dB is no evidence; `evidence` seconds of audible sound are needed to know the way, three times that to be
    sure that there is none where the microphone hears something else. Levels that go together by `likeness`
    (correlation) are an echo; one that is fainter than what is played by `closed` dB is none. A room's echo dies away
    by `tail` dB per second; what was learnt fades with `memory` seconds of played sound."""

    margin: float = 8.0
    longest_delay: float = 0.4
    audible: float = AUDIBLE_DECIBELS
    evidence: float = 1.0
    likeness: float = 0.5
    closed: float = 45.0
    tail: float = 120.0
    memory: float = 6.0


class Path(StrEnum):
    """The way from the loudspeaker to the microphone."""

    UNKNOWN = "unknown"
    """Too little was played: the echo may be as loud as what is played."""
    ECHO = "echo"
    OPEN = "open"
    """No echo: headphones, or one that is lost in the room's own noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Of one microphone frame. `more`: it holds clearly more than echo and room; `expected` dB is how loud these may
    be, `excess` dB how far the frame stands above that (negative: below)."""

    more: bool
    path: Path
    expected: float
    excess: float


class EchoGate:
    """Told what is played and what is heard, it says which frames hold more than the echo.

    It may stand before an echo canceller or behind it: behind it the echo is what the canceller leaves, which is
    30 dB less, so that a user who is fainter than the loudspeaker stands out. One gate for one loudspeaker and one
    microphone; what it has learnt stays good between utterances. `played` only queues, for the loudspeaker's thread.
    """

    def __init__(self, rules: EchoRules | None = None) -> None:
        self._rules = rules or EchoRules()
        self._told: deque[tuple[float, float, float]] = deque(maxlen=MOST_TOLD)
        self._played: dict[int, float] = {}
        self._played_to = self._heard_to = -math.inf
        self._lately: deque[float] = deque([SILENCE] * (round(self._rules.longest_delay / STEP_SECONDS) + 1))
        self._together = _Together(len(self._lately), self._rules.memory)
        self._loss = Spread(self._rules.memory)
        self._left = Spread(self._rules.memory)
        self._envelope = SILENCE
        self._floor: float | None = None
        self.path = Path.UNKNOWN

    @property
    def delay(self) -> float | None:
        """Seconds from a sample's time as told by `played` to its echo; None while no echo is known."""
        return self._together.lag * STEP_SECONDS if self.path is Path.ECHO else None

    @property
    def loss(self) -> float | None:
        """Decibels by which the echo is fainter than what is played; None while no echo is known."""
        return -self._loss.mean if self.path is Path.ECHO else None

    @property
    def steps_held(self) -> int:
        """Of what was played: steps of 10 ms, and blocks that no microphone frame has met."""
        return len(self._played) + len(self._told)

    def forget_loss(self) -> None:
        """What comes before this gate takes out more or less from now on; the delay is the same."""
        self._loss = Spread(self._rules.memory)

    def played(self, level: float, at: float, seconds: float) -> None:
        """`seconds` of sound of `level` dB, pulled by the loudspeaker at `at`: in order, silence may be left out."""
        self._told.append((level, at, seconds))

    def _place(self, level: float, at: float, seconds: float) -> None:
        start = _following(self._played_to, at)
        end = self._played_to = start + seconds
        power = 10 ** (level / 10)
        for step in range(math.floor(start / STEP_SECONDS), math.ceil(end / STEP_SECONDS - 1e-6)):
            within = min(end, (step + 1) * STEP_SECONDS) - max(start, step * STEP_SECONDS)
            self._played[step] = self._played.get(step, 0.0) + power * within / STEP_SECONDS

    def heard(self, level: float, at: float) -> Verdict:
        """One microphone frame of 10 ms and `level` dB, captured from `at` on, in the stream's own time: arrival of the
        first frame and the samples since, for frames come in bursts where the event loop was busy."""
        while self._told:
            self._place(*self._told.popleft())
        began = _following(self._heard_to, at)
        gap = round((began - self._heard_to) / STEP_SECONDS) if self._heard_to > -math.inf else 0
        self._heard_to = began + STEP_SECONDS
        now = round(began / STEP_SECONDS)
        for step in range(now - min(max(gap, 0), len(self._lately)), now + 1):
            self._lately.appendleft(self._level_at(step))
            self._lately.pop()
        self._forget(now)
        floor = self._floor = room_level(self._floor, level)
        self._envelope = max(self._around(), self._envelope - self._rules.tail * STEP_SECONDS)
        expected = max(self._echo(), floor)
        more = level > expected + self._rules.margin
        if max(self._lately) > self._rules.audible:
            self._learn(max(level, QUIETEST), DOUBT if more else 1.0)
        return Verdict(more=more, path=self.path, expected=expected, excess=level - expected)

    def _level_at(self, step: int) -> float:
        power = self._played.get(step, 0.0)
        return max(10 * math.log10(power), SILENCE) if power else SILENCE

    def _forget(self, now: int) -> None:
        """Of what was played before `now` all is in `_lately`."""
        if len(self._played) > 2 * len(self._lately):
            self._played = {step: power for step, power in self._played.items() if step > now}

    def _around(self) -> float:
        """What was played a delay ago, a step more or less; while the delay is unknown, the loudest that it may be."""
        return self._at_lag() if self.path is Path.ECHO else max(self._lately)

    def _at_lag(self) -> float:
        lag = self._together.lag
        return max(self._lately[each] for each in (max(lag - 1, 0), lag, min(lag + 1, len(self._lately) - 1)))

    def _echo(self) -> float:
        if self.path is Path.OPEN:
            return min(self._left.mean + SPREAD * self._left.deviation, self._envelope - OPEN_LOSS)
        if self.path is Path.ECHO or self._evidence():
            return self._envelope + self._loss.mean + SPREAD * self._loss.deviation
        return self._envelope

    def _evidence(self) -> bool:
        least = self._rules.evidence
        return self._together.seconds >= least and self._loss.weight >= LEAST_FRAMES

    def _learn(self, level: float, weight: float) -> None:
        """An open path has no echo that doubt would keep clean: that there is one now has to be noticed."""
        rules, together = self._rules, self._together
        lag, sure = together.lag, 1.0 if self.path is Path.OPEN else weight
        if together.feed(self._lately, level, sure, rules.audible) and abs(together.lag - lag) > 3:
            self._loss = Spread(rules.memory)
        self._left.feed(level, weight)
        here = self._at_lag()
        if here > rules.audible:
            self._loss.feed(level - here, weight)
        if not self._evidence():
            return
        likeness = rules.likeness - (0.15 if self.path is Path.ECHO else 0.0)
        if together.likeness >= likeness:
            self.path = Path.ECHO if -self._loss.mean < rules.closed else Path.OPEN
        elif together.seconds >= 3 * rules.evidence or together.level < (self._floor or 0.0) + 6:
            self.path = Path.OPEN


def room_level(before: float | None, level: float) -> float:
    """Of the room itself, by what a frame of `level` dB says of it; None before the first."""
    return level if before is None else min(before + FLOOR_RISE * STEP_SECONDS, level)


def _following(end: float, at: float) -> float:
    """Where a block begins that was told for `at`, when the one before it ended at `end`."""
    apart = at - end
    return end + DRIFT * apart if abs(apart) < JITTER_SECONDS else at


class _Together:
    """At which lag two courses of levels go together, and how well. Sums that fade, one for each lag."""

    def __init__(self, lags: int, memory: float) -> None:
        self._keep = 1 - EVERY * STEP_SECONDS / memory
        self._weight = self._y = self._yy = 0.0
        self._x, self._xx, self._xy = ([0.0] * lags for _ in range(3))
        self._fed = 0
        self.seconds = 0.0
        """Of audible sound."""
        self.lag = 0
        self.likeness = 0.0

    @property
    def level(self) -> float:
        """The microphone's mean level while something is played."""
        return QUIETEST + self._y / self._weight if self._weight else SILENCE

    def feed(self, played: deque[float], level: float, weight: float, audible: float) -> bool:
        """True when the lag was looked for anew."""
        self._fed += 1
        self.seconds += STEP_SECONDS * weight * (played[0] > audible)
        if self._fed % EVERY:
            return False
        keep, y = self._keep, level - QUIETEST
        x = [max(each - QUIETEST, 0.0) for each in played]
        self._weight = keep * self._weight + weight
        self._y = keep * self._y + weight * y
        self._yy = keep * self._yy + weight * y * y
        self._x = [keep * total + weight * each for total, each in zip(self._x, x, strict=True)]
        self._xx = [keep * total + weight * each * each for total, each in zip(self._xx, x, strict=True)]
        y *= weight
        self._xy = [keep * total + y * each for total, each in zip(self._xy, x, strict=True)]
        if self._fed % (5 * EVERY):
            return False
        self._look()
        return True

    def _look(self) -> None:
        count = self._weight
        spread = self._yy / count - (self._y / count) ** 2
        likeness = []
        for x, xx, xy in zip(self._x, self._xx, self._xy, strict=True):
            across = (xx / count - (x / count) ** 2) * spread
            likeness.append(
                (xy / count - x * self._y / count**2) / math.sqrt(across) if across > 1e-6 else 0.0
            )
        self.likeness = max(likeness)
        self.lag = likeness.index(self.likeness)


class Spread:
    """Mean and standard deviation of what fades. It may begin with some that are known as if from `weight` values."""

    def __init__(
        self, memory: float, *, mean: float = 0.0, deviation: float = 0.0, weight: float = 0.0
    ) -> None:
        self._keep = 1 - STEP_SECONDS / memory
        self.weight, self.mean = weight, mean
        self._squares = deviation**2 * weight

    @property
    def deviation(self) -> float:
        """Of a few values that are next to the same the sum of squares may be a hair below nothing."""
        return math.sqrt(max(self._squares, 0.0) / self.weight) if self.weight else 0.0

    def feed(self, value: float, weight: float) -> None:
        self.weight = self._keep * self.weight + weight
        self._squares *= self._keep
        apart = value - self.mean
        self.mean += apart * (weight / self.weight)
        self._squares += weight * apart * (value - self.mean)
