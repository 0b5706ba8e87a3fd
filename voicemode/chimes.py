"""Short sounds that say "I listen" and "I have it": made, not stored."""

from __future__ import annotations

import math
from array import array

from voicemode.pcm import Frame, PcmFormat

LISTENING_TONES = (660.0, 880.0)
"""Rising: your turn. Hz."""

DONE_TONES = (880.0, 660.0)

TONE_SECONDS = 0.045
"""Two of them stay below the 90 ms of voice that open a turn, should the microphone hear them."""

LEVEL = 0.12
"""Peak, of full scale: −18 dBFS, well below speech."""


def chime(fmt: PcmFormat, tones: tuple[float, ...], *, lead_seconds: float = 0.0) -> Frame:
    """The tones one after another, each swelling and fading so that nothing clicks, after `lead_seconds` of silence."""
    samples = fmt.samples(TONE_SECONDS)
    values = array("h", bytes(fmt.samples(lead_seconds) * fmt.bytes_per_sample))
    for tone in tones:
        for index in range(samples):
            swell = math.sin(math.pi * index / samples) ** 2
            value = round(32767 * LEVEL * swell * math.sin(2 * math.pi * tone * index / fmt.rate))
            values.extend([value] * fmt.channels)
    return Frame(data=values.tobytes(), format=fmt)
