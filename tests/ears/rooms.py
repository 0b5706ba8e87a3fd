"""Rooms made of numbers: what a microphone hears of a loudspeaker. Mono s16le at the rate of listening."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicemode.pcm import LISTENING

Wave = npt.NDArray[np.float64]

FULL_SCALE = 32_768.0


def wave(sound: bytes) -> Wave:
    return np.frombuffer(sound, dtype="<i2").astype(np.float64)


def sound(samples: Wave) -> bytes:
    return np.clip(np.round(samples), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()


def level(samples: Wave) -> float:
    """Decibels; 0 is a square wave at full scale."""
    return float(10 * np.log10(np.mean(samples**2) / FULL_SCALE**2 + 1e-12))


def at_level(samples: Wave, decibels: float) -> Wave:
    scaled: Wave = samples * (10 ** (decibels / 20) * FULL_SCALE / np.sqrt(np.mean(samples**2)))
    return scaled


def noise(samples: int, decibels: float, seed: int = 0) -> Wave:
    return at_level(np.random.default_rng(seed).standard_normal(samples), decibels)


def echo(played: Wave, *, delay_ms: float, loss_db: float, reverb_s: float = 0.3, seed: int = 1) -> Wave:
    """`played`, `loss_db` fainter in all: the direct sound after `delay_ms`, and a tail that has died by 60 dB after
    `reverb_s`."""
    rate = LISTENING.rate
    count = round(reverb_s * rate)
    tail = np.random.default_rng(seed).standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail[0] = 4.0
    tail *= 10 ** (-loss_db / 20) / np.sqrt(np.sum(tail**2))
    late = np.concatenate((np.zeros(round(delay_ms / 1000 * rate)), played))[: len(played)]
    size = 1 << (len(late) + count).bit_length()
    heard: Wave = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(tail, size), size)[: len(late)]
    return heard
