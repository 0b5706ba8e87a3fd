"""What a call is doing, from its place in the line to its end. It knows signs and nothing of where they come from."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, StrEnum


class Doing(StrEnum):
    WAITING = "waiting"
    """Others have the floor."""
    STARTING = "starting"
    """It has the floor; its first sound, or the microphone, is on the way."""
    SPEAKING = "speaking"
    PAUSED = "paused"
    LISTENING = "listening"
    TRANSCRIBING = "transcribing"
    OVER = "over"
    """It is told by its outcome."""


class Sign(Enum):
    """What is so now. Whoever looks late finds several at once."""

    FLOOR = "floor"
    SOUND = "sound"
    """It has begun to sound."""
    PAUSE = "pause"
    """The message is held back, by the caller or because somebody may be talking over it."""
    RESUME = "resume"
    """It is not."""
    MICROPHONE = "microphone"
    """It is open, and nothing more is said."""
    TURN_ENDED = "turn ended"
    """The user's."""
    END = "end"


TRANSITIONS: dict[tuple[Doing, Sign], Doing] = {
    (Doing.WAITING, Sign.FLOOR): Doing.STARTING,
    (Doing.WAITING, Sign.END): Doing.OVER,
    (Doing.STARTING, Sign.MICROPHONE): Doing.LISTENING,
    (Doing.STARTING, Sign.PAUSE): Doing.PAUSED,
    (Doing.STARTING, Sign.SOUND): Doing.SPEAKING,
    (Doing.STARTING, Sign.END): Doing.OVER,
    (Doing.SPEAKING, Sign.MICROPHONE): Doing.LISTENING,
    (Doing.SPEAKING, Sign.PAUSE): Doing.PAUSED,
    (Doing.SPEAKING, Sign.END): Doing.OVER,
    (Doing.PAUSED, Sign.MICROPHONE): Doing.LISTENING,
    (Doing.PAUSED, Sign.RESUME): Doing.STARTING,
    (Doing.PAUSED, Sign.END): Doing.OVER,
    (Doing.LISTENING, Sign.TURN_ENDED): Doing.TRANSCRIBING,
    (Doing.LISTENING, Sign.END): Doing.OVER,
    (Doing.TRANSCRIBING, Sign.END): Doing.OVER,
}
"""Every move there is. The picture in specs/tools.md is drawn from it."""


def moved(doing: Doing, signs: Collection[Sign]) -> Doing:
    """All moves that the signs allow, one after the other: wherever one looked before, it comes out the same."""
    for (before, sign), after in TRANSITIONS.items():
        if before is doing and sign in signs:
            return moved(after, signs)
    return doing
