"""The way from the loudspeaker to the microphone, solved from one sound that holds every frequency.

    what was played ───────┐
    what was heard of it ──┴─▸ one divided by the other ─▸ the way, from its first sound on

A filter needs seconds of speech to find a room. Where all that was played is at hand, and what was heard of it, the
answer is one division, frequency by frequency; where little was played, or much else was heard, it gives nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK
from voicemode.ears.linear import KNOWN
from voicemode.ears.ways import ALIKE, KEPT_BLOCKS, Way, Ways, alike, way_of_response
from voicemode.pcm import LISTENING, Frame

if TYPE_CHECKING:
    from voicemode.ears.blocks import Wave

SOONER = 0.05
"""Seconds by which a sound may be heard before it is expected: moments are known that well."""

LATEST = 0.7
"""Seconds until the last first sound."""

LEAST = 1e-4
"""Of the loudest frequency's power: what is fainter was not played, and of its way nothing is known."""


def remember_way(ways: Ways, played: Frame, heard: Frame, expected: float) -> bool:
    """`played` was pulled `expected` seconds after the first sample that was `heard`, before which the room was
    silent; both at the rate of listening. Whether there is a way that is worth to be known: it explains what was heard
    as well as a filter's has to."""
    sent, got = _wave(played), _wave(heard)
    start = max(round((expected - SOONER) * LISTENING.rate), 0)
    silence, got = got[:start], got[start:]
    if not len(sent) <= len(got):
        return False
    way = _solved(sent, got, silence)
    if way is None or _explained(way, sent, got) < 1.0 - 1.0 / KNOWN:
        return False
    same = (each for each in ways.known if _explained(each, sent, got) >= ALIKE)
    ways.remember(way, instead_of=next(same, None))
    return True


def _solved(sent: Wave, got: Wave, silence: Wave) -> Way | None:
    """What else is heard in a room is taken to be as loud at every frequency."""
    import numpy as np

    size = 1 << (len(sent) + len(got)).bit_length()
    played, heard = np.fft.rfft(sent, size), np.fft.rfft(got, size)
    power = played.real**2 + played.imag**2
    loudness = float(np.sum(np.abs(heard) ** 2) / np.sum(power))
    if not loudness:
        return None
    noise = float(silence @ silence) / max(len(silence), 1) * len(got)
    response = np.fft.irfft(heard * played.conj() / (power + noise / loudness + LEAST * power.max()), size)
    kept = round((SOONER + LATEST) * LISTENING.rate) + KEPT_BLOCKS * BLOCK
    return way_of_response(response[: min(kept, len(got))])


def _explained(way: Way, sent: Wave, got: Wave) -> float:
    """The share of the power of all that was heard."""
    import numpy as np

    size = 1 << (len(sent) + len(way.response)).bit_length()
    echo = np.fft.irfft(np.fft.rfft(sent, size) * np.fft.rfft(way.response, size), size)[: len(got)]
    late = round((SOONER + LATEST) * LISTENING.rate)
    return alike(got, way, np.concatenate((np.zeros(late), echo, np.zeros(len(got) - len(echo))))).share


def _wave(sound: Frame) -> Wave:
    import numpy as np

    return np.frombuffer(sound.data, "<i2").astype(np.float64)
