"""The events of one turn, and what is asked of them in more than one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from voicemode import events
from voicemode.events import Event

E = TypeVar("E", bound=Event)

NO_WAIT = 0.05
"""A floor that nobody else wants takes less to be had."""
LONG_FLOOR = 0.3
"""Seconds from which a wait is told. A person takes a silence of so much for hesitation."""
LONG_BYTE = 0.7
"""A local speech server sends its first byte after 0.1 to 0.5 s."""
LONG_FILL = 0.4
"""From first byte to first sound: the usual initial buffer is 0.15 s."""
LONG_SOUND = 1.5
"""From the call to the first sound."""
LONG_WORDS = 1.0
"""From the end of the turn to the words."""
LONG_DEAF = 0.1
LONG_SILENCE = 1.0
"""Who has been silent for so long is not still speaking."""


class Seen:
    """The events in the order they were emitted; `zero` is where the turn begins on their clock."""

    def __init__(self, seen: Sequence[Event]) -> None:
        self.events = seen
        started = first(seen, events.TurnStarted)
        self.zero = started.at if started is not None else min((event.at for event in seen), default=0.0)

    def at(self, event: Event) -> float:
        """Seconds since the turn began."""
        return round(event.at - self.zero, 4)

    def first(self, kind: type[E]) -> E | None:
        return first(self.events, kind)

    def last(self, kind: type[E]) -> E | None:
        return last(self.events, kind)

    def of_piece(self, piece: int) -> list[Event]:
        return [event for event in self.events if getattr(event, "piece", None) == piece]

    def requests(self) -> dict[int, events.SpeechRequested]:
        """The first request of each piece."""
        found: dict[int, events.SpeechRequested] = {}
        for event in self.events:
            if isinstance(event, events.SpeechRequested):
                found.setdefault(event.piece, event)
        return found

    def failures(self, asked: events.SpeechRequested) -> list[events.EndpointFailed]:
        """Those on the way to this piece's first byte."""
        byte = first(self.of_piece(asked.piece), events.FirstByte)
        until = byte.at if byte is not None else float("inf")
        return [
            event
            for event in self.events
            if isinstance(event, events.EndpointFailed)
            and event.piece == asked.piece
            and asked.at <= event.at <= until
        ]

    def goes_on(self, after: float) -> float | None:
        """When the sound goes on, or is over, after a moment on the events' clock; in seconds since the turn began."""
        later = [
            event.at
            for event in self.events
            if isinstance(event, events.PlaybackResumed | events.PlaybackEnded) and event.at > after
        ]
        return round(min(later) - self.zero, 4) if later else None


def first(seen: Iterable[Event], kind: type[E]) -> E | None:
    return next((event for event in seen if isinstance(event, kind)), None)


def last(seen: Sequence[Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(seen) if isinstance(event, kind)), None)
