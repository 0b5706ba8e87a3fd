"""Short sounds that say "I listen" and "I have it": made, not stored."""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass

from voicemode.pcm import Frame, PcmFormat

LISTENING_TONES = (660.0, 880.0)
"""Rising: your turn. Hz."""

DONE_TONES = (880.0, 660.0)

TONE_SECONDS = 0.045
"""Two of them stay below the 90 ms of voice that open a turn, should the microphone hear them."""

LEVEL = 0.12
"""Peak, of full scale: −18 dBFS, well below speech."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChimeRules:
    """Seconds of silence around a chime: for devices that wake up slowly or cut the end."""

    lead: float = 0.1
    trail: float = 0.0


def chime(fmt: PcmFormat, tones: tuple[float, ...], rules: ChimeRules) -> Frame:
    """The tones one after another, each swelling and fading so that nothing clicks."""
    samples = fmt.samples(TONE_SECONDS)
    values = array("h", fmt.silence(fmt.samples(rules.lead)))
    for tone in tones:
        for index in range(samples):
            swell = math.sin(math.pi * index / samples) ** 2
            value = round(32767 * LEVEL * swell * math.sin(2 * math.pi * tone * index / fmt.rate))
            values.extend([value] * fmt.channels)
    if sys.byteorder == "big":
        values.byteswap()
    return Frame(data=values.tobytes() + fmt.silence(fmt.samples(rules.trail)), format=fmt)
