"""Sounds to try ears on: people who speak, and everything else that a microphone hears. Mono at 16 kHz, as floats."""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from tests.ears.rooms import Wave, at_level, level

RATE = 16_000
BLOCK = RATE // 100
SPEECH_DB = -26.0
VOICED_DB = 30.0
"""A block of 10 ms this far below the loudest one is breath or room."""
PACKAGE = "pocketsphinx-testdata"
RECORDINGS = Path("usr/share/pocketsphinx/test/data")
STORE = Path(__file__).resolve().parents[2] / "build" / "measuring"
FETCH_LIMIT_S = 120.0
SENTENCES = (
    "Go on with the second one, but run the tests before you push.",
    "No, wait. I would rather see the error first.",
)
OWN_SPEECH = (
    "The tests are green, and I have pushed the branch. There are two ways to go on from here, and both of them take "
    "about an hour. I could first write the new module, or clean up what we left behind yesterday. "
)


def recordings() -> list[Wave]:
    """People reading aloud, from Debian's package of test data; empty where it cannot be had."""
    root = fetched(RECORDINGS, PACKAGE)
    if root is None:
        return []
    waves = [
        _read(path) for path in (*sorted(root.glob("librivox/*.wav")), *sorted(root.glob("cards/*.wav")))
    ]
    return [*waves, np.fromfile(root / "goforward.raw", dtype="<i2").astype(np.float64)]


def fetched(folder: Path, package: str) -> Path | None:
    """`folder` of one of Debian's packages, as installed or in the store; None where it cannot be had."""
    roots = [root / folder for root in (Path("/"), STORE)]
    found = next((root for root in roots if root.is_dir()), None)
    if found is None and _fetched(package):
        return roots[-1]
    return found


def _fetched(package: str) -> bool:
    STORE.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["apt-get", "download", package],
            cwd=STORE,
            check=True,
            timeout=FETCH_LIMIT_S,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        archive = next(STORE.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, STORE], check=True, timeout=FETCH_LIMIT_S)
    except (OSError, subprocess.SubprocessError, StopIteration):
        return False
    return True


@lru_cache
def flite(text: str, voice: str = "slt") -> Wave:
    """A synthesizer whose voices are made of people's recordings."""
    if shutil.which("flite") is None:
        raise RuntimeError("flite is missing (scripts/system_packages.sh installs it)")
    STORE.mkdir(parents=True, exist_ok=True)
    path = STORE / "flite.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True, timeout=FETCH_LIMIT_S)
    return _read(path)


def _read(path: Path) -> Wave:
    with wave.open(str(path)) as file:
        if file.getframerate() != RATE or file.getnchannels() != 1:
            found = f"{file.getframerate()} Hz and {file.getnchannels()} channels"
            raise RuntimeError(f"{path} has {found}, not 16 kHz mono")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float64)


def levels(samples: Wave) -> Wave:
    """Decibels of each 10 ms."""
    count = len(samples) // BLOCK
    power = np.mean(samples[: count * BLOCK].reshape(count, BLOCK) ** 2, axis=1) / 32_768**2
    found: Wave = 10 * np.log10(power + 1e-12)
    return found


def voiced(samples: Wave) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which blocks of 10 ms of a clean recording are voice."""
    found = levels(samples)
    return np.asarray(found > found.max() - VOICED_DB)


def spoken(samples: Wave) -> Wave:
    """With its voiced parts at `SPEECH_DB`, and nothing before and after them."""
    blocks = np.flatnonzero(voiced(samples))
    trimmed = samples[blocks[0] * BLOCK : (blocks[-1] + 1) * BLOCK]
    loud = np.repeat(voiced(trimmed), BLOCK)
    gain: Wave = trimmed * 10 ** ((SPEECH_DB - level(trimmed[: len(loud)][loud])) / 20)
    return gain


# --- everything else ---


def pink(samples: int, seed: int = 1) -> Wave:
    """A room: ventilation, street, computers."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    shape: Wave = np.fft.irfft(
        spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), samples * 50 / RATE)), samples
    )
    return shape


