"""How a loudspeaker takes its sound: in blocks, the first at once, and by and by a reserve ahead of what it plays."""

from __future__ import annotations

BLOCK_SECONDS = 0.02
"""What a loudspeaker on Linux takes at a time: each block wakes PulseAudio's thread about three times and ours once."""
HELD_SECONDS = 3 * BLOCK_SECONDS
"""What it is asked to hold. It holds so much only while something sounds (`devices/reserve.py`): none of it is in the
way of the first sound (specs/decisions/0005-playout-latency.md)."""
GROWTH = 0.1
"""What is gathered for the device comes out of what the network is ahead: so many seconds per second of sound."""
GROWS_AFTER_SECONDS = 0.1
"""So much sounds first: a server at 1.5 times real time that sends 80 ms at a time is 5 ms ahead before its second
chunk and 30 ms before its third."""
EARLY_SECONDS = 0.005
"""A loudspeaker comes for a block up to so much too early."""


def lasts(sound: float) -> float:
    """Seconds from the first sample until a loudspeaker wants more than `sound` seconds."""
    blocks = sound // BLOCK_SECONDS * BLOCK_SECONDS - EARLY_SECONDS
    growing = max(blocks - GROWS_AFTER_SECONDS, 0.0)
    return blocks - min(growing * GROWTH / (1 + GROWTH), HELD_SECONDS - BLOCK_SECONDS)
