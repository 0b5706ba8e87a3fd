"""Which text belongs to which samples: what was heard, and what was not."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_CHARACTERS_PER_SECOND = 14.0
"""English read aloud at a normal pace (about 150 words a minute); used only until a piece has been measured."""


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

    def __init__(self, rate: int) -> None:
        self._rate = rate
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
            return 1.0 / USUAL_CHARACTERS_PER_SECOND
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


def _cut_at_word(text: str, characters: int) -> tuple[str, str]:
    space = text.rfind(" ", 0, characters + 1)
    if space <= 0:
        return "", text
    return text[:space].rstrip(), text[space:].lstrip()
