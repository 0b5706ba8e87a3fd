"""A child process that is talked to in messages: one byte of kind, four of length, then the payload.

Everything is asyncio's own process transport, so it is the same on Windows, macOS and Linux. `kill` is synchronous
and certain; the operating system's own end of the pipe is what ends the child when this process is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

HEADER = 5
HIGH_BYTES = 256 * 1024
"""Unread bytes at which the child is held back: 6 s of speech at 22,050 Hz."""
LOW_BYTES = 64 * 1024
NOISE_BYTES = 4096
"""Of what a child says last on standard error."""
LONGEST = 1 << 26
"""A message longer than 64 MiB is not one of ours."""


class ChildGone(Exception):
    """The child ended, or wrote something that is not a message. `returncode` is None while it is not known."""

    def __init__(self, reason: str, returncode: int | None = None) -> None:
        super().__init__(reason)
        self.returncode = returncode


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    kind: bytes
    payload: bytes


class Messages:
    """Bytes in any pieces → whole messages. A `Stage`; an unfinished last message is dropped by `flush`."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, item: bytes) -> list[Message]:
        self._rest += item
        found: list[Message] = []
        start = 0
        while len(self._rest) - start >= HEADER:
            size = int.from_bytes(self._rest[start + 1 : start + HEADER], "big")
            if size > LONGEST:
                raise ValueError(f"a message of {size} bytes is longer than any there is")
            end = start + HEADER + size
            if len(self._rest) < end:
                break
            body = bytes(self._rest[start + HEADER : end])
            found.append(Message(kind=bytes(self._rest[start : start + 1]), payload=body))
            start = end
        del self._rest[:start]
        return found

    def flush(self) -> list[Message]:
        self._rest.clear()
        return []


def packed(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


class Child(asyncio.SubprocessProtocol):
    """A running child. One reader at a time; not restarted here."""

    def __init__(self) -> None:
        self._transport: asyncio.SubprocessTransport | None = None
        self._stage = Messages()
        self._messages: deque[Message] = deque()
        self._unread = 0
        self.held_back = False
        self._fresh = asyncio.Event()
        self._exited = asyncio.Event()
        self._over_and_out = asyncio.Event()
        self._ended = ""
        self._noise = b""

    @classmethod
    async def start(
        cls, program: Path, arguments: Sequence[str], *, python: str = "", heed: bool = False
    ) -> Child:
        """Raises OSError when the process cannot be started. `-I -S`: no site-packages, no user settings. `heed`: what
        it says on standard error is kept for `last_words`."""
        loop = asyncio.get_running_loop()
        _, child = await loop.subprocess_exec(
            cls,
            python or sys.executable,
            "-I",
            "-S",
            str(program),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if heed else asyncio.subprocess.DEVNULL,
            creationflags=0x08000000 if os.name == "nt" else 0,
        )
        return child

    @property
    def pid(self) -> int:
        return self._transport.get_pid() if self._transport else 0

    @property
    def alive(self) -> bool:
        return not self._ended and not self._exited.is_set()

    @property
    def reaped(self) -> bool:
        return self._exited.is_set()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Never waits. A child that has gone is found out by `receive`."""
        pipe = self._transport.get_pipe_transport(0) if self._transport and not self._ended else None
        if pipe is not None and not pipe.is_closing():
            cast(asyncio.WriteTransport, pipe).write(packed(kind, payload))

    async def receive(self) -> Message:
        """The next message. Raises `ChildGone` when there will be none."""
        while not self._messages:
            if self._ended:
                code = self._transport.get_returncode() if self._transport else None
                raise ChildGone(self._ended, code)
            self._fresh.clear()
            await self._fresh.wait()
        message = self._messages.popleft()
        self._unread -= len(message.payload)
        if self.held_back and self._unread <= LOW_BYTES:
            self._hold_back(False)
        return message

    async def last_words(self) -> str:
        """Its last line on standard error, once it has ended; empty where it has said nothing."""
        await self._over_and_out.wait()
        lines = self._noise.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def kill(self) -> None:
        """At once and for certain; what it still had to say is thrown away."""
        self._messages.clear()
        self._over("it was stopped")
        if self._transport:
            self._transport.close()

    async def exited(self) -> None:
        """Returns when the process has been reaped."""
        await self._exited.wait()

    def _hold_back(self, on: bool) -> None:
        pipe = self._transport.get_pipe_transport(1) if self._transport else None
        if pipe is None or pipe.is_closing():
            return
        self.held_back = on
        reading = cast(asyncio.ReadTransport, pipe)
        if on:
            reading.pause_reading()
        else:
            reading.resume_reading()

    def _over(self, reason: str) -> None:
        self._ended = self._ended or reason
        self._fresh.set()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are like asyncio's without being theirs.
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._noise = (self._noise + data)[-NOISE_BYTES:]
            return
        if self._ended:
            return
        try:
            messages = self._stage.feed(data)
        except ValueError as error:
            self._over(str(error))
            self.kill()
            return
        self._messages.extend(messages)
        self._unread += sum(len(message.payload) for message in messages)
        if not self.held_back and self._unread > HIGH_BYTES:
            self._hold_back(True)
        self._fresh.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._over("it ended by itself")

    def process_exited(self) -> None:
        """What it wrote before its end is still in the pipe: the end of the pipe is the end of the messages."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and all that it wrote has come."""
        self._over_and_out.set()
