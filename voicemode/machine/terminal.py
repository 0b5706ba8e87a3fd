"""The key of whoever sits at the terminal: found, read without Enter, and the terminal left as it was."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from voicemode import clock

KEYS = b" q\x1b"
KEY_NAMES = "Space, q or Esc"
"""All of them are the key."""

HELD_SECONDS = 0.7
"""A key that is held down is sent again after 0.2–0.66 s and then every 30 ms; terminals tell no key that is let go."""

ENOUGH_BYTES = 64
END_SECONDS = 1.0


class Presses:
    """Tells presses of the key from other keys, from the sequences that arrow keys send, and from a key held down."""

    def __init__(self) -> None:
        self._last = -math.inf

    def feed(self, data: bytes, at: float) -> bool:
        """What the terminal gave at once, `at` so many seconds; whether it is a press."""
        if (data[:1] == b"\x1b" and len(data) > 1) or not any(each in KEYS for each in data.lower()):
            return False
        held = at - self._last < HELD_SECONDS
        self._last = at
        return not held


if sys.platform == "win32":
    import msvcrt

    LOOK_SECONDS = 0.03

    @contextmanager
    def key_terminal(*, text_on_stdin: bool = False) -> Iterator[int | None]:
        """A console gives its keys beside whatever standard input is."""
        yield 0 if text_on_stdin or os.isatty(0) else None

    def _read(terminal: int, stop: threading.Event, wake: int, give: Callable[[bytes], None]) -> None:
        while not stop.wait(LOOK_SECONDS):
            while msvcrt.kbhit():
                data = msvcrt.getch()
                # Arrow and function keys come in two halves.
                give(b"\x1b" + msvcrt.getch() if data in (b"\x00", b"\xe0") else data)

    @contextmanager
    def _key_by_key(terminal: int) -> Iterator[None]:
        yield

else:
    import select
    import termios
    import tty

    @contextmanager
    def key_terminal(*, text_on_stdin: bool = False) -> Iterator[int | None]:
        """The terminal to read keys from: standard input, or where that brings a text (`text_on_stdin`) the terminal
        of the session; None where there is none, or another program has it."""
        opened = None
        with suppress(OSError):
            if text_on_stdin and not os.isatty(0):
                opened = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = 0 if not text_on_stdin and os.isatty(0) else opened
            yield found if found is not None and _is_ours(found) else None
        finally:
            if opened is not None:
                os.close(opened)

    def _read(terminal: int, stop: threading.Event, wake: int, give: Callable[[bytes], None]) -> None:
        while wake not in select.select([terminal, wake], [], [])[0]:
            if not _is_ours(terminal):
                # Sent to the background: whoever reads a terminal that is another's is stopped by the system.
                stop.wait(END_SECONDS)
                continue
            try:
                data = os.read(terminal, ENOUGH_BYTES)
            except OSError:
                return
            if not data:
                return
            give(data)

    @contextmanager
    def _key_by_key(terminal: int) -> Iterator[None]:
        """Every key at once and unseen; Ctrl-C still interrupts. What was typed before is thrown away: it was meant
        for somebody else."""
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal, termios.TCSAFLUSH)
            yield
        finally:
            with suppress(termios.error, OSError):  # It has gone: that is what SIGHUP says.
                if _is_ours(terminal):
                    termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _is_ours(terminal: int) -> bool:
        """Whoever touches a terminal from the background is stopped."""
        with suppress(OSError):
            return os.tcgetpgrp(terminal) == os.getpgrp()
        return False


@contextmanager
def watched(terminal: int, on_press: Callable[[], None]) -> Iterator[None]:
    """Calls `on_press` on the running event loop for each press of the key, until the block is left."""
    loop = asyncio.get_running_loop()
    presses = Presses()
    stop = threading.Event()
    wake, end = os.pipe()

    def give(data: bytes) -> None:
        if presses.feed(data, clock.monotonic()):
            loop.call_soon_threadsafe(on_press)

    reader = threading.Thread(
        target=_read, args=(terminal, stop, wake, give), name="voicemode keys", daemon=True
    )
    try:
        with _key_by_key(terminal):
            reader.start()
            try:
                yield
            finally:
                stop.set()
                os.write(end, b".")
                reader.join(END_SECONDS)
    finally:
        if not reader.is_alive():
            os.close(wake)
            os.close(end)
