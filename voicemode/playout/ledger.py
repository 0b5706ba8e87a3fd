"""Which text belongs to which samples: what was heard, and what was not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from voicemode.sound.joins import Voiced
from voicemode.speech import WordBegins, untimed

USUAL_CHARACTERS_PER_SECOND = 14.0
"""English read aloud at a normal pace (about 150 words a minute); used only until a piece has been measured."""

SLOWEST, FASTEST = 6.0, 30.0
"""Letters per second of voice, pauses not counted: what a voice that has not been measured may be."""

RUNAWAY = 4.0
"""Times as long as the slowest voice: no voice any more, but a stream that does not end."""

LEAD_SECONDS = 5.0
"""Silence that some engines leave around a word."""

STEADY = 1.25
"""How far a voice that has been measured strays from its pace within one piece."""

PACES = 40
"""Paces that are tried between the slowest and the fastest."""

SURE_PAUSE_SECONDS = 0.3
"""Only the end of a clause makes a voice pause for so long."""

KNOWN_LETTERS = 800
"""About 160 words: a voice that hesitates has done so by then."""

UNEVEN, UNEVEN_SECONDS = 1.12, 0.08
"""Words are longer and shorter than their letters."""

LONGEST_NUMBER_LETTERS = 16.0
"""A number in one character: `⅞` is seven eighths, `㉗` twenty-seven."""

_UNSAID = frozenset(".,;:!?…'\"“”‘’()[]{}-–—*_`")
_WIDE_CLAUSE = re.compile(r"[。！？；：，、][」』）”’]*")
_WORD_ENDS = re.compile(rf"\s+|{_WIDE_CLAUSE.pattern}")
_CLAUSE = re.compile(r"[.!?…;:,][\"'”’)\]]*\s+|[。！？；：，、]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """A place in a text, as the letters that are said up to it: at least and at most, since nobody knows how figures,
    signs and other scripts are read."""

    least: float
    most: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Letters per second of voice; `sure_pause` (seconds) is no hesitation."""

    slowest: float
    fastest: float
    sure_pause: float = SURE_PAUSE_SECONDS


@dataclass(slots=True)
class _Piece:
    text: str
    start: int | None = None
    samples: int = 0
    complete: bool = False
    words: Callable[[], Sequence[WordBegins]] = untimed
    joined: bool = False
    """Follows the piece before without a space: both were cut from one piece of a script that has none."""


@dataclass(slots=True)
class Measured:
    """What one voice has shown in the pieces that it said whole."""

    least: float = 0.0
    most: float = 0.0
    seconds: float = 0.0
    hesitation: float = 0.0
    """Its longest pause where nothing ended, in seconds."""

    def learn(self, text: str, voiced: Voiced) -> None:
        """From all the sound of `text`. What has no letters teaches no pace: a rest of marks after a break."""
        whole = reach(text)
        if not whole.least or not voiced.seconds:
            return
        ends = [*(reach(text[:end]) for end in _clause_ends(text)), whole]
        self.least += whole.least
        self.most += whole.most
        self.seconds += voiced.seconds
        slowest, fastest = whole.least / voiced.seconds / 1.1, whole.most / voiced.seconds * 1.1
        fits = [_fit(ends, voiced, each) for each in _paces(slowest, fastest)]
        best = max(fits, key=lambda fit: fit.explained)
        self.hesitation = max(self.hesitation, best.hesitation)

    @property
    def sure_pause(self) -> float:
        """Seconds from which a pause of this voice is the end of a clause."""
        steady = self.least >= KNOWN_LETTERS and not self.hesitation
        return 0.0 if steady else SURE_PAUSE_SECONDS


