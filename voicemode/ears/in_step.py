"""What is played, in step with the microphone: a piece for each of its frames, however the loudspeaker pulls.

A filter knows a piece's echo by how many frames it comes after it, so none may be lost and none counted twice. Silence
stands for a piece that comes late.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK, Blocks
from voicemode.pcm import Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Wave = npt.NDArray[np.float64]
    Bins = npt.NDArray[np.complex128]

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


class InStep:
    """`played` pieces of 10 ms, in order; then, with each frame of the microphone, the `spectrum` of its piece."""

    def __init__(self) -> None:
        import numpy as np

        self._np = np
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
        self._kept = 0
        self.later = 0
        """By so many frames pieces come later for good, from this one on."""

    def played(self, piece: Frame) -> None:
        """A piece that comes late stands for one for which silence was taken. Where that happens often it is kept
        instead, and later ones are in time."""
        if self._owed and not self._waiting:
            self._owed -= 1
            if not self._too_often():
                return
            self._kept += 1
        self._waiting.append(piece)
        self._owing = True

    def spectrum(self) -> Bins:
        """Of what goes with this frame, and with the one before; bins are 50 Hz apart."""
        np = self._np
        self._frames += 1
        self.later, self._kept = self._kept + self._given_up(), 0
        if self._waiting and self._rest <= 0:
            before, self._last = self._last, self._blocks.block(self._waiting.popleft())
            both: Bins = np.fft.rfft(np.concatenate((before, self._last)))
            return both
        if self._waiting:
            self._rest -= 1
        elif self._owing:
            self._owe()
        self._last = np.zeros(BLOCK)
        self._blocks.begin()
        silence: Bins = np.zeros(BLOCK + 1, complex)
        return silence

    def _too_often(self) -> bool:
        often = len(self._gaps) == OFTEN and self._frames - self._gaps[0] < OFTEN_FRAMES
        if often:
            self._gaps.clear()
        return often

    def _given_up(self) -> int:
        """Pieces that will not be caught up with."""
        self._late = self._late + 1 if self._owed else 0
        self._least_owed = min(self._least_owed, self._owed) if self._late > 1 else self._owed
        if self._late < LATE_FRAMES:
            return 0
        self._owed -= self._least_owed
        self._late = 0
        return self._least_owed

    def _owe(self) -> None:
        if not self._owed:
            self._gaps.append(self._frames)
        self._owed += 1
        if self._owed > MOST_OWED:
            self._rest, self._owed, self._owing = CUSHION, 0, False
