"""Clients that leave: before anything was said to them, in the middle of it, before they have asked at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from tests.serve.house import LIMIT_SECONDS, House, WordVoice, house
from tests.support.fakes import until
from voicemode.events import RequestFailed, SpeechServed, TranscriptServed
from voicemode.local_http.door import Limits
from voicemode.speech_server import sockets
from voicemode.speech_server.service import Service

pytestmark = pytest.mark.anyio


class Endless(WordVoice):
    """Says more than the system holds between two programs, and nothing that costs time."""

    async def _chunks(self, sound: bytes, broken: int | None) -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(480_000)


TEXT = "Alpha bravo charlie delta. Echo foxtrot golf hotel india."
MUCH = f"{'alpha ' * 500}."
"""Long enough for an engine to say as much of it."""

ASK = {"text": TEXT, "binary": True}
INIT = {"type": "init", "binary": True}
Answer = Callable[[Service, WebSocket], Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class Socket:
    """A WebSocket as the server below the application hands it on. `gone` is raised of the message of kind `at` and of
    all after it; `then` is sent by the client as soon as it has a message of kind `on`."""

    gone: Exception | None = None
    at: str = "ready"
    on: str = ""
    then: list[dict[str, object]] = field(default_factory=list)
    seen: Callable[[str], None] = lambda kind: None
    sent: list[str] = field(default_factory=list)
    coming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.coming.put_nowait({"type": "websocket.connect"})

    def write(self, *messages: dict[str, object]) -> None:
        for message in messages:
            self.coming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def leave(self) -> None:
        self.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def send(self, message: Message) -> None:
        kind = str(message["type"]).removeprefix("websocket.")
        if kind == "send":
            kind = "sound" if message.get("bytes") else str(json.loads(message["text"])["type"])
        if self.gone is not None and (kind == self.at or self.at in self.sent):
            raise self.gone
        self.sent.append(kind)
        self.seen(kind)
        if kind == self.on and self.then:
            self.write(self.then.pop(0))

    async def run(self, answer: Answer, server: House) -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
        async with asyncio.timeout(LIMIT_SECONDS):
            await answer(server.service, WebSocket(scope, self.coming.get, self.send))


def outcomes(server: House) -> list[str]:
    return [event.outcome for event in server.events if isinstance(event, SpeechServed | TranscriptServed)]


@pytest.mark.spec("SRV-27")
@pytest.mark.parametrize("at", ["ready", "sound", "sentence_complete"])
@pytest.mark.parametrize("gone", [OSError(), RuntimeError("Unexpected message, after sending close.")])
@pytest.mark.parametrize("answer", [sockets.synthesize, sockets.synthesize_stream])
async def test_who_is_found_gone_when_something_is_sent_has_left(
    answer: Answer, gone: Exception, at: str
) -> None:
    engine = WordVoice()
    async with house(engine) as server:
        socket = Socket(gone=gone, at=at)
        asked = (
            [ASK] if answer is sockets.synthesize else [INIT, {"type": "text", "text": TEXT}, {"type": "end"}]
        )
        socket.write(*asked)
        await socket.run(answer, server)
        assert outcomes(server) == ["left"]
        assert (engine.open, server.service.places.active) == (0, 0)


@pytest.mark.spec("SRV-27")
async def test_who_leaves_before_anything_was_asked_or_told_is_no_failure() -> None:
    async with house() as server:
        socket = Socket()
        socket.leave()
        await socket.run(sockets.synthesize, server)
    assert outcomes(server) == []


@pytest.mark.spec("SRV-27")
@pytest.mark.parametrize(
    ("at", "engine", "outcome"),
    [
        ("complete", WordVoice(), "finished"),
        ("error", WordVoice(breaks=[0] * 9), "engine"),
        ("cancelled", WordVoice(gate=asyncio.Semaphore(0)), "left"),
    ],
)
async def test_who_leaves_before_the_last_message_changes_nothing_of_what_became_of_it(
    at: str, engine: WordVoice, outcome: str
) -> None:
    async with house(engine) as server:
        socket = Socket(gone=OSError(), at=at)
        socket.write(ASK)
        if at == "cancelled":
            socket.write({"type": "cancel"})
        await socket.run(sockets.synthesize, server)
        assert outcomes(server) == [outcome]


@pytest.mark.spec("SRV-20")
async def test_when_complete_is_there_the_place_is_free_and_the_next_request_is_taken() -> None:
    """However soon it comes: the client writes it while `complete` is being sent."""
    async with house(most=1) as server:
        active: list[int] = []

        def seen(kind: str) -> None:
            if kind == "complete":
                active.append(server.service.places.active)
                if len(active) == 3:
                    socket.leave()

        socket = Socket(on="complete", then=[ASK, ASK], seen=seen)
        socket.write(ASK)
        await socket.run(sockets.synthesize, server)
        assert socket.sent.count("complete") == 3
        assert "error" not in socket.sent
        assert active == [0, 0, 0]
        assert outcomes(server) == ["finished"] * 3


@pytest.mark.spec("SRV-25")
async def test_a_cancel_that_crosses_complete_is_passed_over() -> None:
    async with house() as server:
        socket = Socket()
        socket.write(ASK)
        running = asyncio.ensure_future(socket.run(sockets.synthesize, server))
        await until(lambda: "complete" in socket.sent and bool(outcomes(server)))
        for _ in range(9):  # Whoever read for this request has stopped.
            await asyncio.sleep(0)
        socket.write({"type": "cancel"}, ASK)
        await until(lambda: socket.sent.count("complete") == 2)
        socket.leave()
        await running
    assert not {"error", "cancelled"} & set(socket.sent)


@pytest.mark.spec("SRV-30")
@pytest.mark.parametrize(
    "path", ["/v1/audio/speech", "/synthesize", "/v1/audio/transcriptions", "/preload", "/warmup"]
)
async def test_who_leaves_in_the_middle_of_asking_is_no_failure(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = "multipart/form-data; boundary=x" if path.endswith("transcriptions") else "application/json"
    async with house() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {kind}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        with caplog.at_level(logging.WARNING):
            writer.transport.abort()
            async with server.client() as client:
                await client.models.list()
            await until(lambda: server.service.uploads.coming == 0)
        assert set(outcomes(server)) <= {"left"}
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.spec("SRV-30")
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/synthesize", "/warmup"])
async def test_who_leaves_before_the_answer_is_no_failure(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = WordVoice(gate=asyncio.Semaphore(0))
    async with house(engine) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps({"input": TEXT, "text": TEXT}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: engine.open == 1)
        with caplog.at_level(logging.WARNING):
            writer.transport.abort()
            await until(lambda: engine.open == 0)
            async with server.client() as client:
                await client.models.list()
        assert set(outcomes(server)) <= {"left"}
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.spec("SRV-56")
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/ws/synthesize"])
async def test_who_takes_nothing_for_long_has_left_and_his_place_is_free(path: str) -> None:
    engine = Endless()
    async with house(engine, take_seconds=0.2) as server:
        if path.startswith("/ws"):
            async with connect(f"{server.socket_url}{path}", max_queue=1) as socket:
                await socket.send(json.dumps({"text": MUCH, "binary": True}))
                await until(lambda: bool(outcomes(server)))
                socket.transport.abort()
        else:
            body = json.dumps({"input": MUCH, "response_format": "pcm"})
            head = (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
            )
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_000)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            await until(lambda: bool(outcomes(server)))
            writer.transport.abort()
        assert outcomes(server) == ["left"]
        assert (engine.open, server.service.places.active) == (0, 0)
        assert not server.of(RequestFailed)


@pytest.mark.spec("SRV-56")
async def test_who_is_too_busy_listening_to_answer_a_ping_is_served_to_the_end() -> None:
    gate = asyncio.Semaphore(0)
    limits = Limits(ping_seconds=0.02)
    async with house(WordVoice(gate=gate), limits=limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"GET /ws/synthesize HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        asked = json.dumps({"text": "Hi.", "binary": True}).encode()
        writer.write(b"\x81" + bytes([0x80 | len(asked)]) + bytes(4) + asked)
        async with asyncio.timeout(LIMIT_SECONDS):
            for _ in range(10):  # Pings, none of which is answered.
                await reader.readuntil(b"\x89\x04")
            for _ in range(100):
                gate.release()
            await reader.readuntil(b'"type": "complete"')
        writer.close()


@pytest.mark.spec("SRV-56")
@pytest.mark.parametrize("binary", [True, False])
async def test_a_clients_own_ping_is_answered_after_little_sound(binary: bool) -> None:
    """By 20 s of it most clients have taken the server for dead."""
    async with (
        house(Endless()) as server,
        connect(f"{server.socket_url}/ws/synthesize", max_queue=1, ping_interval=None) as socket,
    ):
        await socket.send(json.dumps({"text": MUCH, "binary": binary}))
        for _ in range(50):  # It takes what comes, until it has enough to play.
            await socket.recv()
        answered = asyncio.ensure_future(await socket.ping())
        taken = 0
        async with asyncio.timeout(LIMIT_SECONDS):
            while not answered.done():
                await socket.recv()
                taken += 1
        assert taken < 12
        socket.transport.abort()
