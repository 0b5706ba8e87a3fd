"""Standard input as a text that is still being written, and standard output that says when it cannot be written to."""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from queue import SimpleQueue

from voicemode.errors import InvalidRequest, VoiceModeError

READ_BYTES = 65_536
SHOWN_CHARACTERS = 40

PIPE_A_TEXT = "Pipe a text into `voicemode speak -`."


class PipedText:
    """UTF-8 text from a descriptor as it is written, so that the first sentence sounds while the rest is still coming.

    `beginning` is how it begins, for a person to know it by.
    """

    def __init__(self, descriptor: int) -> None:
        self.beginning = ""
        self._descriptor = descriptor

    async def __aiter__(self) -> AsyncIterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        reader = _Reader(self._descriptor)
        try:
            while data := await reader.read():
                yield self._seen(decoder.decode(data))
            yield self._seen(decoder.decode(b"", final=True))
        finally:
            reader.leave()

    def nothing_to_say(self) -> InvalidRequest:
        """The error of a text that ended without a word."""
        shown = self.beginning.rstrip()
        return InvalidRequest(
            f"There is nothing to say in {shown!r}." if shown else "Standard input is empty.",
            hint="Give a message with words in it." if shown else PIPE_A_TEXT,
        )

    def _seen(self, text: str) -> str:
        if len(self.beginning) < SHOWN_CHARACTERS:
            self.beginning = (self.beginning + text).lstrip()[:SHOWN_CHARACTERS]
        return text


def standard_input() -> PipedText:
    """Raises `InvalidRequest` where whoever started us closed it."""
    if sys.stdin is None:
        raise InvalidRequest("Standard input is closed.", hint=PIPE_A_TEXT)
    return PipedText(sys.stdin.fileno())


async def agrees(question: str) -> bool:
    """Whether whoever is at the terminal says yes. The loop goes on meanwhile, so that Ctrl-C is heard."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    async for line in standard_input():
        return line.strip().lower() in ("y", "yes")
    return False


class _Reader:
    """Reads in a daemon thread, one part at a time and only when asked.

    Not in the loop's own pool, whose threads are joined when the loop ends: a writer may keep its end open for ever.
    Not as a pipe of the loop: that takes neither files nor, on Windows, what a shell gives.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="voicemode standard input", daemon=True).start()

    async def read(self) -> bytes:
        """What is there as soon as there is something; nothing at the end. Raises `InvalidRequest`."""
        part: asyncio.Future[bytes] = self._loop.create_future()
        self._asked.put(part)
        try:
            return await part
        except OSError as problem:
            raise InvalidRequest(
                f"Standard input cannot be read: {problem.strerror or problem}.", hint=PIPE_A_TEXT
            ) from None

    def leave(self) -> None:
        self._asked.put(None)

    def _run(self) -> None:
        while (part := self._asked.get()) is not None:
            data: bytes | OSError
            try:
                data = self._read()
            except OSError as problem:
                data = problem
            with suppress(RuntimeError):  # The loop has closed: nobody waits for it.
                self._loop.call_soon_threadsafe(_settle, part, data)

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:  # A writer that does not wait itself can make both ends so.
                select.select([self._descriptor], [], [])


def _settle(part: asyncio.Future[bytes], data: bytes | OSError) -> None:
    if part.done():
        return
    if isinstance(data, OSError):
        part.set_exception(data)
    else:
        part.set_result(data)


def show(text: str, *, end: str = "\n", heard: str = "") -> None:
    """A line on standard output, at once, after whatever waited to be written before it.

    Raises `BrokenPipeError` when its reader has left, and when it cannot be written for another reason `VoiceModeError`
    with what was `heard`, which nobody wants to say again.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        _close_output()
        raise
    except OSError as problem:
        _close_output()
        raise VoiceModeError(
            f"Standard output cannot be written: {problem.strerror or problem}.",
            hint=f"What was heard: {heard}" if heard else "Make room there, or send it elsewhere.",
        ) from problem


def _close_output() -> None:
    """What could not be written is given up: Python would try again when it leaves, and complain with 120."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
