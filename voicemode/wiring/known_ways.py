"""The ways from loudspeakers to microphones that were found, kept from one process to the next.

Who talks over the first message of a process is found as soon as over any other.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.machine.private_files import make_folder, open_file, write_whole

if TYPE_CHECKING:
    from voicemode.ears.ways import Way, Ways
    from voicemode.pcm import Frame

FILE = "echo_ways.json"
MOST_BYTES = 200_000

Version = tuple[int, int] | None

logger = logging.getLogger(__name__)


class KnownWays:
    """`folder` need not exist. What cannot be read or written is not known next time, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ways: Ways | None = None
        self._seen: Version = None
        self._writing = threading.Lock()

    def open(self) -> Ways:
        """Read the first time, and again where another process has written since: call it off the event loop."""
        with self._writing:
            if self._ways is None:
                from voicemode.ears.ways import Ways

                self._ways = Ways(self._read(), remembered=self._keep)
            elif self._version() not in (None, self._seen):
                self._ways.known = tuple(self._read())
        return self._ways

    def add(self, played: Frame, heard: Frame, expected: float) -> bool:
        """The way of one sound (`ears/solving.py`), written when this returns; whether there is one. It computes for a
        moment: call it off the event loop."""
        from voicemode.ears.solving import remember_way
        from voicemode.ears.ways import Ways

        ways = Ways(self.open().known)
        found = remember_way(ways, played, heard, expected)
        if found:
            self.open().known = ways.known
            self._write(ways.known)
        return found

    def _read(self) -> list[Way]:
        from voicemode.ears.ways import read

        self._seen = self._version()
        with (
            suppress(OSError, ValueError),
            os.fdopen(open_file(self._folder / FILE, os.O_RDONLY), encoding="utf-8") as file,
        ):
            return read(file.read(MOST_BYTES))
        return []

    def _version(self) -> Version:
        """Of the file: another one where somebody has written it."""
        with suppress(OSError):
            file = (self._folder / FILE).stat()
            return file.st_ino, file.st_mtime_ns
        return None

    def _keep(self, ways: Sequence[Way]) -> None:
        """Nobody waits for a disk."""
        threading.Thread(
            target=self._write, args=(ways,), name="keeping the way of echo", daemon=True
        ).start()

    def _write(self, ways: Sequence[Way]) -> None:
        from voicemode.ears.ways import written

        try:
            with self._writing:
                make_folder(self._folder)
                write_whole(self._folder / FILE, written(ways))
                self._seen = self._version()
        except OSError as error:
            logger.debug("The way of our echo is not kept: %s", error)