class Ledger:
    """Text in pieces, each with the samples that say it. Pieces are numbered from 0 in the order they are said.

    Within a piece that was partly heard, the words are those that have ended, where the engine says when each begins,
    else they are taken in proportion to the sound and rounded down: better to say again a word that was heard than to
    lose one that was not. So a piece whose sound is not complete is never all heard, however long it sounded.
    """

    def __init__(self, rate: int, *, speed: float = 1.0, voices: dict[str, Measured] | None = None) -> None:
        """`voices` is what is known of voices at this speed; what is learned is written into it."""
        self._rate = rate
        self._speed = speed
        self._pieces: list[_Piece] = []
        self._voices = {} if voices is None else voices

    def add(self, text: str) -> int:
        """A piece that is going to be said; gives its number."""
        self._pieces.append(_Piece(text))
        return len(self._pieces) - 1

    @property
    def pieces(self) -> list[str]:
        """The texts so far, in order."""
        return [piece.text for piece in self._pieces]

    def sound(self, piece: int, *, at: int, samples: int) -> None:
        """`samples` more samples of `piece` stand at position `at` (samples since the utterance began). What follows
        once it is complete is the pause after its words."""
        entry = self._pieces[piece]
        if entry.complete:
            return
        if entry.start is None:
            entry.start = at
        entry.samples = at + samples - entry.start

    def timed(self, piece: int, words: Callable[[], Sequence[WordBegins]]) -> None:
        """`words` tells, now and later, which words of `piece` begin when in its sound, as far as that has come."""
        self._pieces[piece].words = words

    def complete(self, piece: int, *, voice: str = "", voiced: Voiced | None = None) -> None:
        """All the sound of `piece` has come: so much of `voice` (any name that tells voices apart)."""
        entry = self._pieces[piece]
        entry.complete = True
        if voiced is not None:
            self._voices.setdefault(voice, Measured()).learn(entry.text, voiced)

    def break_off(self, piece: int, *, voice: str = "", voiced: Voiced | None = None) -> int:
        """The sound of `piece` ends here, too early: its text is cut before the clause in which that happened, and the
        rest becomes a piece of its own. Gives the number of the piece to say next: the rest, or the same piece when
        not one clause of it is known to have been said.

        `voiced` is what was heard of it; without it all of the sound counts as voice.
        """
        entry = self._pieces[piece]
        ends = _clause_ends(entry.text)
        heard = voiced or Voiced(seconds=entry.samples / self._rate)
        said = clauses_said([reach(entry.text[:end]) for end in ends], heard, self._pace(voice))
        if not said:
            self.say_again(piece)
            return piece
        clause = ends[said - 1]
        before, rest = entry.text[:clause], entry.text[clause:]
        entry.text, entry.complete = before.rstrip(), True
        self._pieces.insert(piece + 1, _Piece(rest.lstrip(), joined=before.rstrip() == before))
        return piece + 1

    def say_again(self, piece: int) -> None:
        """What there was of its sound counts no more."""
        entry = self._pieces[piece]
        entry.start, entry.samples, entry.words = None, 0, untimed

    def may_repeat(self, piece: int, *, voice: str) -> bool:
        """Whether a break in `piece` may cost more than one clause: it has several, and the pauses of this voice do
        not tell which of them were said."""
        measured = self._voices.get(voice)
        return bool(_clause_ends(self._pieces[piece].text)) and (
            measured is None or measured.sure_pause > 0.0
        )

    def too_short(self, piece: int, *, voice: str, voiced: Voiced) -> bool:
        """Whether not even half of `piece` can have been said: faster than twice the fastest that `voice` may be."""
        least = reach(self._pieces[piece].text).least / self._pace(voice).fastest
        return voiced.seconds < least / 2

    def split(self, heard: int) -> tuple[str, str]:
        """(heard text, unheard text) when `heard` samples have been audible. Together they are the whole text."""
        said = left = ""
        for piece in self._pieces:
            done, rest = self._split_piece(piece, heard)
            space = "" if piece.joined else " "
            said = f"{said}{space}{done}" if said and done else said or done
            left = f"{left}{space if not done else ' '}{rest}" if left and rest else left or rest
        return said, left

    @property
    def said_seconds_per_character(self) -> float:
        """Measured on complete pieces; the usual pace before there is one."""
        complete = [piece for piece in self._pieces if piece.complete and piece.samples and piece.text]
        if not complete:
            return 1.0 / (USUAL_CHARACTERS_PER_SECOND * self._speed)
        samples = sum(piece.samples for piece in complete)
        return samples / self._rate / sum(len(piece.text) for piece in complete)

    def _pace(self, voice: str) -> Pace:
        slower, faster = min(self._speed, 1.0), max(self._speed, 1.0)  # Not every engine heeds a speed.
        measured = self._voices.get(voice)
        if measured is None or not measured.seconds:
            sure = SURE_PAUSE_SECONDS / slower
            return Pace(slowest=SLOWEST * slower, fastest=FASTEST * faster, sure_pause=sure)
        return Pace(
            slowest=measured.least / measured.seconds / STEADY,
            fastest=measured.most / measured.seconds * STEADY,
            sure_pause=min(measured.sure_pause, SURE_PAUSE_SECONDS) / slower,
        )

    def _split_piece(self, piece: _Piece, heard: int) -> tuple[str, str]:
        if piece.start is None or heard <= piece.start:
            return "", piece.text
        played = heard - piece.start
        if piece.complete and played >= piece.samples:
            return piece.text, ""
        if (ended := _ended(piece, played / self._rate)) is not None:
            return piece.text[:ended].rstrip(), piece.text[ended:].lstrip()
        if piece.complete:
            share = played / piece.samples
        else:
            whole = len(piece.text) * self.said_seconds_per_character * self._rate
            share = min(played / max(whole, piece.samples, 1.0), 1.0)
        return _cut_at_word(piece.text, int(len(piece.text) * share))


