"""Where sounds meet: pauses between pieces, a fade where one breaks off, and the place at which it goes on."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass

from voicemode.pcm import Frame, PcmFormat

FADE_SECONDS = 0.005
"""Long enough not to click, too short to be heard as a fade (the joins of the speech server specification)."""

BLOCK_SECONDS = 0.005

EVERY = 3
"""Of so many values one is looked at: loud enough in 40 places of a block is loud, for a third of the work."""

_HEIGHTS = bytes(high if high < 0x80 else 0xFF - high for high in range(0x100))
"""How far a sample is from silence, in steps of 256, by its upper byte. The loudest of a block of bytes is found four
times as fast as that of a block of numbers."""

_FINE = 4
"""Steps under which a level is taken exactly: there it is decided what is a voice, and the rest is certainly one."""

QUIET = 0.03
"""-30 dB under the loud parts of a voice: above its noise, below its weakest consonants."""

SILENCE = 60
"""Of 32,768: nothing under it is a voice, however quiet the rest."""

PAUSE_SECONDS = 0.1
"""Shorter ones are the closed lips of a `p` or the gap between two words."""

SENTENCE_PAUSE_SECONDS, CLAUSE_PAUSE_SECONDS = 0.25, 0.1
"""A reader breathes after a sentence, and is heard to end a clause."""

_SENTENCE_ENDS = tuple(".!?…؟۔।॥。！？")
_CLAUSE_ENDS = tuple(",;:–—，；：、")
_CLOSING = " \t\"'”’»)]}」』）*_`"

TORN_SECONDS = 0.1
"""What a decoder makes of the torn end of a stream may be noise."""

ALIKE = 0.1
"""How far the levels of two sounds differ at most, as a share of them, that are one and the same: noise changes them by
a few hundredths, another saying of the text by a third and more."""

SAME_TEXT, SAME_TEXT_SECONDS = 1.25, 0.1
"""How much longer one voice takes for a text one time than another, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """`after` seconds of voice the voice was silent for `seconds`; it fell silent `at` seconds into the sound."""

    after: float
    seconds: float
    at: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Voiced:
    """`seconds` of voice, pauses not counted, and its pauses in order; not the silence before the first sound."""

    seconds: float
    pauses: tuple[Pause, ...] = ()


def pause_after(text: str) -> float:
    """The quiet that a reader leaves after `text`, in seconds; none where it was cut without a mark."""
    bare = text.rstrip(_CLOSING)
    if bare.endswith(_SENTENCE_ENDS):
        return SENTENCE_PAUSE_SECONDS
    return CLAUSE_PAUSE_SECONDS if bare.endswith(_CLAUSE_ENDS) else 0.0


