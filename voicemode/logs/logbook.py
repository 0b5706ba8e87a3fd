"""The event logs read back: lines, turns, and what is written now, over all days.

A query reads no more than it needs: files of other days are not opened, the last turns are read from the end, and a
line is only parsed where it may be wanted. Torn lines and lines that are no events are passed over. Reading blocks: who
has an event loop reads in a thread.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from voicemode.events import Event
from voicemode.logs.eventlog import day_of, event_name
from voicemode.logs.logged import LoggedEvent, parsed
from voicemode.speech import Metrics, Timings
from voicemode.turn_story import metrics

__all__ = ["ALL", "Follower", "Logbook", "LoggedEvent", "LoggedTurn", "Wanted", "from_the_end", "read_events"]

BLOCK_BYTES = 1 << 18
"""Read at a time: the last few turns are in one block, and a longest line is not cut often."""

SET_BACK = timedelta(hours=1)
"""So much earlier than its beginning the rest of a turn may seem to be, where a clock was set back."""

_HEEDED = frozenset(event_name(kind) for kind in metrics.HEEDED)

UNFINISHED = "unfinished"
FAILED = "failed"
FAILURES = frozenset({FAILED, "broken", "not_played", "not_transcribed"})

_TIME = b'{"time": "'
_UTC = b"+00:00"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which lines are asked for; what is left out asks for all. Of `turn` and `conversation` the beginning is enough;
    `names` are those of events, as the log has them; from `since` on and before `until` (with a time zone)."""

    turn: str = ""
    conversation: str = ""
    names: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, line: LoggedEvent) -> bool:
        return (
            line.turn.startswith(self.turn)
            and line.conversation.startswith(self.conversation)
            and (not self.names or line.name in self.names)
            and self.spans(line.time)
        )

    def spans(self, time: datetime) -> bool:
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    def has_day(self, day: date) -> bool:
        """Whether a file of that day can hold any of it. Days are UTC."""
        return (self.since is None or day >= self.since.astimezone(UTC).date()) and (
            self.until is None or day <= self.until.astimezone(UTC).date()
        )

    def marks(self) -> list[bytes]:
        """What stands in every line that is wanted, however it is written otherwise."""
        words = [self.turn, self.conversation, *(self.names if len(self.names) == 1 else ())]
        return [json.dumps(word)[1:-1].encode() for word in words if word]


ALL = Wanted()


@dataclass(frozen=True, kw_only=True)
class LoggedTurn:
    """All that the logs have of one turn, in the order it was written."""

    id: str
    lines: tuple[LoggedEvent, ...] = field(repr=False)

    @property
    def conversation(self) -> str:
        return self.lines[0].conversation

    @property
    def began(self) -> datetime:
        return self.lines[0].time

    @property
    def kind(self) -> str:
        """speak, converse or listen; "" where the beginning is lost."""
        return self._word("turn_started", "kind")

    @property
    def text(self) -> str:
        """What was to be said; of a text that was still being written, what there was of it at the end."""
        if text := self._word("turn_started", "text"):
            return text
        parts = (self._word("turn_finished", name) for name in ("heard", "unheard"))
        return " ".join(part for part in parts if part)

    @property
    def transcript(self) -> str:
        """What was understood; "" where nothing was."""
        return self._word("transcribed", "text")

    @property
    def outcome(self) -> str:
        """An `Outcome`, `failed`, or `unfinished`: it goes on, or its process was killed."""
        return self._word("turn_finished", "outcome") or (FAILED if self.failures else UNFINISHED)

    @property
    def failed(self) -> bool:
        """It did not end as it should. A turn that still goes on, and one whose process was killed, are not told from
        each other, and are none."""
        return bool(self.failures) or self.outcome in FAILURES

    def kept_waiting(self, seconds: float) -> bool:
        """The user waited longer than that for sound, for an open ear or for the words; or the sound ran dry."""
        times = self.timings
        waits = (times.ttfa, times.deaf, times.transcription)
        late = any(wait is not None and wait > seconds for wait in waits)
        return late or any(line.name == "underrun" for line in self.lines)

    @property
    def failures(self) -> tuple[LoggedEvent, ...]:
        """What ended the turn or a part of it."""
        return tuple(line for line in self.lines if line.name == "turn_failed")

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The lines that this version knows, as events."""
        return tuple(event for line in self.lines if (event := line.event()) is not None)

    @cached_property
    def timings(self) -> Timings:
        return metrics.timings(self._heeded)

    @property
    def figures(self) -> Metrics:
        return metrics.figures(self._heeded)

    @cached_property
    def _heeded(self) -> list[Event]:
        """What the figures are made from: of a thousand turns the rest would take longer than finding them."""
        found = (line.event() for line in self.lines if line.name in _HEEDED or line is self.lines[-1])
        return [event for event in found if event is not None]

    def _word(self, name: str, of: str) -> str:
        """Of the last such event."""
        found = (line.fields.get(of) for line in reversed(self.lines) if line.name == name)
        return str(next(found, "") or "")


class Logbook:
    """The logs in a folder. Everything here may raise OSError; a folder that does not exist is an empty one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, wanted: Wanted = ALL) -> list[Path]:
        """The oldest first."""
        found = []
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if (day := day_of(path)) is not None and wanted.has_day(day) and _is_plain(path):
                    found.append((day, path))
        return [path for _, path in sorted(found)]

    def lines(self, wanted: Wanted = ALL) -> Iterator[LoggedEvent]:
        """The oldest first."""
        for path in self.files(wanted):
            with suppress(FileNotFoundError), path.open("rb") as file:
                yield from _wanted(file, wanted)

    def backwards(self, wanted: Wanted = ALL) -> Iterator[LoggedEvent]:
        """The newest first."""
        for path in reversed(self.files(wanted)):
            with suppress(FileNotFoundError), path.open("rb") as file:
                yield from _wanted(from_the_end(file), wanted)

    def turns(self, wanted: Wanted = ALL) -> Iterator[LoggedTurn]:
        """Turns that began in the time that is `wanted` and have one of its `names`, each with all its lines.

        What began last is first. Those whose beginning is lost come last, and where `since` is given not at all.
        """
        since = wanted.since - SET_BACK if wanted.since is not None else None
        found: dict[str, list[LoggedEvent]] = {}
        for line in self.backwards(Wanted(turn=wanted.turn, conversation=wanted.conversation, since=since)):
            if not line.turn:
                continue
            found.setdefault(line.turn, []).append(line)
            if line.name == "turn_started":
                yield from _if_wanted(found.pop(line.turn), wanted)
        if since is None:
            for lines in found.values():
                yield from _if_wanted(lines, wanted)

    def follow(self) -> Follower:
        """What is written from now on."""
        return Follower(self)