def _ended(piece: _Piece, seconds: float) -> int | None:
    """Characters of those words of `piece` that have ended by then: the last that has begun is still being said, or its
    silence. None where the engine does not tell. Words are what spaces and the clauses of scripts without them part."""
    words = piece.words()
    if not words:
        return None
    starts = {match.end() for match in _WORD_ENDS.finditer(piece.text)}
    return max(
        (word.character for word in words if word.at <= seconds and word.character in starts), default=0
    )


def longest_seconds(text: str, *, speed: float) -> float:
    """More sound than any voice makes of `text`."""
    return LEAD_SECONDS + RUNAWAY * reach(text).most / (SLOWEST * min(speed, 1.0))


def reach(text: str) -> Reach:
    """How many letters it takes to say `text`."""
    least = most = 0.0
    for character in text:
        low, high = _letters(character)
        least, most = least + low, most + high
    return Reach(least=least, most=most)


def clauses_said(ends: Sequence[Reach], heard: Voiced, pace: Pace) -> int:
    """How many of the clauses that end at `ends` have certainly been said: a clause said twice is better than a
    word lost.

    Which pause belongs to which end follows from the pace at which most of the pauses fall on ends. Voices hesitate:
    any one pause that is not sure may mean nothing, and what holds without it counts.
    """
    sure = tuple(pause for pause in heard.pauses if pause.seconds >= pace.sure_pause)
    return min(_clauses_said(ends, each, pace) for each in (heard, replace(heard, pauses=sure)))


def _clauses_said(ends: Sequence[Reach], heard: Voiced, pace: Pace) -> int:
    """The same, where every pause means something. Where several paces explain the pauses as well, the one that has
    come the least far counts."""
    fits = [_fit(ends, heard, each) for each in _paces(pace.slowest, pace.fastest)]
    best = max(fit.explained for fit in fits)
    longest = max((pause.seconds for pause in heard.pauses), default=0.0)
    return min(fit.reached for fit in fits if fit.explained >= best - longest / 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """How pauses fall on ends at one pace. `explained`: seconds of those that do, less those that do not;
    `hesitation`: the longest that does not; `reached`: ends that have been passed."""

    explained: float
    hesitation: float
    reached: int


def _paces(slowest: float, fastest: float) -> list[float]:
    return [slowest * (fastest / slowest) ** (number / PACES) for number in range(PACES + 1)]


def _fit(ends: Sequence[Reach], heard: Voiced, letters_per_second: float) -> _Fit:
    explained = hesitation = 0.0
    reached = 0
    for pause in heard.pauses:
        near = (
            number
            for number in range(reached, len(ends))
            if _near(ends[number], pause.after, letters_per_second)
        )
        at = next(near, None)
        if at is None:
            explained -= pause.seconds
            hesitation = max(hesitation, pause.seconds)
        else:
            explained += pause.seconds
            reached = at + 1
    passed = sum(1 for end in ends if _latest(end, letters_per_second) < heard.seconds)
    return _Fit(explained=explained, hesitation=hesitation, reached=max(reached, passed))


def _near(end: Reach, seconds: float, letters_per_second: float) -> bool:
    """Whether a voice of this pace may end there after `seconds` of voice."""
    earliest = end.least / letters_per_second / UNEVEN - UNEVEN_SECONDS
    return earliest <= seconds <= _latest(end, letters_per_second)


def _latest(end: Reach, letters_per_second: float) -> float:
    return end.most / letters_per_second * UNEVEN + UNEVEN_SECONDS


def _letters(character: str) -> tuple[float, float]:
    """(at least, at most) the letters of what is said for a character."""
    if character.isspace():
        return 1.0, 1.0
    if character.isdecimal():
        return 1.0, 9.0
    if unicodedata.east_asian_width(character) in "WF":
        return (2.0, 6.0) if character.isalnum() else (0.0, 0.0)
    if character.isalpha():
        return 1.0, 3.0 if character.isupper() else 1.0 if character.isascii() else 1.6
    if character.isalnum():
        return 1.0, LONGEST_NUMBER_LETTERS
    return 0.0, 0.0 if character in _UNSAID else 9.0


def _clause_ends(text: str) -> list[int]:
    """Where clauses end; not the last one, which is only over when all of the sound has come."""
    return [match.end() for match in _CLAUSE.finditer(text) if match.end() < len(text)]


def _cut_at_word(text: str, characters: int) -> tuple[str, str]:
    """Chinese and Japanese, which have no spaces, at the last end of a clause."""
    space = text.rfind(" ", 0, characters + 1)
    ends = (match.end() for match in _WIDE_CLAUSE.finditer(text, 0, characters) if match.end() < len(text))
    at = max(space, *ends, 0)
    if at <= 0:
        return "", text
    return text[:at].rstrip(), text[at:].lstrip()
