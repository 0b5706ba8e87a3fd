"""What a speech service for tests was asked, and what became of it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from voicemode.clock import monotonic
from voicemode.pcm import Frame


@dataclass(kw_only=True, slots=True)
class RequestSeen:
    """A request and what became of it. Times are `clock.monotonic()`, None while it has not happened.

    `finished_at` is when the server was done as it meant to be (cuts included), `aborted_at` when it saw that the
    client had gone. `recording` is the uploaded sound as sent, decoded at its own rate; `bytes_sent` counts the
    body's, without chunk framing.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    received_at: float
    first_byte_sent_at: float | None = None
    finished_at: float | None = None
    aborted_at: float | None = None
    bytes_sent: int = 0
    status: int = 0
    text: str = ""
    voice: str = ""
    model: str = ""
    format: str = ""
    speed: float = 1.0
    instructions: str = ""
    language: str = ""
    prompt: str = ""
    filename: str = ""
    recording: Frame | None = None
    transcript: str = ""

    def header(self, name: str) -> str:
        """The first header called `name`, or ""."""
        return next((value for key, value in self.headers if key == name.lower()), "")

    @property
    def over(self) -> bool:
        return self.finished_at is not None or self.aborted_at is not None


class RequestLog:
    """All requests, oldest first. Written by the server's thread, read and waited for by any other."""

    def __init__(self) -> None:
        self._seen: list[RequestSeen] = []
        self._changed = threading.Condition()

    def begin(
        self, *, connection: int, method: str, path: str, headers: tuple[tuple[str, str], ...]
    ) -> RequestSeen:
        with self._changed:
            seen = RequestSeen(
                number=len(self._seen),
                connection=connection,
                method=method,
                path=path,
                headers=headers,
                received_at=monotonic(),
            )
            self._seen.append(seen)
            self._changed.notify_all()
        return seen

    def note(
        self, seen: RequestSeen, *, sent: int = 0, finished_at: float = 0.0, aborted_at: float = 0.0
    ) -> None:
        with self._changed:
            if sent and seen.first_byte_sent_at is None:
                seen.first_byte_sent_at = monotonic()
            seen.bytes_sent += sent
            seen.finished_at = finished_at or seen.finished_at
            seen.aborted_at = aborted_at or seen.aborted_at
            self._changed.notify_all()

    def copy(self) -> list[RequestSeen]:
        with self._changed:
            return [replace(seen) for seen in self._seen]

    def clear(self) -> None:
        with self._changed:
            self._seen.clear()

    def wait_until(self, true: Callable[[list[RequestSeen]], bool], limit_s: float) -> None:
        """TimeoutError when the log does not fulfil the condition within `limit_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: true(self._seen), limit_s):
                raise TimeoutError(f"after {limit_s} s the server has seen {self._seen}")


def for_json(seen: RequestSeen) -> dict[str, object]:
    """The recording as its rate, channels and base64."""
    told: dict[str, object] = asdict(replace(seen, recording=None))
    if seen.recording is not None:
        told["recording"] = {
            "rate": seen.recording.format.rate,
            "channels": seen.recording.format.channels,
            "seconds": seen.recording.seconds,
            "base64": base64.b64encode(seen.recording.data).decode(),
        }
    return told
