"""The word-coded voice: speech that a program can read back from a recording, word for word.

A word is spelled: each letter is a *symbol* of 32 ms (48 ms at both ends of the word, so that trimming costs no
letter) made of three tones of a 125 Hz pitch, which makes it a voiced sound to a voice activity detector:

    clock  250–625 Hz     first, a, b (taking turns) or last: where symbols begin, also of double letters
    low    875–1625 Hz    one of seven  ┐ the letter
    high   1875–2625 Hz   one of seven  ┘

The last symbol is a checksum; one damage in 47 slips through it. Because words are spelled, any text can be read
back by someone who does not know it; because the clock is in the sound, nothing depends on timing: holes, lead-in
and stretched sound do not matter.
Everything lies below 2.7 kHz and survives a telephone's rate.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz'"
ESCAPE = len(LETTERS)
"""Around the hexadecimal code point of a letter that is not in `LETTERS`."""
CHECKSUM_BASE = 47
"""A prime that fits into the 7 × 7 pairs of low and high tone."""

PITCH_HZ = 125.0
CLOCK_HZ = tuple(PITCH_HZ * n for n in (2, 3, 4, 5))
LOW_HZ = tuple(PITCH_HZ * n for n in range(7, 14))
HIGH_HZ = tuple(PITCH_HZ * n for n in range(15, 22))
CLOCK_LEVEL, LOW_LEVEL, HIGH_LEVEL = 0.20, 0.17, 0.13

SYMBOL_S = 0.032
END_SYMBOL_S = 0.048
SHORTEST_SYMBOL_S = 0.024
FADE_S = 0.004
WORD_GAP_S = 0.048
COMMA_GAP_S = 0.120
SENTENCE_GAP_S = 0.240

WINDOW_S = 0.024
HOP_S = 0.004
SHORTEST_RUN = 2
"""Hops; a clock tone seen for less is a transition between two others."""
SURE_RUN = 4
"""Hops; the splinter of a symbol next to a hole is shorter, and may be misread."""
FLOOR_POWER = 10.0 ** (-60 / 10)
"""Of full scale: below this it is silence, however loud the rest."""
TONAL_SHARE = 0.45
"""Of a window's energy that has to lie on the three strongest tones for it to be a symbol."""


