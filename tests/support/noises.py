"""What else a microphone hears: a room, a fan, music, clicks. All at the card's rate, the same each time."""

from __future__ import annotations

import numpy as np

from tests.support.listening import FULL_SCALE, Samples, Wave
from tests.support.speakers import FULL_SCALE_DB_SPL

RATE = 48_000
ROOM_DB_SPL = 60.0
"""A busy office: ten decibels below a person who speaks into the microphone."""


def room(seconds: float = 8.0, *, db_spl: float = ROOM_DB_SPL) -> Samples:
    """Pink noise that swells and falls by a few decibels."""
    generator = np.random.default_rng(60)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(generator.normal(size=count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), count * 50 / RATE))
    swell = 1 + 0.3 * np.sin(2 * np.pi * np.arange(count) / RATE * (round(0.7 * seconds) / seconds))
    return _at(np.fft.irfft(spectrum, count) * swell, db_spl)


def fan(seconds: float = 8.0, *, db_spl: float = ROOM_DB_SPL) -> Samples:
    """Noise below 500 Hz and the hum of a motor with its harmonics."""
    generator = np.random.default_rng(61)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(generator.normal(size=count))
    spectrum *= 1 / (1 + (np.arange(len(spectrum)) * RATE / count / 500) ** 2)
    air = np.fft.irfft(spectrum, count)
    time = np.arange(count) / RATE
    hum = sum(np.sin(2 * np.pi * 96 * n * time + n) / n for n in range(1, 6))
    return _at(air / np.std(air) + 0.7 * hum, db_spl)


def music(seconds: float = 8.0, *, db_spl: float = ROOM_DB_SPL) -> Samples:
    """Chords of three decaying tones with harmonics, one each half second, and a beat of noise: no singer in it."""
    generator = np.random.default_rng(62)
    count = round(seconds * RATE)
    out = np.zeros(count)
    chords = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (196.0, 246.9, 329.6))
    length = RATE // 2
    time = np.arange(length) / RATE
    for number, start in enumerate(range(0, count - length + 1, length)):
        for pitch in chords[number // 2 % len(chords)]:
            for harmonic in range(1, 7):
                tone = np.sin(2 * np.pi * pitch * harmonic * time) * np.exp(-3 * harmonic**0.5 * time)
                out[start : start + length] += tone / harmonic
        out[start : start + length] += 2 * generator.normal(size=length) * np.exp(-60 * time)
    return _at(out, db_spl)


def click(*, db_spl: float = 76.0) -> Samples:
    """A key going down and up again: two bursts of 8 ms, 60 ms apart; `db_spl` while they last."""
    generator = np.random.default_rng(63)
    out = np.zeros(RATE // 5)
    for start in (RATE // 100, RATE // 100 + RATE * 60 // 1000):
        length = RATE * 8 // 1000
        out[start : start + length] = generator.normal(size=length) * np.exp(
            -np.arange(length) / (RATE * 0.002)
        )
    return _at(out, db_spl)


def cough(*, db_spl: float = 76.0) -> Samples:
    """A burst of throaty noise of a quarter of a second."""
    generator = np.random.default_rng(64)
    count = RATE // 4
    spectrum = np.fft.rfft(generator.normal(size=count))
    hertz = np.arange(len(spectrum)) * RATE / count
    spectrum *= np.exp(-(((hertz - 900) / 700) ** 2)) + 0.3 * np.exp(-(((hertz - 2_600) / 900) ** 2))
    time = np.arange(count) / RATE
    burst = np.fft.irfft(spectrum, count) * np.minimum(time / 0.01, 1) * np.exp(-12 * time)
    return _at(np.concatenate((burst, np.zeros(RATE // 10))), db_spl)


def _at(wave: Wave, db_spl: float) -> Samples:
    """Scaled so that what sounds of it has this level."""
    sounding = wave[wave != 0]
    gain = FULL_SCALE * 10 ** ((db_spl - FULL_SCALE_DB_SPL) / 20) / np.sqrt(np.mean(sounding**2))
    scaled: Samples = np.clip(np.round(wave * gain), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return scaled
