"""The quiet sound while the assistant works: made, not stored. Soft drops, far apart."""

from __future__ import annotations

import math
import sys
from array import array
from functools import lru_cache

from voicemode.pcm import Frame, PcmFormat

NOTES = (330.0, 440.0, 330.0, 495.0)
"""Hz of one round of drops: high enough for a laptop's loudspeaker, low enough to be overheard."""

DROP_SECONDS = 0.05
"""A steady tone sounds like a voice to WebRTC's detector; this is too short to open a turn in any microphone nearby,
that of another assistant on this machine for one."""

APART_SECONDS = 1.2
"""From drop to drop."""

LEVEL = 0.02
"""Peak, of full scale: −34 dBFS, some 20 dB below speech."""


@lru_cache(maxsize=4)
def thinking_sound(fmt: PcmFormat) -> Frame:
    """One round of the sound; it begins and ends in silence, so it follows itself without a click."""
    apart, drop = fmt.samples(APART_SECONDS), fmt.samples(DROP_SECONDS)
    data = b"".join(_drop(fmt, note, drop) + fmt.silence(apart - drop) for note in NOTES)
    return Frame(data=data, format=fmt)


def _drop(fmt: PcmFormat, note: float, samples: int) -> bytes:
    """Swells and fades as a sine does."""
    values = array("h")
    for index in range(samples):
        swell = math.sin(math.pi * index / samples) ** 2
        wave = math.sin(2 * math.pi * note * index / fmt.rate)
        values.extend([round(32767 * LEVEL * swell * wave)] * fmt.channels)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
