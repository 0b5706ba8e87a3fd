"""Uploads on their way. Who sends slowly keeps nobody else from being heard: no place is held for a recording before
all of it is there, and where too many come at once, the one goes that has been on its way longest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicemode.errors import Busy

MOST_UPLOADS = 32
"""Each can be 26.5 MB in memory."""


class Crowded(Busy):
    def __init__(self, most: int) -> None:
        super().__init__(
            f"More than {most} recordings are on their way to this server, and this one has been longest.",
            hint="Send it again in 1 s.",
            retryable=True,
        )
        self.retry_after = 1


class Arriving:
    """`most` at once. Use from one event loop."""

    def __init__(self, most: int = MOST_UPLOADS) -> None:
        self._most = most
        self._coming: list[asyncio.Timeout] = []

    @property
    def coming(self) -> int:
        return len(self._coming)

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """For one. Raises `Crowded` in the one that has to go."""
        if len(self._coming) >= self._most:
            self._coming.pop(0).reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(None) as limit:
                self._coming.append(limit)
                try:
                    yield
                finally:
                    if limit in self._coming:
                        self._coming.remove(limit)
        except TimeoutError:
            raise Crowded(self._most) from None
