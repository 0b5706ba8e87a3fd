"""Arithmetic on sound: sums that saturate, gains, places between loudspeakers, seams, a bed under speech.

Called from a device's thread, so it must be cheap and needs no library: a block of sound is read as one whole number
whose 16-bit lanes are the samples, and the interpreter's arithmetic on whole numbers treats hundreds of lanes in one
operation (`specs/decisions/0008-mixing.md` has the figures).
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import add, floordiv, mul

from voicemode.pcm import BYTES_PER_VALUE, Frame
from voicemode.ports import Pull

FULL = 1 << 15
"""A gain of one. Gains are whole numbers of 1/32,768, so that a product fits into 32 bits."""

CELL_SECONDS = 0.002
"""A bed's gain is constant for so long: the steps of a fade stay below −60 dBFS for a bed at −34 dBFS."""

QUIET_BYTES = b"\x00\xff"
"""The high bytes of values within ±256: quieter than −42 dBFS is not speech."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DuckingRules:
    """How a bed makes way for speech. `gain` 0–1 is what is left of it; `attack` seconds from full to none,
    `release` seconds from none to full, `hold` seconds of silence before it comes back (longer than the gap between two
    sentences)."""

    gain: float = 0.25
    attack: float = 0.06
    release: float = 0.8
    hold: float = 0.4

    def __post_init__(self) -> None:
        if not 0.0 <= self.gain <= 1.0 or self.attack <= 0.0 or self.release <= 0.0 or self.hold < 0.0:
            raise ValueError(f"not a way to duck: {self}")


def added(first: bytes, second: bytes) -> bytes:
    """The sum of two s16le sounds of one length; what is beyond full scale stays at full scale."""
    if len(first) != len(second):
        raise ValueError(f"sounds of {len(first)} and {len(second)} bytes cannot be added")
    lanes = len(first) // BYTES_PER_VALUE
    sign, rest = _every(0x8000, 2, lanes), _every(0x7FFF, 2, lanes)
    one, other = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    # Without their top bits two lanes cannot carry into the next; the top bits are added without carry.
    total = ((one & rest) + (other & rest)) ^ ((one ^ other) & sign)
    # A sum has overflowed when both parts have the sign that it has not.
    if over := (one ^ total) & (other ^ total) & sign:
        whole_lane = (over << 1) - (over >> 15)
        limit = rest + ((one & sign) >> 15)  # 0x7FFF, or 0x8000 for a negative lane
        total ^= (total ^ limit) & whole_lane
    return total.to_bytes(BYTES_PER_VALUE * lanes, "little")


def scaled(sound: bytes, gain: int) -> bytes:
    """`sound` times `gain`/`FULL`, rounded to the nearest; `gain` is 0 to `FULL`."""
    if gain == FULL:
        return sound
    if gain == 0:
        return bytes(len(sound))
    lanes = len(sound) // BYTES_PER_VALUE
    pairs = (lanes + 1) // 2
    low, sign = _every(0xFFFF, 4, pairs), _every(0x8000, 2, lanes)
    # As distance from the lowest value, 0 to 65,535, a sample times a gain fits into 32 bits: every second one at a
    # time. The offset takes the distance back, scaled, and rounds.
    offset = _every(1, 4, pairs) * ((1 << 30) - FULL * gain + (1 << 14))
    distance = int.from_bytes(sound, "little") ^ sign
    even = (((distance & low) * gain + offset) >> 15) & low
    odd = (((distance >> 16 & low) * gain + offset) >> 15) & low
    whole = (even | odd << 16) & _every(0xFFFF, 2, lanes)
    return (whole ^ sign).to_bytes(BYTES_PER_VALUE * lanes, "little")


@lru_cache(maxsize=256)
def _every(value: int, size: int, lanes: int) -> int:
    """`value` in every one of `lanes` lanes of `size` bytes. A device asks for the same few lengths again and again."""
    return int.from_bytes(value.to_bytes(size, "little") * lanes, "little")


def fixed(gain: float) -> int:
    """A factor 0.0–1.0 as a gain of this module."""
    return min(max(round(gain * FULL), 0), FULL)


class Louder:
    """Stage: `factor` times as loud. What would be beyond full scale stays there."""

    def __init__(self, factor: float) -> None:
        self._doublings = max(math.ceil(math.log2(factor)), 0)
        self._gain = fixed(factor / 2**self._doublings)

    def feed(self, item: Frame) -> list[Frame]:
        data = scaled(item.data, self._gain)
        for _ in range(self._doublings):
            data = added(data, data)
        return [Frame(data=data, format=item.format)]

    def flush(self) -> list[Frame]:
        return []


class Panner:
    """Puts a mono sound at a place between loudspeakers that stand in a row.

    `position` is −1 (the first channel) to 1 (the last). Only the two nearest channels sound, with the cosine and
    the sine of the way between them as gains, so that their power together is the sound's, wherever it stands.
    """

    def __init__(self, position: float, channels: int = 2) -> None:
        if not -1.0 <= position <= 1.0 or not 2 <= channels <= 32:
            raise ValueError(f"no place {position} among {channels} channels")
        self.channels = channels
        place = (position + 1.0) / 2.0 * (channels - 1)
        self._first = min(int(place), channels - 2)
        angle = (place - self._first) * math.pi / 2
        self._gains = (fixed(math.cos(angle)), fixed(math.sin(angle)))

    def pan(self, sound: bytes) -> bytes:
        """Mono s16le in, the same samples with `channels` values each out."""
        out = array("h", bytes(len(sound) * self.channels))
        for channel, gain in enumerate(self._gains, self._first):
            if gain:
                out[channel :: self.channels] = array("h", scaled(sound, gain))
        return out.tobytes()  # The order of the bytes was never touched.

    def over(self, pull: Pull) -> Pull:
        """A pull of `channels` channels from one of mono sound."""
        return lambda samples: self.pan(pull(samples))


class Mixer:
    """Lays an endless bed under speech: it fades in, makes way while somebody speaks and comes back afterwards.

    Every decision falls on a grid of `CELL_SECONDS` and looks back only, so the sum is the same however the speech is
    cut into blocks. One mixer belongs to one thread; `fade_out` may come from any.
    """

    def __init__(self, bed: Frame, rules: DuckingRules | None = None) -> None:
        rules = rules or DuckingRules()
        fmt = bed.format
        if not bed.samples:
            raise ValueError("a bed needs at least one sample")
        self.format = fmt
        self._cell = max(fmt.samples(CELL_SECONDS), 1) * fmt.bytes_per_sample
        self._length = len(bed.data)
        self._bed = bed.data * (self._cell // self._length + 2)  # any cell of it is one slice
        self._at = 0
        self._done = 0
        """Bytes of the current cell that are done."""
        self._loud = False
        """Somebody spoke in the current cell."""
        cell = fmt.seconds(self._cell // fmt.bytes_per_sample)
        self._hold = math.ceil(rules.hold / cell)
        self._quiet_for = self._hold
        """Cells since somebody spoke."""
        self._ducked = fixed(rules.gain)
        self._down = math.ceil(FULL * cell / rules.attack)
        self._up = math.ceil(FULL * cell / rules.release)
        self._gain = 0
        self._leaving = False

    @property
    def silent(self) -> bool:
        """The bed is not heard."""
        return self._gain == 0

    def fade_out(self) -> None:
        """The bed goes as fast as it makes way for speech, and stays away."""
        self._leaving = True

    def mix(self, speech: bytes) -> bytes:
        """`speech` with the bed under it."""
        parts = []
        start = 0
        while start < len(speech):
            part = speech[start : start + self._cell - self._done]
            under = scaled(self._bed[self._at : self._at + len(part)], self._gain)
            parts.append(added(part, under) if self._gain else part)
            self._advance(part)
            start += len(part)
        return b"".join(parts)

    def over(self, pull: Pull) -> Pull:
        return lambda samples: self.mix(pull(samples))

    def _advance(self, part: bytes) -> None:
        self._at = (self._at + len(part)) % self._length
        self._done += len(part)
        self._loud = self._loud or bool(part[1::2].strip(QUIET_BYTES))
        if self._done < self._cell:
            return
        self._quiet_for = 0 if self._loud else self._quiet_for + 1
        wanted = 0 if self._leaving else FULL if self._quiet_for >= self._hold else self._ducked
        if wanted < self._gain:
            self._gain = max(self._gain - self._down, wanted)
        else:
            self._gain = min(self._gain + self._up, wanted)
        self._done = 0
        self._loud = False


def crossfade(before: Frame, after: Frame) -> Frame:
    """From one sound to another of the same length, with gains that sum to one: for sounds that fit together."""
    fmt, samples = before.format, before.samples
    if after.format != fmt or after.samples != samples:
        raise ValueError(f"no crossfade from {samples} samples of {fmt} to {after.samples} of {after.format}")
    out = array("h", bytes(len(before.data)))
    first, second = _values(before.data), _values(after.data)
    for channel in range(fmt.channels):
        going: Iterable[int] = map(mul, first[channel :: fmt.channels], range(samples, 0, -1))
        coming: Iterable[int] = map(mul, second[channel :: fmt.channels], range(samples))
        seam = map(floordiv, map(add, going, coming), repeat(samples))
        out[channel :: fmt.channels] = array("h", seam)
    return Frame(data=_bytes(out), format=fmt)


def looped(sound: Frame, seam_seconds: float) -> Frame:
    """`sound` as a bed that begins again without a click: its end melts into its beginning and is that much shorter."""
    size = min(sound.format.samples(seam_seconds), sound.samples // 2) * sound.format.bytes_per_sample
    data, fmt = sound.data, sound.format
    end, beginning = data[len(data) - size :], data[:size]
    seam = crossfade(Frame(data=end, format=fmt), Frame(data=beginning, format=fmt))
    return Frame(data=seam.data + data[size : len(data) - size], format=fmt)


def _values(data: bytes) -> array[int]:
    values = array("h", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
