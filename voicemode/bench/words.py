"""How many words of a known text a recogniser got wrong."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words(text: str) -> list[str]:
    """As they are compared: case and signs do not count."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def word_errors(said: str, heard: str) -> float:
    """Words put in, left out and taken for others, as a share of those said; may exceed 1. Of a text with words."""
    wanted, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(found, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1] / len(wanted)
