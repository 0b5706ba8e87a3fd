"""A local service that speaks OpenAI's Realtime API over a real WebSocket: it reads aloud in the word-coded voice, and
spoils it on demand.

In a test: `async with RealtimeServer(Conduct(pace=1.0)) as server: … server.base_url … server.asked`. It runs in the
test's own event loop.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.voice import speak
from voicemode.clock import monotonic
from voicemode.pcm import SPEECH

VOICES = ("marin", "cedar", "alloy", "coral")
MODELS = ("gpt-realtime-2.1-mini", "gpt-realtime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conduct:
    """How one response is given; the default is a fast, good service. Seconds, positions in seconds of sound."""

    time_to_first_byte_s: float = 0.0
    pace: float | None = None
    """Seconds of sound per second; None is as fast as it is taken."""
    delta_s: float = 0.1
    said: str | None = None
    """What is said, and stands in the transcript, instead of the text."""
    cut_after_s: float | None = None
    """The socket is gone, without goodbye."""
    stall_after_s: float | None = None
    """Nothing more comes, and nothing says so."""
    ignored: bool = False
    """Not even taken: as behind a connection that died unnoticed."""
    ends_after_s: float | None = None
    """It ends there with `status`, and `reason` or `error`."""
    status: str = "failed"
    reason: str = ""
    error: str = ""
    """Code of an error; alone (without `ends_after_s`) it is the answer to the request itself."""
    junk: bool = False
    """A message that is no event, before any sound."""
    endless: bool = False
    metadata_back: bool = True


@dataclass(kw_only=True, slots=True)
class TextAsked:
    """One text that was asked for, and what became of it."""

    socket: int
    text: str
    instructions: str
    conversation: str
    voice: str
    speed: float
    model: str
    at: float
    over: bool = False
    cancelled: bool = False


@dataclass(kw_only=True, slots=True)
class _Socket:
    connection: ServerConnection
    number: int
    model: str
    voice: str = "alloy"
    speed: float = 1.0
    responses: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    updates: list[Mapping[str, object]] = field(default_factory=list)


class RealtimeServer:
    """`key`, where given, is asked for as a bearer token and refused in the upgrade, or, with `key_event`, in an event
    and a close, as OpenAI does for keys that look right. `one_at_a_time` refuses a second response at once."""

    def __init__(
        self,
        conduct: Conduct | None = None,
        *,
        key: str = "",
        key_event: bool = False,
        one_at_a_time: bool = False,
        names_events: bool = True,
        refuses_reasoning: bool = False,
    ) -> None:
        self.asked: list[TextAsked] = []
        self.sockets: list[_Socket] = []
        self.headers: list[str] = []
        """User agents of the upgrades."""
        self._conduct = conduct or Conduct()
        self._queue: deque[Conduct] = deque()
        self._key, self._key_event = key, key_event
        self._one_at_a_time, self._names_events = one_at_a_time, names_events
        self._refuses_reasoning = refuses_reasoning
        self._ids = itertools.count(1)
        self._server: Server | None = None

    async def __aenter__(self) -> RealtimeServer:
        # At its debug level the library logs the key, which tests look for in what the client logs.
        quiet = logging.getLogger(f"{__name__}.socket")
        quiet.setLevel(logging.INFO)
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._admit,
            compression=None,
            close_timeout=0.1,
            logger=quiet,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for socket in self.sockets for task in socket.responses.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    @property
    def at_work(self) -> int:
        return sum(not text.over for text in self.asked)

    @property
    def open_sockets(self) -> int:
        return sum(socket.connection.state.name == "OPEN" for socket in self.sockets)

    def behave(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self._queue.clear()

    def then(self, *conducts: Conduct) -> None:
        """For the next texts, one each; then the lasting conduct again."""
        self._queue.extend(conducts)

    async def hang_up(self, code: int = 1001, reason: str = "") -> None:
        """Every socket is closed, as a service does with idle ones."""
        for socket in self.sockets:
            await socket.connection.close(code, reason)

    async def expire(self) -> None:
        """Every session has reached its longest time."""
        for socket in self.sockets:
            with suppress(ConnectionClosed):
                await self._complain(
                    socket, "session_expired", "Your session hit the maximum duration of 60 minutes."
                )
                await socket.connection.close(1001)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        self.headers.append(request.headers.get("User-Agent", ""))
        if parts.path != "/v1/realtime":
            return connection.respond(HTTPStatus.NOT_FOUND, "no such route\n")
        if not self._key_event and not self._knows(request):
            message = "Incorrect API key provided: " + request.headers.get("Authorization", "")
            return connection.respond(HTTPStatus.UNAUTHORIZED, json.dumps({"error": {"message": message}}))
        return None

    def _knows(self, request: Request) -> bool:
        return not self._key or request.headers.get("Authorization") == f"Bearer {self._key}"

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        model = parse_qs(urlsplit(connection.request.path).query).get("model", [""])[0]
        socket = _Socket(connection=connection, number=len(self.sockets) + 1, model=model)
        self.sockets.append(socket)
        with suppress(ConnectionClosed):
            if not self._knows(connection.request):
                await self._complain(socket, "invalid_api_key", "Incorrect API key provided.")
                await connection.close(3000, "invalid_request_error.invalid_api_key")
                return
            if model not in MODELS:
                await self._complain(socket, "model_not_found", f"The model `{model}` does not exist.")
                await connection.close(4000, "invalid_request_error.model_not_found")
                return
            await self._send(socket, "session.created", session=self._session(socket))
            async for message in connection:
                await self._take(socket, json.loads(message))
        for task in socket.responses.values():
            task.cancel()

    async def _take(self, socket: _Socket, event: Mapping[str, object]) -> None:
        match event["type"]:
            case "session.update":
                await self._update(socket, event)
            case "response.create":
                await self._create(socket, event)
            case "response.cancel":
                task = socket.responses.get(str(event["response_id"]))
                if task is None or task.done():
                    await self._complain(socket, "response_cancel_not_active", "Nothing to cancel.", event)
                else:
                    task.cancel()
            case other:
                await self._complain(socket, "invalid_value", f"Invalid value: {other!r}", event)

    async def _update(self, socket: _Socket, event: Mapping[str, object]) -> None:
        session = _part(event, "session")
        socket.updates.append(session)
        output = _part(_part(session, "audio"), "output")
        voice = output.get("voice", socket.voice)
        if voice not in VOICES:
            message = f"Invalid value: {voice!r}. Supported values are: {', '.join(VOICES)}."
            await self._complain(socket, "invalid_value", message, event, param="session.audio.output.voice")
        elif "reasoning" in session and self._refuses_reasoning:
            await self._complain(
                socket, "unsupported_parameter", "Not for this model.", event, param="session.reasoning"
            )
        else:
            socket.voice, socket.speed = str(voice), float(str(output.get("speed", 1.0)))
            await self._send(socket, "session.updated", session=self._session(socket))

    async def _create(self, socket: _Socket, event: Mapping[str, object]) -> None:
        wanted = _part(event, "response")
        text = _text_in(wanted)
        running = [task for task in socket.responses.values() if not task.done()]
        if self._one_at_a_time and running:
            await self._complain(
                socket, "conversation_already_has_active_response", "There is an active response.", event
            )
            return
        conduct = self._queue.popleft() if self._queue else self._conduct
        asked = TextAsked(
            socket=socket.number,
            text=text,
            instructions=str(wanted.get("instructions", "")),
            conversation=str(wanted.get("conversation", "auto")),
            voice=socket.voice,
            speed=socket.speed,
            model=socket.model,
            at=monotonic(),
        )
        self.asked.append(asked)
        if conduct.error and conduct.ends_after_s is None:
            asked.over = True
            await self._complain(socket, conduct.error, f"The service says {conduct.error}.", event)
            return
        if conduct.ignored:
            asked.over = True
            return
        id_ = f"resp_{next(self._ids)}"
        socket.responses[id_] = asyncio.create_task(self._respond(socket, id_, asked, wanted, conduct))

    async def _respond(
        self, socket: _Socket, id_: str, asked: TextAsked, wanted: Mapping[str, object], conduct: Conduct
    ) -> None:
        metadata = wanted.get("metadata") if conduct.metadata_back else None
        said = asked.text if conduct.said is None else conduct.said
        response: dict[str, object] = {
            "object": "realtime.response",
            "id": id_,
            "conversation_id": None,
            "metadata": metadata,
            "output": [],
        }
        status = "completed"
        details: dict[str, object] = {}
        try:
            await self._send(socket, "response.created", response={**response, "status": "in_progress"})
            await self._send(
                socket,
                "rate_limits.updated",
                rate_limits=[{"name": "tokens", "limit": 40_000, "remaining": 39_000, "reset_seconds": 1.5}],
            )
            status, details = await self._say(socket, id_, said, asked.speed, conduct)
        except asyncio.CancelledError:
            asked.cancelled = True
            status, details = "cancelled", {"type": "cancelled", "reason": "client_cancelled"}
        except ConnectionClosed:
            return
        finally:
            asked.over = True
        with suppress(ConnectionClosed):
            await self._send(
                socket, "response.done", response={**response, "status": status, "status_details": details}
            )

    async def _say(
        self, socket: _Socket, id_: str, said: str, speed: float, conduct: Conduct
    ) -> tuple[str, dict[str, object]]:
        """Events of the output: the transcript runs ahead of the sound, as it does at OpenAI."""
        at = {"response_id": id_, "item_id": f"item_{id_}", "output_index": 0, "content_index": 0}
        await asyncio.sleep(conduct.time_to_first_byte_s)
        if conduct.junk:
            await socket.connection.send("<html>")
        for word in said.split():
            await self._send(socket, "response.output_audio_transcript.delta", delta=f"{word} ", **at)
        sound = speak(said, speed=speed)
        size = SPEECH.samples(conduct.delta_s) * SPEECH.bytes_per_sample
        seconds = len(sound) / SPEECH.bytes_per_sample / SPEECH.rate
        began, sent = monotonic(), 0.0
        for start in itertools.count(0, size):
            if start >= len(sound) and not conduct.endless:
                break
            if conduct.cut_after_s is not None and sent >= conduct.cut_after_s:
                socket.connection.transport.abort()
                return "cancelled", {}
            if conduct.stall_after_s is not None and sent >= conduct.stall_after_s:
                await asyncio.Event().wait()
            if conduct.ends_after_s is not None and sent >= conduct.ends_after_s:
                return conduct.status, _details(conduct)
            if conduct.pace is not None:
                await asyncio.sleep(max(0.0, began + sent / conduct.pace - monotonic()))
            part = sound[start % len(sound) :][:size]
            await self._send(
                socket, "response.output_audio.delta", delta=base64.b64encode(part).decode("ascii"), **at
            )
            sent += conduct.delta_s
        assert conduct.endless or sent >= seconds
        await self._send(socket, "response.output_audio.done", **at)
        await self._send(socket, "response.output_audio_transcript.done", transcript=said, **at)
        return "completed", {}

    async def _complain(
        self,
        socket: _Socket,
        code: str,
        message: str,
        about: Mapping[str, object] | None = None,
        *,
        param: str | None = None,
    ) -> None:
        asked = about.get("event_id") if about and self._names_events else None
        kind = "server_error" if code == "server_error" else "invalid_request_error"
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": asked}
        await self._send(socket, "error", error=error)

    async def _send(self, socket: _Socket, type_: str, **fields: object) -> None:
        event = {"type": type_, "event_id": f"event_{next(self._ids)}", **fields}
        await socket.connection.send(json.dumps(event))

    def _session(self, socket: _Socket) -> dict[str, object]:
        output = {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "voice": socket.voice,
            "speed": socket.speed,
        }
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": f"sess_{socket.number}",
            "model": socket.model,
            "output_modalities": ["audio"],
            "audio": {"output": output},
        }


def _details(conduct: Conduct) -> dict[str, object]:
    details: dict[str, object] = {"type": conduct.status}
    if conduct.reason:
        details["reason"] = conduct.reason
    if conduct.error:
        details["error"] = {
            "type": "server_error",
            "code": conduct.error,
            "message": f"It was {conduct.error}.",
        }
    return details


def _part(found: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _text_in(response: Mapping[str, object]) -> str:
    """The text of the user's messages in `input`."""
    items = response.get("input")
    assert isinstance(items, list)
    return " ".join(part["text"] for item in items for part in item["content"])
