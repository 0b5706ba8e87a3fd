"""Where on the clock the samples of a stream lie: devices take and give in bursts, and a busy machine looks late.

No block comes before it has been: what comes late may be late, what comes early is a better word. Pure: times are
handed in, in monotonic seconds.
"""

from __future__ import annotations

from voicemode.pcm import PcmFormat

BREAK_SECONDS = 0.3
"""A stream that comes later than its samples say by so much has stopped in between."""

DRIFT = 1e-3
"""Devices' clocks differ by a tenth of that."""

GAP_SECONDS = 0.04
"""Blocks that all come later than their samples say by so much were preceded by a hole. Less is how busy machines and
sound servers give."""

DOUBT_SECONDS = 0.25
"""Of late blocks are looked at before a hole is believed: a device that holds more in store catches up."""

SETTLING_SECONDS = 2.0
"""So long the place of a stream's first sample is still made more precise; later blocks tell how far the device's clock
has drifted away since."""


class Steady:
    """When the blocks of a stream began, from when they came, at once. In order.

    One that stopped for a while is told from a program that did: what waited for that comes all at once.
    """

    def __init__(self) -> None:
        self._next: float | None = None
        self._late = 0.0
        """Seconds of blocks in a row that were as late as after a stop."""

    def began(self, came: float, seconds: float) -> float:
        """A block of `seconds` that has `came` now."""
        latest, counted = came - seconds, self._next
        late = counted is not None and latest - counted > BREAK_SECONDS
        self._late = self._late + seconds if late else 0.0
        broken = counted is None or latest < counted or self._late > DOUBT_SECONDS
        began = latest if counted is None or broken else counted
        self._next = began + seconds * (1 + DRIFT)
        return began


class Timeline:
    """A stream's blocks laid out sample after sample, with silence for what is missing between them.

    `feed` takes a block and the time that it states for its first sample, and gives what can be laid down: a block
    whose place is in doubt waits for its followers. `flush` gives the rest. `position` is when the first sample was.
    """

    def __init__(self, fmt: PcmFormat) -> None:
        self.position: float | None = None
        self.settled = False
        """`position` changes no more."""
        self.missing = 0
        """Samples of silence that were laid down for holes."""
        self._format = fmt
        self._placed = 0
        self._origin = 0.0
        """Where the first sample lies by the word of the latest blocks: `position`, and the drift since."""
        self._waiting: list[tuple[bytes, float]] = []
        self._held = 0
        self._anew = False

    def resume(self) -> list[bytes]:
        """What follows comes from a device that has been opened anew: how much is missing is told by its own blocks."""
        rest = self.flush()
        self._anew = self.settled = self.position is not None
        return rest

    def feed(self, data: bytes, at: float) -> list[bytes]:
        if self.position is None:
            self.position = self._origin = at
        elif self._waiting or self._anew or self._late(at, self._placed) > GAP_SECONDS:
            return self._doubt(data, at)
        else:
            self._learn(at, self._format.seconds(self._samples(data)))
        self._placed += self._samples(data)
        return [data]

    def flush(self) -> list[bytes]:
        """What waited; when all of it was late, the hole is before it."""
        laid: list[bytes] = []
        if self._waiting:
            place, late = self._placed, []
            for data, at in self._waiting:
                late.append(self._late(at, place))
                place += self._samples(data)
            if self._anew or min(late) > GAP_SECONDS:
                hole = self._format.samples(max(min(late), 0.0))
                laid.append(self._format.silence(hole))
                place += hole
                self.missing += hole
                self._origin += min(min(late), 0.0)
            laid += [data for data, _ in self._waiting]
            self._waiting, self._held, self._placed = [], 0, place
        self._anew = False
        return [data for data in laid if data]

    def _doubt(self, data: bytes, at: float) -> list[bytes]:
        in_time = not self._anew and self._late(at, self._placed + self._held) <= GAP_SECONDS
        self._waiting.append((data, at))
        self._held += self._samples(data)
        if in_time or self._held >= self._format.samples(DOUBT_SECONDS):
            return self.flush()
        return []

    def _learn(self, at: float, seconds: float) -> None:
        placed = self._format.seconds(self._placed)
        stated = at - placed
        if self.settled:
            self._origin = min(stated, self._origin + DRIFT * seconds)
            return
        self.position = self._origin = min(stated, self._origin)
        self.settled = placed >= SETTLING_SECONDS

    def _late(self, at: float, place: int) -> float:
        return at - self._format.seconds(place) - self._origin

    def _samples(self, data: bytes) -> int:
        return len(data) // self._format.bytes_per_sample
