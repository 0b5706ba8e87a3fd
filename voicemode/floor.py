"""One voice at a time on a machine: a queue inside the process, a lock file between processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from voicemode import clock
from voicemode.private_files import FILE_MODE, make_folder, open_file

LOOK_SECONDS = 0.05
"""How often a waiting process looks whether the floor is free; the system frees the lock of a process that dies."""


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
            lock = FileLock(self._file, mode=FILE_MODE, thread_local=False)
            await self._acquire(lock, who)
            try:
                yield clock.monotonic() - began
            finally:
                lock.release()

    def holder(self) -> str:
        """Who has the floor now, as far as is known: "speak (process 1234)", or "" when it is free."""
        if not self._file.exists():
            return ""
        lock = FileLock(self._file, mode=FILE_MODE, thread_local=False)
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
            make_folder(self._file.parent)
            while True:
                try:
                    lock.acquire(blocking=False)
                    break
                except Timeout:
                    await asyncio.sleep(LOOK_SECONDS)
            self._write_holder(f"{who} (process {os.getpid()})")
        except OSError:
            return

    def _write_holder(self, text: str) -> None:
        descriptor = open_file(self._holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
