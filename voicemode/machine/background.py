"""One thread that does the slow things of an edge, in order, so that nobody else waits for a disk."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class Background:
    """Runs jobs one after the other. `submit` never blocks; at most `capacity` jobs wait.

    The thread is a daemon: a disk that hangs must not keep the process from leaving.
    """

    def __init__(self, name: str, *, capacity: int = 10_000) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def submit(self, job: Job) -> bool:
        """False when the job was refused: closed, or too many are waiting. Takes no lock, for a sound card's thread
        calls it too: threads that come at once may find room for one more each, and what comes while it closes may be
        left undone."""
        if self._closed or self._jobs.qsize() >= self._capacity:
            return False
        self._jobs.put(job)
        return True

    def flush(self, limit_s: float) -> bool:
        """Waits until everything submitted before is done; False when `limit_s` was not enough."""
        done = threading.Event()
        with self._lock:
            if self._closed or self._thread is None:
                return self._jobs.empty()
            self._jobs.put(done.set)
        return done.wait(limit_s)

    async def settled(self, limit_s: float) -> bool:
        """`flush` for an event loop."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # The loop has closed: nobody waits any more.
                loop.call_soon_threadsafe(done.set)

        with self._lock:
            if self._closed or self._thread is None:
                return self._jobs.empty()
            self._jobs.put(tell)
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        except TimeoutError:
            return False
        return True

    def close(self, limit_s: float) -> bool:
        """Does what is waiting, then ends. False when `limit_s` was not enough."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
            thread = self._thread
        if thread is None:
            return True
        thread.join(limit_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                # A thread's edge: one job that fails must not silence all that follow.
                logger.exception("a job of %s failed", self._name)


class Unhurried(io.TextIOBase):
    """A text stream that never holds its writer up: a thread writes what it is given to `descriptor`.

    A host may start us with a pipe for standard error and never read it; once it is full, every `write` to it waits
    for ever. Here what finds no room is lost instead. `flush` waits at most `limit_s`, and not at all while nothing
    has been taken since it last waited in vain: logging flushes after every line.
    """

    def __init__(self, descriptor: int, *, capacity: int = 1_000, limit_s: float = 0.1) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._limit_s = limit_s
        self._stuck = threading.Event()
        self._background = Background("unhurried", capacity=capacity)
        self._background.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        data = text.encode(self.encoding, self.errors)
        self._background.submit(lambda: self._write(data))
        return len(text)

    def flush(self) -> None:
        if not self._stuck.is_set() and not self._background.flush(self._limit_s):
            self._stuck.set()

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # Nobody is left to read it.
            while data:
                data = data[os.write(self._descriptor, data) :]
                self._stuck.clear()
