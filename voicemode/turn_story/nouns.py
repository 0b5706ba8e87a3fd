"""What a story is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lane(StrEnum):
    """Who is at work in a span, in the order in which they are drawn."""

    CALL = "call"
    SERVER = "server"
    LOUDSPEAKER = "loudspeaker"
    MICROPHONE = "microphone"
    RECOGNISER = "recogniser"


class Level(StrEnum):
    BAD = "bad"
    NOTE = "note"
    GOOD = "good"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Something that lasted, in seconds since the turn began. `end` None: it was never told."""

    lane: Lane
    name: str
    start: float
    end: float | None
    about: str = ""
    level: Level = Level.NOTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Something that happened, in seconds since the turn began. `name` is a word or two, `about` the rest."""

    name: str
    at: float
    about: str = ""
    level: Level = Level.NOTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A sentence about the turn; `at` is where it can be seen."""

    level: Level
    text: str
    at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """`zero` is the beginning on the events' clock."""

    zero: float
    length: float
    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    findings: tuple[Finding, ...]
