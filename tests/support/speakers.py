"""People who speak in tests: what they say as sound, where each word of it is, and where their voice begins and ends.

Neural detectors of voice know people, not tones: they take the word-coded voice for none. `counting` therefore speaks
with a voice made of a person's recordings, word for word, so that it is known which words a recording has lost.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tests.support import voice
from tests.support.encoding import decode
from tests.support.listening import FULL_SCALE, Samples, compare, samples_of
from tests.support.voice import Word

SPEECH_DBFS = -26.0
"""Of every speaker, over their voiced parts. Taken for 70 dB at the microphone: a person half a metre away."""
FULL_SCALE_DB_SPL = 96.0
"""What `SPEECH_DBFS` makes of full scale."""
VOICED_DB = 25.0
"""A block of 10 ms this far below the loudest one is no voice any more: breath and room."""
WORD_GAP_S = 0.06
TRIMMED = 330
"""-40 dBFS: what is quieter at a word's edges is the synthesizer's silence."""
FLITE_LIMIT_S = 20.0
TESTDATA = Path("/usr/share/pocketsphinx/test/data")
"""Debian's pocketsphinx-testdata: recordings of people, 16 kHz."""
COUNTED = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """`samples` at `rate` Hz; `words` where it is known, in seconds from the start; `who` for a person."""

    who: str
    samples: Samples
    rate: int
    words: tuple[Word, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def starts_s(self) -> float:
        """The first voiced moment, in seconds from the first sample."""
        return self.words[0].start if self.words else _voiced(self)[0] * 0.01

    @property
    def ends_s(self) -> float:
        """The last voiced moment."""
        return self.words[-1].end if self.words else (_voiced(self)[-1] + 1) * 0.01

    def then(self, other: Speech, *, pause_s: float) -> Speech:
        """Both, with `pause_s` without voice between them."""
        first = self.samples[: round(self.ends_s * self.rate)]
        second = other.samples[round(other.starts_s * self.rate) :]
        silence = np.zeros(round(pause_s * self.rate), dtype=np.int16)
        shift = self.ends_s + pause_s - other.starts_s
        moved = tuple(replace(word, start=word.start + shift, end=word.end + shift) for word in other.words)
        return replace(self, samples=np.concatenate((first, silence, second)), words=(*self.words, *moved))


@dataclass(frozen=True, kw_only=True, slots=True)
class Survived:
    """What of a speech is in a recording: seconds of it missing at its `start_s` and `end_s`, words that are not
    whole in it, and the fraction of its audible sound that was found."""

    start_s: float
    end_s: float
    lost_words: tuple[str, ...]
    complete: float


@lru_cache(maxsize=32)
def coded(text: str, *, rate: int = 24_000) -> Speech:
    """The word-coded voice: voiced sound to WebRTC's detector, read back to the letter by the tests' recogniser."""
    samples = samples_of(voice.speak(text, rate))
    return _levelled(Speech(who="word-coded", samples=samples, rate=rate, words=tuple(voice.timetable(text))))


@lru_cache(maxsize=32)
def counting(count: int, *, first: int = 0) -> Speech:
    """`count` number words from the `first` on, each synthesized alone by flite's slt, a person's recordings."""
    parts: list[Samples] = []
    words: list[Word] = []
    at = 0.0
    for number in range(first, first + count):
        text = COUNTED[number % len(COUNTED)]
        sound, rate = _flite(text)
        loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > TRIMMED)
        sound = sound[loud[0] : loud[-1] + 1]
        parts += [sound, np.zeros(round(WORD_GAP_S * rate), dtype=np.int16)]
        words.append(Word(text=text, start=at, end=at + len(sound) / rate))
        at += (len(sound) + round(WORD_GAP_S * rate)) / rate
    return _levelled(
        Speech(who="flite, counting", samples=np.concatenate(parts), rate=rate, words=tuple(words))
    )


@lru_cache(maxsize=32)
def flite(text: str) -> Speech:
    """A sentence in flite's slt voice."""
    samples, rate = _flite(text)
    return _levelled(Speech(who="flite", samples=samples, rate=rate))


def recordings() -> list[Path]:
    """Sentences read by a person; empty where the package is not installed."""
    return sorted(TESTDATA.glob("librivox/*.wav"))


def recorded(number: int = 0) -> Speech:
    """A person's recording, or flite in its place where there is none: `who` tells which."""
    found = recordings()
    if not found:
        instead = flite("he was not an ill disposed young man")
        return replace(instead, who="flite, for want of a recording (pocketsphinx-testdata)")
    frame = decode(found[number % len(found)].read_bytes(), None)
    speech = Speech(who="recorded", samples=samples_of(frame.data), rate=frame.format.rate)
    return _levelled(speech)


def survived(heard: Samples, heard_rate: int, speech: Speech, *, likeness: float = 0.8) -> Survived:
    """Compares a recording with what was said. A resampler and a compressed upload change a wave a little:
    `likeness` is the correlation from which 10 ms count as found."""
    found = compare(heard, heard_rate, speech.samples, speech.rate, likeness=likeness)
    rate = heard_rate
    there = np.zeros(round(speech.seconds * 100) + 2, dtype=bool)
    for piece in found.pieces:
        there[round(piece.source.start / rate * 100) : round(piece.source.end / rate * 100)] = True
    voiced = _voiced(speech)
    seen = [block for block in voiced if there[block]]
    if not seen:
        lost = tuple(word.text for word in speech.words)
        return Survived(start_s=speech.seconds, end_s=speech.seconds, lost_words=lost, complete=0.0)
    lost = tuple(
        word.text
        for word in speech.words
        if not _mostly([bool(there[block]) for block in voiced if word.start <= block / 100 < word.end])
    )
    return Survived(
        start_s=(seen[0] - voiced[0]) / 100,
        end_s=(voiced[-1] - seen[-1]) / 100,
        lost_words=lost,
        complete=found.complete,
    )


def _mostly(found: list[bool]) -> bool:
    return sum(found) >= 0.8 * len(found)


def _voiced(speech: Speech) -> list[int]:
    """Numbers of the 10 ms blocks that are voiced."""
    block = speech.rate // 100
    whole = speech.samples[: len(speech.samples) // block * block].astype(np.float64).reshape(-1, block)
    power = np.mean(whole**2, axis=1)
    return [int(number) for number in np.flatnonzero(power > power.max() * 10 ** (-VOICED_DB / 10))]


def _levelled(speech: Speech) -> Speech:
    block = speech.rate // 100
    voiced = np.concatenate([speech.samples[at * block : (at + 1) * block] for at in _voiced(speech)])
    level = np.sqrt(np.mean(voiced.astype(np.float64) ** 2))
    gain = FULL_SCALE * 10 ** (SPEECH_DBFS / 20) / level
    samples = np.clip(np.round(speech.samples * gain), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return replace(speech, samples=samples)


@lru_cache(maxsize=64)
def _flite(text: str) -> tuple[Samples, int]:
    if shutil.which("flite") is None:
        raise RuntimeError("flite is missing (scripts/system_packages.sh installs it)")
    with tempfile.TemporaryDirectory(prefix="voicemode-flite-") as folder:
        file = Path(folder) / "speech.wav"
        command = ["flite", "-voice", "slt", "-t", text, "-o", str(file)]
        subprocess.run(command, check=True, timeout=FLITE_LIMIT_S, stdin=subprocess.DEVNULL)
        frame = decode(file.read_bytes(), None)
    return samples_of(frame.data), frame.format.rate
