"""What is played, at the rate of the microphone and in blocks of its frames.

The rate is changed in time and not by cutting the spectra of blocks: what lies above 8 kHz rings at both edges of each
block then, and a filter that compares it with a microphone which never hears any of it grows there without end (after
some minutes its own sibilants were louder than their echo, decision 0010).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from voicemode.pcm import LISTENING, Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Wave = npt.NDArray[np.float64]
    Bins = npt.NDArray[np.complex128]

BLOCK = LISTENING.samples(0.01)

LATER_SECONDS = 0.002
"""All that is not played at the rate of the microphone comes so much later: half of what one sample is made of."""

CUT = 0.975
"""Of the highest frequency that both rates have: 6 dB less there, 40 dB from 0.5 kHz above it on."""


class Blocks:
    """Pieces of 10 ms in any format, in order, each → a wave of `BLOCK` samples."""

    def __init__(self) -> None:
        self._rate = LISTENING.rate
        self._before: Wave | None = None
        """The end of the piece before."""

    def begin(self) -> None:
        """Nothing was played before the next piece."""
        self._before = None

    def block(self, piece: Frame) -> Wave:
        import numpy as np

        values = np.frombuffer(piece.data, "<i2").astype(np.float64)
        wave: Wave = values.reshape(-1, piece.format.channels).mean(1)
        if piece.format.rate != self._rate:
            self._rate, self._before = piece.format.rate, None
        if self._rate == LISTENING.rate:
            return wave
        change = _change(self._rate, len(wave))
        kept = change.shape[1] - len(wave)
        before = self._before if self._before is not None else np.zeros(kept)
        both = np.concatenate((before, wave))
        self._before = both[-kept:]
        block: Wave = change @ both
        return block


@cache
def _change(rate: int, samples: int) -> Wave:
    """What each sample of a block is made of: of `samples` at `rate` and those that came before them."""
    import numpy as np

    reach = round(LATER_SECONDS * rate)
    came = (np.arange(2 * reach + samples) - 2 * reach) / rate
    wanted = np.arange(BLOCK) * samples / rate / BLOCK - LATER_SECONDS
    apart = wanted[:, None] - came[None, :]
    cut = CUT * min(rate, LISTENING.rate)
    window = np.cos(np.clip(apart / LATER_SECONDS, -1.0, 1.0) * np.pi / 2) ** 2
    change: Wave = np.sinc(cut * apart) * window * cut / rate
    return change
