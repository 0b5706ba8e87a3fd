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

FILE = "echo_ways.json"
MOST_BYTES = 200_000

logger = logging.getLogger(__name__)


class KnownWays:
    """`folder` need not exist. What cannot be read or written is not known next time, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ways: Ways | None = None
        self._writing = threading.Lock()

    def open(self) -> Ways:
        """Read the first time: call it off the event loop."""
        if self._ways is None:
            from voicemode.ears.ways import Ways, read

            known: list[Way] = []
            with (
                suppress(OSError, ValueError),
                os.fdopen(open_file(self._folder / FILE, os.O_RDONLY), encoding="utf-8") as file,
            ):
                known = read(file.read(MOST_BYTES))
            self._ways = Ways(known, remembered=self._keep)
        return self._ways

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
        except OSError as error:
            logger.debug("The way of our echo is not kept: %s", error)
