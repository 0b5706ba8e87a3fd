"""The end of the server's process: whatever brings it about, what is open is put away within a limit, and then nothing
else is waited for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from queue import SimpleQueue
from typing import NoReturn

from voicemode.errors import VoiceModeError

logger = logging.getLogger("voicemode")
"""Named so that a sentence on standard error begins like those of the command line."""

DONE, FAILED = 0, 1

LONGEST_CLOSE_SECONDS = 0.25
"""A client kills a server 0.49 s after its first signal: by then the log and the recordings must be on disk."""

LEAVE_SECONDS = 0.4
"""From the first signal until the process is gone even if the event loop hangs: a client kills it at 0.49 s."""

Serve = Callable[[AsyncExitStack, asyncio.Event], Awaitable[None]]
"""Serves until it is done or the event is set. What it opens is put on the stack."""


async def until_ended(serve: Serve) -> NoReturn:
    """Serves, puts away what was opened and leaves the process: 0 when it was told to end, 1 and a sentence on standard
    error when it failed. A thread that reads standard input or hangs in a device could never be joined."""
    leaving = _limit_of_leaving()
    stopped = _told_by_signals(leaving)
    stack = AsyncExitStack()
    code = FAILED
    try:
        await serve(stack, stopped)
        code = DONE
    except VoiceModeError as error:
        logger.error("%s", error)
    except Exception:  # A door's edge: nothing that goes wrong may end the process without a word.
        logger.exception("The server ended because of a mistake in voicemode. Please report it.")
    finally:
        leaving.put(None)
        try:
            await _put_away(stack)
        finally:
            with suppress(OSError, ValueError, AttributeError):  # The host may have closed it, or given none.
                sys.stderr.flush()
            os._exit(code)


async def _put_away(stack: AsyncExitStack) -> None:
    try:
        async with asyncio.timeout(LONGEST_CLOSE_SECONDS):
            await stack.aclose()
    except TimeoutError:
        logger.warning("Not everything was put away within %.2f s.", LONGEST_CLOSE_SECONDS)
    except Exception:  # A door's edge: the process ends all the same.
        logger.exception("Not everything was put away.")


def _told_by_signals(leaving: SimpleQueue[None]) -> asyncio.Event:
    """The event that a signal sets. A second signal changes nothing: hosts send SIGTERM 0.1 s after SIGINT, and what is
    being put away is done before the limit."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: object) -> None:
        # Both calls may interrupt themselves. The handler runs even while the loop waits, on every platform.
        leaving.put(None)
        loop.call_soon_threadsafe(stopped.set)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # nohup: the server outlives its terminal.
        signal.signal(number, stop)
    return stopped


def _limit_of_leaving() -> SimpleQueue[None]:
    """A thread that ends the process `LEAVE_SECONDS` after the first thing that is put into this queue."""
    asked: SimpleQueue[None] = SimpleQueue()

    def leave() -> None:
        asked.get()
        threading.Event().wait(LEAVE_SECONDS)
        os._exit(FAILED)

    threading.Thread(target=leave, name="leaving", daemon=True).start()
    return asked
