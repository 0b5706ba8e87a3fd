"""Clients of a speech server, many at once, and what they saw: each plays what comes from a buffer of 200 ms."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voicemode.clock import monotonic
from voicemode.speech import AudioFormat

CLIENT_BUFFER_SECONDS = 0.2
LONGEST_FIRST_SECONDS = 0.25
LIMIT_SECONDS = 120.0
END_OF_BODY = b"0\r\n\r\n"


@dataclass(kw_only=True)
class Stream(asyncio.Protocol):
    """One client. Times are monotonic; `late` is by how much the sound came too late, at worst."""

    host: str
    body: bytes
    rate: float
    """Bytes of a second of sound, in the format asked for."""
    ended: asyncio.Future[None]
    asked: float = 0.0
    first: float | None = None
    gap: float = 0.0
    late: float = 0.0
    size: int = 0
    ok: bool = False
    busy: bool = False
    _last: float = 0.0
    _begins: float | None = None
    _head: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        transport.write(
            f"{head}Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n".encode() + self.body
        )

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        if self.first is None:
            self._head += data
            head, found, data = bytes(self._head).partition(b"\r\n\r\n")
            if not found or not data:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.busy = head.startswith(b"HTTP/1.1 503")
                return
            self.first = self._last = now
        self.gap = max(self.gap, now - self._last)
        self._last = now
        if self._begins is not None:
            self.late = max(self.late, now - self._begins - self.size / self.rate)
        self.size += len(data)
        if self._begins is None and self.size / self.rate >= CLIENT_BUFFER_SECONDS:
            self._begins = now
        self.ok = data.endswith(END_OF_BODY)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of so many streams. Seconds, MB, and processor seconds for each second. `kept_waiting` is the share
    of the time for which the server was ready to run and had no processor: what others did on this machine."""

    streams: int
    succeeded: int
    busy: int
    first: tuple[float, float, float]
    gap: float
    underruns: int
    memory: float
    cpu: float
    kept_waiting: float

    @property
    def held(self) -> bool:
        good = self.succeeded == self.streams and not self.underruns
        return good and self.first[1] <= LONGEST_FIRST_SECONDS

    def shown(self) -> str:
        p50, p95, p99 = (f"{seconds * 1000:.0f}" for seconds in self.first)
        return (
            f"| {self.streams} | {self.succeeded} | {p50} | {p95} | {p99} | {self.gap * 1000:.0f} | {self.underruns} "
            f"| {self.memory:.0f} | {self.cpu * 100:.0f} | {self.kept_waiting * 100:.0f} "
            f"| {'yes' if self.held else 'no'} |"
        )


HEAD = (
    "| streams | succeeded | first ms: p50 | p95 | p99 | longest gap ms | underruns | memory, MB | CPU, % of a core "
    "| kept waiting by the machine, % | held |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


async def ask(
    url: str,
    text: str,
    *,
    streams: int,
    arrivals: float,
    seconds: float,
    format: AudioFormat,  # noqa: A002
    process: Process,
) -> Row:
    """So many clients, spread over `arrivals` seconds; before them one whose sound, of `seconds`, tells how large it
    is in this format, and who finds everything loaded."""
    host = url.removeprefix("http://")
    body = json.dumps({"model": "voicemode", "input": text, "response_format": format}).encode()
    loop = asyncio.get_running_loop()

    async def one(rate: float) -> Stream:
        client = Stream(host=host, body=body, rate=rate, ended=loop.create_future(), asked=monotonic())
        name, _, port = host.partition(":")
        transport, _ = await loop.create_connection(lambda: client, name, int(port))
        try:
            await client.ended
        finally:
            transport.abort()
        return client

    async def later(delay: float, rate: float) -> Stream:
        await asyncio.sleep(delay)
        return await one(rate)

    async with asyncio.timeout(LIMIT_SECONDS):
        rate = (await one(math.inf)).size / seconds
        if not rate:
            raise RuntimeError("The server does not speak at all.")
        before, began = process.used(), monotonic()
        clients = await asyncio.gather(
            *(later(number / streams * arrivals, rate) for number in range(streams))
        )
    elapsed, after = monotonic() - began, process.used()
    firsts = sorted((each.first - each.asked) if each.first else math.inf for each in clients)
    return Row(
        streams=streams,
        succeeded=sum(each.ok for each in clients),
        busy=sum(each.busy for each in clients),
        first=(at(firsts, 0.5), at(firsts, 0.95), at(firsts, 0.99)),
        gap=max(each.gap for each in clients),
        underruns=sum(each.late > 0 for each in clients),
        memory=process.memory(),
        cpu=(after.cpu - before.cpu) / elapsed,
        kept_waiting=(after.waited - before.waited) / elapsed,
    )


def at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, kw_only=True)
class Used:
    """Seconds of processor, and seconds of waiting for one."""

    cpu: float
    waited: float


class Process:
    """What a server takes with its children, by what Linux says of them."""

    def __init__(self, number: int) -> None:
        self._number = number

    def used(self) -> Used:
        """Waiting counts for the server's own first thread alone, which is its event loop."""
        waited = int(Path(f"/proc/{self._number}/schedstat").read_text(encoding="ascii").split()[1])
        return Used(cpu=sum(_cpu(each) for each in self._family()), waited=waited / 1e9)

    def memory(self) -> float:
        """MB resident."""
        return sum(_memory(each) for each in self._family())

    def _family(self) -> list[int]:
        found = [self._number]
        for number in found:
            for task in Path(f"/proc/{number}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
        return found


def _cpu(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(number: int) -> float:
    status = Path(f"/proc/{number}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
