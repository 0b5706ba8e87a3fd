"""A terminal's escape sequences (colours, links, titles) leave a text; they have no sound."""

from __future__ import annotations

from enum import Enum, auto

LONGEST_STRING_CHARACTERS = 100_000
"""A picture that a terminal draws may be so long. What goes on beyond is no string, and is given back."""

LONGEST_PARAMETERS = 64

_ESCAPE = "\x1b"
_STRING_ENDS = ("\x07", "\x9c")
_STRINGS = "]PX^_"
"""Operating system command, device control, start of string, privacy message, application command."""


class _Place(Enum):
    TEXT = auto()
    ESCAPE = auto()
    """After the escape character, and what stands between it and its last character."""
    PARAMETERS = auto()
    STRING = auto()


class Escapes:
    """Stage: text in any cuts → the same without whole escape sequences (ECMA-48), whatever follows them.

    A string that neither ends nor is cut off by the next sequence before its line does is given back: it may be what
    somebody wrote.
    """

    def __init__(self) -> None:
        self._place = _Place.TEXT
        self._parameters = 0
        self._string: list[str] = []

    def feed(self, item: str) -> list[str]:
        if self._place is _Place.TEXT and _ESCAPE not in item:
            return [item] if item else []
        kept = "".join([self._next(character) for character in item])
        return [kept] if kept else []

    def flush(self) -> list[str]:
        kept = self._leave()
        return [kept] if kept else []

    def _leave(self) -> str:
        """Back to the text, with what was no sequence."""
        kept = "".join(self._string)
        self._place, self._string = _Place.TEXT, []
        return kept

    def _next(self, character: str) -> str:
        if character == _ESCAPE:
            # Within a string it begins what ends the string (`ESC \`), or a sequence that cuts it off.
            self._place, self._string = _Place.ESCAPE, []
            return ""
        if self._place is _Place.TEXT:
            return character
        if self._place is _Place.STRING:
            return self._in_string(character)
        if self._place is _Place.PARAMETERS:
            self._parameters += 1
            if " " <= character <= "?" and self._parameters <= LONGEST_PARAMETERS:
                return ""
            return self._last(character, first="@")
        return self._after_escape(character)

    def _in_string(self, character: str) -> str:
        if character in _STRING_ENDS:
            self._place, self._string = _Place.TEXT, []
            return ""
        if character == "\n" or len(self._string) == LONGEST_STRING_CHARACTERS:
            return self._leave() + character
        self._string.append(character)
        return ""

    def _after_escape(self, character: str) -> str:
        if character == "[":
            self._place, self._parameters = _Place.PARAMETERS, 0
            return ""
        if character in _STRINGS:
            self._place = _Place.STRING
            return ""
        # A space would be allowed by the standard; after a lone escape character a word is more likely to follow it.
        return "" if "!" <= character <= "/" else self._last(character, first="0")

    def _last(self, character: str, *, first: str) -> str:
        """The sequence ends with `character`, if that is one that ends sequences."""
        self._place = _Place.TEXT
        return "" if first <= character <= "~" else character
