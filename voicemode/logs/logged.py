"""One line of an event log read back, and the event it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType

from voicemode import events
from voicemode.events import Event
from voicemode.logs.eventlog import Value, event_name

_decode = json.JSONDecoder().raw_decode
MOST = 1e15
"""No number in a log is as large; what is larger, or no number at all, can neither be reckoned with nor shown."""

FIRST_YEAR, LAST_YEAR = 2000, 9000
"""Between them a time can be told in every time zone."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "bool": (bool,),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How an event is made again: each field's name, what its value may be, and whether it has to be there."""

    make: Callable[..., Event]
    fields: tuple[tuple[str, tuple[type, ...], bool], ...]


def _form(kind: type[Event]) -> _Form:
    own = (each for each in fields(kind) if each.name not in ("at", "turn"))
    known = tuple((each.name, _TYPES[str(each.type)], each.default is MISSING) for each in own)
    return _Form(make=kind, fields=known)


_FORMS = {
    event_name(kind): _form(kind)
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
}
NAMES = frozenset({*_FORMS, "events_lost"})
"""Of all events, as the log has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedEvent:
    """One line of a log. `fields` are the event's own, as events.py names them; `monotonic` is the event's `at`.
    `conversation` is "" in lines that were written before there was one; `raw` is the line as it stands there."""

    time: datetime
    monotonic: float | None
    sequence: int
    pid: int
    name: str
    turn: str
    conversation: str = ""
    fields: Mapping[str, Value]
    raw: str = field(default="", repr=False, compare=False)

    def event(self) -> Event | None:
        """The event itself; None where this version knows none like it."""
        form = _FORMS.get(self.name)
        if form is None or self.monotonic is None or not _can_be_told(self.monotonic):
            return None
        values: dict[str, Value] = {"at": self.monotonic, "turn": self.turn}
        for name, types, required in form.fields:
            value = self.fields.get(name)
            if name in self.fields and isinstance(value, types) and _can_be_told(value):
                values[name] = value
            elif required:
                return None
        return form.make(**values)


def _can_be_told(value: Value) -> bool:
    return not isinstance(value, float | int) or abs(value) <= MOST


def parsed(line: bytes) -> LoggedEvent | None:
    """None for a line that is torn or no event."""
    try:
        raw = line.decode().strip()
        values, end = _decode(raw)
        if end < len(raw) or not isinstance(values, dict):
            return None
        take = values.pop
        monotonic, time = take("monotonic"), datetime.fromisoformat(take("time"))
        if not FIRST_YEAR <= time.year < LAST_YEAR:
            return None
        return LoggedEvent(
            time=time if time.tzinfo is not None else time.replace(tzinfo=UTC),
            monotonic=None if monotonic is None else float(monotonic),
            sequence=int(take("seq")),
            pid=int(take("pid")),
            name=str(take("event")),
            turn=str(take("turn")),
            conversation=str(take("conversation", "")),
            fields=MappingProxyType(values),
            raw=raw,
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
