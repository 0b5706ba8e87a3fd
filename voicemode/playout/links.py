"""How fast and how steadily each endpoint has sent: how much sound to gather first, which format to ask for next."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from voicemode.playout.ledger import Measured
from voicemode.playout.pulling import lasts
from voicemode.sound.levelling import Levels
from voicemode.speech import AudioFormat

REMEMBERED = 5
"""Streams of an endpoint that count; a link changes within minutes."""

SAFETY = 0.5
"""Of what was missing so far, on top of it."""

LEAST_FILL_SECONDS = 0.02

SLOW = 1.15
"""Seconds of sound sent per second from which a link keeps up with its own sound, with a little in hand."""

LARGE = frozenset({AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC})
"""Formats of 200 kbit/s and more."""

SMALL = AudioFormat.MP3
"""What is asked for where the link is slower than the sound: every server has it, and it takes 64–128 kbit/s."""


@dataclass(frozen=True, slots=True)
class HeadStart:
    """What comes before the first sample: `sound` seconds of sound, or `wait` seconds since the first of it came."""

    sound: float = 0.0
    wait: float = 0.0


class Arrivals:
    """When the bytes of one stream came and how much sound there was by then. `hold` says that we stopped reading: what
    comes later says nothing."""

    def __init__(self) -> None:
        self.bytes = 0
        self._times: list[tuple[float, int]] = []
        self._decoded: list[float] = []
        self._held = False
        self._waited = self._first = self._last = 0.0

    def came(self, at: float, size: int) -> None:
        """`size` bytes at `at` (monotonic seconds)."""
        self._first = self._first if self.bytes else at
        self._last = at
        self.bytes += size
        if not self._held:
            self._times.append((at, self.bytes))

    def decoded(self, seconds: float) -> None:
        """The next of the chunks that came has been decoded: so many seconds of sound there are with it."""
        self._decoded.append(seconds)

    @property
    def elapsed(self) -> float:
        """Seconds from the first byte to the last, without those in which we did not read."""
        return self._last - self._first - self._waited

    def hold(self) -> None:
        self._held = True

    def waited(self, seconds: float) -> None:
        """We have not read for so long."""
        self._waited += seconds

    def late(self) -> HeadStart:
        """With how much playback would not have run dry in this stream: begun `wait` seconds after the first sound, or
        with that sound and `wait` seconds more. Both 0 where it could begin at once."""
        steps = [
            (at, seconds)
            for (at, _), seconds in zip(self._times, self._decoded, strict=False)
            if seconds > 0.0
        ]
        # Just before a chunk came, the sound of those before it was there.
        late = max((at - steps[0][0] - lasts(there) for (_, there), (at, _) in pairwise(steps)), default=0.0)
        return HeadStart(sound=steps[0][1] + late, wait=late) if late > 0.0 else HeadStart()

    def speed(self, seconds: float) -> float | None:
        """Seconds of sound per second; None when everything came at once, or we stopped reading too early to tell."""
        if len(self._times) < 2:
            return None
        elapsed = self._times[-1][0] - self._times[0][0]
        came = (self._times[-1][1] - self._times[0][1]) / self.bytes * seconds
        return came / elapsed if elapsed > 0.05 else None


@dataclass(slots=True)
class _Link:
    late: deque[HeadStart] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class Links:
    """The memory. `fill_seconds` is what is gathered where nothing is known; `limit_seconds` the most that may be."""

    def __init__(self, *, fill_seconds: float, limit_seconds: float) -> None:
        self._fill = fill_seconds
        self._limit = limit_seconds
        self._links: dict[str, _Link] = {}
        self.latest = ""
        """The engine that spoke last."""
        self.voices: dict[str, Measured] = {}
        """How voices speak, by engine, name and speed."""
        self.levels = Levels()
        """How loud they are, by the same."""

    def learn(self, engine: str, arrivals: Arrivals, seconds: float) -> None:
        """A stream of `engine` has ended; it held `seconds` of sound."""
        if seconds <= 0.0:
            return
        self.latest = engine
        link = self._links.setdefault(engine, _Link())
        link.late.append(arrivals.late())
        if (speed := arrivals.speed(seconds)) is not None:
            link.speeds.append(speed)

    def head_start(self, engine: str) -> HeadStart:
        """Less than configured where a link has been fast and steady, more where it has run late."""
        link = self._links.get(engine)
        if link is None or not link.late:
            return HeadStart(sound=self._fill, wait=math.inf)
        worst = max(link.late, key=lambda late: late.wait)
        sound = min(max(worst.sound + worst.wait * SAFETY, LEAST_FILL_SECONDS), self._limit)
        return HeadStart(sound=sound, wait=worst.wait * (1 + SAFETY) or math.inf)

    def format(self, engine: str, wanted: AudioFormat, *, running: float | None = None) -> AudioFormat:
        """`wanted`, or a small format where the link has been slower than the sound. `running` is the speed of a
        stream that has not been learned yet, as far as it has come."""
        link = self._links.get(engine)
        speeds = [*(link.speeds if link else ()), *([] if running is None else [running])][-REMEMBERED:]
        if not speeds or wanted not in LARGE:
            return wanted
        return SMALL if sorted(speeds)[len(speeds) // 2] < SLOW else wanted