class Clock(IntEnum):
    FIRST = 0
    A = 1
    B = 2
    LAST = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word and where it is, in seconds from the start. `whole` is false where a part was missing or damaged.

    The text of a damaged word cannot be mistaken for another word: "hel…" has lost its end, "…llo" its start,
    "helo?" something inside.
    """

    text: str
    start: float
    end: float
    whole: bool = True


def words(text: str) -> list[str]:
    """What `hear` gives for a recording of `text`: its words in lower case, without punctuation."""
    return [word for word, _ in _words_and_gaps(text)]


def speak(text: str, rate: int = 24_000, *, speed: float = 1.0) -> bytes:
    """`text` as s16le mono at `rate` Hz. A text without words is silence of one sentence gap.

    `speed` shortens symbols down to 24 ms (1.33 ×) and gaps without limit.
    """
    spoken = timetable(text, speed=speed)
    gaps = [gap for _, gap in _words_and_gaps(text)]
    seconds = spoken[-1].end + gaps[-1] / speed if spoken else SENTENCE_GAP_S / speed
    sound = np.zeros(round(seconds * rate) + 1)
    for word in spoken:
        at = word.start
        for clock, value, length in _symbols(word.text, speed):
            tone = _tone(clock, value, length, rate)
            start = round(at * rate)
            sound[start : start + len(tone)] += tone[: len(sound) - start]
            at += length
    return _to_bytes(sound)


def timetable(text: str, *, speed: float = 1.0) -> list[Word]:
    """Where `speak` puts each word."""
    table, at = [], 0.0
    for word, gap in _words_and_gaps(text):
        length = sum(seconds for _, _, seconds in _symbols(word, speed)) + FADE_S
        table.append(Word(text=word, start=at, end=at + length))
        at += length + gap / speed
    return table


def hear(samples: bytes, rate: int, channels: int = 1) -> list[str]:
    """The words in a recording (s16le, interleaved)."""
    return [word.text for word in listen(samples, rate, channels)]


def hear_text(samples: bytes, rate: int, channels: int = 1) -> str:
    return " ".join(hear(samples, rate, channels))


def listen(samples: bytes, rate: int, channels: int = 1) -> list[Word]:
    """The words in a recording with their times and state."""
    usable = len(samples) - len(samples) % (2 * channels)
    values = np.frombuffer(samples[:usable], dtype="<i2").astype(np.float64) / 32768.0
    mono = values.reshape(-1, channels).mean(axis=1)
    powers, share = _analyse(mono, rate)
    return list(_assemble(_runs(powers, share)))


def _words_and_gaps(text: str) -> list[tuple[str, float]]:
    """Each word with the seconds of silence after it."""
    found: list[tuple[str, float]] = []
    current = ""
    for letter in unicodedata.normalize("NFC", text.lower()).replace("’", "'") + " ":
        if letter.isalnum() or (current and (letter == "'" or unicodedata.category(letter)[0] == "M")):
            current += letter
            continue
        if current:
            found.append((current.rstrip("'"), WORD_GAP_S))
            current = ""
        if found and letter in ".!?…\n":
            found[-1] = (found[-1][0], SENTENCE_GAP_S)
        elif found and letter in ",;:—–":
            found[-1] = (found[-1][0], max(found[-1][1], COMMA_GAP_S))
    return found


def _spell(word: str) -> list[int]:
    values: list[int] = []
    for letter in word:
        if letter in LETTERS:
            values.append(LETTERS.index(letter))
        else:
            values += [ESCAPE, *(LETTERS.index(digit) for digit in f"{ord(letter):x}"), ESCAPE]
    return values


def _unspell(values: list[int]) -> str:
    text, code = "", None
    for value in values:
        if value == ESCAPE:
            if code:
                number = int(code, 16) if all(digit in "0123456789abcdef" for digit in code) else -1
                text += chr(number) if 0 <= number < 0x110000 else "?"
            code = None if code is not None else ""
        elif value > ESCAPE:
            text += "?"
        elif code is not None:
            code += LETTERS[value]
        else:
            text += LETTERS[value]
    return text


def _checksum(values: list[int]) -> int:
    """Weighted by place, so that swapped and lost letters show."""
    return sum(place * (value + 1) for place, value in enumerate(values, 1)) % CHECKSUM_BASE


def _symbols(word: str, speed: float) -> Iterator[tuple[Clock, int, float]]:
    values = _spell(word)
    inner, outer = (max(SHORTEST_SYMBOL_S, seconds / speed) for seconds in (SYMBOL_S, END_SYMBOL_S))
    for place, value in enumerate(values):
        clock = Clock.FIRST if place == 0 else Clock.A if place % 2 else Clock.B
        yield clock, value, outer if place == 0 else inner
    yield Clock.LAST, _checksum(values), outer


@lru_cache(maxsize=4096)
def _tone(clock: Clock, value: int, length: float, rate: int) -> Samples:
    """A symbol of `length` seconds and one fade more, in which the next one fades in."""
    time = np.arange(round((length + FADE_S) * rate)) / rate
    parts = (
        (CLOCK_LEVEL, CLOCK_HZ[clock]),
        (LOW_LEVEL, LOW_HZ[value // len(HIGH_HZ)]),
        (HIGH_LEVEL, HIGH_HZ[value % len(HIGH_HZ)]),
    )
    tone = np.zeros(len(time))
    for level, hertz in parts:
        tone += level * np.sin(2 * np.pi * hertz * time)
    fade = max(1, round(FADE_S * rate))
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
    tone[:fade] *= ramp
    tone[-fade:] *= ramp[::-1]
    return tone


def _to_bytes(sound: Samples) -> bytes:
    return np.round(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


@lru_cache(maxsize=16)
def _probe(rate: int) -> tuple[npt.NDArray[np.complex128], Samples]:
    """One windowed complex tone per column, and the window."""
    size = round(WINDOW_S * rate)
    window = np.hanning(size + 2)[1:-1]
    hertz = np.array(CLOCK_HZ + LOW_HZ + HIGH_HZ)
    angles = 2 * np.pi * np.outer(np.arange(size), hertz) / rate
    probe: npt.NDArray[np.complex128] = np.exp(angles * -1j) * window[:, None]
    return probe, window


def _analyse(mono: Samples, rate: int) -> tuple[Samples, Samples]:
    """Per hop: the power of each of the 18 tones, and the share of the window's energy on the best three."""
    probe, window = _probe(rate)
    size, columns = probe.shape
    hops = int(len(mono) / (HOP_S * rate)) + 1
    padded = np.concatenate([np.zeros(size // 2), mono, np.zeros(size)])
    starts = np.round(np.arange(hops) * HOP_S * rate).astype(np.int64)
    powers, share = np.zeros((hops, columns)), np.zeros(hops)
    block = 2_000
    for first in range(0, hops, block):
        frames = padded[starts[first : first + block, None] + np.arange(size)]
        tones = 2 * np.abs(frames @ probe / window.sum()) ** 2
        powers[first : first + block] = tones
        energy = (frames**2 @ window**2) / (window**2).sum()
        best = sum(group.max(axis=1) for group in _groups(tones))
        share[first : first + block] = best / np.maximum(energy, 1e-12)
    return powers, share


def _groups(tones: Samples) -> tuple[Samples, Samples, Samples]:
    clock, low = len(CLOCK_HZ), len(LOW_HZ)
    return tones[:, :clock], tones[:, clock : clock + low], tones[:, clock + low :]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """Hops `start` to `end` under one clock tone, read as one symbol."""

    clock: Clock
    value: int
    start: int
    end: int
    hops: int
    """Without holes."""


def _runs(powers: Samples, share: Samples) -> Iterator[_Run]:
    clock, low, high = _groups(powers)
    total = clock.max(axis=1) + low.max(axis=1) + high.max(axis=1)
    tonal = (share > TONAL_SHARE) & (total > FLOOR_POWER)
    if not tonal.any():
        return
    loud = np.percentile(total[tonal], 75)
    state = np.where(tonal & (total > loud * 10.0 ** (-22 / 10)), clock.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(state)) + 1
    for start, end in zip([0, *edges], [*edges, len(state)], strict=True):
        if state[start] < 0 or end - start < SHORTEST_RUN:
            continue
        weight = clock[start:end].max(axis=1) / clock[start:end].sum(axis=1)
        weight = weight[:, None] ** 4
        row = int((low[start:end] * weight).sum(axis=0).argmax())
        column = int((high[start:end] * weight).sum(axis=0).argmax())
        value = row * len(HIGH_HZ) + column
        yield _Run(
            clock=Clock(state[start]), value=value, start=int(start), end=int(end), hops=int(end - start)
        )


@dataclass(kw_only=True, slots=True)
class _Open:
    """A word of which symbols may still be coming."""

    headless: bool
    runs: list[_Run] = field(default_factory=list)
    broken: bool = False

    def take(self, run: _Run) -> bool:
        """Adds a symbol, or another part of the last one; false when it belongs to the next word."""
        last = self.runs[-1] if self.runs else None
        if last is not None and run.clock == last.clock:
            if run.value != last.value and min(run.hops, last.hops) >= SURE_RUN:
                if run.clock in (Clock.FIRST, Clock.LAST):
                    return False
                self.broken = True
                self.runs.append(run)
                return True
            longer = max(last, run, key=lambda part: part.hops)
            self.runs[-1] = replace(longer, start=last.start, end=run.end)
            return True
        if last is not None and (run.clock is Clock.FIRST or last.clock is Clock.LAST):
            return False
        self.runs.append(run)
        return True

    def close(self) -> Word:
        ended = self.runs[-1].clock is Clock.LAST
        values = [run.value for run in self.runs]
        letters = values[:-1] if ended else values
        missing = self.headless or not ended
        wrong = self.broken or (not missing and _checksum(letters) != values[-1])
        text = (
            ("…" if self.headless else "")
            + _unspell(letters)
            + ("" if ended else "…")
            + ("?" if wrong else "")
        )
        start, end = self.runs[0].start * HOP_S, self.runs[-1].end * HOP_S
        return Word(text=text, start=start, end=end, whole=not missing and not wrong)


def _assemble(runs: Iterator[_Run]) -> Iterator[Word]:
    word: _Open | None = None
    for run in runs:
        if word is not None and word.take(run):
            continue
        if word is not None:
            yield word.close()
        word = _Open(headless=run.clock is not Clock.FIRST, runs=[run])
    if word is not None:
        yield word.close()
