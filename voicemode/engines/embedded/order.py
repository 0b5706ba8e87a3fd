"""What espeak-ng is told to say, and how: text without commands in it, words per minute, the message to its process."""

from __future__ import annotations

import unicodedata

from voicemode.errors import InvalidRequest

WORDS_PER_MINUTE = 175
SLOWEST, FASTEST = 80, 450
"""espeak-ng's own range of words per minute."""
PITCH, PITCH_RANGE, VOLUME = 50, 50, 100
MOST_CHARACTERS = 1_000_000


def speakable(text: str) -> str:
    """`text` without what espeak-ng would take as a command: control characters change its settings (0x01), and
    private-use ones stand for markup. Raises `InvalidRequest` for a text with nothing in it or far too much."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(
            f"The text has {len(text)} characters; {MOST_CHARACTERS} is the most there may be.",
            hint="Say it in parts.",
            about="text",
        )
    plain = "".join(
        character if character == "\n" or unicodedata.category(character) not in _COMMANDS else " "
        for character in text
    )
    if not plain.strip():
        raise InvalidRequest(
            "There is nothing to say: the text is empty.", hint="Give at least one word.", about="text"
        )
    return plain


_COMMANDS = frozenset({"Cc", "Cs", "Co", "Cn"})


def possible(speed: float) -> float:
    """Raises `InvalidRequest`."""
    if not 0.25 <= speed <= 4.0:
        raise InvalidRequest(
            f"The speed {speed} is not between 0.25 and 4.0.", hint="1.0 is normal speech.", about="speed"
        )
    return speed


def words_per_minute(speed: float) -> int:
    speed = possible(speed)
    return min(FASTEST, max(SLOWEST, round(WORDS_PER_MINUTE * speed)))


def order(text: str, identifier: str, rate: int) -> bytes:
    """The payload of an `S` message."""
    settings = rate.to_bytes(2, "big") + bytes((PITCH, PITCH_RANGE, VOLUME))
    return settings + identifier.encode() + b"\0" + text.encode()
