"""Which text belongs to which samples: what was heard, and what was not."""

from __future__ import annotations

import re
from dataclasses import dataclass

USUAL_CHARACTERS_PER_SECOND = 14.0
"""English read aloud at a normal pace (about 150 words a minute); used only until a piece has been measured."""


CAUTION, CAUTION_MEASURED = 1.35, 1.1
"""How much slower than estimated the voice is taken to be, before its pace has been measured and after."""

_CLAUSE = re.compile(r"[.!?…;:,][\"'”’)\]]*\s+|[。！？；：，、]")


@dataclass(slots=True)
class _Piece:
    text: str
    start: int | None = None
    samples: int = 0
    complete: bool = False


class Ledger:
    """Text in pieces, each with the samples that say it. Pieces are numbered from 0 in the order they are said.

    Within a piece that was partly heard, the words are taken in proportion to the sound and rounded down: better to
    say again a word that was heard than to lose one that was not. So a piece whose sound is not complete is never all
    heard, however long it sounded.
    """

    def __init__(self, rate: int, *, speed: float = 1.0) -> None:
        self._rate = rate
        self._speed = speed
        self._pieces: list[_Piece] = []

    def add(self, text: str) -> int:
        """A piece that is going to be said; gives its number."""
        self._pieces.append(_Piece(text))
        return len(self._pieces) - 1

    @property
    def pieces(self) -> list[str]:
        """The texts so far, in order."""
        return [piece.text for piece in self._pieces]

    def sound(self, piece: int, *, at: int, samples: int) -> None:
        """`samples` more samples of `piece` stand at position `at` (samples since the utterance began)."""
        entry = self._pieces[piece]
        if entry.start is None:
            entry.start = at
        entry.samples = at + samples - entry.start

    def complete(self, piece: int) -> None:
        """All the sound of `piece` has come."""
        self._pieces[piece].complete = True

    def break_off(self, piece: int) -> int:
        """The sound of `piece` ends here, too early: its text is cut before the clause in which that happened, and the
        rest becomes a piece of its own. Gives the number of the piece to say next: the rest, the same piece when
        not one clause of it had been said, or the one after it when all of it had.

        The place is estimated from the pace; it is taken a little early, since a clause said twice is better
        than a word lost.
        """
        entry = self._pieces[piece]
        measured = any(each.complete and each.samples for each in self._pieces)
        pace = self.said_seconds_per_character * (CAUTION_MEASURED if measured else CAUTION)
        said = int(entry.samples / self._rate / pace)
        clause = max((end for end in _clause_ends(entry.text) if end <= said), default=0)
        if not clause:
            entry.start, entry.samples = None, 0
            return piece
        rest = entry.text[clause:].strip()
        entry.text, entry.complete = entry.text[:clause].rstrip(), True
        if rest:
            self._pieces.insert(piece + 1, _Piece(rest))
        return piece + 1

    def split(self, heard: int) -> tuple[str, str]:
        """(heard text, unheard text) when `heard` samples have been audible. Together they are the whole text."""
        said: list[str] = []
        left: list[str] = []
        for piece in self._pieces:
            done, rest = self._split_piece(piece, heard)
            if done:
                said.append(done)
            if rest:
                left.append(rest)
        return " ".join(said), " ".join(left)

    @property
    def said_seconds_per_character(self) -> float:
        """Measured on complete pieces; the usual pace before there is one."""
        complete = [piece for piece in self._pieces if piece.complete and piece.samples and piece.text]
        if not complete:
            return 1.0 / (USUAL_CHARACTERS_PER_SECOND * self._speed)
        samples = sum(piece.samples for piece in complete)
        return samples / self._rate / sum(len(piece.text) for piece in complete)

    def _split_piece(self, piece: _Piece, heard: int) -> tuple[str, str]:
        if piece.start is None or heard <= piece.start:
            return "", piece.text
        played = heard - piece.start
        if piece.complete:
            if played >= piece.samples:
                return piece.text, ""
            share = played / piece.samples
        else:
            whole = len(piece.text) * self.said_seconds_per_character * self._rate
            share = min(played / max(whole, piece.samples, 1.0), 1.0)
        return _cut_at_word(piece.text, int(len(piece.text) * share))


def _clause_ends(text: str) -> list[int]:
    return [match.end() for match in _CLAUSE.finditer(text)]


def _cut_at_word(text: str, characters: int) -> tuple[str, str]:
    space = text.rfind(" ", 0, characters + 1)
    if space <= 0:
        return "", text
    return text[:space].rstrip(), text[space:].lstrip()
