"""Where a voice ended, by how loud it was, and whether what sounds at the end of a silence is the next one's beginning.

A detector says to within a tenth of a second where a voice was: it holds on to some and drops others that end softly.
Where it ended is told by levels, in parts of 8 ms. A room, a fan and music sound on; so it is judged by how loud the
silence itself is, once that has been heard. Seconds of microphone time, levels in decibels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicemode.sound.levels import QUIETEST, mean_decibels

SOFT_DECIBELS = 25.0
"""So much fainter than the loudest of a voice is its breath, and what a room makes of it."""

BACK_SECONDS = 0.128
"""A detector holds on to a voice for no longer: four frames of the neural one, of which two are usual."""

AHEAD_SECONDS = 0.1
"""Where a voice is soft a detector drops it so much too soon, at most."""

GAP_SECONDS = 0.05
"""A longer silence is none inside a word's end: what comes behind it is a breath."""

DOUBT_SECONDS = 0.13
"""So long a sound at the end of a silence may be the beginning of a voice: four frames of the neural detector."""

DYING_SECONDS = 0.16
"""So long after a voice what is heard may still be it and its room, and says nothing of how loud the silence is."""

LOUD_PART = 0.9
END_DECIBELS = 4.0
"""An end stands out by so much of what nine tenths of the silence stay below: a beat of music is in the last tenth."""

ROOM_DECIBELS = 6.0
"""And by so much of the room as it was before, until the silence has been heard."""

BEGIN_DECIBELS = 3.0
"""A beginning stands out by so much of all that was heard in the silence."""

HIDDEN_SECONDS = 0.006
"""A voice's end dies by a decibel in so long, where a loud room hides it; until then as far as the detector goes."""

FEWEST = 3
"""Frames, before anything is known of a silence."""

ENOUGH_SECONDS = 1.5
"""Of a silence tell how loud it is."""


@dataclass(frozen=True, slots=True)
class Part:
    level: float
    began: float
    to: float


class AfterSound:
    """What has been heard around the end of a voice. A detector holds on to one for `overhang` seconds, usually: that
    is all that is known where no levels are told, or where the silence is as loud as the voice."""

    def __init__(self, *, overhang: float = 0.0) -> None:
        self._overhang = overhang
        self._parts: list[Part] = []
        """From a little before the end of what the detector called voice."""
        self._frames: list[Part] = []
        """Behind it."""
        self._soft = False
        self._voice_to: float | None = None
        self._loudest: float | None = None
        self._room = self._voice_room = QUIETEST

    def heard(self, now: float, seconds: float, *, levels: Sequence[float], room: float, soft: bool) -> None:
        """A frame that ends `now`, with the levels of its parts, and how loud the room was before it. `soft`: it stands
        out of the room and could be a voice."""
        began, each = now - seconds, seconds / max(len(levels), 1)
        self._soft, self._room = soft, room
        self._frames.append(Part(mean_decibels(levels), began, now))
        if self._voice_to is None:
            self._forget(now)
        elif now > self._voice_to + DYING_SECONDS + ENOUGH_SECONDS:
            return
        for number, level in enumerate(levels):
            self._parts.append(Part(level, began + number * each, began + (number + 1) * each))

    def voice(self, now: float) -> None:
        """Up to `now` it was a voice, as far as the detector says."""
        said = [part.level for part in self._parts]
        self._loudest = max([*said, *([] if self._loudest is None else [self._loudest])], default=None)
        self._voice_to, self._voice_room = now, self._room
        self._forget(now)

    def ended(self) -> float | None:
        """When the voice ended, as far as can be said by now; None where there was none."""
        voice_to = self._voice_to
        if voice_to is None or not self._frames:
            return voice_to
        if self._loudest is None or self._loudest < (floor := self._floor()):
            return voice_to - self._overhang
        least = max(self._loudest - SOFT_DECIBELS, floor)
        end = voice_to - BACK_SECONDS
        for part in self._parts:
            behind = part.to > voice_to + 1e-9
            if behind and (part.began > end + GAP_SECONDS or part.to > voice_to + AHEAD_SECONDS + 1e-9):
                break
            if part.level >= least:
                end = max(end, part.to)
        hidden = HIDDEN_SECONDS * (least - self._loudest + SOFT_DECIBELS)
        return max(end, min(end + hidden, voice_to - self._overhang))

    def begins(self) -> bool:
        """Whether the last frame may be a voice of which the detector knows nothing yet."""
        if not self._frames or not self._soft:
            return False
        last = self._frames[-1]
        before = [each for each in self._frames if each.to <= last.to - DOUBT_SECONDS + 1e-9]
        silence = self._silence(before)
        return not silence or last.level >= silence[-1] + BEGIN_DECIBELS

    def _floor(self) -> float:
        """What is fainter may be no voice."""
        if not self._silence(self._frames):
            return self._voice_room + ROOM_DECIBELS
        silence = self._silence(self._parts)
        return silence[int(LOUD_PART * (len(silence) - 1))] + END_DECIBELS

    def _silence(self, heard: list[Part]) -> list[float]:
        """Levels, the loudest last; none where too little is known."""
        dead = (self._voice_to or 0.0) + DYING_SECONDS
        levels = sorted(each.level for each in heard if each.to > dead + 1e-9)
        return levels if len(levels) >= FEWEST else []

    def _forget(self, now: float) -> None:
        self._frames.clear()
        self._parts = [part for part in self._parts if part.to > now - BACK_SECONDS + 1e-9]
