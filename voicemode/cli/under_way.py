"""One line at a terminal that says what is being done, and is gone when it is done."""

from __future__ import annotations

import shutil
import sys


class UnderWay:
    """On standard error; where that is no terminal, nothing."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def show(self, text: str) -> None:
        if self._terminal:
            # A line that is broken could not be taken back.
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]}\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = False
