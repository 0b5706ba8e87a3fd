"""Files that only their owner may read: made so from the first moment, whatever the umask, and kept within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700

NEW = ".new"
"""Ends the name of a file that will take another one's place when it is whole."""

# A link planted under our name must not lead the writer elsewhere. Windows knows neither flag.
_NEVER_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)


def make_folder(folder: Path) -> None:
    """Makes the folder and its missing parents, each 0700. A folder that exists keeps its mode."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir(mode=FOLDER_MODE)


def open_file(path: Path, flags: int) -> int:
    """A descriptor for a file that is made 0600 where it does not exist. Never inherited, never through a link."""
    return os.open(path, flags | _NEVER_FOLLOW | _BINARY | getattr(os, "O_CLOEXEC", 0), FILE_MODE)


def write_whole(path: Path, text: str) -> None:
    """The file is there with all of its text, or as it was before, whichever process writes it too. Raises
    `OSError`."""
    growing = path.with_name(f"{path.name}.{os.getpid()}{NEW}")
    file = open_file(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with os.fdopen(file, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
        growing.replace(path)
    except BaseException:
        with suppress(OSError):
            growing.unlink()
        raise


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One unit of what retention keeps or throws away. `age` in days; `bytes` of all its files."""

    paths: tuple[Path, ...]
    age: float
    bytes: int


def prune(units: Iterable[Kept], *, max_days: float, max_bytes: int) -> list[Path]:
    """Deletes what is older than `max_days`, then the oldest until `max_bytes` hold. Gives what it deleted.

    A file that cannot be deleted stays, and counts no longer.
    """
    gone: list[Path] = []
    total = 0
    for unit in sorted(units, key=lambda unit: unit.age):
        total += unit.bytes
        if unit.age <= max_days and total <= max_bytes:
            continue
        total -= unit.bytes
        for path in unit.paths:
            with suppress(OSError):
                path.unlink()
                gone.append(path)
    return gone
