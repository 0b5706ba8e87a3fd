"""Written text → pieces to be said, while it is still being written.

Blocks of code are announced, each line is read by `markdown`, and sentences are cut where a reader would breathe.
`clean_transcript` is the way back: words from the room.
"""

from __future__ import annotations

import unicodedata

from voicemode.errors import InvalidRequest
from voicemode.text.escapes import Escapes
from voicemode.text.markdown import (
    BULLET,
    FENCE,
    HEADING,
    begins_block,
    closes_fence,
    is_in_tag,
    is_inside,
    is_row,
    joins_letters,
)
from voicemode.text.reading import Reading
from voicemode.text.sentences import (
    CLAUSE,
    ENDED,
    MESSAGES,
    WIDE_ENDS,
    SplitRules,
    cut_long,
    is_whole,
    sentence_end,
)
from voicemode.text.tables import Table

LONGEST_MESSAGE_CHARACTERS = 100_000
"""About two hours of speech. Longer messages are refused, with this number."""

MOST_GROWTH = 2
"""Times as long as what is written: what pronunciations may make of a message at the limit."""

LONGEST_TRANSCRIPT_CHARACTERS = 20_000

LONGEST_LINE_CHARACTERS = 800
"""A line that goes on is read in parts of about this size: sound need not wait for its end, nor time grow with it."""

LONGEST_COMMENT_CHARACTERS = 10_000
"""What goes on beyond is no comment, and is read."""

WRAPPED_LINE_CHARACTERS = 60
"""A line at least this long that ends in the middle of a sentence was wrapped by an editor."""

CODE_LINE_CHARACTERS = 200
"""As much of a line of code as it takes to see that it does not close the block."""

READ_ENGLISH = Reading()


