"""The echo as a filter of what is played, subtracted and nothing more: what is left of a user is what they said.

A canceller that also suppresses takes half of the user with the echo. This one only subtracts, so that a recogniser
gets whole words, with a rest of echo 12–16 dB fainter beside them. A Kalman filter in blocks in the frequency domain:
it weighs what it is unsure of against what the microphone holds besides, and therefore needs nobody to tell it when the
user speaks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK, Blocks
from voicemode.ears.ways import ALIKE, Found, Way, Ways, WaySearch, way_of
from voicemode.pcm import Frame
from voicemode.sound.levels import QUIETEST, power_decibels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Wave = npt.NDArray[np.float64]
    Bins = npt.NDArray[np.complex128]

BLOCKS = 44
"""Echo of so many blocks is found: 0.44 s from the pull on, devices' buffers and a room's tail together."""

UNSURE = 0.003
"""What a block of the room may be before anything is known: the square of its gain. A tenth or ten times as much costs
5 dB in the first second."""

STAYS = 0.9995
"""What stays of a room in 10 ms: it is another after 20 s. Where nothing is played that tells of it, it is forgotten by
then. It would grow there from one message to the next otherwise, as each block is brought back to its length."""

NOISE = 1e3
"""Power of a bin that is nothing: two steps of 16 bits."""

TRIMMED = 2
"""Blocks of the filter that are brought back to their length with each frame, in turn: all of them cost six times as
much and find the room later."""

MOST_AHEAD = 50
"""Pieces that may have been played ahead of the microphone: half a second, as long as a device's buffer."""

MOST_OWED = 10
"""Pieces that may come late; after that nothing was played, and the next one begins anew."""

CUSHION = 1
"""Frames that the first piece waits. A loudspeaker pulls 20 ms at once: without it the second block may come a hair too
late for its frame, and so may all that follow, each half lost."""

OFTEN = 3
OFTEN_FRAMES = 100
"""So many gaps within so many frames are no accident: from then on one piece more is kept waiting."""

LATE_FRAMES = 20
"""So long pieces may be late and then come in a burst; those that are late all that time come later for good."""

WRONG = 1.25
WRONG_SMOOTHED = 0.05
WRONG_FRAMES = 50
"""Where more is left than the microphone gave, what was taken for the echo is none: whoever else speaks, a room that is
right leaves less. So much more, over 0.2 s, says that it is another room (a tenth sooner and it would be said of rooms
that are only faint), and half a second at least is given to find it."""

WRONG_LASTING = 10
"""So many frames more where the room was known: a voice like ours may take away from our echo for a twentieth of a
second."""

LATELY = 0.995
KNOWN = 10.0
"""Where of the last two seconds so many times less power is left than the microphone gave the room is known."""
LONG_FRAMES = 150
"""A word or two have too few pitches to know it by."""

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
RENEWED = 100
"""Frames after which what is watched for is what is known by then."""

DOUBTED = 2.0
SMOOTHED = 2
LEAST_DOUBT = UNSURE / 1000
"""Of a room that was found before so much of its power is in doubt, times what it leaves unexplained, which is measured
on little sound; over so many bins to each side; and a little where it has nothing, so that it can learn."""

HEARD = 1e3
PLAYED = 1e9
"""Power of a frame, and of all that is played, below which nothing is said of the room: 30 steps of 16 bits."""