def fan(samples: int) -> Wave:
    """Noise below 500 Hz and the hum of a motor."""
    spectrum = np.fft.rfft(np.random.default_rng(2).standard_normal(samples))
    spectrum /= 1 + (np.arange(len(spectrum)) * RATE / samples / 500) ** 2
    air = np.fft.irfft(spectrum, samples)
    time = np.arange(samples) / RATE
    hum = sum(np.sin(2 * np.pi * 96 * each * time + each) / each for each in range(1, 6))
    out: Wave = air / np.std(air) + 0.7 * hum
    return out


def music(samples: int) -> Wave:
    """Synthesized: chords with harmonics that die away, a bass line and a beat; nobody sings."""
    generator = np.random.default_rng(3)
    out = np.zeros(samples + RATE)
    length = RATE // 2
    time = np.arange(length) / RATE
    chords = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (164.8, 207.7, 246.9))
    for number, start in enumerate(range(0, samples, length)):
        chord = chords[number // 4 % len(chords)]
        tones = [(pitch, 1.0, 4.0) for pitch in chord] + [
            (chord[0] / 4, 2.0, 3.0),
            (2 * chord[number % 3], 1.5, 5.0),
        ]
        for pitch, gain, decay in tones:
            for harmonic in range(1, 8):
                wave_form = np.sin(2 * np.pi * pitch * harmonic * time + harmonic)
                out[start : start + length] += (
                    gain * wave_form * np.exp(-decay * time * harmonic**0.5) / harmonic
                )
        drum = generator.standard_normal(length) if number % 2 else np.sin(2 * np.pi * 60 * time)
        out[start : start + length] += 3 * drum * np.exp(-40 * time if number % 2 else -15 * time)
    return out[:samples]


def babble(samples: int) -> Wave:
    """Eight people talk elsewhere, in four voices, each at another place of the text, and backwards: no word of it is
    one, its rhythm and its vowels are."""
    out = np.zeros(samples)
    for number in range(8):
        voice = flite(OWN_SPEECH, ("slt", "awb", "rms", "kal16")[number % 4])
        out += np.resize(np.roll(at_level(voice, -20)[::-1], number * 17_117), samples)
    return out


def keys(samples: int) -> Wave:
    """Typing: strokes of 8 ms down and up, seven a second."""
    generator = np.random.default_rng(4)
    stroke = np.exp(-np.arange(RATE // 125) / (0.002 * RATE))
    return _now_and_then(samples, 0.07, lambda: generator.standard_normal(len(stroke)) * stroke, generator)


def breaths(samples: int) -> Wave:
    """In and out, into the microphone: noise around 1 kHz that swells for 0.6 s."""
    generator = np.random.default_rng(5)
    return _now_and_then(
        samples, 1.2, lambda: _throat(generator, 0.6, 1_000, 900, rise=0.25, fall=4), generator
    )


def coughs(samples: int) -> Wave:
    """Bursts of throaty noise of a quarter of a second."""
    generator = np.random.default_rng(6)
    return _now_and_then(
        samples, 1.5, lambda: _throat(generator, 0.25, 900, 700, rise=0.01, fall=12), generator
    )


def _throat(
    generator: np.random.Generator, seconds: float, centre: float, width: float, *, rise: float, fall: float
) -> Wave:
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(generator.standard_normal(count))
    hertz = np.arange(len(spectrum)) * RATE / count
    shaped = np.fft.irfft(spectrum * (np.exp(-(((hertz - centre) / width) ** 2)) + 0.05), count)
    time = np.arange(count) / RATE
    out: Wave = (
        shaped / np.std(shaped) * np.minimum(time / rise, 1) * np.exp(-fall * np.maximum(time - rise, 0))
    )
    return out


def _now_and_then(samples: int, gap: float, make: Callable[[], Wave], generator: np.random.Generator) -> Wave:
    out = np.zeros(samples)
    at = RATE // 4
    while at < samples - RATE:
        each = make()
        out[at : at + len(each)] += each
        at += len(each) + round(generator.uniform(0.5, 1.5) * gap * RATE)
    return out
