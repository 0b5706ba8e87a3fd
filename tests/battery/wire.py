"""A host on real pipes that may be as rude as it likes: raw bytes, many calls at once, cancelling, not reading."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.live.host import COMMAND, ROOT
from tests.support.encoding import decode
from tests.support.looking import looked_for
from voicemode.logs.logbook import LoggedEvent, read_events
from voicemode.pcm import Frame

ANSWER_SECONDS = 30.0
"""The ceiling of every wait in the battery that has none of its own."""

LONGEST_LINE = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for a call of a tool. `fields` is its structured content."""

    text: str
    failed: bool
    fields: Mapping[str, object]

    def word(self, name: str) -> str:
        return str(self.fields.get(name, ""))


class Wire:
    """MCP on the pipes of a child process. What was written to each pipe is kept."""

    def __init__(self, process: Process, answers: IO[bytes], errors: IO[bytes]) -> None:
        self.process = process
        self.lines: list[bytes] = []
        self.errors = bytearray()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, object]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._answers, self._errors = answers, errors

    def read_answers(self) -> None:
        """From here on standard output is read; until then nobody does."""
        self._tasks.append(asyncio.create_task(self._read_answers()))

    def read_errors(self) -> None:
        self._tasks.append(asyncio.create_task(self._read_errors()))

    def put(self, data: bytes) -> None:
        """Raw bytes to standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def ask(self, method: str, **params: object) -> int:
        """Sends a request; gives its id."""
        self._number += 1
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.put(json.dumps(message).encode() + b"\n")
        return self._number

    def tell(self, method: str, **params: object) -> None:
        self.put(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def begin(self, tool: str, **arguments: object) -> int:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def cancel(self, number: int) -> None:
        self.tell("notifications/cancelled", requestId=number, reason="the user changed their mind")

    def answered(self, number: int) -> bool:
        return self._waiting[number].done()

    async def message(self, number: int, limit: float = ANSWER_SECONDS) -> dict[str, object]:
        """The whole answer to a request."""
        async with asyncio.timeout(limit):
            return await asyncio.shield(self._waiting[number])

    async def answer(self, number: int, limit: float = ANSWER_SECONDS) -> Answer:
        """The answer to a call of a tool."""
        message = await self.message(number, limit)
        result = message.get("result")
        assert isinstance(result, dict), message
        fields = result.get("structuredContent") or {}
        text = " ".join(part.get("text", "") for part in result["content"])
        return Answer(text=text, failed=bool(result.get("isError")), fields=fields)

    async def call(self, tool: str, limit: float = ANSWER_SECONDS, **arguments: object) -> Answer:
        return await self.answer(self.begin(tool, **arguments), limit)

    async def tools(self) -> list[str]:
        message = await self.message(self.ask("tools/list"))
        result = message["result"]
        assert isinstance(result, dict)
        return sorted(tool["name"] for tool in result["tools"])

    async def states(self) -> list[str]:
        """Of all calls the server remembers, oldest first."""
        calls = (await self.call("playback")).fields["calls"]
        assert isinstance(calls, list)
        return [call["state"] for call in calls]

    async def until_state(self, state: str) -> None:
        """Until the youngest call is in this state."""

        async def there() -> bool:
            return (await self.states())[-1:] == [state]

        await looked_for(there, ANSWER_SECONDS)

    async def shake_hands(self) -> None:
        client = {"name": "battery", "version": "1"}
        number = self.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        await self.message(number)
        self.tell("notifications/initialized")

    async def end(self) -> None:
        """Closes standard input and waits until the process has left; kills it if it does not."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=5)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._answers.close()
            self._errors.close()
            await asyncio.sleep(0)  # transports close their pipes one turn of the loop later

    async def _read_answers(self) -> None:
        async with _reader(self._answers) as reader:
            while line := await reader.readline():
                self.lines.append(line)
                message = json.loads(line)
                waiting = self._waiting.get(message["id"]) if "method" not in message else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    async def _read_errors(self) -> None:
        async with _reader(self._errors) as reader:
            while block := await reader.read(65_536):
                self.errors += block


@asynccontextmanager
async def _reader(pipe: IO[bytes]) -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        yield reader
    finally:
        transport.close()


@asynccontextmanager
async def wire(
    variables: Mapping[str, str], *, reading: bool = True, umask: int = -1, folder: Path | None = None
) -> AsyncIterator[Wire]:
    """A server in a process of its own; leaving the block closes its standard input and sees it leave.

    With `reading` false neither of its pipes is read, not even into a buffer of ours, and no hands are shaken.
    """
    answers, errors = os.pipe(), os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            env=dict(variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=answers[1],
            stderr=errors[1],
            umask=umask,
            cwd=folder or ROOT,
        )
    finally:
        os.close(answers[1])
        os.close(errors[1])
    connected = Wire(process, os.fdopen(answers[0], "rb"), os.fdopen(errors[0], "rb"))
    try:
        if reading:
            connected.read_answers()
            connected.read_errors()
            await connected.shake_hands()
        yield connected
    finally:
        await connected.end()


def events(folder: Path) -> list[LoggedEvent]:
    """Everything in the event log under `folder`, in the order of its lines."""
    return [event for path in sorted(folder.glob("events/*.jsonl")) for event in read_events(path)]


def memory_mb(process: Process) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def sounds(folder: Path) -> list[Frame]:
    """Every recording under `folder`."""
    return [decode(path.read_bytes(), None) for path in sorted(folder.glob("recordings/*/*/*_tts*.wav"))]


def everything(host: Wire, folder: Path) -> str:
    """All that the process has written: to both pipes and into its folder."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return b"\n".join([*host.lines, bytes(host.errors), *files]).decode("latin-1")
