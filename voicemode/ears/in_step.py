"""What is played, in step with the microphone: a piece for each of its frames, however the loudspeaker pulls.

A filter knows a piece's echo by how many frames it comes after it, so none may be lost and none counted twice. A piece
that comes late is put where it belongs: its echo has seldom come by then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK, Blocks
from voicemode.pcm import Frame

if TYPE_CHECKING:
    from voicemode.ears.blocks import Bins, Wave

MOST_AHEAD = 50
"""Pieces that may have been played ahead of the microphone: half a second, as long as a device's buffer."""

MOST_OWED = 10
"""Pieces that may come late; after that nothing was played, and the next one begins anew."""

CUSHION = 1
"""Frames that the first piece waits: a loudspeaker pulls 20 ms at once, and its second block may come a hair too late
for its frame."""

LATE_FRAMES = 20
"""So long pieces may be late and then come in a burst; those that are late all that time come later for good."""


class InStep:
    """`played` pieces of 10 ms, in order; then one `step` with each frame of the microphone. `spectra` are those of the
    last frames' pieces, the latest first, each with the piece before it; bins are 50 Hz apart."""

    def __init__(self, frames: int) -> None:
        import numpy as np

        self._np = np
        self.spectra: Bins = np.zeros((frames, BLOCK + 1), complex)
        self._nothing: Wave = np.zeros(BLOCK)
        self._waves: deque[Wave] = deque([self._nothing] * (MOST_OWED + 2), maxlen=MOST_OWED + 2)
        """Of the last frames, the latest first."""
        self._blocks = Blocks()
        self._waiting: deque[Frame] = deque(maxlen=MOST_AHEAD)
        self._rest = CUSHION
        self._owed = 0
        """Frames, the last ones, whose pieces are still to come."""
        self._owing = False
        self._late = 0
        self._least_owed = MOST_OWED

    def played(self, piece: Frame) -> None:
        self._owing = True
        if self._waiting or not self._owed:
            self._waiting.append(piece)
            return
        self._owed -= 1
        at = self._owed
        self._waves[at] = self._blocks.block(piece)
        for number in {at, max(at - 1, 0)}:
            self.spectra[number] = self._spectrum(number)

    def step(self) -> int:
        """A frame further. By so many frames pieces come later for good now: their echo will be found so much sooner,
        among these spectra and those that follow."""
        later = self._later_for_good()
        if later:
            self._owed -= later
            self.spectra[:-later], self.spectra[-later:] = self.spectra[later:], 0.0
            for _ in range(later):
                self._waves.popleft()
            self._waves.extend([self._nothing] * later)
        self._waves.appendleft(self._next())
        self.spectra[1:] = self.spectra[:-1]
        self.spectra[0] = self._spectrum(0)
        return later

    def _next(self) -> Wave:
        if self._waiting and self._rest <= 0:
            return self._blocks.block(self._waiting.popleft())
        if self._waiting:
            self._rest -= 1
        elif self._owing:
            self._owed += 1
            if self._owed > MOST_OWED:
                self._rest, self._owed, self._owing = CUSHION, 0, False
                self._blocks.begin()
        return self._nothing

    def _spectrum(self, number: int) -> Bins:
        both: Bins = self._np.fft.rfft(self._np.concatenate((self._waves[number + 1], self._waves[number])))
        return both

    def _later_for_good(self) -> int:
        """A burst catches up with what is late; where none has come for so long none will."""
        self._late = self._late + 1 if self._owed else 0
        self._least_owed = min(self._least_owed, self._owed) if self._late > 1 else self._owed
        if self._late < LATE_FRAMES:
            return 0
        self._late = 0
        return self._least_owed
