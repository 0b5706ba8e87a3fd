"""One voice at a time on a machine: a queue inside the process, a lock file between processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from voicemode import clock

LOOK_SECONDS = 0.05
"""How often a waiting process looks whether the floor is free. The lock of a process that dies is freed by the system."""


class MachineFloor:
    """The floor of this user on this machine. `folder` is where all their voicemode processes look for the lock.

    Inside the process calls are served strictly in order (an asyncio lock is fair); between processes whoever
    looks first once it is free. A folder that cannot be written to leaves only the queue inside the process.
    """

    def __init__(self, folder: Path) -> None:
        self._queue = asyncio.Lock()
        self._file = folder / "floor.lock"
        self._holder = folder / "floor.holder"

    @asynccontextmanager
    async def hold(self, who: str) -> AsyncIterator[float]:
        began = clock.monotonic()
        async with self._queue:
            lock = FileLock(self._file, mode=0o600, thread_local=False)
            await self._acquire(lock, who)
            try:
                yield clock.monotonic() - began
            finally:
                lock.release()

    def holder(self) -> str:
        """Who has the floor now, as far as is known: "speak (process 1234)", or "" when it is free."""
        lock = FileLock(self._file, mode=0o600, thread_local=False)
        try:
            with lock.acquire(blocking=False):
                return ""
        except Timeout:
            try:
                return self._holder.read_text(encoding="utf-8")
            except OSError:
                return "another process"
        except OSError:
            return ""

    async def _acquire(self, lock: FileLock, who: str) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                try:
                    lock.acquire(blocking=False)
                    break
                except Timeout:
                    await asyncio.sleep(LOOK_SECONDS)
            self._holder.write_text(f"{who} (process {os.getpid()})", encoding="utf-8")
        except OSError:
            return
