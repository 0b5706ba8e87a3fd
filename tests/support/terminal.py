"""A program at a terminal of its own, with somebody at its keys."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.looking import look_for
from voicemode import clock

LIMIT_S = 20.0

# Opens the terminal it is given and so comes to own it, then becomes the program, or in the background starts it.
_OWNER = """\
import os, subprocess, sys
name, place, *command = sys.argv[1:]
os.setsid()
terminal = os.open(name, os.O_RDWR)
if place == "background":
    sys.exit(subprocess.run(command, stdin=terminal, process_group=0).returncode)
if place != "beside":
    os.dup2(terminal, 0)
if place == "output":
    os.dup2(terminal, 1)
os.dup2(terminal, 2)
os.execv(command[0], command)
"""


class AtTerminal:
    """A running program. `screen` is what it has written to the terminal, its standard error above all."""

    def __init__(self, process: subprocess.Popen[str], ours: int, its: int) -> None:
        self.process = process
        self._ours = ours
        self._its = its
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        return bytes(self._written).decode(errors="replace")

    @property
    def line_by_line(self) -> bool:
        """Whether the terminal waits for Enter and shows what is typed, as a shell expects to find it."""
        flags = int(termios.tcgetattr(self._its)[3])
        return bool(flags & termios.ICANON) and bool(flags & termios.ECHO)

    def wait_for_keys(self) -> None:
        """Until the program reads key by key."""
        look_for(lambda: not self.line_by_line, LIMIT_S, lambda: f"no keys are read; {self.screen!r}")

    def type(self, keys: str) -> float:
        """When (monotonic seconds) they were typed."""
        at = clock.monotonic()
        os.write(self._ours, keys.encode())
        return at

    def ended(self, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """Exit code and standard output."""
        out, _ = self.process.communicate(timeout=limit_s)
        return self.process.returncode, out

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 4096)
            except OSError:
                return
            if not data:
                return
            self._written += data


@contextmanager
def at_terminal(
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path,
    typed: str | None = None,
    background: bool = False,
    output: bool = False,
    command: Sequence[str] = (sys.executable, "-m", "voicemode"),
) -> Iterator[AtTerminal]:
    """`voicemode` with these arguments. `typed` comes from a pipe on its standard input, in place of the terminal; with
    `output` its standard output goes to the terminal too."""
    ours, its = pty.openpty()
    place = "background" if background else "output" if output else "stdin" if typed is None else "beside"
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, os.ttyname(its), place, *command, *arguments],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.PIPE if typed is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if background else None,
        text=True,
    )
    try:
        if typed is not None:
            assert process.stdin is not None
            process.stdin.write(typed)
            process.stdin.close()
            process.stdin = None
        yield AtTerminal(process, ours, its)
    finally:
        process.kill()
        process.communicate()
        os.close(its)
        os.close(ours)
