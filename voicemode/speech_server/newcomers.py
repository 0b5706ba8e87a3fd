"""Who has no sound in hand yet goes before who has: a text of ten minutes must not keep a greeting waiting.

An engine and its encoder work as fast as they can, and most clients take what comes: a long stream is soon a minute
ahead of its listener, with the work that a new one waits for. So streams that are well ahead stand still while there
are newcomers. A newcomer is one for its first half second of sound, or for as long as an engine may take to begin: one
that never begins holds nobody up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

IN_HAND_SECONDS = 2.0
"""Of sound that a client has and cannot have played yet: with less nobody stands still."""

NEW_SECONDS = 1.0
"""From the place on. Longer, it is not the others that a stream waits for."""


class Newcomers:
    """Streams by what they are known as. Use from one event loop."""

    def __init__(self, *, new_seconds: float = NEW_SECONDS) -> None:
        self._new: dict[object, asyncio.TimerHandle] = {}
        self._none = asyncio.Event()
        self._none.set()
        self._new_seconds = new_seconds

    def came(self, stream: object) -> None:
        loop = asyncio.get_running_loop()
        self._new[stream] = loop.call_later(self._new_seconds, self.settled, stream)
        self._none.clear()

    def settled(self, stream: object) -> None:
        """It has sound in hand, has had its time, or is gone; any of them can come first."""
        timer = self._new.pop(stream, None)
        if timer is not None:
            timer.cancel()
        if not self._new:
            self._none.set()

    async def first(self, in_hand: float) -> None:
        """For a stream with `in_hand` seconds: returns when there is no newcomer, or when it has only
        `IN_HAND_SECONDS` left."""
        if self._none.is_set() or in_hand <= IN_HAND_SECONDS:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(in_hand - IN_HAND_SECONDS):
                await self._none.wait()
