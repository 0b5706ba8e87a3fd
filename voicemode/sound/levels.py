"""Loudness of frames, and how far a voice stands out of the room. Decibels; 0 is a square wave at full scale."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from operator import mul

from voicemode.pcm import Frame, PcmFormat

AUDIBLE = 103
"""-50 dBFS: what no sample exceeds is silence to a person."""

GRAIN_SECONDS = 0.01

PART_SECONDS = 0.008
"""A quarter of the neural detector's frame: an end is told to the next 8 ms."""

QUIETEST = -96.0
"""What digital silence counts as: one step of 16 bits is -90."""

_FULL_SCALE = 32_768.0

KNOWN_ROOM = -65.0
"""A room is taken to be as quiet as this until it has been heard."""

RISE_PER_SECOND = 25.0
RISE_UNDER_VOICE = 3.0
"""The room's level follows a louder room by so many dB per second, and hardly where a voice may be what is loud."""

FALLING_SECONDS = 0.05
"""A quieter room it follows within some of these: a fan's hum swells by several decibels from one frame to the next,
and the quietest of them are not the fan."""


def decibels(frame: Frame) -> float:
    """Root mean square level."""
    samples = _values(frame)
    return power_decibels(sum(map(mul, samples, samples)) / len(samples) if samples else 0.0)


def part_decibels(frame: Frame) -> tuple[float, ...]:
    """The same of its equal parts of about 8 ms."""
    samples = _values(frame)
    count = max(round(frame.seconds / PART_SECONDS), 1)
    size = -(-len(samples) // count)
    parts = [samples[at : at + size] for at in range(0, len(samples), size or 1)]
    return tuple(power_decibels(sum(map(mul, part, part)) / len(part)) for part in parts)


def mean_decibels(levels: Sequence[float]) -> float:
    """Of parts of the same length."""
    return 10 * math.log10(sum(10 ** (each / 10) for each in levels) / len(levels)) if levels else QUIETEST


def power_decibels(power: float) -> float:
    """Of a mean square of 16-bit samples."""
    return max(10 * math.log10(power / _FULL_SCALE**2), QUIETEST) if power else QUIETEST


def audible_to(frame: Frame) -> int:
    """Samples up to the end of the last audible one, in steps of 10 ms; 0 where none is."""
    samples = _values(frame)
    step = _grain(frame.format)
    for start in range((len(samples) - 1) // step * step, -1, -step):
        part = samples[start : start + step]
        if max(max(part), -min(part)) > AUDIBLE:
            return (start + len(part)) // frame.format.channels
    return 0


def audible_from(frame: Frame) -> int | None:
    """Samples before the first audible one; None where none is."""
    if not any(frame.data):
        return None
    values = enumerate(_values(frame))
    return next((at // frame.format.channels for at, value in values if abs(value) > AUDIBLE), None)


def _grain(fmt: PcmFormat) -> int:
    return fmt.samples(GRAIN_SECONDS) * fmt.channels


def _values(frame: Frame) -> array[int]:
    samples = array("h", frame.data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def stands_out(levels: Sequence[float], by: float) -> list[bool]:
    """Which of `levels` stand out by so many dB of the quietest of them, or of a room as it is known."""
    quietest = min([KNOWN_ROOM, *levels])
    return [level >= quietest + by for level in levels]


class Room:
    """The level of the room, learnt from frames in order: it falls soon and rises slowly."""

    def __init__(self) -> None:
        self.level = KNOWN_ROOM

    def feed(self, level: float, seconds: float, *, voice: bool) -> float:
        """One frame of `level` dB; gives how many dB it stands out of the room as it was before."""
        margin = level - self.level
        if margin < 0:
            self.level = max(self.level + margin * min(seconds / FALLING_SECONDS, 1.0), QUIETEST)
        else:
            self.level += min(margin, seconds * (RISE_UNDER_VOICE if voice else RISE_PER_SECOND))
        return margin
