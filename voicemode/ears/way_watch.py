"""Which of the known ways the room is, and whether it still is that one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicemode.ears.ways import ALIKE, Found, Way, Ways, WaySearch, way_of
from voicemode.sound.levels import power_decibels

if TYPE_CHECKING:
    from voicemode.ears.blocks import Bins, Wave

EVERY = 2
"""Frames from one look for a known way to the next."""
WATCHED, WATCHED_SOUNDING = 10, 8
"""Frames that tell that the way is a little longer or shorter now: less than make a voice."""
LOUD = 3.0
"""dB by which what is left is louder than it should be, where it is looked whether the way is."""
MOVED, MOVED_ALIKE, BETTER, LOUDER = 8, 0.88, 3.0, 1.4
"""Samples by which the way is another, what of the power it must explain then, how many times less it must leave, and
how much louder it may be. Who talks over us is seldom explained by some delay of ours to more than 0.86, and not as
loud as we are."""


class WayWatch:
    """It hears each frame with the filter. Until a known way is found all of them are looked for; from then on, and
    once a room is learnt, whether that one has become longer or shorter."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._way: Way | None = None
        self._delay = 0.0
        """Of the way that is watched, in samples."""
        self._lately: deque[tuple[float, float]] = deque(maxlen=WATCHED)
        """Energy of the last frames, and of what was left of them."""
        self._frames = 0
        self.lost()

    def lost(self) -> None:
        """The room is another."""
        self._search = WaySearch(self._ways.known)
        self.watching = False
        """Whether the room is known, and is looked for only where it moves."""
        self.known = False
        """Whether it is one of those that were found before."""

    def heard(self, played: Bins, microphone: Wave, left: Wave, rest: float) -> Found | None:
        """A frame, the spectra of what was played until then (the latest first), and what a filter left of the frame,
        which may be as loud as `rest` dB: the way that the room is from now on, where that is another than before."""
        self._frames += 1
        self._search.feed(played, microphone)
        self._lately.append((float(microphone @ microphone), float(left @ left)))
        found = self._moved(left, rest) if self.watching else self._known_again()
        if found is not None:
            self.known = True
            self._watch(found.way, found.delay)
        return found

    def renew(self, room: Bins) -> None:
        """What is watched for is what is known by now."""
        if (way := way_of(room)) is not None:
            self._watch(way, way.first)

    def remember(self, room: Bins) -> None:
        """For the next opening."""
        if (way := way_of(room)) is not None:
            self._ways.remember(way, instead_of=self._way)

    def _known_again(self) -> Found | None:
        found = self._search.best() if self._frames % EVERY == 0 else None
        if found is None or found.share < ALIKE:
            return None
        self._way = found.way
        return found

    def _moved(self, left: Wave, rest: float) -> Found | None:
        """That what is left is loud may mean that the way is some milliseconds longer or shorter than before, as when a
        device held its sound up. A vowel is like itself a period later: only where the other delay leaves much less."""
        if power_decibels(float(left @ left) / len(left)) <= rest + LOUD:
            return None
        found = self._search.best()
        if found is None:
            return None
        given, remained = (sum(each) for each in zip(*self._lately, strict=True))
        less = remained > BETTER * (1.0 - found.share) * given
        same = found.share >= MOVED_ALIKE and 1 / LOUDER < found.gain < LOUDER
        return found if same and abs(found.delay - self._delay) > MOVED and less else None

    def _watch(self, way: Way, delay: float) -> None:
        if self.watching:
            self._search.renew([way])
        else:
            self._search = WaySearch([way], frames=WATCHED, sounding=WATCHED_SOUNDING)
        self.watching, self._delay = True, delay
