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
import base64
import json
import random
import re
import signal
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum, StrEnum
from functools import lru_cache
from queue import SimpleQueue
from types import TracebackType

import av

from tests.support.encoding import CONTENT_TYPES, WavKind, WavSizes, convert, decode, encode, wav
from tests.support.voice import hear_text, speak
from voicemode.clock import monotonic
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

VOICES = ("alloy", "ash", "coral", "nova", "onyx", "af_sky")
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "kokoro", "whisper-1", "gpt-transcribe")
_SETTLE_S = 10.0
"""Limit for the server's thread to start and to end."""


class Route(StrEnum):
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    LISTS = "lists"
    """Models, voices, health."""


class Accept(Enum):
    """What becomes of a request before any answer."""

    ANSWER = "answer"
    NEVER = "never"
    CLOSE = "close"
    RESET = "reset"
    JUNK = "junk"
    """Bytes that are not HTTP."""


class Length(Enum):
    """How the body's end is told."""

    CHUNKED = "chunked"
    STATED = "stated"
    CLOSE = "close"


class Cut(Enum):
    CLOSE = "close"
    RESET = "reset"


class Content(Enum):
    SOUND = "sound"
    HTML = "html"
    JSON = "json"
    EMPTY = "empty"
    ODD = "odd"
    """The sound and one byte too many for whole samples."""
    NOISE = "noise"
    """Random bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How one request is answered; the default is a fast, good server. Times in seconds, positions in bytes of body."""

    accept: Accept = Accept.ANSWER
    time_to_first_byte_s: float = 0.0
    """From the whole request received to the first byte of the body."""
    headers_at_once: bool = False
    """Send the head without waiting for the first byte."""

    status: int = 200
    body: str = ""
    """Sent instead of what belongs to the status and content."""
    retry_after: str = ""
    location: str = ""
    """Of a redirect; "self" is the address that was asked."""
    huge_headers_bytes: int = 0
    content_type: str = ""
    """Said instead of the true one."""
    bad_gzip: bool = False
    """Says gzip, and is not."""

    content: Content = Content.SOUND
    sound_rate: int = 24_000
    sound_channels: int = 1
    wav_kind: WavKind = WavKind.S16
    wav_sizes: WavSizes = WavSizes.STREAMING
    bit_rate: int = 0
    """Of the compressed formats, bits per second; 0 is the encoder's choice."""
    flip_every_bytes: int = 0
    """One bit is wrong in every so many bytes."""
    hole_every_bytes: int = 0
    """64 bytes are missing after every so many."""
    endless: bool = False
    """The body begins again whenever it ends."""
    transcript: str | None = None
    """Given instead of what can be read out of the upload."""

    pace: float | None = None
    """Seconds of sound per second; None is as fast as it is taken."""
    chunk_bytes: int = 4096
    burst_s: float = 0.0
    """Sound leaves in bursts of so many seconds, on the same average pace."""
    hiccup_after_s: float | None = None
    """Once, after so much sound, nothing comes for `hiccup_s`; then what was due comes at once (a network's hiccup)."""
    hiccup_s: float = 0.6
    stall_after_bytes: int | None = None
    """Nothing comes for `stall_s` (None: for ever), and everything after is that much later (a server's stall)."""
    stall_s: float | None = None
    cut_after_bytes: int | None = None
    cut: Cut = Cut.CLOSE
    length: Length = Length.CHUNKED
    length_error: int = 0
    """Added to a stated length: above zero promises more than comes, below zero sends more than promised."""
    last_chunk: bool = True
    """False closes the connection without the empty chunk that ends a chunked body."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """A body before the behaviour is applied to its sending. `seconds` of sound in it, 0 where it has none."""

    body: bytes
    content_type: str
    status: int = 200
    seconds: float = 0.0


class _BadRequest(Exception):
    def __init__(self, message: str, *, param: str, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.answer = _error(status, message, param=param, code=code)


class _Gone(Exception):
    """The client has closed its side."""


def parse_behaviour(given: Mapping[str, object], base: Behaviour | None = None) -> Behaviour:
    """A behaviour from JSON values or words; ValueError for an unknown name or a value that does not fit."""
    known = {item.name: (str(item.type), item.default) for item in fields(Behaviour)}
    changes: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"no such knob: {name}; there are {', '.join(known)}")
        kind, default = known[name]
        if isinstance(default, Enum):
            changes[name] = type(default)(value)
        elif value is None and "None" in kind:
            changes[name] = None
        elif kind == "bool" and isinstance(value, bool):
            changes[name] = value
        elif kind.startswith("float") and isinstance(value, int | float | str):
            changes[name] = float(value)
        elif kind.startswith("int") and isinstance(value, int | str):
            changes[name] = int(value)
        elif kind.startswith("str") and isinstance(value, str):
            changes[name] = value
        else:
            raise ValueError(f"{name} is {kind}, not {value!r}")
    return replace(base or Behaviour(), **changes)  # type: ignore[arg-type]


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
        self.voices, self.models, self.key, self.host, self.port = voices, models, key, host, port
        plain = behaviour or Behaviour()
        self._behaviours = {Route.SPEECH: plain, Route.TRANSCRIPTIONS: plain, Route.LISTS: Behaviour()}
        self._queues: dict[Route, deque[Behaviour]] = {route: deque() for route in Route}
        self._seen: list[RequestSeen] = []
        self._changed = threading.Condition()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._started: SimpleQueue[int | OSError] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

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
        with self._changed:
            return [replace(seen) for seen in self._seen]

    def behave(self, behaviour: Behaviour, route: Route | None = None) -> None:
        """From now on, whatever was queued; without `route` for speech and transcriptions."""
        with self._changed:
            for one in [route] if route else [Route.SPEECH, Route.TRANSCRIPTIONS]:
                self._behaviours[one] = behaviour
                self._queues[one].clear()

    def then(self, *behaviours: Behaviour, route: Route = Route.SPEECH) -> None:
        """For the next requests on `route`, one each; then the lasting behaviour again."""
        with self._changed:
            self._queues[route].extend(behaviours)

    def wait_until(
        self, true: Callable[[list[RequestSeen]], bool], limit_s: float = 5.0
    ) -> list[RequestSeen]:
        """Waits for the log to fulfil a condition; TimeoutError when it does not within `limit_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: true(self._seen), limit_s):
                raise TimeoutError(f"after {limit_s} s the server has seen {self._seen}")
        return self.requests

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
        task = asyncio.ensure_future(self._serve(_Wire(reader, writer), self._connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: _Wire, connection: int) -> None:
        """Request after request until one side has had enough."""
        try:
            keep = True
            while keep:
                asked = await wire.request()
                if asked.path.startswith("/_"):
                    await wire.send_whole(self._steer(asked))
                    continue
                seen, behaviour = self._begin(asked, connection)
                keep = await self._watched(wire, self._respond(wire, asked, seen, behaviour), seen)
        except (_Gone, ConnectionError, ValueError):
            return
        finally:
            wire.writer.transport.abort()

    def _begin(self, asked: _Asked, connection: int) -> tuple[RequestSeen, Behaviour]:
        route = _route(asked.path)
        with self._changed:
            waiting = self._queues[route]
            behaviour = waiting.popleft() if waiting else self._behaviours[route]
            seen = RequestSeen(
                number=len(self._seen),
                connection=connection,
                method=asked.method,
                path=asked.path,
                headers=asked.headers,
                received_at=monotonic(),
            )
            self._seen.append(seen)
            self._changed.notify_all()
        return seen, behaviour

    async def _watched(self, wire: _Wire, work: Coroutine[object, None, bool], seen: RequestSeen) -> bool:
        """Responds until done or until the client leaves; true when the connection goes on."""
        answer, gone = asyncio.ensure_future(work), asyncio.ensure_future(wire.gone())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():  # a client that has all it wants may leave before our last step
                await asyncio.wait({answer}, timeout=0.001)
            if answer.done():
                with suppress(ConnectionError):
                    keep = answer.result()
                    self._note(seen, finished_at=monotonic())
                    return keep
            self._note(seen, aborted_at=monotonic())
            return False
        finally:
            for task in (answer, gone):
                task.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    def _note(
        self, seen: RequestSeen, *, sent: int = 0, finished_at: float = 0.0, aborted_at: float = 0.0
    ) -> None:
        with self._changed:
            if sent and seen.first_byte_sent_at is None:
                seen.first_byte_sent_at = monotonic()
            seen.bytes_sent += sent
            seen.finished_at = finished_at or seen.finished_at
            seen.aborted_at = aborted_at or seen.aborted_at
            self._changed.notify_all()

    async def _respond(self, wire: _Wire, asked: _Asked, seen: RequestSeen, behaviour: Behaviour) -> bool:
        """Sends the answer as told; true when the connection can carry another request."""
        if behaviour.accept is not Accept.ANSWER:
            await _refuse(wire, behaviour.accept)
            return False
        try:
            answer = self._special(asked, behaviour) or await self._answer(asked, seen, behaviour)
        except _BadRequest as error:
            answer = error.answer
        answer = _spoilt(answer, behaviour)
        seen.status = answer.status
        head = _head(answer, behaviour, self.origin + asked.path)
        if behaviour.headers_at_once:
            await wire.send(head)
            head = b""
        await _until(seen.received_at + behaviour.time_to_first_byte_s)
        chunked = behaviour.length is Length.CHUNKED
        started, late, at = monotonic(), 0.0, 0
        for piece in _pieces(answer.body, behaviour):
            if at == behaviour.stall_after_bytes:
                await wire.send(head)
                head, late = b"", late + await _stall(behaviour.stall_s)
            if at == behaviour.cut_after_bytes:
                return await _cut(wire, head, behaviour.cut)
            if answer.seconds and behaviour.pace:
                await _until(started + late + due(at / len(answer.body) * answer.seconds, behaviour))
            await wire.send(head + (b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece))
            head, at = b"", at + len(piece)
            self._note(seen, sent=len(piece))
        if at == behaviour.stall_after_bytes:
            await _stall(behaviour.stall_s)
        if at == behaviour.cut_after_bytes:
            return await _cut(wire, head, behaviour.cut)
        await wire.send(head + (b"0\r\n\r\n" if chunked and behaviour.last_chunk else b""))
        told = (
            behaviour.last_chunk
            if chunked
            else behaviour.length is Length.STATED and not behaviour.length_error
        )
        return told and asked.header("connection").lower() != "close"

    def _special(self, asked: _Asked, behaviour: Behaviour) -> _Answer | None:
        """The answers that do not look at the question."""
        if self.key and asked.header("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided.", param=None, code="invalid_api_key")
        if behaviour.status == 200:
            return None
        if behaviour.body or behaviour.status < 400:
            return _Answer(body=behaviour.body.encode(), content_type="text/plain", status=behaviour.status)
        return _error(
            behaviour.status, f"The server was told to answer {behaviour.status}.", param=None, code=None
        )

    async def _answer(self, asked: _Asked, seen: RequestSeen, behaviour: Behaviour) -> _Answer:
        match asked.method, asked.path.partition("?")[0]:
            case "POST", "/v1/audio/speech":
                return await self._speech(asked, seen, behaviour)
            case "POST", "/v1/audio/transcriptions":
                return await self._transcription(asked, seen, behaviour)
            case "GET", "/v1/models":
                models = [
                    {"id": id_, "object": "model", "created": 0, "owned_by": "tests"} for id_ in self.models
                ]
                return _json({"object": "list", "data": models})
            case "GET", "/v1/audio/voices":
                return _json({"voices": list(self.voices)})
            case "GET", "/health":
                return _json({"status": "healthy"})
        raise _BadRequest(
            f"Unknown request: {asked.method} {asked.path}", param="", code="unknown_url", status=404
        )

    async def _speech(self, asked: _Asked, seen: RequestSeen, behaviour: Behaviour) -> _Answer:
        given = _object(asked.body)
        seen.text, seen.voice, seen.model = (_text(given, name, "") for name in ("input", "voice", "model"))
        seen.instructions = _text(given, "instructions", "")
        seen.format = _text(given, "response_format", "mp3")
        speed = given.get("speed", 1.0)
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
            raise _BadRequest(f"speed is {speed!r}; it must be from 0.25 to 4.0", param="speed")
        seen.speed = float(speed)
        if not seen.text:
            raise _BadRequest("input is missing or empty", param="input", code="missing_required_parameter")
        _one_of(seen.model, self.models, "model")
        _one_of(seen.voice, self.voices, "voice")
        _one_of(seen.format, tuple(AudioFormat), "response_format")
        return await asyncio.to_thread(
            _sound,
            seen.text,
            seen.speed,
            AudioFormat(seen.format),
            PcmFormat(rate=behaviour.sound_rate, channels=behaviour.sound_channels),
            behaviour.wav_kind,
            behaviour.wav_sizes,
            behaviour.bit_rate,
        )

    async def _transcription(self, asked: _Asked, seen: RequestSeen, behaviour: Behaviour) -> _Answer:
        parts = _multipart(asked)
        words = {part.name: part.data.decode("utf-8", "replace") for part in parts if not part.filename}
        seen.model, seen.language, seen.prompt = (
            words.get(name, "") for name in ("model", "language", "prompt")
        )
        seen.format = words.get("response_format", "json")
        file = next((part for part in parts if part.name == "file" and part.filename), None)
        if file is None:
            raise _BadRequest("file is missing", param="file", code="missing_required_parameter")
        seen.filename = file.filename
        _one_of(seen.model, self.models, "model")
        _one_of(seen.format, ("json", "text", "verbose_json"), "response_format")
        try:
            recording = await asyncio.to_thread(_recording, file)
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise _BadRequest(
                f"Audio file might be corrupted or unsupported: {error}", param="file"
            ) from error
        seen.recording = recording
        read = await asyncio.to_thread(
            hear_text, recording.data, recording.format.rate, recording.format.channels
        )
        seen.transcript = read if behaviour.transcript is None else behaviour.transcript
        if seen.format == "text":
            return _Answer(body=(seen.transcript + "\n").encode(), content_type="text/plain; charset=utf-8")
        if seen.format == "json":
            return _json({"text": seen.transcript})
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": recording.seconds,
            "text": seen.transcript,
            "tokens": [],
        }
        segment |= {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01}
        whole = {"task": "transcribe", "language": seen.language or "english", "duration": recording.seconds}
        return _json(whole | {"text": seen.transcript, "segments": [segment] if seen.transcript else []})

    def _steer(self, asked: _Asked) -> _Answer:
        match asked.method, asked.path:
            case "GET", "/_requests":
                return _json([_for_json(seen) for seen in self.requests])
            case "DELETE", "/_requests":
                with self._changed:
                    self._seen.clear()
                return _json({})
            case "PUT", "/_behaviour":
                try:
                    self._take(_object(asked.body))
                except (ValueError, _BadRequest) as error:
                    return _error(400, str(error), param="behaviour", code="invalid_value")
                return _json({})
        return _error(404, f"Unknown request: {asked.method} {asked.path}", param=None, code="unknown_url")

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


class _Wire:
    """One connection: whole requests in, bytes out. Raises `_Gone` when the client has left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._came = bytearray()
        writer.transport.set_write_buffer_limits(high=0)  # what counts as sent has reached the kernel
        taken = writer.get_extra_info("socket")
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def request(self) -> _Asked:
        while (end := self._came.find(b"\r\n\r\n")) < 0:
            await self._more()
        first, *lines = self._came[:end].decode("latin-1").split("\r\n")
        del self._came[: end + 4]
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        asked = _Asked(method=method, path=path, headers=headers, body=b"")
        if asked.header("expect"):
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = (
            await self._chunks()
            if asked.header("transfer-encoding")
            else await self._take(int(asked.header("content-length") or 0))
        )
        return replace(asked, body=body)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            while (end := self._came.find(b"\r\n")) < 0:
                await self._more()
            size = int(bytes(self._came[:end]).partition(b";")[0], 16)
            del self._came[: end + 2]
            body += (await self._take(size + 2))[:-2]
            if size == 0:
                return body

    async def _take(self, size: int) -> bytes:
        while len(self._came) < size:
            await self._more()
        taken = bytes(self._came[:size])
        del self._came[:size]
        return taken

    async def _more(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise _Gone
        self._came += data

    async def gone(self) -> None:
        """Returns when the client has left."""
        with suppress(_Gone, ConnectionError):
            while True:
                await self._more()

    async def send(self, data: bytes) -> None:
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def send_whole(self, answer: _Answer) -> None:
        await self.send(_head(answer, Behaviour(length=Length.STATED), "") + answer.body)

    def reset_on_close(self) -> None:
        """Closing sends RST instead of FIN."""
        taken = self.writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _refuse(wire: _Wire, accept: Accept) -> None:
    if accept is Accept.NEVER:
        await asyncio.Event().wait()
    elif accept is Accept.RESET:
        wire.reset_on_close()
    elif accept is Accept.JUNK:
        await wire.send(b"\x00\xffthis is not HTTP\r\n\r\n")


async def _cut(wire: _Wire, head: bytes, cut: Cut) -> bool:
    await wire.send(head)
    if cut is Cut.RESET:
        wire.reset_on_close()
    return False


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - monotonic()))


async def _stall(seconds: float | None) -> float:
    if seconds is None:
        await asyncio.Event().wait()
    await asyncio.sleep(seconds or 0.0)
    return seconds or 0.0


def due(sound_s: float, behaviour: Behaviour) -> float:
    """When the sound from `sound_s` on leaves, in seconds after the first byte."""
    if behaviour.burst_s:
        sound_s = int(sound_s / behaviour.burst_s + 1e-6) * behaviour.burst_s
    pace = behaviour.pace or 1.0
    due = sound_s / pace
    if behaviour.hiccup_after_s is not None and sound_s >= behaviour.hiccup_after_s:
        due = max(due, behaviour.hiccup_after_s / pace + behaviour.hiccup_s)
    return due


def _pieces(body: bytes, behaviour: Behaviour) -> Iterator[bytes]:
    """The body in chunks, cut also where something is to happen."""
    marks = sorted(mark for mark in (behaviour.stall_after_bytes, behaviour.cut_after_bytes) if mark)
    at, sent = 0, 0
    while at < len(body):
        size = min(behaviour.chunk_bytes, *(mark - sent for mark in marks if mark > sent), len(body) - at)
        yield body[at : at + size]
        at, sent = at + size, sent + size
        if at == len(body) and behaviour.endless:
            at = 0


def _head(answer: _Answer, behaviour: Behaviour, url: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Something')}"]
    lines += [f"Content-Type: {behaviour.content_type or answer.content_type}"]
    if behaviour.length is Length.CHUNKED:
        lines += ["Transfer-Encoding: chunked"]
    elif behaviour.length is Length.STATED:
        lines += [f"Content-Length: {max(0, len(answer.body) + behaviour.length_error)}"]
    else:
        lines += ["Connection: close"]
    if behaviour.retry_after:
        lines += [f"Retry-After: {behaviour.retry_after}"]
    if behaviour.location:
        lines += [f"Location: {url if behaviour.location == 'self' else behaviour.location}"]
    if behaviour.bad_gzip:
        lines += ["Content-Encoding: gzip"]
    for start in range(0, behaviour.huge_headers_bytes, 4096):
        lines += [f"X-Padding-{start}: " + "x" * min(4096, behaviour.huge_headers_bytes - start)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


_PHRASES = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
_HTML = b"<!doctype html><html><body><h1>Sign in to the network</h1></body></html>"


def _spoilt(answer: _Answer, behaviour: Behaviour) -> _Answer:
    """The answer with the wrong content asked for; errors are left as they are."""
    if answer.status != 200:
        return answer
    if behaviour.body:
        return replace(answer, body=behaviour.body.encode(), seconds=0.0)
    body = bytearray(answer.body)
    if behaviour.flip_every_bytes:
        for place in range(behaviour.flip_every_bytes, len(body), behaviour.flip_every_bytes):
            body[place] ^= 0x10
    if step := behaviour.hole_every_bytes:
        body = bytearray(b"".join(body[at : at + step] for at in range(0, len(body), step + 64)))
    answer = replace(answer, body=bytes(body))
    match behaviour.content:
        case Content.HTML:
            return _Answer(body=_HTML, content_type="text/html")
        case Content.JSON:
            return _json({"detail": "out of credit"})
        case Content.EMPTY:
            return replace(answer, body=b"", seconds=0.0)
        case Content.ODD:
            return replace(answer, body=answer.body + (b"\0" if len(answer.body) % 2 == 0 else b"\0\0"))
        case Content.NOISE:
            return replace(answer, body=random.Random(7).randbytes(len(body)))
    return answer


def _json(value: object) -> _Answer:
    return _Answer(body=json.dumps(value).encode(), content_type="application/json")


def _error(status: int, message: str, *, param: str | None, code: str | None) -> _Answer:
    kind = "invalid_request_error" if status < 500 else "server_error"
    told = {"error": {"message": message, "type": kind, "param": param or None, "code": code}}
    return replace(_json(told), status=status)


def _route(path: str) -> Route:
    if path.startswith("/v1/audio/speech"):
        return Route.SPEECH
    return Route.TRANSCRIPTIONS if path.startswith("/v1/audio/transcriptions") else Route.LISTS


def _object(body: bytes) -> dict[str, object]:
    try:
        given: object = json.loads(body)
    except ValueError as error:
        raise _BadRequest(f"The body is not JSON: {error}", param="", code="invalid_json") from error
    if not isinstance(given, dict):
        raise _BadRequest("The body is not a JSON object", param="", code="invalid_json")
    return given


def _text(given: Mapping[str, object], name: str, default: str) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise _BadRequest(f"{name} is {value!r}; it must be a string", param=name, code="invalid_type")
    return value


def _one_of(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        message = f"{name} is {value!r}; it must be one of {', '.join(allowed)}"
        raise _BadRequest(message, param=name, code=f"{name}_not_found")


@lru_cache(maxsize=64)
def _sound(
    text: str, speed: float, to: AudioFormat, shape: PcmFormat, kind: WavKind, sizes: WavSizes, bit_rate: int
) -> _Answer:
    """Cached: benches say the same thing many times."""
    frame = convert(Frame(data=speak(text, SPEECH.rate, speed=speed), format=SPEECH), shape)
    is_wav = to is AudioFormat.WAV
    body = wav(frame, kind=kind, sizes=sizes) if is_wav else encode(frame, to, bit_rate=bit_rate or None)
    return _Answer(body=body, content_type=CONTENT_TYPES[to], seconds=frame.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    name: str
    filename: str
    content_type: str
    data: bytes


def _multipart(asked: _Asked) -> list[_Part]:
    found = re.search(r'boundary="?([^";]+)"?', asked.header("content-type"))
    if found is None:
        raise _BadRequest("The body is not multipart/form-data", param="", code="invalid_body")
    parts: list[_Part] = []
    for piece in (b"\r\n" + asked.body).split(b"\r\n--" + found[1].encode())[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = head.decode("utf-8", "replace")
        name, filename, kind = (
            match[1] if (match := re.search(pattern, said, re.IGNORECASE)) else ""
            for pattern in (r'[; ]name="([^"]*)"', r'filename="([^"]*)"', r"content-type: *([^\r\n]+)")
        )
        parts.append(_Part(name=name, filename=filename, content_type=kind, data=data))
    return parts


def _recording(file: _Part) -> Frame:
    """The upload as sound: any file PyAV knows at its own rate, or raw PCM (`.pcm`, `audio/L16; rate=…`)."""
    rate = re.search(r"rate=(\d+)", file.content_type)
    if file.filename.endswith(".pcm") or file.content_type.lower().startswith(("audio/pcm", "audio/l16")):
        shape = PcmFormat(rate=int(rate[1])) if rate else LISTENING
        return Frame(data=file.data[: len(file.data) // 2 * 2], format=shape)
    return decode(file.data, None)


def _for_json(seen: RequestSeen) -> dict[str, object]:
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
