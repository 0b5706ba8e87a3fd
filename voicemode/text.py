"""Written text → pieces to be said, while it is still being written.

Markdown is read as a person would read it aloud (thin so far: fences are announced, links by their text, marks
dropped); sentences are cut where a reader would breathe. `clean_transcript` is the way back: words from the room.
"""

from __future__ import annotations

import re
import unicodedata

FIRST_PIECE_CHARACTERS = 15
"""The first piece is short, so that sound starts early (the speech server specification's sentence minimum)."""

PIECE_CHARACTERS = 60
"""Later pieces gather whole sentences up to about this size: fewer requests, better intonation."""

LONGEST_PIECE_CHARACTERS = 400
"""A longer sentence is cut at a clause or, failing that, at a space: about 25 s of speech."""

LONGEST_MESSAGE_CHARACTERS = 100_000
"""About two hours of speech. Longer messages are refused, with this number."""

LONGEST_TRANSCRIPT_CHARACTERS = 20_000

_FENCE = re.compile(r"\s*(```|~~~)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+")
_QUOTE = re.compile(r"^\s*(?:>\s*)+")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}$")
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_BARE_URL = re.compile(r"<?https?://(?:www\.)?([^\s/>)]+)[^\s>)]*>?")
_CODE = re.compile(r"`+([^`]*)`+")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?![\w*])")
_STRIKE = re.compile(r"~~(.+?)~~")
_HTML = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<!--.*?-->")
_BOUNDARY = re.compile(r"(?:[.!?…]+[\"'”’)\]*_]*(?=\s)|[。！？]+[」』）]*)")
_CLAUSE = re.compile(r"[,;:—–](?=\s)|[，；：、]")
_ABBREVIATION = re.compile(
    r"[a-z]|mrs?|ms|dr|prof|[sj]r|st|vs|etc|e\.g|i\.e|cf|fig|vol|approx|dept|inc|ltd|co|mt|jan|feb|mar|apr|jun|jul|aug"
    r"|sept?|oct|nov|dec"
)
"""Words whose full stop does not end a sentence; a single letter is an initial."""


class Splitter:
    """Stage: text in any cuts → pieces ready to be said. `flush` ends the text."""

    def __init__(
        self,
        *,
        first: int = FIRST_PIECE_CHARACTERS,
        usual: int = PIECE_CHARACTERS,
        longest: int = LONGEST_PIECE_CHARACTERS,
    ) -> None:
        self._first = first
        self._usual = usual
        self._longest = longest
        self._line = ""
        self._line_start = True
        self._fence: str | None = None
        self._gathered = ""
        self._given = 0

    def feed(self, item: str) -> list[str]:
        pieces: list[str] = []
        # One character decides at a time, so that the cuts of the input cannot matter.
        for character in item:
            if character == "\n":
                pieces += self._end_line()
            else:
                self._line += character
                if character.isspace() or character in "。！？」』）":
                    pieces += self._end_sentences()
        return pieces

    def flush(self) -> list[str]:
        pieces = self._end_line()
        return pieces + self._release(force=True)

    def _end_line(self) -> list[str]:
        line, self._line = self._line, ""
        at_start, self._line_start = self._line_start, True
        fence = _FENCE.match(line) if at_start else None
        if self._fence is not None:
            if fence and fence.group(1) == self._fence:
                self._fence = None
            return []
        if fence:
            self._fence = fence.group(1)
            return self._gather("There is a code block.", closed=True)
        if not line.strip():
            return self._release(force=False)
        return self._gather(_read_line(line, at_start=at_start), closed=at_start or line != line.lstrip())

    def _end_sentences(self) -> list[str]:
        if self._fence is not None or (self._line_start and _FENCE.match(self._line)):
            return []
        bullet = _BULLET.match(self._line) if self._line_start else None
        end = _sentence_end(self._line, start=bullet.end() if bullet else 0)
        if end == 0:
            return []
        sentence, self._line = self._line[:end], self._line[end:]
        at_start, self._line_start = self._line_start, False
        return self._gather(_read_line(sentence, at_start=at_start), closed=True)

    def _gather(self, sentence: str, *, closed: bool) -> list[str]:
        if not any(character.isalnum() for character in sentence):
            return []
        if closed and sentence.rstrip("\"'”’)]")[-1:] not in tuple(".!?…。！？:;,"):
            sentence += "."
        self._gathered = f"{self._gathered} {sentence}".strip()
        return self._release(force=False)

    def _release(self, *, force: bool) -> list[str]:
        enough = self._usual if self._given else self._first
        if not self._gathered or (len(self._gathered) < enough and not force):
            return []
        pieces = _cut_long(self._gathered, self._longest)
        self._gathered = ""
        self._given += len(pieces)
        return pieces


def split(text: str) -> list[str]:
    """All the pieces of a text that is complete."""
    splitter = Splitter()
    return splitter.feed(text) + splitter.flush()


def clean_transcript(text: str) -> str:
    """A transcript is data from the room: control and direction marks dropped, white space joined, length capped."""
    kept = (
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(kept).split())[:LONGEST_TRANSCRIPT_CHARACTERS]


def _read_line(line: str, *, at_start: bool) -> str:
    """One line of markdown, or a sentence of it, as it is read aloud."""
    if at_start:
        if _RULE.fullmatch(line):
            return ""
        line = _QUOTE.sub("", line, count=1)
        line = _BULLET.sub("", _HEADING.sub("", line, count=1), count=1)
    line = _LINK.sub(r"\1", _IMAGE.sub(r"\1", line))
    line = _BARE_URL.sub(r"\1", line)
    line = _HTML.sub(" ", _CODE.sub(r"\1", line))
    line = _STRIKE.sub(r"\1", _EMPHASIS.sub(r"\2", line))
    line = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "So") else c for c in line)
    return " ".join(line.split())


def _sentence_end(line: str, *, start: int) -> int:
    """Where a sentence ends in the last word of `line` (which has just been closed by white space); 0: it does not."""
    word = max(start, max(line.rfind(" ", 0, -1), line.rfind("\t", 0, -1)) + 1)
    match = _BOUNDARY.search(line, word)
    if match is None:
        return 0
    bare = line[word : match.start()].strip("\"'“‘(*_[").lower()
    return 0 if match.group().startswith(".") and _ABBREVIATION.fullmatch(bare) else match.end()


def _cut_long(text: str, longest: int) -> list[str]:
    pieces: list[str] = []
    while len(text) > longest:
        clauses = [match.end() for match in _CLAUSE.finditer(text, longest // 2, longest)]
        at = clauses[-1] if clauses else text.rfind(" ", longest // 2, longest)
        at = at if at > 0 else longest
        pieces.append(text[:at].strip())
        text = text[at:].strip()
    return [*pieces, text] if text else pieces
