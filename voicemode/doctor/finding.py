"""What the doctor says: a line with a state, what was found and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Good to know: nothing is wrong, or it was not tried, and `mend` says how to try it."""
    WARN = "warn"
    """Works, and could be better."""
    FAIL = "fail"
    """Without it nothing can be heard, or nothing can be said."""


class Section(StrEnum):
    """What a finding is about, in the order in which a user needs it."""

    MACHINE = "This machine"
    SOUND = "Sound"
    SERVERS = "Who speaks and who listens"
    MODELS = "Models"
    CONFIGURATION = "Configuration"
    CLIENTS = "Your assistants"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`figures` are what was measured, by name and unit (`first_byte_ms`), for programs."""

    section: Section = Section.MACHINE
    """Set by whoever runs the checks."""
    state: State
    what: str
    found: str
    mend: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
