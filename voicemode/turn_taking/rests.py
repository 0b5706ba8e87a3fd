"""What a canceller leaves of us beside what it says it may leave: who is louder than both is somebody else.

A filter that weighs what it is unsure of knows better than any level that is learnt how loud its rest may be, from its
first second on. But it knows only rooms: of a loudspeaker that distorts, or a clock that drifts, it leaves more than it
believes. How much more is learnt here.
"""

from __future__ import annotations

from voicemode.turn_taking.echo import SPREAD, Spread, room_level

MARGIN = 8.0
"""dB above the rest that is to be expected."""

MEAN, DEVIATION = -6.0, 5.0
"""dB of a rest beside what the filter is unsure of, in rooms: where the learning begins, as if known from `WEIGHT`
frames."""
WEIGHT = 30.0

EVIDENCE = 30
"""Frames of our sound, before which nobody is found and whatever comes is taken for a rest of us: 0.3 s."""

DOUBT = 0.1
"""What a frame weighs in which somebody is found."""

MEMORY_SECONDS = 6.0

STANDS_OUT = 3.0
"""dB above the room's own noise: what is fainter says nothing of a rest."""


class RestGate:
    """Told how loud what a canceller left is, and how loud it says that may be, it says which frames hold more."""

    def __init__(self) -> None:
        self._room: float | None = None
        self.begin()

    def begin(self, *, known: bool = False) -> None:
        """The canceller has to learn the way anew, or has known it again: then it has said how well."""
        self._beyond = Spread(MEMORY_SECONDS, mean=MEAN, deviation=DEVIATION, weight=WEIGHT)
        self._frames = EVIDENCE if known else 0

    def heard(self, level: float, rest: float) -> bool:
        """A frame of 10 ms."""
        room = self._room = room_level(self._room, level)
        expected = max(rest + self._beyond.mean + SPREAD * self._beyond.deviation, room)
        more = level > expected + MARGIN and self._frames >= EVIDENCE
        if rest > room + STANDS_OUT:
            self._frames += 1
            self._beyond.feed(level - rest, DOUBT if more else 1.0)
        return more
