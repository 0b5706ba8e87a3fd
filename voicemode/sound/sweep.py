"""A short quiet sweep, and what the microphone heard of it: how late, how faint, over how loud a room.

A sweep is found far below the noise: all of its second is compared with the recording at once (a matched filter), and
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

from voicemode.pcm import Frame, PcmFormat

LISTENING_RATE = 8_000
"""Hz; holds all of the sweep, and a quarter of the work of 32,000."""
SECONDS = 1.0
LOWEST, HIGHEST = 300.0, 3_400.0
"""Hz: what every loudspeaker and every headset can do."""
LEVEL = 0.1
"""Peak, of full scale: about as loud as quiet speech."""
FADE_SECONDS = 0.05
LONGEST_DELAY = 0.6
TAIL_SECONDS = 0.15
"""What a room adds behind the sweep's end counts as echo too."""
CLEAR = 9.0
"""How many times the likeness must stand out of that at other places: noise comes to 4 or 5."""
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
    """Rising evenly from the lowest to the highest frequency, on all channels."""
    values = array("h")
    for value in _wave(fmt.rate):
        values.extend([round(value * LEVEL * (FULL_SCALE - 1))] * fmt.channels)
    if sys.byteorder == "big":
        values.byteswap()
    return Frame(data=values.tobytes(), format=fmt)


def find(heard: Frame, expected: float) -> Found:
    """`heard` at `LISTENING_RATE`, mono; the sweep was pulled `expected` seconds after its first sample. What came
    before that is the room's noise, of which half a second should be there."""
    samples = _samples(heard)
    start = max(round(expected * LISTENING_RATE), 0)
    own = _wave(LISTENING_RATE)
    noise = _power(samples[:start])
    part = samples[start : start + len(own) + round((LONGEST_DELAY + TAIL_SECONDS) * LISTENING_RATE)]
    lags = min(len(part) - len(own), round(LONGEST_DELAY * LISTENING_RATE))
    room = _decibels(noise)
    if lags <= 0:
        return Found(delay=None, attenuation=0.0, noise=room)
    sizes = [abs(value) for value in _likeness(part, own)[:lags]]
    size = max(sizes)
    clear = CLEAR * sorted(sizes)[len(sizes) // 2] / DEVIATION
    energy = sum(map(mul, own, own))
    if size <= clear:
        return Found(
            delay=None, attenuation=_decibels(LEVEL**2) - _decibels((clear / energy) ** 2), noise=room
        )
    lag = sizes.index(size)
    echo = part[lag : lag + len(own) + round(TAIL_SECONDS * LISTENING_RATE)]
    quiet = noise * len(echo)
    more = _power(echo) * len(echo) - quiet
    if more < quiet:
        # Fainter than the room: what the filter finds of it is surer than what is left of a difference.
        more = size**2 / energy
    loss = _decibels(LEVEL**2 * energy / len(own)) - _decibels(more / len(own))
    return Found(delay=lag / LISTENING_RATE, attenuation=loss, noise=room)


@cache
def _wave(rate: int) -> tuple[float, ...]:
    """The sweep between -1 and 1."""
    count = round(SECONDS * rate)
    fade = round(FADE_SECONDS * rate)
    slope = (HIGHEST - LOWEST) / (2 * SECONDS)
    return tuple(
        math.sin(2 * math.pi * (LOWEST + slope * at) * at)
        * math.sin(math.pi / 2 * min((index + 0.5) / fade, (count - index - 0.5) / fade, 1.0)) ** 2
        for index, at in ((each, each / rate) for each in range(count))
    )


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
    return sum(map(mul, samples, samples)) / len(samples) if samples else 0.0


def _decibels(power: float) -> float:
    return max(10 * math.log10(power), QUIETEST) if power else QUIETEST
