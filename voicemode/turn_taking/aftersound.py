"""What sounds after a voice: whether it is the voice's soft end, and at the end of a silence the next one's beginning.

A room, a fan and music sound on; so both are judged by how loud the silence itself is, and not by the room as it was
before. Seconds of microphone time, levels in decibels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SOFT_SECONDS = 0.1
"""Where a voice is soft a detector is unsure: a sound that follows it without a gap is its end for so long."""

DOUBT_SECONDS = 0.13
"""And so long one at the end of a silence may be its beginning: four frames of the neural detector."""

DYING_SECONDS = 0.16
"""So long after a voice what is heard may still be it and its room, and says nothing of how loud the silence is."""

LOUD_PART = 0.9
END_DECIBELS = 4.0
"""A soft end stands out by so much of what nine tenths of the silence stay below: a beat of music is in the last tenth.
With 2 dB more the end of one turn in a hundred is nearer to where it should be, and one pause in a hundred more ends a
turn."""

BEGIN_DECIBELS = 3.0
"""A beginning stands out by so much of all that was heard in the silence."""

FEWEST = 3
"""Frames, before anything is known of a silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    level: float
    to: float
    """Since the voice."""
    soft: bool


@dataclass(slots=True)
class AfterSound:
    """What has been heard since the last voice."""

    _frames: list[Heard] = field(default_factory=list)

    def clear(self) -> None:
        """The voice goes on."""
        self._frames.clear()

    def heard(self, seconds: float, *, level: float, soft: bool) -> None:
        """`soft`: it stands out of the room and could be a voice."""
        since = self._frames[-1].to if self._frames else 0.0
        self._frames.append(Heard(level=level, to=since + seconds, soft=soft))

    def soft_end(self) -> float:
        """Seconds behind the voice that belong to it."""
        silence = self._silence(self._frames)
        floor = silence[int(LOUD_PART * (len(silence) - 1))] + END_DECIBELS if silence else None
        lasts = 0.0
        for each in self._frames:
            if not each.soft or each.to > SOFT_SECONDS + 1e-9:
                break
            if floor is None or each.level >= floor:
                lasts = each.to
        return lasts

    def begins(self) -> bool:
        """Whether the last frame may be a voice of which the detector knows nothing yet."""
        if not self._frames or not self._frames[-1].soft:
            return False
        last = self._frames[-1]
        before = [each for each in self._frames if each.to <= last.to - DOUBT_SECONDS + 1e-9]
        silence = self._silence(before)
        return not silence or last.level >= silence[-1] + BEGIN_DECIBELS

    @staticmethod
    def _silence(frames: list[Heard]) -> list[float]:
        """Levels, the loudest last; none where too little is known."""
        levels = sorted(each.level for each in frames if each.to > DYING_SECONDS + 1e-9)
        return levels if len(levels) >= FEWEST else []
