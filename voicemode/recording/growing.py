"""A file that grows on disk and is never taken for a finished one, whatever happens to the process.

While it grows its name has `.part` in it and its writer holds a lock on it; at the end it gets its final name. The
operating system frees the lock of a killed process, and so a later one knows what it may adopt.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from voicemode.machine.private_files import open_file

PART = ".part"


def lock(file: int) -> bool:
    """Whether this process now holds the file. Without locks (Windows) an open file cannot be renamed by others."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: better an adopted file than a lost one
    return True


class GrowingFile:
    """Blocking; one thread at a time. The folder exists. Raises OSError.

    `path` is the final one; a taken name gets `-2`, `-3` and so on. `growing` makes the name while it grows.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._part, file = self._new(path)
        self._file: int | None = file
        self._there: Path | None = self._part

    @staticmethod
    def growing(path: Path) -> Path:
        return path.with_name(f"{path.name}{PART}")

    @property
    def part(self) -> Path:
        """Where it is while it grows."""
        return self._part

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._file is None:
                raise OSError(0, "the recording is closed")
            view = view[os.write(self._file, view) :]

    def finish(self) -> Path:
        """Closes the file under its final name. Also for a file whose disk is full: what is there stays."""
        if self._file is not None:
            self._close()
            self._part.rename(self.path)
            self._there = self.path
        return self.path

    def abandon(self) -> None:
        """Closes and deletes, also what has its final name already: a full disk may have finished it."""
        self._close()
        there, self._there = self._there, None
        with suppress(OSError):
            if there is not None:
                there.unlink()

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    @classmethod
    def _new(cls, wanted: Path) -> tuple[Path, Path, int]:
        """(final path, path while growing, descriptor) under the first free name."""
        for count in range(1, 1000):
            path = wanted if count == 1 else wanted.with_stem(f"{wanted.stem}-{count}")
            part = cls.growing(path)
            if os.path.lexists(path):
                continue
            try:
                file = open_file(part, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                continue
            if lock(file) and _is_still(part, file):
                return path, part, file
            os.close(file)
        raise FileExistsError(0, "a thousand recordings of one name", str(wanted))


def _is_still(path: Path, file: int) -> bool:
    """False when another process took the new file for a dead one's, before it was locked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except FileNotFoundError:
        return False


def adopt_bytes(part: Path) -> Path | None:
    """Gives what a dead process left, and what is whole however it ends, its final name.

    None when a living process still writes it, or when it is empty (it is deleted then). Raises OSError.
    """
    file = open_file(part, os.O_RDWR)
    try:
        size = os.fstat(file).st_size if lock(file) else None
        # Renamed under the lock; Windows renames no open file, and lets nobody rename one that is being written.
        if os.name != "nt":
            return settle(part, part.with_name(part.name.removesuffix(PART)), size)
    finally:
        os.close(file)
    return settle(part, part.with_name(part.name.removesuffix(PART)), size)


def settle(part: Path, path: Path, size: int | None) -> Path | None:
    """`size` None: it is left alone; 0: nothing is worth keeping."""
    if size is None:
        return None
    if size == 0:
        part.unlink()
        return None
    free = path
    count = 2
    while os.path.lexists(free):
        free = path.with_stem(f"{path.stem}-{count}")
        count += 1
    part.rename(free)
    return free
