"""How fast and how steadily each endpoint has sent: how much sound to gather first, which format to ask for next."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from voicemode.ledger import Measured
from voicemode.levelling import Levels
from voicemode.speech import AudioFormat

REMEMBERED = 5
"""Streams of an endpoint that count; a link changes within minutes."""

SAFETY = 1.5
"""What was needed so far, and half as much again."""

LEAST_FILL_SECONDS = 0.02

SLOW = 1.15
"""Seconds of sound sent per second from which a link keeps up with its own sound, with a little in hand."""

LARGE = frozenset({AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC})
"""Formats of 200 kbit/s and more."""

SMALL = AudioFormat.MP3
"""What is asked for where the link is slower than the sound: every server has it, and it takes 64–128 kbit/s."""


class Arrivals:
    """When the bytes of one stream came. `hold` says that we stopped reading: what comes later says nothing."""

    def __init__(self) -> None:
        self.bytes = 0
        self._times: list[tuple[float, int]] = []
        self._held = False

    def came(self, at: float, size: int) -> None:
        """`size` bytes at `at` (monotonic seconds)."""
        self.bytes += size
        if not self._held:
            self._times.append((at, self.bytes))

    def hold(self) -> None:
        self._held = True

    def needed(self, seconds: float) -> float:
        """The sound that had to be in hand at the first byte for playback never to run dry, if the stream holds
        `seconds` of sound in all."""
        if not self._times:
            return 0.0
        began = self._times[0][0]
        there = 0.0
        most = 0.0
        for at, size in self._times:
            # Just before this chunk came, `there` seconds had come and `at - began` would have been played.
            most = max(most, at - began - there)
            there = size / self.bytes * seconds
        return most

    def speed(self, seconds: float) -> float | None:
        """Seconds of sound per second; None when everything came at once, or we stopped reading too early to tell."""
        if len(self._times) < 2:
            return None
        elapsed = self._times[-1][0] - self._times[0][0]
        came = (self._times[-1][1] - self._times[0][1]) / self.bytes * seconds
        return came / elapsed if elapsed > 0.05 else None


@dataclass(slots=True)
class _Link:
    needed: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
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
        link.needed.append(arrivals.needed(seconds))
        if (speed := arrivals.speed(seconds)) is not None:
            link.speeds.append(speed)

    def fill(self, engine: str) -> float:
        """Seconds to gather before the first sample: less than configured where a link has been fast and steady,
        more where it has run late."""
        link = self._links.get(engine)
        if link is None or not link.needed:
            return self._fill
        return min(max(max(link.needed) * SAFETY, LEAST_FILL_SECONDS), self._limit)

    def format(self, engine: str, wanted: AudioFormat, *, running: float | None = None) -> AudioFormat:
        """`wanted`, or a small format where the link has been slower than the sound. `running` is the speed of a
        stream that has not been learned yet, as far as it has come."""
        link = self._links.get(engine)
        speeds = [*(link.speeds if link else ()), *([] if running is None else [running])][-REMEMBERED:]
        if not speeds or wanted not in LARGE:
            return wanted
        return SMALL if sorted(speeds)[len(speeds) // 2] < SLOW else wanted
