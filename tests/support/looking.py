"""Waiting for what tells nobody that it has come: the state of another process, seen by looking again and again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from voicemode.clock import monotonic

BETWEEN_LOOKS_SECONDS = 0.02
"""Looking without a pause takes a core from those who are being looked at."""


async def looked_for(look: Callable[[], Awaitable[bool]], limit_seconds: float) -> None:
    """Until `look` says yes."""
    async with asyncio.timeout(limit_seconds):
        while not await look():  # noqa: ASYNC110  (another process sets no event here)
            await asyncio.sleep(BETWEEN_LOOKS_SECONDS)


def look_for(look: Callable[[], bool], limit_seconds: float, otherwise: Callable[[], str]) -> None:
    """Until `look` says yes; with TimeoutError and what is so `otherwise` at the limit. Blocks its thread."""
    limit = monotonic() + limit_seconds
    pause = threading.Event()
    while not look():
        if monotonic() > limit:
            raise TimeoutError(f"{otherwise()} within {limit_seconds} s")
        pause.wait(BETWEEN_LOOKS_SECONDS)
