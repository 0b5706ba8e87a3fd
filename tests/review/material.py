"""Logs and recordings for what reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from voicemode.events import Event
from voicemode.logs.eventlog import EventLog
from voicemode.logs.logbook import Logbook
from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.recording.recordings import Recordings
from voicemode.recording.sound_files import KeptSounds
from voicemode.review.archive import Archive
from voicemode.speech import RecordingNote

BEGAN = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
"""Where second 100 of the events' clock is on the wall."""
WRITING_S = 10.0


def archive(folder: Path) -> Archive:
    return Archive(Logbook(folder / "events"), KeptSounds(folder / "recordings"))


def wall(at: float) -> datetime:
    return BEGAN + timedelta(seconds=at - 100.0)


def write(folder: Path, seen: Iterable[Event]) -> None:
    """Through the log itself, each at its moment."""
    now = [BEGAN]
    with EventLog(folder / "events", wall=lambda: now[0], max_days=10_000) as log:
        for event in seen:
            now[0] = wall(event.at)
            log.emit(event)
        assert log.flush(WRITING_S)


def record(
    folder: Path,
    *,
    kind: str,
    turn: str,
    data: bytes,
    at: float,
    fmt: PcmFormat = LISTENING,
    position: float | None = None,
) -> None:
    with Recordings(folder / "recordings", wall=lambda: wall(at), max_days=10_000) as recordings:
        recording = recordings.begin(kind=kind, turn=turn, format=fmt)
        recording.write(Frame(data=data, format=fmt))
        recording.finish(
            RecordingNote(kind=kind, turn=turn, text="", position=at if position is None else position)
        )
        assert recordings.flush(WRITING_S)


@dataclass(frozen=True, kw_only=True)
class Told:
    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


async def ask(web: ASGIApp, path: str, query: str = "", method: str = "GET", **headers: str) -> Told:
    """One request as a server would hand it over; exactly these headers."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[Message] = []

    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not asked:
            await asyncio.Event().wait()  # A client that stays until it has its answer.
        return asked.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await web(scope, receive, send)
    found: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        found.setdefault(name.decode(), []).append(value.decode())
    return Told(
        status=sent[0]["status"],
        headers=found,
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )
