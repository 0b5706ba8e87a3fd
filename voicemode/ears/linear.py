"""The echo as a filter of what is played, subtracted and nothing more: what is left of a user is what they said.

    what is played ──▸ in step with the microphone ──▸ through the room as it is known ──▸ its echo ─┐
    the microphone ──────────────────────────────────────────────────────────────────────────────────┴─▸ the rest

A canceller that also suppresses takes half of the user with the echo. This one only subtracts, so that a recogniser
gets whole words, with a rest of echo 12–16 dB fainter beside them. A Kalman filter in blocks in the frequency domain:
it weighs what it is unsure of against what the microphone holds besides, and therefore needs nobody to tell it when the
user speaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK
from voicemode.ears.in_step import InStep
from voicemode.ears.way_watch import WayWatch
from voicemode.ears.ways import Found, Ways
from voicemode.pcm import Frame
from voicemode.sound.levels import QUIETEST, power_decibels

if TYPE_CHECKING:
    from voicemode.ears.blocks import Bins, Wave

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
        self._step = InStep(BLOCKS)
        self._watch = WayWatch(ways or Ways())
        self._taken_off = [0.0, 0.0]
        """Of lately, while we sounded: power that the microphone gave, and what was left of it."""
        shape = (BLOCKS, BLOCK + 1)
        self._room: Bins = np.zeros(shape, complex)
        self._doubt: Wave = np.full(shape, UNSURE)
        self._other: Wave = np.zeros(BLOCK + 1)
        self._next = 0
        self._given = 0.0
        self._left = 0.0
        self._judged = 0
        self._wrong = 0
        self.anew = False
        """Whether the room was found to be another with the last frame, and is learnt from the beginning."""
        self.rest = QUIETEST
        """Decibels: how loud what is left of the echo in the last frame may be. Of what was played that part whose way
        the filter is unsure of: 9 of 10 frames are fainter, 99 of 100 are no more than 6 dB louder."""

    @property
    def known(self) -> bool:
        """Whether the room is one of those that were found before."""
        return self._watch.known

    def played(self, piece: Frame) -> None:
        self._step.played(piece)

    def heard(self, frame: Frame) -> Frame:
        np = self._np
        self._advance()
        microphone = np.frombuffer(frame.data, "<i2").astype(np.float64)
        left = microphone - np.fft.irfft((self._room * self._step.spectra).sum(0))[BLOCK:]
        power = self._step.spectra.real**2 + self._step.spectra.imag**2
        sounding = self._judge(float(power.sum()), float(np.mean(microphone**2)), float(np.mean(left**2)))
        self._learn(power, np.fft.rfft(np.concatenate((np.zeros(BLOCK), left))))
        if (found := self._watch.heard(self._step.spectra, microphone, left, self.rest)) is not None:
            self._take(found)
        if sounding and self._judged % RENEWED == 0 and self._found:
            self._watch.renew(self._room)
        data = np.clip(np.round(left), -32768, 32767).astype("<i2").tobytes()
        return Frame(data=data, format=frame.format)

    def remember(self) -> None:
        """For the next opening."""
        if self._found:
            self._watch.remember(self._room)

    def _advance(self) -> None:
        """One block further, in step with the microphone."""
        if later := self._step.step():
            self._room[:-later], self._doubt[:-later] = self._room[later:], self._doubt[later:]
            self._room[-later:], self._doubt[-later:] = 0.0, UNSURE

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
        if self._wrong > (WRONG_LASTING if self._watch.watching else 0):
            self.anew, self._judged, self._wrong = True, 0, 0
            self._room[:], self._doubt[:] = 0.0, UNSURE
            self._watch.lost()
        return True

    def _take(self, found: Found) -> None:
        """A room that was found before need not be learnt: only what it does not explain is in doubt."""
        self.anew = True
        self._room[:] = found.room(BLOCKS)
        power = self._room.real**2 + self._room.imag**2
        around = [self._np.roll(power, bins, axis=1) for bins in range(-SMOOTHED, SMOOTHED + 1)]
        self._doubt[:] = LEAST_DOUBT + DOUBTED * (1.0 - found.share) * self._np.mean(around, axis=0)

    @property
    def _found(self) -> bool:
        """Whether the room is known well."""
        given, left = self._taken_off
        return (self._judged >= LONG_FRAMES or self.known) and given > KNOWN * left

    def _learn(self, power: Wave, left: Bins) -> None:
        np, played = self._np, self._step.spectra
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
