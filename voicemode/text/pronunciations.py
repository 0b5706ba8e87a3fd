"""A person's own pronunciations: a small dictionary of written words and how they are said.

A line is `written = said`; `#` at the beginning of a line, or after a space, begins a comment. Words are whole words.
A word written here without capitals stands for all its spellings, one with capitals only for itself. There are no
regular expressions: no file can make reading slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MOST_ENTRIES = 5_000
LONGEST_WRITTEN_CHARACTERS = 100
LONGEST_SAID_CHARACTERS = 200

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Thai, Lao, Chinese, Japanese, Korean: words stand side by side, or with endings that are not part of them."""
_STEP = re.compile(rf"[^\W{_UNSPACED}]+|[^\s]")
"""Where a word may begin."""
_INSIDE = re.compile(rf"[^\W{_UNSPACED}]")
_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class BadLine:
    """A line that is no pronunciation; `says` is why."""

    number: int
    says: str


@dataclass(frozen=True, slots=True)
class Pronunciations:
    """`said` for each `written`. The longest that fits is taken, and what is said is not looked up again."""

    said: Mapping[str, str] = field(default_factory=dict)
    _by_step: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps: dict[str, list[str]] = {}
        for written in self.said:
            if step := _STEP.search(written):
                steps.setdefault(step.group().lower(), []).append(written)
        ordered = {step: tuple(sorted(words, key=_first_tried)) for step, words in steps.items()}
        object.__setattr__(self, "_by_step", ordered)

    def __bool__(self) -> bool:
        return bool(self.said)

    def over(self, other: Pronunciations) -> Pronunciations:
        """Both; where both have a word, this one says how."""
        return Pronunciations({**other.said, **self.said})

    def found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """(start, end, how it is said) of every word of the dictionary, in order, none inside another."""
        done = 0
        for step in _STEP.finditer(text) if self.said else ():
            if step.start() < done:
                continue
            for written in self._by_step.get(step.group().lower(), ()):
                if _stands(written, text, step.start()):
                    done = step.start() + len(written)
                    yield step.start(), done, self.said[written]
                    break

    def apply(self, text: str) -> str:
        parts: list[str] = []
        done = 0
        for start, end, said in self.found(text):
            parts += (text[done:start], said)
            done = end
        return "".join((*parts, text[done:]))


NONE = Pronunciations()


def parse(text: str) -> tuple[Pronunciations, list[BadLine]]:
    """Reads the lines of a file. What is wrong with a line is told, and the line is skipped."""
    said: dict[str, str] = {}
    bad: list[BadLine] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = _COMMENT.sub("", raw, count=1).strip()
        if not line:
            continue
        written, equals, spoken = (" ".join(part.split()) for part in line.partition("="))
        if why := _wrong(written, equals, spoken):
            bad.append(BadLine(number=number, says=why))
        elif written not in said and len(said) == MOST_ENTRIES:
            bad.append(BadLine(number=number, says=f"is beyond the {MOST_ENTRIES:,} words that are kept"))
            break
        else:
            said[written] = spoken
    return Pronunciations(said), bad


def _wrong(written: str, equals: str, said: str) -> str:
    if not equals:
        return "is not `written = said`"
    if not written:
        return "has nothing before the ="
    if not any(character.isalnum() for character in said):
        return "has no word after the ="
    if len(written) > LONGEST_WRITTEN_CHARACTERS:
        return f"has more than {LONGEST_WRITTEN_CHARACTERS} characters before the ="
    if len(said) > LONGEST_SAID_CHARACTERS:
        return f"has more than {LONGEST_SAID_CHARACTERS} characters after the ="
    if not (written + said).isprintable():
        return "has a character that cannot be shown"
    return ""


def _first_tried(written: str) -> tuple[int, bool]:
    """Longer first; of two spellings the exact one."""
    return -len(written), written == written.lower()


def _stands(written: str, text: str, at: int) -> bool:
    """Whether `written` stands at `at` as a whole word."""
    end = at + len(written)
    there = text[at:end]
    if there != written and (written != written.lower() or there.lower() != written):
        return False
    begins = not _INSIDE.match(written) or at == 0 or not _INSIDE.match(text, at - 1)
    ends = not _INSIDE.match(written[-1]) or not _INSIDE.match(text, end)
    return begins and ends
