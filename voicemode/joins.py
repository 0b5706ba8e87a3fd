"""Where sound breaks off: its last few milliseconds fade, and its pauses tell how far the voice has come."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass

from voicemode.pcm import Frame, PcmFormat

FADE_SECONDS = 0.005
"""Long enough not to click, too short to be heard as a fade (the joins of the speech server specification)."""

BLOCK_SECONDS = 0.005

QUIET = 0.03
"""-30 dB under the loud parts of a voice: above its noise, below its weakest consonants."""

SILENCE = 60
"""Of 32,768: nothing under it is a voice, however quiet the rest."""

PAUSE_SECONDS = 0.1
"""Shorter ones are the closed lips of a `p` or the gap between two words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """`after` seconds of voice the voice was silent for `seconds`."""

    after: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Voiced:
    """`seconds` of voice, pauses not counted, and its pauses in order; not the silence before the first sound."""

    seconds: float
    pauses: tuple[Pause, ...] = ()


class Contour:
    """How loud the sound was, block by block. Takes two bytes for each 5 ms of it."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._size = max(fmt.samples(BLOCK_SECONDS), 1) * fmt.channels
        self._levels = array("H")
        self._rest = array("h")

    def feed(self, frame: Frame) -> None:
        values = array("h", frame.data)
        if sys.byteorder == "big":
            values.byteswap()
        self._rest += values
        whole = len(self._rest) - len(self._rest) % self._size
        for start in range(0, whole, self._size):
            block = self._rest[start : start + self._size]
            self._levels.append(max(max(block), -min(block)))
        del self._rest[:whole]

    def voiced(self, *, pause: float = PAUSE_SECONDS) -> Voiced:
        """The voice so far. Silence shorter than `pause` seconds belongs to it."""
        loud = sorted(self._levels)[len(self._levels) * 9 // 10 :]
        quiet = max(loud[0] * QUIET, SILENCE) if loud else SILENCE
        least = round(pause / BLOCK_SECONDS)
        pauses: list[Pause] = []
        voiced = silent = 0
        for level in [*self._levels, 0xFFFF]:
            if level <= quiet:
                silent += 1
                continue
            if voiced and silent >= least:
                pauses.append(Pause(after=voiced * BLOCK_SECONDS, seconds=silent * BLOCK_SECONDS))
            elif voiced:
                voiced += silent
            silent = 0
            voiced += 1
        return Voiced(seconds=(voiced - 1) * BLOCK_SECONDS, pauses=tuple(pauses))


class Joint:
    """Passes frames on and keeps the last `FADE_SECONDS` back until it is known how the sound goes on."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._size = fmt.samples(FADE_SECONDS) * fmt.bytes_per_sample
        self._held = b""

    def feed(self, item: Frame) -> list[Frame]:
        data = self._held + item.data
        cut = max(len(data) - self._size, 0)
        self._held = data[cut:]
        return [Frame(data=data[:cut], format=self._format)] if cut else []

    def flush(self) -> list[Frame]:
        """The sound ends as it should."""
        held, self._held = self._held, b""
        return [Frame(data=held, format=self._format)] if held else []

    def fade(self) -> list[Frame]:
        """The sound breaks off here: the last of it fades to nothing."""
        values = array("h", self._held)
        if sys.byteorder == "big":
            values.byteswap()
        steps = max(len(values) // self._format.channels, 1)
        for index, value in enumerate(values):
            values[index] = value * (steps - 1 - index // self._format.channels) // steps
        if sys.byteorder == "big":
            values.byteswap()
        self._held = values.tobytes()
        return self.flush()
