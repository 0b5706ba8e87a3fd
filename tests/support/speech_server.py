"""A speech service for tests and benches: the OpenAI speech API over real HTTP/1.1, able to misbehave to the byte.

It speaks with the word-coded voice and transcribes by reading that voice out of the upload, so what a client heard
and what it sent can both be checked word for word. In a test: `with SpeechServer(Behaviour(pace=1.0)) as server:
… server.base_url … server.requests`. In a process of its own: `python -m tests.support.speech_server --ttfb 0.2`
prints one line of JSON with its `base_url`, and is steered over HTTP:

    GET  /_requests     what was asked, with monotonic times      DELETE forgets them
    PUT  /_behaviour    {"route": "speech", "default": {…}, "queue": [{…}, …]}, each part may be left out
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from queue import SimpleQueue
from types import TracebackType

from tests.support.behaviour import (
    Accept,
    Behaviour,
    Content,
    Cut,
    Length,
    Route,
    due,
    parse_behaviour,
    route_of,
)
from tests.support.http1 import Answer, Asked, Gone, Wire
from tests.support.request_log import RequestLog, RequestSeen, for_json
from tests.support.sending import refuse, send_answer, send_whole
from tests.support.speech_service import BadRequest, SpeechService, json_answer, json_object, refusal
from voicemode.clock import monotonic

__all__ = [
    "Accept",
    "Behaviour",
    "Content",
    "Cut",
    "Length",
    "RequestSeen",
    "Route",
    "SpeechServer",
    "closed_port",
    "due",
    "parse_behaviour",
]

VOICES = ("alloy", "ash", "coral", "nova", "onyx", "af_sky")
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "kokoro", "whisper-1", "gpt-transcribe")
_SETTLE_S = 10.0
"""Limit for the server's thread to start and to end."""


