"""Where sentences and clauses end, in the scripts that are written with a full stop of any kind, and at which of these
ends a text is cut to be spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOUNDARY = re.compile(
    r"(?:[.!?…؟۔।॥]+[\"'”’»)\]*_`]*(?:\[\^(?:\d{1,3}|[A-Za-z][\w-]{2,39})\])*(?=\s)|[。！？]+[」』）”’]*)"
)
WIDE_ENDS = tuple("。！？」』）”’")
"""What ends a sentence without a space, and what closes it."""
CLAUSE = re.compile(r"[,;:—–](?=\s)|[，；：、]")
CLAUSE_ENDS = (",", ";", ":", "—", "–")
WIDE_CLAUSE_ENDS = ("，", "；", "：", "、")
ENDED = tuple(".!?…؟۔।॥。！？:;,，；：、—–")
_ABBREVIATION = re.compile(
    r"(?:[^\W\d_]\.)*[^\W\d_]|ph\.d|mrs?|ms|dr|prof|rev|gen|gov|capt|sgt|lt|[sj]r|st|vs|etc|cf|ca|al|pp|figs?|vol"
    r"|approx|resp|dept|inc|ltd|co|mt|eqs?|secs?|ch|eds?|ave|incl|excl|ver|[bmd]\.(?:sc|eng|ed|phil)"
    r"|bzw|usw|ggf|nr|abs|evtl|inkl|exkl|zzgl|bspw|vgl|sog|mme|mlle|ex|ej|sra|srta|dra|uds?|núm|págs?|bijv|sig|ecc"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
"""Words whose full stop does not end a sentence; single letters are initials (J. R., U.S., e.g.)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRules:
    """How large a piece is before it is spoken; sizes in characters as they are said."""

    first: int = 15
    """The first piece is short, so that sound starts early (the speech server specification's sentence minimum)."""
    usual: int = 60
    """Later pieces gather whole sentences up to about this size: fewer requests, better intonation."""
    longest: int = 400
    """A longer sentence is cut at a clause or, failing that, at a space: about 25 s of speech."""
    clause: int = 40
    """A sentence that goes on is spoken from its first clause of this size on: about 3 s of speech, in which the rest
    can come. A third of it in scripts that write a word in a character or two."""
    every_clause: bool = False
    """Also behind the first piece."""
    clause_ends: tuple[str, ...] = CLAUSE_ENDS
    wide_clause_ends: tuple[str, ...] = WIDE_CLAUSE_ENDS


MESSAGES = SplitRules()
"""For a message to a person: the first piece soon, the others whole."""

CLAUSES = SplitRules(
    usual=15, clause=25, every_clause=True, clause_ends=(",", ";", ":"), wide_clause_ends=("，", "；", "：")
)
"""For text that comes word by word and a voice that waits for none of it: a sentence from 15 characters on, a part
up to a comma, semicolon or colon from 25 on (the speech server specification's rules)."""


def is_whole(line: str) -> bool:
    """Whether no bracket, code or emphasis is open at the end of `line`, and its last word is neither an abbreviation
    nor a number (`Nov 5, 2026`)."""
    pairs = (("(", ")"), ("[", "]"))
    return (
        all(line.count(opens) == line.count(closes) for opens, closes in pairs)
        and line.count("`") % 2 == 0
        and line.count("**") % 2 == 0
        and not line.rstrip()[-2:-1].isdigit()
        and line.rstrip()[-2:-1] != "."
    )


def sentence_end(line: str, *, start: int, ordinals: bool = False) -> int:
    """Where a sentence ends in the last word of `line`, which is complete; 0: it does not. `ordinals`: `3.` may be
    the third."""
    word = max(len(line) - 1, 0)
    while word > start and not line[word - 1].isspace():
        word -= 1
    match = _BOUNDARY.search(line, max(word, start))
    if match is None:
        return 0
    bare = line[word : match.start()].strip("\"'“‘«(*_[`").lower()
    if match.group().startswith(".") and (
        _ABBREVIATION.fullmatch(bare) or (ordinals and len(bare) < 3 and bare.isdecimal())
    ):
        return 0
    return match.end()


def cut_long(text: str, longest: int) -> list[str]:
    pieces: list[str] = []
    while len(text) > longest:
        clauses = [match.end() for match in CLAUSE.finditer(text, longest // 2, longest)]
        at = clauses[-1] if clauses else text.rfind(" ", longest // 2, longest)
        at = at if at > 0 else longest
        pieces.append(text[:at].strip())
        text = text[at:].strip()
    return [*pieces, text] if text else pieces