class Splitter:
    """Stage: text in any cuts → pieces ready to be said. `flush` ends the text."""

    def __init__(
        self,
        *,
        rules: SplitRules = MESSAGES,
        reading: Reading = READ_ENGLISH,
    ) -> None:
        self._rules = rules
        self._reading = reading
        self._escapes = Escapes()
        self._comment: str | None = None
        """A comment that has begun, up to here."""
        self._written = self._said = 0
        """Characters of what has been read, before and after."""
        self._table = Table()
        self._line = ""
        self._line_start = True
        self._fence: str | None = None
        self._gathered = ""
        self._open = 0
        """Characters of the last line, when it ended in the middle of a sentence and may go on in the next."""
        self._open_item = False
        """The open line is an item of a list: a digit after it begins the next one."""
        self._given = 0

    def feed(self, item: str) -> list[str]:
        # One character decides at a time, so that the cuts of the input cannot matter.
        return [
            piece
            for part in self._escapes.feed(item)
            for character in part
            for piece in self._next(character)
        ]

    def flush(self) -> list[str]:
        pieces = [piece for part in self._escapes.flush() for each in part for piece in self._next(each)]
        pieces += self._give_back_comment() + self._end_line(final=True) + self._leave_table() + self._close()
        return pieces + self._release(force=True)

    def _next(self, character: str) -> list[str]:
        if self._comment is not None:
            return self._pass_over(character)
        pieces = self._plain(character)
        if character == "-" and self._begins_comment():
            self._line, self._comment = self._line[:-4], self._line[-4:]
        return pieces

    def _plain(self, character: str) -> list[str]:
        if character == "\n":
            return self._end_line()
        if self._fence is None:
            return self._take(character)
        if len(self._line) < CODE_LINE_CHARACTERS:
            self._line += character
        return []

    def _begins_comment(self) -> bool:
        """Not in a block of code, nor within a line's code."""
        return (
            self._line.endswith("<!--")
            and self._fence is None
            and self._reading.markdown
            and self._line.count("`") % 2 == 0
        )

    def _pass_over(self, character: str) -> list[str]:
        self._comment = f"{self._comment or ''}{character}"
        if self._comment.endswith("-->"):
            self._comment = None
            return self._take(" ")
        return [] if len(self._comment) < LONGEST_COMMENT_CHARACTERS else self._give_back_comment()

    def _give_back_comment(self) -> list[str]:
        """What is never closed is no comment."""
        written, self._comment = self._comment or "", None
        return [piece for character in written for piece in self._plain(character)]

    def _take(self, character: str) -> list[str]:
        pieces: list[str] = []
        if self._open and not character.isspace():
            if self._goes_on(character):
                self._open = 0
            else:
                pieces += self._close()
        if self._table.begun and character != "|" and not character.isspace() and not self._line.strip():
            pieces += self._leave_table()
        at_clauses = self._rules.every_clause or not self._given
        if at_clauses and self._line.endswith(self._rules.wide_clause_ends):
            pieces += self._end_clause(self._rules.clause // 3)
        if character not in WIDE_ENDS and self._line.endswith(WIDE_ENDS):
            pieces += self._end_sentence()
        self._line += character
        if character.isspace():
            pieces += self._end_sentence()
            at_clauses = self._rules.every_clause or not self._given
            if at_clauses and self._line[:-1].endswith(self._rules.clause_ends):
                pieces += self._end_clause(self._rules.clause)
        if len(self._line) > LONGEST_LINE_CHARACTERS * (1 if character.isspace() else 2):
            pieces += self._end_part()
        return pieces

    def _goes_on(self, character: str) -> bool:
        """Whether the line that begins with `character` goes on with the one before."""
        if character.isdigit() and self._open_item:
            return False
        return character.islower() or (self._open >= WRAPPED_LINE_CHARACTERS and character.isalnum())

    def _end_line(self, *, final: bool = False) -> list[str]:
        before, newline, tail = self._line.rpartition("\n")
        if newline and (begins_block(tail) or not tail.strip()):
            # What was open never closed.
            self._line = before
            pieces = self._end_line(final=True) + self._close()
            self._line = tail
            return pieces + self._end_line(final=final)
        if self._goes_on_below() and not final:
            self._line += "\n"
            return []
        line, self._line = self._line, ""
        at_start, self._line_start = self._line_start, True
        if self._fence is not None:
            if closes_fence(line, self._fence):
                self._fence = None
            return []
        marked = at_start and self._reading.markdown
        if marked and (fence := FENCE.match(line)):
            self._fence = fence.group(1)
            return self._gather(self._reading.announcement(line[fence.end() :]))
        if not line.strip():
            return self._leave_table() + self._close() + self._release(force=True)
        if marked and is_row(line):
            return [piece for row in self._table.row(line) for piece in self._alone(row)]
        if marked and HEADING.match(line):
            return self._alone(line)
        self._open_item = bool(marked and BULLET.match(line)) or (self._open_item and not at_start)
        return self._gather(self._read(line, at_start=at_start), going_on=len(line))

    def _goes_on_below(self) -> bool:
        """A tag or a link, up to a blank line. Rows of tables and headings have one line."""
        line = self._line
        if self._fence is not None or not self._reading.markdown:
            return False
        one_line = self._line_start and (is_row(line) or HEADING.match(line))
        return is_in_tag(line) or (is_inside(line) and not one_line)

    def _read(self, text: str, *, at_start: bool) -> str:
        said = self._reading.line(text, at_start=at_start)
        self._written, self._said = self._written + len(text), self._said + len(said)
        if self._reading.pronunciations and self._said > LONGEST_MESSAGE_CHARACTERS:
            self._refuse_growth()
        return said

    def _refuse_growth(self) -> None:
        """A word may be said in 200 letters: the message must not become longer than any that may be written. Text
        that is long of itself goes on: it is counted where it is taken."""
        if self._said > MOST_GROWTH * self._written:
            raise InvalidRequest(
                f"With the pronunciations in force the first {self._written:,} characters of the message become "
                f"{self._said:,}; at most {LONGEST_MESSAGE_CHARACTERS:,} are spoken at once.",
                hint="Shorten what stands after the = in the files of pronunciations, or say it in parts.",
                about="text",
            )

    def _alone(self, line: str) -> list[str]:
        return self._gather(self._read(line, at_start=True))

    def _leave_table(self) -> list[str]:
        return [piece for row in self._table.end() for piece in self._alone(row)]

    def _end_sentence(self) -> list[str]:
        marked = self._line_start and self._reading.markdown
        if marked and (is_row(self._line) or FENCE.match(self._line)):
            return []
        if self._reading.markdown and is_inside(self._line):
            return []
        bullet = BULLET.match(self._line) if marked else None
        start = bullet.end() if bullet else 0
        end = sentence_end(self._line, start=start, ordinals=self._reading.ordinals)
        if not end:
            return []
        self._open_item = bool(bullet) or (self._open_item and not self._line_start)
        return self._gather(self._cut(end))

    def _end_clause(self, enough: int) -> list[str]:
        """A piece need not wait for the end of a long sentence."""
        line = self._line
        if len(self._gathered) + len(line.strip()) < enough or not is_whole(line):
            return []
        if self._reading.markdown and is_in_tag(line):
            return []
        if self._line_start and self._reading.markdown and (is_row(line) or FENCE.match(line)):
            return []
        return self._out(self._cut(len(line)))

    def _end_part(self) -> list[str]:
        """A line that does not end: out with it up to its last clause or word."""
        half = LONGEST_LINE_CHARACTERS // 2
        clauses = [match.end() for match in CLAUSE.finditer(self._line, half)]
        at = clauses[-1] if clauses else self._line.rstrip().rfind(" ", half)
        pieces = self._leave_table()
        return pieces + self._out(self._cut(at if at > 0 else len(self._line)))

    def _out(self, part: str) -> list[str]:
        """A part of a sentence is spoken without waiting for its end."""
        if _has_words(part):
            self._gathered = f"{self._gathered} {part}".strip()
        return self._release(force=True)

    def _cut(self, end: int) -> str:
        """The line up to `end`, read."""
        text, self._line = self._line[:end], self._line[end:]
        at_start, self._line_start = self._line_start, False
        return self._read(text, at_start=at_start)

    def _gather(self, sentence: str, *, going_on: int = 0) -> list[str]:
        if not _has_words(sentence):
            return []
        self._gathered = f"{self._gathered} {sentence}".strip()
        if sentence.rstrip("\"'”’»)]」』）").endswith(ENDED):
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
        enough = self._rules.usual if self._given else self._rules.first
        if not self._gathered or (len(self._gathered) < enough and not force):
            return []
        pieces = cut_long(self._gathered, self._rules.longest)
        self._gathered = ""
        self._given += len(pieces)
        return pieces


def split(text: str, *, rules: SplitRules = MESSAGES, reading: Reading = READ_ENGLISH) -> list[str]:
    """All the pieces of a text that is complete."""
    splitter = Splitter(rules=rules, reading=reading)
    return splitter.feed(text) + splitter.flush()


def clean_transcript(text: str) -> str:
    """A transcript is data from the room: control and direction marks dropped, white space joined, length capped."""
    kept = (
        " " if character.isspace() else character
        for at, character in enumerate(text)
        if character.isspace()
        or joins_letters(text, at)
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(kept).split())[:LONGEST_TRANSCRIPT_CHARACTERS].rstrip()


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)
