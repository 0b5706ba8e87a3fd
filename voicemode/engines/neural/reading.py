"""Text → what a neural voice says: the phonemes of espeak-ng, clause by clause, with the punctuation between them.

Models of the piper, kokoro and kitten families were taught with exactly that. sherpa-onnx reads no text itself since
version 2, in which it left espeak-ng (GPL) behind; the embedded voice's process has it, apart from us.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable

Ipa = Callable[[str, str], Awaitable[str]]
"""(voice of espeak-ng, text) → its phonemes in IPA."""

FIRST_CHARACTERS = 15
"""The first piece ends at the first clause from here on, so that sound starts early."""
PIECE_CHARACTERS = 120
"""Later pieces gather clauses up to here: about 8 s of speech, for an intonation that hangs together."""

_MARK = re.compile(r"([.,;:!?…—]+(?=\s|$)|[。，、！？；：]+)")
_MARKS = {"…": ".", "—": ",", "。": ".", "，": ",", "、": ",", "！": "!", "？": "?", "；": ";", "：": ":"}
_FLAG = re.compile(r"\([a-z-]+\)")
"""espeak-ng's note that a word was read in another language."""


def clauses(text: str) -> list[tuple[str, str]]:
    """(words, the mark that ends them), in order. A mark inside a word or number (`3.5`) belongs to it."""
    parts = _MARK.split(" ".join(text.split()))
    pairs = zip(parts[::2], [*parts[1::2], ""], strict=True)
    return [(words.strip(), _MARKS.get(mark[-1:], mark[-1:])) for words, mark in pairs if words.strip()]


async def pieces(text: str, voice: str, ipa: Ipa) -> list[list[int]]:
    """Code points to be said, piece by piece; empty where there is nothing to pronounce."""
    made: list[str] = []
    held, size = "", 0
    for words, mark in clauses(text):
        sound = phonemes(await ipa(voice, words))
        if not sound:
            continue
        held += (" " if held else "") + sound + mark
        size += len(words)
        if size >= (PIECE_CHARACTERS if made else FIRST_CHARACTERS):
            made.append(held)
            held, size = "", 0
    if held:
        made.append(held)
    return [[ord(letter) for letter in piece] for piece in made]


def phonemes(ipa: str) -> str:
    """As the models were taught: letters and their marks apart, no note of another language, one space at most."""
    return " ".join(unicodedata.normalize("NFD", _FLAG.sub("", ipa)).replace("\n", " ").split())
