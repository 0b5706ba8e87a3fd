"""A voicemode process behind its HTTP door, and what the tests knock on it with."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.live.host import COMMAND
from voicemode.clock import monotonic

LIMIT_SECONDS = 45.0
READY = "Serving at "

CALLER = """
import asyncio, sys
from mcp import Client

async def main(url, mode, tool, message):
    async with Client(url, mode=mode) as client:
        wait = {"wait": "finished"} if tool == "speak" else {}
        await client.call_tool(tool, {"message": message, **wait})

asyncio.run(main(*sys.argv[1:]))
"""
"""A client in a process of its own, to be killed in the middle of a call."""


@dataclass(kw_only=True)
class Served:
    """A running server. `said` are the lines of its standard error so far."""

    process: Process
    url: str
    token: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @asynccontextmanager
    async def client(self, era: str) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LIMIT_SECONDS) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=era) as connected,
        ):
            yield connected

    @asynccontextmanager
    async def caller(self, era: str, tool: str, message: str) -> AsyncIterator[Process]:
        """A client process in the middle of a call."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLER, self.url, era, tool, message, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def status(self, *, method: str = "POST", body: bytes = b"", **headers: str) -> int:
        """Answers a request of exactly these headers with the status alone; 0 when there is no answer."""
        lines = [
            f"{method} /mcp HTTP/1.1",
            *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items()),
        ]
        if method == "POST" and "Content_Length" not in headers and "Transfer_Encoding" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            line = await reader.readline()
            return int(line.split()[1]) if line else 0
        finally:
            writer.close()

    async def end(self, number: signal.Signals) -> float:
        """Sends the signal; the seconds until the process was gone."""
        began = monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(5):
            await self.process.wait()
        return monotonic() - began


def listing(host: str) -> dict[str, str]:
    """Headers of a good request to list the tools, by the server's own name."""
    return {
        "Host": host,
        "Content_Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP_Protocol_Version": "2026-07-28",
        "Mcp_Method": "tools/list",
    }


def list_tools() -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}).encode()


@asynccontextmanager
async def served(
    variables: Mapping[str, str], *arguments: str, token: str = "", before: tuple[str, ...] = ()
) -> AsyncIterator[Served]:
    """A server on a free port. `before` are words in front of its command."""
    environment = {**variables, **({"VOICEMODE_HTTP_TOKEN": token} if token else {})}
    process = await asyncio.create_subprocess_exec(
        *before, *COMMAND, "mcp", "--http", "--port", "0", *arguments,
        env=environment, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield await _ready(process, token)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(process: Process, token: str) -> Served:
    assert process.stderr is not None
    said: list[str] = []
    while line := (await process.stderr.readline()).decode():
        said.append(line)
        if line.startswith(READY):
            return Served(process=process, url=line.removeprefix(READY).strip(), token=token, said=said)
    raise AssertionError(f"The server did not start: {''.join(said)}")


async def run(variables: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """A command from beginning to end: exit code and standard error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments,
        env=dict(variables), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, errors.decode()