class Contour:
    """How loud the sound was, block by block. Takes two bytes for each 5 ms of it."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._size = max(fmt.samples(BLOCK_SECONDS), 1) * fmt.channels
        self._levels = array("H")
        self._rest = b""

    @property
    def seconds(self) -> float:
        """In whole blocks."""
        return len(self._levels) * BLOCK_SECONDS

    @property
    def quiet_at_start(self) -> float:
        """Seconds until the first voice."""
        quiet = self._quiet
        silent = next((at for at, level in enumerate(self._levels) if level > quiet), len(self._levels))
        return silent * BLOCK_SECONDS

    @property
    def quiet_at_end(self) -> float:
        """Seconds since the last voice."""
        quiet = self._quiet
        silent = next(
            (at for at, level in enumerate(reversed(self._levels)) if level > quiet), len(self._levels)
        )
        return silent * BLOCK_SECONDS

    @property
    def loud(self) -> list[int]:
        """The peaks of the blocks in which the voice was heard, of 32,768."""
        quiet = self._quiet
        return [level for level in self._levels if level > quiet]

    def feed(self, frame: Frame) -> None:
        data = self._rest + frame.data
        heights = data[1::2].translate(_HEIGHTS)
        whole = len(heights) - len(heights) % self._size
        for start in range(0, whole, self._size):
            height = max(heights[start : start + self._size : EVERY])
            fine = height < _FINE
            self._levels.append(self._exactly(data, start) if fine else height << 8 | 0x80)
        self._rest = data[2 * whole :]

    def _exactly(self, data: bytes, start: int) -> int:
        block = array("h", data[2 * start : 2 * (start + self._size)])
        if sys.byteorder == "big":
            block.byteswap()
        block = block[::EVERY]
        return max(max(block), -min(block))

    def first(self, seconds: float) -> Contour:
        """The beginning of it."""
        part = Contour(self._format)
        part._levels = self._levels[: max(round(seconds / BLOCK_SECONDS), 0)]
        return part

    def begins_like(self, other: Contour) -> bool:
        """Whether both are the same sound, as far as the shorter one goes."""
        both = list(zip(self._levels, other._levels, strict=False))
        loudness = sum(max(pair) for pair in both)
        return sum(abs(one - two) for one, two in both) <= ALIKE * loudness

    def voiced(self, *, pause: float = PAUSE_SECONDS) -> Voiced:
        """The voice so far. Silence shorter than `pause` seconds belongs to it."""
        quiet = self._quiet
        least = round(pause / BLOCK_SECONDS)
        pauses: list[Pause] = []
        voiced = silent = 0
        for at, level in enumerate([*self._levels, 0xFFFF]):
            if level <= quiet:
                silent += 1
                continue
            if voiced and silent >= least:
                after, seconds, began = (n * BLOCK_SECONDS for n in (voiced, silent, at - silent))
                pauses.append(Pause(after=after, seconds=seconds, at=began))
            elif voiced:
                voiced += silent
            silent = 0
            voiced += 1
        return Voiced(seconds=(voiced - 1) * BLOCK_SECONDS, pauses=tuple(pauses))

    @property
    def _quiet(self) -> float:
        """The loudest that is no voice."""
        loud = sorted(self._levels)[len(self._levels) * 9 // 10 :]
        return max(loud[0] * QUIET, SILENCE) if loud else SILENCE


class PassOver:
    """Stage: a piece said again by the voice that broke off in it, from the last pause on that was certainly heard.

    Which place in the sound is which in the text need not be known: it is one text, said twice. Where both sounds
    are the same, all is heard that stands before the break; otherwise, what stands well before it.
    """

    def __init__(self, fmt: PcmFormat, heard: Contour, *, pause: float = PAUSE_SECONDS) -> None:
        """`heard` is the sound up to the break; shorter silences than `pause` seconds end nothing."""
        self._format = fmt
        self._heard = heard
        self._pause = pause
        self._contour = Contour(fmt)
        self._held = bytearray()
        self._passed = False

    def feed(self, item: Frame) -> list[Frame]:
        if self._passed:
            return [item]
        self._held += item.data
        self._contour.feed(item)
        return self._go_on() if self._contour.seconds >= self._heard.seconds else []

    def flush(self) -> list[Frame]:
        return [] if self._passed else self._go_on()

    def _go_on(self) -> list[Frame]:
        self._passed = True
        start = self._format.samples(self._heard_until()) * self._format.bytes_per_sample
        data = bytes(self._held[start:])
        self._held.clear()
        return [Frame(data=data, format=self._format)] if data else []

    def _heard_until(self) -> float:
        """Seconds into the new sound; the beginning of a pause in it."""
        before = self._heard.voiced(pause=self._pause)
        again = self._contour.first(self._heard.seconds)
        sure = self._heard.first(self._heard.seconds - TORN_SECONDS)
        known = {round(pause.at / BLOCK_SECONDS) for pause in before.pauses if pause.at <= sure.seconds}
        known = known if sure.begins_like(again) else set()
        enough = before.seconds / SAME_TEXT - SAME_TEXT_SECONDS
        passed = (
            pause.at
            for pause in again.voiced(pause=self._pause).pauses
            if pause.after <= enough or round(pause.at / BLOCK_SECONDS) in known
        )
        return max(passed, default=0.0)


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
