"""The end of a server whose clients listen at the pace of speech: what was said to them has still to go out."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from tests.serve.house import LIMIT_SECONDS
from voicemode.local_http.door import Door, listen, open_door, url_of

pytestmark = pytest.mark.anyio

SIZE = 32_000_000
"""Of an answer: more than the system holds between two programs."""

ASK = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def _large(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(SIZE)})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    length = [(b"content-length", b"%d" % SIZE)]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": bytes(SIZE)})


async def answered(listening: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose answer has begun."""
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(ASK)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def sending(door: Door) -> asyncio.Task[None]:
    return asyncio.create_task(door.sent())


async def done(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        await task


@pytest.mark.spec("SRV-37")
async def test_an_answer_has_been_sent_when_its_last_byte_has_gone_out() -> None:
    listening = listen("127.0.0.1", 0, token="")
    async with open_door(_large, listening) as door:
        await done(sending(door))  # Nothing was asked.
        reader, writer = await answered(listening)
        task = sending(door)
        await reader.readexactly(1_000_000)
        assert not task.done()
        async with asyncio.timeout(LIMIT_SECONDS):
            assert len(await reader.read()) == SIZE - 1_000_000
        await done(task)
        writer.close()


@pytest.mark.spec("SRV-37")
async def test_a_message_has_been_sent_when_its_last_byte_has_gone_out() -> None:
    listening = listen("127.0.0.1", 0, token="")
    async with open_door(_large, listening, websockets=True) as door:
        url = url_of(listening, "127.0.0.1").replace("http", "ws", 1)
        async with connect(url, max_size=2 * SIZE) as socket:
            message = await socket.recv()
            assert len(message) == SIZE
            await done(sending(door))


@pytest.mark.spec("SRV-37")
async def test_nobody_waits_for_a_client_that_has_left() -> None:
    listening = listen("127.0.0.1", 0, token="")
    async with open_door(_large, listening) as door:
        reader, writer = await answered(listening)
        task = sending(door)
        await reader.readexactly(1_000_000)
        assert not task.done()
        writer.transport.abort()
        await done(task)


@pytest.mark.spec("SRV-37")
async def test_what_has_no_answer_yet_is_waited_for() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await answer.wait()
        await _large(scope, receive, send)

    listening = listen("127.0.0.1", 0, token="")
    async with open_door(slow, listening) as door:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(ASK)
        await asked.wait()
        task = sending(door)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        answer.set()
        async with asyncio.timeout(LIMIT_SECONDS):
            assert len(await reader.read()) > SIZE
        await done(task)
        writer.close()