class SpeechServer:
    """The server in a thread of its own; leaving the block ends it, whatever it was doing.

    `voices` and `models` are what it knows (others get 400); `key`, where given, is asked for as a bearer token.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        voices: tuple[str, ...] = VOICES,
        models: tuple[str, ...] = MODELS,
        key: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.host, self.port = host, port
        self._service = SpeechService(voices=voices, models=models, key=key)
        plain = behaviour or Behaviour()
        self._behaviours = {Route.SPEECH: plain, Route.TRANSCRIPTIONS: plain, Route.LISTS: Behaviour()}
        self._queues: dict[Route, deque[Behaviour]] = {route: deque() for route in Route}
        self._lock = threading.Lock()
        self._log = RequestLog()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._started: SimpleQueue[int | OSError] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def voices(self) -> tuple[str, ...]:
        return self._service.voices

    @property
    def models(self) -> tuple[str, ...]:
        return self._service.models

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes: with `/v1`."""
        return f"{self.origin}/v1"

    @property
    def requests(self) -> list[RequestSeen]:
        """Everything asked so far, oldest first; a copy. Questions to `/_…` are not counted."""
        return self._log.copy()

    def behave(self, behaviour: Behaviour, route: Route | None = None) -> None:
        """From now on, whatever was queued; without `route` for speech and transcriptions."""
        with self._lock:
            for one in [route] if route else [Route.SPEECH, Route.TRANSCRIPTIONS]:
                self._behaviours[one] = behaviour
                self._queues[one].clear()

    def then(self, *behaviours: Behaviour, route: Route = Route.SPEECH) -> None:
        """For the next requests on `route`, one each; then the lasting behaviour again."""
        with self._lock:
            self._queues[route].extend(behaviours)

    def wait_until(
        self, true: Callable[[list[RequestSeen]], bool], limit_s: float = 5.0
    ) -> list[RequestSeen]:
        """Waits for the log to fulfil a condition; TimeoutError when it does not within `limit_s`."""
        self._log.wait_until(true, limit_s)
        return self._log.copy()

    def __enter__(self) -> SpeechServer:
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="speech-server", daemon=True
        )
        self._thread.start()
        port = self._started.get(timeout=_SETTLE_S)
        if isinstance(port, OSError):
            raise port
        self.port = port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_SETTLE_S)
        if self._thread.is_alive():
            raise TimeoutError(f"the speech server did not end within {_SETTLE_S} s")

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._connected, self.host, self.port, backlog=512)
        except OSError as error:
            self._started.put(error)
            return
        self._started.put(int(server.sockets[0].getsockname()[1]))
        await self._stop.wait()
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets one turn of the loop later

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        task = asyncio.ensure_future(self._serve(Wire(reader, writer), self._connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire, connection: int) -> None:
        """Request after request until one side has had enough."""
        try:
            keep = True
            while keep:
                asked = await wire.request()
                if asked.path.startswith("/_"):
                    await send_whole(wire, self._steer(asked))
                    continue
                seen, behaviour = self._begin(asked, connection)
                keep = await self._watched(wire, self._respond(wire, asked, seen, behaviour), seen)
        except (Gone, ConnectionError, ValueError):
            return
        finally:
            wire.writer.transport.abort()

    def _begin(self, asked: Asked, connection: int) -> tuple[RequestSeen, Behaviour]:
        route = route_of(asked.path)
        with self._lock:
            waiting = self._queues[route]
            behaviour = waiting.popleft() if waiting else self._behaviours[route]
        seen = self._log.begin(
            connection=connection, method=asked.method, path=asked.path, headers=asked.headers
        )
        return seen, behaviour

    async def _watched(self, wire: Wire, work: Coroutine[object, None, bool], seen: RequestSeen) -> bool:
        """Responds until done or until the client leaves; true when the connection goes on."""
        answer, gone = asyncio.ensure_future(work), asyncio.ensure_future(wire.gone())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():  # a client that has all it wants may leave before our last step
                await asyncio.wait({answer}, timeout=0.001)
            if answer.done():
                with suppress(ConnectionError):
                    keep = answer.result()
                    self._log.note(seen, finished_at=monotonic())
                    return keep
            self._log.note(seen, aborted_at=monotonic())
            return False
        finally:
            for task in (answer, gone):
                task.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    async def _respond(self, wire: Wire, asked: Asked, seen: RequestSeen, behaviour: Behaviour) -> bool:
        """Sends the answer as told; true when the connection can carry another request."""
        if behaviour.accept is not Accept.ANSWER:
            await refuse(wire, behaviour.accept)
            return False
        answer = await self._service.answer(asked, seen, behaviour)
        seen.status = answer.status
        told = await send_answer(
            wire,
            answer,
            behaviour,
            url=self.origin + asked.path,
            asked_at=seen.received_at,
            sent=lambda size: self._log.note(seen, sent=size),
        )
        return told and asked.header("connection").lower() != "close"

    def _steer(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "GET", "/_requests":
                return json_answer([for_json(seen) for seen in self.requests])
            case "DELETE", "/_requests":
                self._log.clear()
                return json_answer({})
            case "PUT", "/_behaviour":
                try:
                    self._take(json_object(asked.body))
                except (ValueError, BadRequest) as error:
                    return refusal(400, str(error), param="behaviour", code="invalid_value")
                return json_answer({})
        return refusal(404, f"Unknown request: {asked.method} {asked.path}", param=None, code="unknown_url")

    def _take(self, order: Mapping[str, object]) -> None:
        named = order.get("route")
        route = Route(str(named)) if named is not None else None
        default, queued = order.get("default"), order.get("queue", [])
        if not isinstance(queued, list) or not (default is None or isinstance(default, dict)):
            raise ValueError("default is an object of knobs, queue a list of them")
        if isinstance(default, dict):
            self.behave(parse_behaviour(default), route)
        self.then(*(parse_behaviour(one) for one in queued), route=route or Route.SPEECH)


@contextmanager
def closed_port() -> Iterator[str]:
    """A base URL at which connections are refused for as long as the block lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


async def until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - monotonic()))


async def stall(seconds: float | None) -> float:
    if seconds is None:
        await asyncio.Event().wait()
    await asyncio.sleep(seconds or 0.0)
    return seconds or 0.0


def _arguments(words: list[str] | None) -> tuple[Behaviour, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m tests.support.speech_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--key", default="")
    for item in fields(Behaviour):
        names = ["--" + item.name.replace("_", "-")] + (
            ["--ttfb"] if item.name == "time_to_first_byte_s" else []
        )
        if item.type == "bool":
            parser.add_argument(*names, dest=item.name, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(*names, dest=item.name)
    known = parser.parse_args(words)
    given = {item.name: getattr(known, item.name) for item in fields(Behaviour)}
    return parse_behaviour({name: value for name, value in given.items() if value is not None}), known


def main(words: list[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM."""
    behaviour, known = _arguments(words)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with SpeechServer(behaviour, key=known.key, host=known.host, port=known.port) as server:
        sys.stdout.write(json.dumps({"base_url": server.base_url, "origin": server.origin}) + "\n")
        sys.stdout.flush()
        while not stop.wait(1.0):
            pass


if __name__ == "__main__":
    main()
