"""How the server's process ends, seen from outside it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.live.host import COMMAND, environment
from voicemode.clock import monotonic
from voicemode.mcp_server.ending import LEAVE_SECONDS

pytestmark = [pytest.mark.anyio]

MARGIN_SECONDS = 0.5
"""For a busy machine to start a handler and to reap a process."""

SERVER = """
import asyncio, logging, sys, threading
from contextlib import asynccontextmanager
from voicemode.errors import ConfigurationError
from voicemode.mcp_server.ending import until_ended

logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")

@asynccontextmanager
async def opened(slow):
    try:
        yield
    finally:
        await asyncio.sleep(slow)
        print("put away", file=sys.stderr)

async def serve(stack, stopped):
    BODY

asyncio.run(until_ended(serve))
"""

HELLO = (
    b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", '
    b'"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}\n'
)

READY = 'print("ready", file=sys.stderr)'
"""Statements of a body stand in one line."""


def waiting(slow: float, before: str = READY) -> str:
    """A body that holds something which takes `slow` seconds to put away."""
    return f"await stack.enter_async_context(opened({slow})); {before}; await stopped.wait()"


@asynccontextmanager
async def ending(body: str, folder: Path) -> AsyncIterator[Process]:
    """A process whose server has this body; its standard input stays open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER.replace("BODY", body),
        env=environment(None, folder), stdin=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # Its pipes are read to their ends.


async def line(process: Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.readline()).decode().strip()


async def rest(process: Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.read()).decode()


@pytest.mark.spec("HTTP-13")
async def test_what_is_open_is_put_away_even_when_a_second_signal_comes(tmp_path: Path) -> None:
    async with ending(waiting(0.15), tmp_path) as process:
        assert await line(process) == "ready"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert await rest(process) == "put away\n"
        assert await process.wait() == 0


@pytest.mark.timed
@pytest.mark.parametrize(
    "stuck",
    [
        "threading.Event().wait()",
        "await asyncio.to_thread(threading.Event().wait)",
        "await asyncio.sleep(99)",
    ],
)
@pytest.mark.spec("HTTP-13")
async def test_nothing_that_hangs_keeps_the_process(tmp_path: Path, stuck: str) -> None:
    async with ending(f"{READY}; {stuck}", tmp_path) as process:
        assert await line(process) == "ready"
        began = monotonic()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        assert monotonic() - began < LEAVE_SECONDS + MARGIN_SECONDS


@pytest.mark.timed
@pytest.mark.spec("HTTP-13")
def test_a_standard_error_that_nobody_reads_does_not_keep_the_process(tmp_path: Path) -> None:
    body = f"{READY}; [sys.stderr.buffer.raw.write(b'x' * 65_536) for _ in range(99)]"
    command = [sys.executable, "-c", SERVER.replace("BODY", body)]
    with subprocess.Popen(command, env=environment(None, tmp_path), stderr=PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        began = monotonic()
        process.terminate()
        try:
            process.wait(10)
            assert monotonic() - began < LEAVE_SECONDS + MARGIN_SECONDS
        finally:
            process.kill()


@pytest.mark.timed
@pytest.mark.spec("HTTP-13")
async def test_what_cannot_be_put_away_in_time_is_left_with_a_word(tmp_path: Path) -> None:
    async with ending(waiting(99), tmp_path) as process:
        assert await line(process) == "ready"
        began = monotonic()
        process.send_signal(signal.SIGTERM)
        assert "put away" in await rest(process)
        await process.wait()
        assert monotonic() - began < LEAVE_SECONDS + MARGIN_SECONDS


@pytest.mark.spec("HTTP-13")
async def test_a_host_that_closed_standard_error_does_not_keep_the_process(tmp_path: Path) -> None:
    silent = f"{READY}; sys.stderr.close(); sys.stderr = None"
    async with ending(f"{silent}; await stopped.wait()", tmp_path) as process:
        assert await line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ('ConfigurationError("Shut.", hint="Open it.")', "voicemode: Shut. Open it.\nput away\n"),
        ('ZeroDivisionError("a mistake")', "ZeroDivisionError: a mistake\nput away\n"),
    ],
)
@pytest.mark.spec("HTTP-9")
async def test_a_failure_is_told_and_what_was_open_is_put_away(
    tmp_path: Path, raised: str, said: str
) -> None:
    async with ending(f"await stack.enter_async_context(opened(0)); raise {raised}", tmp_path) as process:
        assert (await rest(process)).endswith(said)
        assert await process.wait() == 1


@pytest.mark.spec("HTTP-13")
async def test_a_client_that_no_longer_reads_standard_output_ends_the_server(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=environment(None, tmp_path), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdin is not None
        transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        transport.close()
        process.stdin.write(HELLO)
        async with asyncio.timeout(15):
            assert await rest(process) == ""
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
