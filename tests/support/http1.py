"""HTTP/1.1 by hand: whole requests in, bytes out."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A body before the behaviour is applied to its sending. `seconds` of sound in it, 0 where it has none."""

    body: bytes
    content_type: str
    status: int = 200
    seconds: float = 0.0


class Gone(Exception):
    """The client has closed its side."""


class Wire:
    """One connection: whole requests in, bytes out. Raises `Gone` when the client has left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._came = bytearray()
        writer.transport.set_write_buffer_limits(high=0)  # what counts as sent has reached the kernel
        taken = writer.get_extra_info("socket")
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def request(self) -> Asked:
        while (end := self._came.find(b"\r\n\r\n")) < 0:
            await self._more()
        first, *lines = self._came[:end].decode("latin-1").split("\r\n")
        del self._came[: end + 4]
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        asked = Asked(method=method, path=path, headers=headers, body=b"")
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
            raise Gone
        self._came += data

    async def gone(self) -> None:
        """Returns when the client has left."""
        with suppress(Gone, ConnectionError):
            while True:
                await self._more()

    async def send(self, data: bytes) -> None:
        if data:
            self.writer.write(data)
            await self.writer.drain()

    def reset_on_close(self) -> None:
        """Closing sends RST instead of FIN."""
        taken = self.writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