class Follower:
    """Gives what has been written since it was last asked, also into the file of a new day or one that did not exist.
    A line is given once its end is there."""

    def __init__(self, logbook: Logbook) -> None:
        self._logbook = logbook
        self._read = {path: path.stat().st_size for path in self._files()}
        self._begun: dict[Path, bytes] = {}

    def read(self) -> list[LoggedEvent]:
        found: list[LoggedEvent] = []
        for path in self._files():
            with suppress(FileNotFoundError), path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                start = self._read.get(path, 0)
                if size < start:  # Somebody has emptied it.
                    start, self._begun[path] = 0, b""
                file.seek(start)
                data = file.read(size - start)
                self._read[path] = start + len(data)
                *whole, self._begun[path] = (self._begun.get(path, b"") + data).split(b"\n")
                found += _wanted(whole, ALL)
        return found

    def _files(self) -> list[Path]:
        """What happens just before midnight may be written after it."""
        return self._logbook.files()[-2:]


def read_events(path: Path) -> list[LoggedEvent]:
    """The events of a file, in its order. Lines that are torn or no events are passed over. Raises OSError."""
    with path.open("rb") as file:
        return list(_wanted(file, ALL))


def _if_wanted(backwards: list[LoggedEvent], wanted: Wanted) -> Iterator[LoggedTurn]:
    lines = tuple(reversed(backwards))
    if wanted.spans(lines[0].time) and (not wanted.names or any(line.name in wanted.names for line in lines)):
        yield LoggedTurn(id=lines[0].turn, lines=lines)


def _is_plain(path: Path) -> bool:
    """No link, and nothing that could be waited for."""
    with suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def from_the_end(file: BinaryIO, *, block: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Lines, the last first. What has no end yet is one, too."""
    end = file.seek(0, os.SEEK_END)
    parts: list[bytes] = []
    """Of a line whose beginning is still to be read, the last first."""
    while end:
        start = max(end - block, 0)
        file.seek(start)
        first, *others = file.read(end - start).split(b"\n")
        end = start
        if others:
            parts.append(others.pop())
            yield b"".join(reversed(parts))
            yield from reversed(others)
            parts = []
        parts.append(first)
    yield b"".join(reversed(parts))


def _wanted(lines: Iterable[bytes], wanted: Wanted) -> Iterator[LoggedEvent]:
    marks, everything = wanted.marks(), wanted == ALL
    since = wanted.since.astimezone(UTC).isoformat(timespec="milliseconds").encode() if wanted.since else b""
    for line in lines:
        if (marks and not all(mark in line for mark in marks)) or (since and _is_before(line, since)):
            continue
        found = parsed(line)
        if found is not None and (everything or wanted.matches(found)):
            yield found


def _is_before(line: bytes, since: bytes) -> bool:
    """Told without parsing, of a line as the log writes it; False is no answer."""
    if not line.startswith(_TIME):
        return False
    time = line[len(_TIME) : len(_TIME) + len(since)]
    return time.endswith(_UTC) and time < since
