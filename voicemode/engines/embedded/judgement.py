"""What the embedded ear makes of its two readings: one by the grammar of short answers, one by the dictation model.

Measured on 630 recordings, with 0.3 s of silence around each (specs/decisions/0003-embedded-ear.md). Voices
built from recordings of people: short answers exact in 88 of 100 (76 by dictation alone), 12 % of words
wrong; sentences 11-30 % of words wrong. Real recordings: 12 % of words wrong in phrases, 28 % in sentences read aloud.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voicemode.speech import TimedWord

AGREED = 0.95
"""Confidence where both readings are the same text: all of 148 such were right, with synthetic voices in silence."""
ENOUGH = 0.6
"""From this probability on the grammar's text is taken. Voices left out of the fit: 1 of 126 recordings of something
else was taken for a short answer, 19 of 40 short answers went to the dictation model."""
FRAME_SECONDS = 0.01
_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+|\(NULL\)|NULL|SIL")
_ALTERNATIVE = re.compile(r"\(\d+\)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """`acoustic` and `posterior` are natural logarithms; `frames` of 10 ms, the first of which is number `start`."""

    text: str
    filler: bool
    start: int
    frames: int
    acoustic: float
    posterior: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    short: tuple[Word, ...]
    dictation: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """`short` says that the text is one of the answers that the ear is good at, or nothing at all."""

    text: str
    confidence: float | None
    short: bool
    words: tuple[TimedWord, ...] = ()

    def later(self, seconds: float) -> Heard:
        """The same in a recording that begins so much earlier."""
        moved = (replace(each, start=each.start + seconds, end=each.end + seconds) for each in self.words)
        return replace(self, words=tuple(moved))


def read_words(listing: str) -> Readings:
    """The answer of the child: search, word, first and last frame, two logarithms, tab-separated."""
    found: dict[str, list[Word]] = {"short": [], "_default": []}
    for line in listing.splitlines():
        search, text, start, end, acoustic, posterior = line.split("\t")
        word = Word(
            text=_ALTERNATIVE.sub("", text),
            filler=_FILLER.fullmatch(text) is not None,
            start=int(start),
            frames=int(end) - int(start) + 1,
            acoustic=float(acoustic),
            posterior=float(posterior),
        )
        found[search].append(word)
    return Readings(short=tuple(found["short"]), dictation=tuple(found["_default"]))


def judge(readings: Readings, seconds: float) -> Heard:
    short, dictation = _text(readings.short), _text(readings.dictation)
    if not dictation:
        return Heard(text="", confidence=None, short=True)
    if short and short == dictation:
        return Heard(text=short, confidence=AGREED, short=True, words=_timed(readings.dictation))
    probability = likely_short(readings, seconds) if short else 0.0
    if probability >= ENOUGH:
        words = _timed(readings.short)
        return Heard(text=short, confidence=round(probability, 2), short=True, words=words)
    confidence = round(math.exp(_posterior(readings.dictation)), 2)
    return Heard(text=dictation, confidence=confidence, short=False, words=_timed(readings.dictation))


def likely_short(readings: Readings, seconds: float) -> float:
    """The probability that the grammar is right where the two differ: a logistic fit on 178 such recordings.

    For it: it explains the sound as well, the texts look alike, the other is unsure of itself (its mean
    posterior, which matched the share of right words within 0.1). Against it: more words, more sound.
    """
    from difflib import SequenceMatcher

    short, dictation = _spoken(readings.short), _spoken(readings.dictation)
    frames = max(1.0, seconds * 100)
    better = (_acoustic(readings.short) - _acoustic(readings.dictation)) / frames
    letters = sum(len(word.text) for word in short)
    slowness = sum(word.frames for word in dictation) / max(1, letters)
    alike = SequenceMatcher(None, _text(readings.short), _text(readings.dictation)).ratio()
    terms = (
        (BETTER, better),
        (LONGER, len(dictation) - len(short)),
        (SLOWNESS, slowness),
        (SURE, max(-3.0, _posterior(readings.dictation))),
        (ALIKE, alike),
    )
    return 1 / (1 + math.exp(-(BIAS + sum(weight * value for weight, value in terms))))


BETTER, LONGER, SLOWNESS, SURE, ALIKE, BIAS = 0.37, -0.20, -0.18, -1.15, 4.65, -1.91


def joined(pieces: Sequence[Heard]) -> Heard:
    """The pieces of one long recording, its confidence weighted by their words."""
    texts = [piece.text for piece in pieces if piece.text]
    rated = [(len(piece.text.split()), piece.confidence) for piece in pieces if piece.confidence is not None]
    words = sum(count for count, _ in rated)
    confidence = round(sum(count * value for count, value in rated) / words, 2) if words else None
    return Heard(
        text=" ".join(texts),
        confidence=confidence,
        short=all(piece.short for piece in pieces),
        words=tuple(word for piece in pieces for word in piece.words),
    )


def _spoken(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if not word.filler]


def _timed(words: Sequence[Word]) -> tuple[TimedWord, ...]:
    return tuple(
        TimedWord(
            text=word.text,
            start=word.start * FRAME_SECONDS,
            end=(word.start + word.frames) * FRAME_SECONDS,
        )
        for word in _spoken(words)
    )


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in _spoken(words))


def _acoustic(words: Sequence[Word]) -> float:
    return sum(word.acoustic for word in words)


def _posterior(words: Sequence[Word]) -> float:
    """Mean over the words spoken."""
    spoken = _spoken(words)
    return sum(word.posterior for word in spoken) / max(1, len(spoken))
