"""How a loudspeaker takes its sound: in blocks, ahead of what it plays while there is some, else when it needs it."""

from __future__ import annotations

BLOCK_SECONDS = 0.02
"""What a loudspeaker on Linux takes at a time: each block wakes PulseAudio's thread about three times and ours once."""
HELD_SECONDS = 3 * BLOCK_SECONDS
"""What it is asked to hold. It holds so much only while something sounds (`devices/reserve.py`): none of it is in the
way of the first sound (specs/decisions/0005-playout-latency.md)."""
EARLY_SECONDS = 0.005
"""A loudspeaker comes for a block up to so much too early."""


def lasts(sound: float) -> float:
    """Seconds from the first sample until a loudspeaker needs more than `sound` seconds."""
    whole = int(sound / BLOCK_SECONDS + 1e-6)
    return whole * BLOCK_SECONDS - EARLY_SECONDS
