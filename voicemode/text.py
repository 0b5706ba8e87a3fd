"""Written text → pieces to be said, while it is still being written.

Markdown is read as a person would read it aloud: fences are announced, links by their text, tables cell by cell,
marks dropped; sentences are cut where a reader would breathe. `clean_transcript` is the way back: words from the room.
"""

from __future__ import annotations

import html
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

LONGEST_LINE_CHARACTERS = 800
"""A line that goes on is read in parts of about this size: sound need not wait for its end, nor time grow with it."""

WRAPPED_LINE_CHARACTERS = 60
"""A line at least this long that ends in the middle of a sentence was wrapped by an editor."""

CODE_LINE_CHARACTERS = 200
"""As much of a line of code as it takes to see that it does not close the block."""

_FENCE = re.compile(r"[\s>]*(`{3,}(?!.*`)|~{3,})")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)(?:\s+#+\s*)?$")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
_QUOTE = re.compile(r"^\s*(?:>\s*)+")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}|\s*\|?[\s|:-]*-[\s|:-]*\|[\s|:-]*")
_TARGET = r"""\((?:[^()\s]|\([^()\s]*\))*(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)"""
_IMAGE = re.compile(r"!\[([^\[\]]*)\]" + _TARGET)
_LINK = re.compile(r"\[([^\[\]]*)\]" + _TARGET)
_REFERENCE = re.compile(r"(?<!\w)\[([^\[\]]+)\]\[[^\[\]]*\]")
_BARE_URL = re.compile(r"""<?https?://(?:[^\s/@]*@)?(?:www\.)?([^\s/>)\]?#"']+)[^\s>)\]"']*>?""")
_CODE = re.compile(r"`+([^`]*)`+")
_ESCAPED = re.compile(r"\\([*_`#~|\[\]])")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_TAG = re.compile(
    r"<!--.*?-->|</?(?P<inline>a|abbr|b|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strong|sub|sup|tt|u|var)"
    r"(?P<attributes>(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=]+))*)\s*/?>"
    r"|</?(?:blockquote|br|center|details|div|dd|dl|dt|figcaption|figure|h[1-6]|hr|img|li|ol|p|pre|section|summary"
    r"|table|tbody|td|th|thead|tr|ul)(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=]+))*\s*/?>",
    re.IGNORECASE,
)
"""HTML's own tags only: `Vec<u8>` and `a < b` are words."""
_MARKS = re.compile(r"~~+|`+|(?<=\w)(?P<inside>\*{2,})(?=\w)|\*{2,}|(?<!\w)[*_]+(?=\S)|(?<=\S)[*_]+(?!\w)")
"""What emphasis leaves at the edges of words, paired or not; `2 * 3`, `a*b` and `snake_case` stay."""
_BOUNDARY = re.compile(r"(?:[.!?…؟۔।॥]+[\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』）”’]*)")
_WIDE_END = "。！？"
_WIDE_CLOSERS = "」』）”’"
_CLAUSE = re.compile(r"[,;:—–](?=\s)|[，；：、]")
_ENDED = tuple(".!?…؟۔।॥。！？:;,，；：、—–")
_ABBREVIATION = re.compile(
    r"(?:[^\W\d_]\.)*[^\W\d_]|ph\.d|mrs?|ms|dr|prof|rev|gen|gov|capt|sgt|lt|[sj]r|st|vs|etc|cf|ca|al|pp|figs?|vol"
    r"|approx|resp|dept|inc|ltd|co|mt|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
"""Words whose full stop does not end a sentence; single letters are initials (J. R., U.S., e.g.)."""

_JOINERS = "\u200c\u200d"
"""Between letters these are spelling (Persian, the languages of India); anywhere else they glue emoji together."""

_CODE_PLACES = 0xE000
"""Code spans stand aside as private-use characters, which the text itself cannot have."""


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
        self._open = 0
        """Characters of the last line, when it ended in the middle of a sentence and may go on in the next."""
        self._given = 0

    def feed(self, item: str) -> list[str]:
        pieces: list[str] = []
        # One character decides at a time, so that the cuts of the input cannot matter.
        for character in item:
            if character == "\n":
                pieces += self._end_line()
            elif self._fence is None:
                pieces += self._take(character)
            elif len(self._line) < CODE_LINE_CHARACTERS:
                self._line += character
        return pieces

    def flush(self) -> list[str]:
        return self._end_line() + self._close() + self._release(force=True)

    def _take(self, character: str) -> list[str]:
        pieces: list[str] = []
        if self._open and not character.isspace():
            wrapped = character.islower() or (self._open >= WRAPPED_LINE_CHARACTERS and character.isalnum())
            if wrapped:
                self._open = 0
            else:
                pieces += self._close()
        if character not in _WIDE_END + _WIDE_CLOSERS and self._line.endswith((*_WIDE_END, *_WIDE_CLOSERS)):
            pieces += self._end_sentence()
        self._line += character
        if character.isspace():
            pieces += self._end_sentence()
        if len(self._line) > LONGEST_LINE_CHARACTERS * (1 if character.isspace() else 2):
            pieces += self._end_part()
        return pieces

    def _end_line(self) -> list[str]:
        line, self._line = self._line, ""
        at_start, self._line_start = self._line_start, True
        if self._fence is not None:
            if _closes(line, self._fence):
                self._fence = None
            return []
        if at_start and (fence := _FENCE.match(line)):
            self._fence = fence.group(1)
            return self._gather("There is a code block.")
        if not line.strip():
            return self._close()
        alone = at_start and (_HEADING.match(line) or _is_row(line))
        return self._gather(_read_line(line, at_start=at_start), going_on=0 if alone else len(line))

    def _end_sentence(self) -> list[str]:
        if self._line_start and (_FENCE.match(self._line) or _is_row(self._line)):
            return []
        bullet = _BULLET.match(self._line) if self._line_start else None
        end = _sentence_end(self._line, start=bullet.end() if bullet else 0)
        return self._gather(self._cut(end)) if end else []

    def _end_part(self) -> list[str]:
        """A line that does not end: out with it up to its last clause or word."""
        half = LONGEST_LINE_CHARACTERS // 2
        clauses = [match.end() for match in _CLAUSE.finditer(self._line, half)]
        at = clauses[-1] if clauses else self._line.rstrip().rfind(" ", half)
        part = self._cut(at if at > 0 else len(self._line))
        if _has_words(part):
            self._gathered = f"{self._gathered} {part}".strip()
        return self._release(force=True)

    def _cut(self, end: int) -> str:
        """The line up to `end`, read."""
        text, self._line = self._line[:end], self._line[end:]
        at_start, self._line_start = self._line_start, False
        return _read_line(text, at_start=at_start)

    def _gather(self, sentence: str, *, going_on: int = 0) -> list[str]:
        if not _has_words(sentence):
            return []
        self._gathered = f"{self._gathered} {sentence}".strip()
        if sentence.rstrip("\"'”’»)]」』）").endswith(_ENDED):
            return self._release(force=False)
        self._open = going_on
        if going_on:
            return []
        self._gathered += "."
        return self._release(force=False)

    def _close(self) -> list[str]:
        """Nothing goes on: what was left open ends here."""
        if self._open:
            self._open = 0
            self._gathered += "."
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
        for at, character in enumerate(text)
        if character.isspace()
        or _joins(text, at)
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(kept).split())[:LONGEST_TRANSCRIPT_CHARACTERS].rstrip()


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def _closes(line: str, fence: str) -> bool:
    mark = line.strip(" \t\r>")
    return len(mark) >= len(fence) and not mark.strip(fence[0])


