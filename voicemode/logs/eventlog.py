"""The event log: what happened, one JSON line an event, one file a day.

`emit` only hands the event over; a thread of the log's own writes. A line is one `os.write` to a file opened with
`O_APPEND`, so that processes share a day's file and a killed one tears at most its last line.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from secrets import token_hex
from types import TracebackType

from voicemode import clock
from voicemode.events import Event
from voicemode.machine.background import Background
from voicemode.machine.private_files import Kept, make_folder, open_file, prune
from voicemode.text.redaction import Redactor

logger = logging.getLogger(__name__)

Value = str | int | float | bool | None
Warn = Callable[[str], None]
"""Told one sentence, once, from the log's thread."""

WORDS = frozenset({"text", "heard", "unheard", "again", "how", "note"})
"""Fields that hold what people said. They are replaced by their length where words are not kept."""

LONGEST_TEXT = 20_000
"""Characters of one field that are kept; a message may be a megabyte."""

CONVERSATION_BYTES = 3
"""Six hexadecimal digits: among 1,000 processes two are alike with a chance of 3 %, and they have different turns."""

CLOSING_S = 0.2
"""Seconds that leaving the block waits for the disk: a host kills us 0.4 s after asking us to go."""

_FILE = re.compile(r"voicemode-(\d{4}-\d{2}-\d{2})\.jsonl")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def event_name(kind: type[Event]) -> str:
    """`FirstAudio` is `first_audio` in the log."""
    return _CAPITAL.sub("_", kind.__name__).lower()


def day_of(path: Path) -> date | None:
    """The UTC day a log is of; None for what is no log."""
    found = _FILE.fullmatch(path.name)
    with suppress(ValueError):
        return date.fromisoformat(found[1]) if found else None
    return None


def _ignore(what: str) -> None:
    logger.warning("%s", what)


class EventLog:
    """Use as a context manager; `emit` is an `events.Emit` that may be called from any thread, at any time.

    `conversation` stands in every line: it is all that one process says and hears, and of its own making where none is
    given. `secrets` are masked wherever they occur. `on_warning` is told once if the log cannot be written: the
    conversation goes on without it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        enabled: bool = True,
        keep_text: bool = True,
        secrets: Iterable[str] = (),
        max_days: float = 30.0,
        max_bytes: int = 100_000_000,
        capacity: int = 10_000,
        on_warning: Warn = _ignore,
        conversation: str = "",
        wall: Callable[[], datetime] = clock.wall,
    ) -> None:
        self.folder = folder
        self.conversation = conversation or token_hex(CONVERSATION_BYTES)
        self._enabled = enabled
        self._keep_text = keep_text
        self._redactor = Redactor(secrets)
        self._max_days = max_days
        self._max_bytes = max_bytes
        self._warn = on_warning
        self._wall = wall
        self._background = Background("event-log", capacity=capacity)
        self._lock = threading.Lock()
        self._stuck = threading.Event()
        self._sequence = 0
        self._lost = 0
        # What follows is touched by the log's thread alone.
        self._file: int | None = None
        self._day: date | None = None
        self._torn = False
        self._warned = False

    def __enter__(self) -> EventLog:
        if self._enabled:
            self._background.submit(self._prune)
            self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(CLOSING_S)

    def emit(self, event: Event) -> None:
        """Never blocks, never raises. What finds no room is counted and the count is written."""
        if not self._enabled:
            return
        now = self._wall()
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            if not self._background.submit(lambda: self._write_event(event, now, sequence)):
                self._lost += 1

    def flush(self, limit_s: float) -> bool:
        """Blocks until what was emitted before is in the file, at most `limit_s`."""
        return self._background.flush(limit_s)

    async def settled(self, limit_s: float) -> bool:
        """The same for an event loop. A disk that hangs is waited for once, and then not before it has moved."""
        if self._stuck.is_set():
            return False
        if not await self._background.settled(limit_s):
            self._stuck.set()
            return False
        return True

    def close(self, limit_s: float) -> bool:
        """Writes what is waiting and ends; later events go nowhere. False when `limit_s` was not enough."""
        self._background.submit(self._end)
        return self._background.close(limit_s)

    # --- the log's thread ---

    def _write_event(self, event: Event, now: datetime, sequence: int) -> None:
        self._write_lost(event.at, sequence)
        values = {each.name: getattr(event, each.name) for each in fields(event)}
        shown = {
            name: self._shown(name, value) for name, value in values.items() if name not in ("at", "turn")
        }
        stamp = self._stamp(now, event.at, sequence, event_name(type(event)), event.turn)
        self._write(now, _line(stamp, **shown), 1)

    def _write_lost(self, at: float, sequence: int) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            now = self._wall()
            self._write(now, _line(self._stamp(now, at, sequence, "events_lost", ""), lost=lost), lost)

    def _end(self) -> None:
        self._write_lost(clock.monotonic(), self._sequence)
        self._close_file()

    def _stamp(self, now: datetime, at: float, sequence: int, name: str, turn: str) -> dict[str, Value]:
        return {
            "time": now.astimezone(UTC).isoformat(timespec="milliseconds"),
            "monotonic": at if math.isfinite(at) else None,
            "seq": sequence,
            "pid": os.getpid(),
            "conversation": self.conversation,
            "event": name,
            "turn": self._redactor.redact(turn)[:LONGEST_TEXT],
        }

    def _shown(self, name: str, value: object) -> Value:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        text = str(value)
        if name in WORDS and not self._keep_text:
            return f"({len(text)} characters)"
        # Masked before it is cut: half a secret would no longer be known as one.
        text = self._redactor.redact(text)
        if len(text) <= LONGEST_TEXT:
            return text
        return f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} more characters)"

    def _write(self, now: datetime, line: bytes, events: int) -> None:
        try:
            file = self._open(now.astimezone(UTC).date())
            if self._torn:
                line = b"\n" + line
            written = os.write(file, line)
            self._stuck.clear()
            self._torn = written < len(line)
            if self._torn:
                raise OSError(0, "the disk took only part of a line")
        except OSError as error:
            with self._lock:
                self._lost += events
            self._warn_once(error)

    def _open(self, day: date) -> int:
        if self._file is not None and day == self._day and not _is_deleted(self._file):
            return self._file
        self._close_file()
        make_folder(self.folder)
        path = self.folder / f"voicemode-{day.isoformat()}.jsonl"
        self._file = open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        if self._day is not None and day != self._day:
            self._background.submit(self._prune)
        self._day = day
        self._torn = _ends_torn(self._file)
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):
                os.close(file)

    def _prune(self) -> None:
        today = self._wall().astimezone(UTC).date()
        kept = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                day = day_of(path)
                if day is None or day >= today:
                    continue
                with suppress(OSError):
                    age = (today - day).days
                    kept.append(Kept(paths=(path,), age=age, bytes=path.lstat().st_size))
        prune(kept, max_days=self._max_days, max_bytes=self._max_bytes)

    def _warn_once(self, error: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        reason = error.strerror or str(error)
        self._warn(
            f"The event log in {self.folder} cannot be written ({reason}); the conversation goes on without it."
        )


def _line(stamp: Mapping[str, Value], **values: Value) -> bytes:
    # ASCII only: half a character at a torn end cannot hide the line break that follows.
    return json.dumps({**stamp, **values}, allow_nan=False).encode() + b"\n"


def _is_deleted(file: int) -> bool:
    """Nobody will ever read what is written there."""
    return os.fstat(file).st_nlink == 0


def _ends_torn(file: int) -> bool:
    size = os.lseek(file, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"