class LinearFilter:
    """`played` pieces of 10 ms at any rate, in order, then `heard` a frame: it gives the frame without their echo."""

    def __init__(self, ways: Ways | None = None) -> None:
        import numpy as np

        self._np = np
        self._ways = ways or Ways()
        self._search = WaySearch(self._ways.known)
        self._watching = False
        """Whether the room is known, and is looked for only where it moves."""
        self._delay = 0.0
        """Of the way that is watched, in samples."""
        self._lately: deque[tuple[float, float]] = deque(maxlen=WATCHED)
        """Energy of the last frames, and of what was left of them."""
        self._way: Way | None = None
        self._taken_off = [0.0, 0.0]
        """Of lately, while we sounded: power that the microphone gave, and what was left of it."""
        shape = (BLOCKS, BLOCK + 1)
        self._room: Bins = np.zeros(shape, complex)
        self._doubt: Wave = np.full(shape, UNSURE)
        self._played: Bins = np.zeros(shape, complex)
        self._other: Wave = np.zeros(BLOCK + 1)
        self._waiting: deque[Frame] = deque(maxlen=MOST_AHEAD)
        self._blocks = Blocks()
        self._last: Wave = np.zeros(BLOCK)
        self._rest = CUSHION
        self._owed = 0
        self._owing = False
        self._late = 0
        self._least_owed = MOST_OWED
        self._gaps: deque[int] = deque(maxlen=OFTEN)
        self._frames = 0
        self._next = 0
        self._given = 0.0
        self._left = 0.0
        self._judged = 0
        self._wrong = 0
        self.known = False
        """Whether the room is one of those that were found before."""
        self.anew = False
        """Whether the room was found to be another with the last frame, and is learnt from the beginning."""
        self.rest = QUIETEST
        """Decibels: how loud what is left of the echo in the last frame may be. Of what was played that part whose way
        the filter is unsure of: 9 of 10 frames are fainter, 99 of 100 are no more than 6 dB louder."""

    def played(self, piece: Frame) -> None:
        """A piece that comes late stands for one for which silence was taken: the filter counts by them. Where that
        happens often it is kept instead, and later ones are in time."""
        late = self._owed and not self._waiting
        if late:
            self._owed -= 1
            if not self._too_often():
                return
            self._come_closer(1)
        self._waiting.append(piece)
        self._owing = True

    def _too_often(self) -> bool:
        often = len(self._gaps) == OFTEN and self._frames - self._gaps[0] < OFTEN_FRAMES
        if often:
            self._gaps.clear()
        return often

    def _come_closer(self, blocks: int) -> None:
        """What comes later by so many blocks finds its echo so much sooner: the room is the same."""
        self._room[:-blocks], self._doubt[:-blocks] = self._room[blocks:], self._doubt[blocks:]
        self._room[-blocks:], self._doubt[-blocks:] = 0.0, UNSURE

    def heard(self, frame: Frame) -> Frame:
        np, bins = self._np, BLOCK
        self._advance()
        microphone = np.frombuffer(frame.data, "<i2").astype(np.float64)
        echo = np.fft.irfft((self._room * self._played).sum(0))[bins:]
        left = microphone - echo
        power = self._played.real**2 + self._played.imag**2
        sounding = self._judge(float(power.sum()), float(np.mean(microphone**2)), float(np.mean(left**2)))
        self._learn(power, np.fft.rfft(np.concatenate((np.zeros(bins), left))))
        self._look_for_known_way(microphone, left)
        if sounding and self._judged % RENEWED == 0 and self._found:
            self._renew()
        data = np.clip(np.round(left), -32768, 32767).astype("<i2").tobytes()
        return Frame(data=data, format=frame.format)

    def _judge(self, played: float, given: float, left: float) -> bool:
        """By power: of all that the room may still give back, of a frame, and of what is left of it. Whether there is
        anything to give back."""
        self.anew = False
        if played < PLAYED:
            return False
        self._given += WRONG_SMOOTHED * (given - self._given)
        self._left += WRONG_SMOOTHED * (left - self._left)
        self._taken_off = [
            LATELY * before + now for before, now in zip(self._taken_off, (given, left), strict=True)
        ]
        self._judged += 1
        wrong = self._judged > WRONG_FRAMES and self._left > WRONG * self._given and self._given > HEARD
        self._wrong = self._wrong + 1 if wrong else 0
        if self._wrong > (WRONG_LASTING if self._watching else 0):
            self.anew, self._judged, self._wrong = True, 0, 0
            self._room[:], self._doubt[:] = 0.0, UNSURE
            self._search, self._watching, self.known = WaySearch(self._ways.known), False, False
        return True

    def _look_for_known_way(self, microphone: Wave, left: Wave) -> None:
        """A room that was found before need not be learnt: only what it does not explain is in doubt."""
        np, search = self._np, self._search
        search.feed(self._played, microphone)
        self._lately.append((float(microphone @ microphone), float(left @ left)))
        if not self._watching:
            found = search.best() if self._frames % EVERY == 0 else None
            if found is not None and found.share >= ALIKE:
                self._way = found.way
                self._take(found)
        elif power_decibels(float(np.mean(left**2))) > self.rest + LOUD:
            found = search.best()
            if found is not None and self._moved(found):
                self._take(found)

    def _renew(self) -> None:
        """What is watched for is what is known by now."""
        if (way := way_of(self._room)) is not None:
            self._watch_for(way, way.first)

    def _moved(self, found: Found) -> bool:
        """That what is left is loud may mean that the way is some milliseconds longer or shorter than before, as when a
        device held its sound up. A vowel is like itself a period later: only where the other delay leaves much less."""
        given, left = (sum(each) for each in zip(*self._lately, strict=True))
        less = left > BETTER * (1.0 - found.share) * given
        same = found.share >= MOVED_ALIKE and 1 / LOUDER < found.gain < LOUDER
        return same and abs(found.delay - self._delay) > MOVED and less

    def _take(self, found: Found) -> None:
        self.known = self.anew = True
        self._room[:] = found.room(BLOCKS)
        power = self._room.real**2 + self._room.imag**2
        around = [self._np.roll(power, bins, axis=1) for bins in range(-SMOOTHED, SMOOTHED + 1)]
        self._doubt[:] = LEAST_DOUBT + DOUBTED * (1.0 - found.share) * self._np.mean(around, axis=0)
        self._watch_for(found.way, found.delay)

    def _watch_for(self, way: Way, delay: float) -> None:
        if self._watching:
            self._search.renew([way])
        else:
            self._search = WaySearch([way], frames=WATCHED, sounding=WATCHED_SOUNDING)
        self._watching, self._delay = True, delay

    @property
    def _found(self) -> bool:
        """Whether the room is known well."""
        given, left = self._taken_off
        return (self._judged >= LONG_FRAMES or self.known) and given > KNOWN * left

    def remember(self) -> None:
        """For the next opening."""
        way = way_of(self._room) if self._found else None
        if way is not None:
            self._ways.remember(way, instead_of=self._way)

    def _advance(self) -> None:
        """One block further, in step with the microphone."""
        np = self._np
        self._played = np.roll(self._played, 1, axis=0)
        self._frames += 1
        self._wait_no_longer()
        if self._waiting and self._rest <= 0:
            self._played[0] = self._spectrum(self._waiting.popleft())
            return
        self._played[0] = 0.0
        self._last = np.zeros(BLOCK)
        self._blocks.begin()
        if self._waiting:
            self._rest -= 1
        elif self._owing:
            self._owe()

    def _wait_no_longer(self) -> None:
        """For pieces that will not be caught up with."""
        self._late = self._late + 1 if self._owed else 0
        self._least_owed = min(self._least_owed, self._owed) if self._late > 1 else self._owed
        if self._late == LATE_FRAMES:
            self._owed -= self._least_owed
            self._come_closer(self._least_owed)
            self._late = 0

    def _owe(self) -> None:
        if not self._owed:
            self._gaps.append(self._frames)
        self._owed += 1
        if self._owed > MOST_OWED:
            self._rest, self._owed, self._owing = CUSHION, 0, False

    def _spectrum(self, piece: Frame) -> Bins:
        """Of the piece and the one before it: bins are 50 Hz apart."""
        before, self._last = self._last, self._blocks.block(piece)
        return self._np.fft.rfft(self._np.concatenate((before, self._last)))

    def _learn(self, power: Wave, left: Bins) -> None:
        np, played = self._np, self._played
        self._other = 0.5 * self._other + 0.5 * (left.real**2 + left.imag**2)
        unsure = (self._doubt * power).sum(0)
        self.rest = power_decibels(float(unsure[0] + unsure[-1] + 2 * unsure[1:-1].sum()) / (2 * BLOCK**2))
        gain = self._doubt / (0.5 * unsure + self._other + NOISE)
        self._room += gain * played.conj() * left
        self._doubt *= STAYS**2 * (1 - 0.5 * gain * power)
        self._doubt += (1 - STAYS**2) * (self._room.real**2 + self._room.imag**2)
        self._room *= STAYS
        for number in range(self._next, self._next + TRIMMED):
            part = np.fft.irfft(self._room[number])
            part[BLOCK:] = 0.0
            self._room[number] = np.fft.rfft(part)
        self._next = (self._next + TRIMMED) % BLOCKS