def _read_line(line: str, *, at_start: bool) -> str:
    """One line of markdown, or a sentence of it, as it is read aloud."""
    line = _speakable(line)
    if at_start:
        line = _QUOTE.sub("", line, count=1)
        if _RULE.fullmatch(line):
            return ""
        line = _BULLET.sub("", _HEADING.sub(r"\1", line, count=1), count=1)
    spans: list[str] = []

    def aside(match: re.Match[str]) -> str:
        spans.append(match.group(1))
        return chr(_CODE_PLACES + len(spans) - 1)

    line = _TAG.sub(lambda tag: "" if tag["inline"] else " ", _CODE.sub(aside, line))
    line = _REFERENCE.sub(r"\1", _LINK.sub(r"\1", _IMAGE.sub(r"\1", line)))
    line = _cells(_BARE_URL.sub(_host, line))
    line = _MARKS.sub(lambda mark: " " if mark["inside"] else "", _ESCAPED.sub(r"\1", line))
    line = _ENTITY.sub(lambda entity: _speakable(html.unescape(entity.group())), line)
    for place, span in enumerate(spans):
        line = line.replace(chr(_CODE_PLACES + place), span)
    return " ".join(line.split())


def _cells(line: str) -> str:
    if _is_row(line):
        return ", ".join(cell.strip() for cell in line.split("|") if cell.strip())
    return line.replace(" | ", ", ")


def _host(match: re.Match[str]) -> str:
    """A bare address is read by its host; the sentence keeps the mark that followed the address."""
    url = match.group().rstrip(">")
    marks = ".,;:!?"
    return match.group(1).rstrip(marks) + url[len(url.rstrip(marks)) :]


def _speakable(text: str) -> str:
    """Without what has no sound: controls and emoji become a space, invisible marks nothing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_sound(text, at) for at in range(len(text)))


def _sound(text: str, at: int) -> str:
    character = text[at]
    kind = unicodedata.category(character)
    if kind == "Cf":
        return character if _joins(text, at) else ""
    if kind in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
        return " "
    if kind == "So" and not ("\xa0" <= character <= "\xff" or "\u2100" <= character <= "\u214f"):
        return " "
    if (
        "\ufe00" <= character <= "\ufe0f"
        or character == "\u20e3"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    ):
        return ""
    return character


def _joins(text: str, at: int) -> bool:
    return (
        text[at] in _JOINERS
        and 0 < at < len(text) - 1
        and unicodedata.category(text[at - 1])[0] in "LM"
        and unicodedata.category(text[at + 1])[0] in "LM"
    )


def _sentence_end(line: str, *, start: int) -> int:
    """Where a sentence ends in the last word of `line`, which is complete; 0: it does not."""
    word = max(len(line) - 1, 0)
    while word > start and not line[word - 1].isspace():
        word -= 1
    match = _BOUNDARY.search(line, max(word, start))
    if match is None:
        return 0
    bare = line[word : match.start()].strip("\"'“‘«(*_[`").lower()
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
