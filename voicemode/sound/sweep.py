"""A short quiet sweep, and what the microphone heard of it: how late, how faint, over how loud a room.

A sweep is found far below the noise: its middle second is compared with the recording at once (a matched filter), and
it is like itself in one place only. Nothing here computes in numpy, which costs a start of a quarter of a second.
"""

from __future__ import annotations

import cmath
import math
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul

from voicemode.pcm import LISTENING, Frame, PcmFormat

BEFORE_SECONDS, BETWEEN_SECONDS, AFTER_SECONDS = 0.25, 1.0, 0.35
SECONDS = BEFORE_SECONDS + BETWEEN_SECONDS + AFTER_SECONDS
LOWEST, LOW, HIGH, HIGHEST = 60.0, 300.0, 3_400.0, 7_600.0
"""Hz. Every loudspeaker and every headset can do what is between the middle ones: that is measured. The rest is there
so that all that comes of a sound in this room can be known from it (`ears/solving.py`)."""
LEVEL = 0.1
"""Peak, of full scale: about as loud as quiet speech."""
FADE_SECONDS = 0.05
LONGEST_DELAY = 0.6
TAIL_SECONDS = 0.15
"""What a room adds behind the second counts as echo too."""
COMPARED_RATE = LISTENING.rate // 2
"""Hz; holds all of the second, and a quarter of the work."""
HALVED = 47
"""Values of the filter before every second sample is left out."""
CLEAR = 9.0
"""How many times the likeness must stand out of that at other places: noise comes to 4 or 5."""
AROUND = 8
"""Samples to each side of the highest place that hold what there is of one sound."""
DEVIATION = 0.6745
"""Of a standard deviation is the median of noise without its sign."""
FULL_SCALE = 32_768.0
QUIETEST = -120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """`delay` seconds from the loudspeaker's pull to the microphone's frame, None where no echo was found;
    `attenuation` dB between what the one is given and the other gives, or what it is at least. `noise` is the level of
    the room without an echo, in dB of full scale."""

    delay: float | None
    attenuation: float
    noise: float


def sweep(fmt: PcmFormat) -> Frame:
    """Rising from the lowest to the highest frequency, on all channels."""
    values = array("h")
    for value in _wave(fmt.rate):
        values.extend([round(value * LEVEL * (FULL_SCALE - 1))] * fmt.channels)
    if sys.byteorder == "big":
        values.byteswap()
    return Frame(data=values.tobytes(), format=fmt)


