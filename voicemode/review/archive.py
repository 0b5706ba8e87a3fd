"""All turns of the logs as the page wants them: rows for the list, one turn in full, the days. Reading blocks: who has
an event loop calls from a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from voicemode import events
from voicemode.events import Event
from voicemode.logs.logbook import Follower, Logbook, LoggedEvent, LoggedTurn, Wanted
from voicemode.recording.recordings import safe_name
from voicemode.recording.sound_files import KeptSound, KeptSounds
from voicemode.turn_story import story
from voicemode.turn_story.metrics import figures, timings, turn_time
from voicemode.turn_story.seen import LONG_DEAF, LONG_SOUND, LONG_WORDS
from voicemode.turn_story.timeline import sentence
from voicemode.turn_story.trends import TurnFigures, trends

SHOWN_CHARACTERS = 200
"""Of a message and an answer, in the list."""

ALL_AT_ONCE = 1_000
"""Rows read before somebody else who waits for some has a turn."""

AROUND = timedelta(days=1)
"""A turn's lines are looked for so long before and after its beginning: none lasts longer."""

INTERRUPTED = frozenset({"interrupted", "cancelled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A turn in the list. Seconds; `at` is when it began, in milliseconds of the Unix clock."""

    id: str
    at: int
    kind: str
    text: str
    words: str
    outcome: str
    ttfa: float | None
    turn_time: float | None
    total: float | None
    underruns: int
    failovers: int
    slow: bool
    failed: bool
    interrupted: bool


class Archive:
    """Thread-safe. The newest turns are known first, and no more of the logs is read than was asked for."""

    def __init__(self, logbook: Logbook, sounds: KeptSounds) -> None:
        self.sounds = sounds
        self._logbook = logbook
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        """The newest first."""
        self._follower: Follower | None = None
        self._rest: Iterator[LoggedTurn] = iter(())

    def rows(self, start: int, count: int) -> tuple[list[Row], bool]:
        """Rows from the `start`-th newest on, and whether there are none behind them. `start` 0 looks for what has been
        written since."""
        with self._lock:
            if self._follower is None:
                self._follower = self._logbook.follow()
                self._rest = self._logbook.turns()
            elif start == 0:
                self._look_for_news(self._follower)
            over = self._read(start + count)
            found = list(self._rows.values())
        return found[start : start + count], over and start + count >= len(found)

    def count(self) -> int:
        """How many turns there are. Reads all."""
        return len(self._all())

    def trends(self) -> list[dict[str, object]]:
        """The days, the oldest first. Reads all."""
        return [asdict(day) for day in trends(_figures(row) for row in self._all())]

    def turn(self, turn: str) -> LoggedTurn | None:
        """All of one turn whose row was asked for before, or that can be found by its id."""
        with self._lock:
            row = self._rows.get(turn)
        began = datetime.fromtimestamp(row.at / 1000).astimezone() if row is not None else None
        return self._find(turn, began)

    def named(self, beginning: str) -> Iterator[LoggedTurn]:
        """Turns whose id begins so, the newest first."""
        return self._logbook.turns(Wanted(turn=beginning))

    def _all(self) -> list[Row]:
        rows: list[Row] = []
        last = False
        while not last:
            more, last = self.rows(len(rows), ALL_AT_ONCE)
            rows += more
        return rows

    def _find(self, turn: str, began: datetime | None) -> LoggedTurn | None:
        since = began - AROUND if began else None
        wanted = Wanted(turn=turn, since=since, until=began + AROUND if began else None)
        lines = tuple(line for line in self._logbook.lines(wanted) if line.turn == turn)
        return LoggedTurn(id=turn, lines=lines) if lines else None

    def _read(self, wanted: int) -> bool:
        """Reads on until so many rows are known; whether there are no more."""
        while len(self._rows) < wanted:
            turn = next(self._rest, None)
            if turn is None:
                return True
            self._rows.setdefault(turn.id, row_of(turn))
        return False

    def _look_for_news(self, follower: Follower) -> None:
        news: dict[str, datetime] = {}
        for line in follower.read():
            if line.turn:
                news.setdefault(line.turn, line.time)
        fresh: dict[str, Row] = {}
        for turn, when in news.items():
            found = self._find(turn, when)
            if found is not None:
                fresh[turn] = row_of(found)
        if fresh:
            known = {turn: fresh.pop(turn, row) for turn, row in self._rows.items()}
            self._rows = {**dict(reversed(fresh.items())), **known}


def row_of(turn: LoggedTurn) -> Row:
    seen = turn.events
    times, sums = timings(seen), figures(seen)
    waits = ((times.ttfa, LONG_SOUND), (times.deaf, LONG_DEAF), (times.transcription, LONG_WORDS))
    return Row(
        id=turn.id,
        at=round(turn.began.timestamp() * 1000),
        kind=turn.kind,
        text=turn.text[:SHOWN_CHARACTERS],
        words=turn.transcript[:SHOWN_CHARACTERS],
        outcome=turn.outcome,
        ttfa=times.ttfa,
        turn_time=turn_time(seen),
        total=times.total,
        underruns=sums.underruns,
        failovers=sum(_failed_over(event) for event in seen),
        slow=sums.underruns > 0 or any(wait is not None and wait >= long for wait, long in waits),
        failed=turn.failed,
        interrupted=turn.outcome in INTERRUPTED,
    )


def whole(turn: LoggedTurn, sounds: list[KeptSound]) -> dict[str, object]:
    """Everything that the page shows of one turn."""
    told = story(turn.events)
    ended = next((line for line in reversed(turn.lines) if line.name == "turn_finished"), None)
    return {
        "id": turn.id,
        "conversation": turn.conversation,
        "pid": turn.lines[0].pid,
        "text": turn.text,
        "heard": str(ended.fields.get("heard", "")) if ended else "",
        "unheard": str(ended.fields.get("unheard", "")) if ended else "",
        "words": turn.transcript,
        "figures": {**asdict(turn.timings), **asdict(turn.figures), "turn_time": turn_time(turn.events)},
        "length": told.length,
        "spans": [asdict(span) for span in told.spans],
        "moments": [asdict(moment) for moment in told.moments],
        "findings": [asdict(finding) for finding in told.findings],
        "events": [
            {
                "at": None if line.monotonic is None else round(line.monotonic - told.zero, 4),
                "name": line.name,
                "sentence": _sentence(line),
                "fields": dict(line.fields),
            }
            for line in turn.lines
        ],
        "sounds": [
            {
                "number": number,
                "kind": sound.kind,
                "name": sound.path.name,
                "start": placed(sound, turn, told.zero),
                "seconds": round(sound.seconds, 4),
                "rate": sound.rate,
                "channels": sound.channels,
                "complete": sound.complete,
                "bytes": sound.bytes,
            }
            for number, sound in enumerate(sounds)
        ],
    }


def placed(sound: KeptSound, turn: LoggedTurn, zero: float) -> float:
    """Where a sound begins, in seconds since the turn did: by the events' clock, else by the wall clock."""
    if sound.position is not None:
        return round(sound.position - zero, 4)
    return round((sound.started - turn.began).total_seconds(), 4)


def has_sound(row: Row, names: frozenset[str]) -> bool:
    return safe_name(row.id) in names


def _sentence(line: LoggedEvent) -> str:
    event = line.event()
    return sentence(event) if event is not None else ""


def _failed_over(event: Event) -> bool:
    return isinstance(event, events.EndpointFailed) and bool(event.next)


def _figures(row: Row) -> TurnFigures:
    return TurnFigures(
        day=datetime.fromtimestamp(row.at / 1000).astimezone().date().isoformat(),
        ttfa=row.ttfa,
        turn_time=row.turn_time,
        underruns=row.underruns,
        failovers=row.failovers,
        failed=row.failed,
        interrupted=row.interrupted,
    )