def find(heard: Frame, expected: float) -> Found:
    """`heard` at the rate of listening; the sweep was pulled `expected` seconds after its first sample. What came
    before that is the room's noise, of which half a second should be there."""
    everything = _samples(heard)
    room = _decibels(_power(everything[: max(round(expected * heard.format.rate), 0)]))
    samples = _halved(everything)
    own, played = _compared()
    before = max(round(expected * COMPARED_RATE), 0)
    start = before + round(BEFORE_SECONDS * COMPARED_RATE)
    part = samples[start : start + len(played) + round(LONGEST_DELAY * COMPARED_RATE)]
    lags = min(len(part) - len(own), round(LONGEST_DELAY * COMPARED_RATE))
    if lags <= 0:
        return Found(delay=None, attenuation=0.0, noise=room)
    sizes = [abs(value) for value in _likeness(part, own)[:lags]]
    size = max(sizes)
    clear = CLEAR * sorted(sizes)[len(sizes) // 2] / DEVIATION
    energy = _product(own, own)
    if size <= clear:
        return Found(delay=None, attenuation=_loss((clear / energy) ** 2), noise=room)
    lag = sizes.index(size)
    echo = part[lag : lag + len(played)]
    quiet = _power(samples[:before]) * len(echo)
    more = _power(echo) * len(echo) - quiet
    gain = more / _product(played, played)
    if more < quiet:
        # Fainter than the room: what the filter finds of it is surer than what is left of a difference.
        gain = _likely(sizes[max(lag - AROUND, 0) : lag + AROUND + 1], clear / CLEAR)
    return Found(delay=lag / COMPARED_RATE, attenuation=_loss(gain), noise=room)


def _likely(near: Sequence[float], noise: float) -> float:
    """The power of an echo from the likeness around its highest place, which may be between two samples."""
    own, _ = _compared()
    alike = [_product(own, own[apart:]) for apart in range(AROUND + 1)]
    whole = 2 * _product(alike, alike) - alike[0] * alike[0]
    return (_product(near, near) - len(near) * noise * noise) / whole


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    """As far as both go."""
    return math.fsum(map(mul, one, other))


def _loss(gain: float) -> float:
    """Of what is heard beside the sweep between -1 and 1, in decibels of power."""
    return _decibels(LEVEL**2) - _decibels(gain)


@cache
def _compared() -> tuple[Sequence[float], Sequence[float]]:
    """The second that is compared, and what is played from its beginning until its tail has died away."""
    wave = _halved(_wave(LISTENING.rate))[round(BEFORE_SECONDS * COMPARED_RATE) :]
    second = round(BETWEEN_SECONDS * COMPARED_RATE)
    return wave[:second], wave[: second + round(TAIL_SECONDS * COMPARED_RATE)]


@cache
def _wave(rate: int) -> tuple[float, ...]:
    """The sweep between -1 and 1: up to speech and in it evenly, above it by so many Hz in each moment."""
    count = round(SECONDS * rate)
    fade = round(FADE_SECONDS * rate)
    return tuple(
        math.sin(2 * math.pi * _turned(index / rate))
        * math.sin(math.pi / 2 * min((index + 0.5) / fade, (count - index - 0.5) / fade, 1.0)) ** 2
        for index in range(count)
    )


def _turned(at: float) -> float:
    """Turns until then."""
    octaves = math.log(LOW / LOWEST) / BEFORE_SECONDS
    if at < BEFORE_SECONDS:
        return LOWEST * math.expm1(octaves * at) / octaves
    turns = (LOW - LOWEST) / octaves
    for begins, ends, seconds in ((LOW, HIGH, BETWEEN_SECONDS), (HIGH, HIGHEST, AFTER_SECONDS)):
        within = min(max(at - BEFORE_SECONDS - (0 if begins == LOW else BETWEEN_SECONDS), 0.0), seconds)
        turns += (begins + (ends - begins) * within / (2 * seconds)) * within
    return turns


@cache
def _half_band() -> tuple[float, ...]:
    """A filter that passes the lower half of what a rate holds, with a Hann window."""
    middle = HALVED // 2
    return tuple(
        0.5
        * (math.sin(math.pi * away / 2) / (math.pi * away / 2) if away else 1.0)
        * math.cos(math.pi * away / (HALVED + 1)) ** 2
        for away in range(-middle, middle + 1)
    )


def _halved(samples: Sequence[float]) -> list[float]:
    """At half the rate, and no later."""
    around = [0.0] * (HALVED // 2)
    padded = [*around, *samples, *around]
    sums = [0.0] * len(samples[::2])
    for number, factor in enumerate(_half_band()):
        if abs(factor) > 1e-9:
            part = padded[number : number + len(samples) : 2]
            sums = [before + factor * value for before, value in zip(sums, part, strict=True)]
    return sums


def _likeness(heard: Sequence[float], own: Sequence[float]) -> list[float]:
    """The product of both at every lag."""
    size = 1 << (len(heard) - 1).bit_length()
    there = _transformed([complex(value) for value in heard] + [0j] * (size - len(heard)))
    mine = _transformed([complex(value) for value in own] + [0j] * (size - len(own)))
    back = _transformed([a.conjugate() * b for a, b in zip(there, mine, strict=True)])
    return [value.real / size for value in back]


def _transformed(values: list[complex]) -> list[complex]:
    """Fourier's, of a power of two of values."""
    if len(values) == 1:
        return values
    even, odd = _transformed(values[::2]), _transformed(values[1::2])
    turned = list(map(mul, _turns(len(values)), odd))
    return [a + b for a, b in zip(even, turned, strict=True)] + [
        a - b for a, b in zip(even, turned, strict=True)
    ]


@cache
def _turns(size: int) -> tuple[complex, ...]:
    return tuple(cmath.exp(-2j * math.pi * index / size) for index in range(size // 2))


def _samples(frame: Frame) -> list[float]:
    values = array("h", frame.data)
    if sys.byteorder == "big":
        values.byteswap()
    return [value / FULL_SCALE for value in values]


def _power(samples: Sequence[float]) -> float:
    return _product(samples, samples) / len(samples) if samples else 0.0


def _decibels(power: float) -> float:
    return max(10 * math.log10(power), QUIETEST) if power else QUIETEST
