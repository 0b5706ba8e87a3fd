"""Notices a device that has fallen silent without a word, as unplugged and frozen ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voicemode.errors import DeviceLost

FIRST_SECONDS = 3.0
"""A sound card may take 0.8–1.5 s to its first callback."""
GAP_SECONDS = 1.0
"""Callbacks come every 3–50 ms; audio servers on a busy machine have been seen to pause for 0.3 s."""
LOOK_SECONDS = 0.1
"""The least between two looks."""


class Watchdog:
    """Looks when a device that has stopped can be called lost, about once a second, and reports it lost, once.

    The loop itself may be held up for longer than a gap: the device calls in its own thread meanwhile, so a late
    look sees a fresh time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        last_at: Callable[[], float | None],
        lose: Callable[[DeviceLost], None],
        now: Callable[[], float],
        name: str,
    ) -> None:
        self._loop = loop
        self._last_at = last_at
        self._lose = lose
        self._now = now
        self._name = name
        self._opened_at = now()
        self._timer = loop.call_later(GAP_SECONDS, self.look)

    def stop(self) -> None:
        self._timer.cancel()

    def look(self) -> None:
        self._timer.cancel()
        last = self._last_at()
        limit = FIRST_SECONDS if last is None else GAP_SECONDS
        silent = self._now() - (self._opened_at if last is None else last)
        if silent >= limit:
            self._lose(
                DeviceLost(
                    f"{self._name} has not moved for {limit:g} s: unplugged, or the audio server hangs.",
                    hint="Check the device and the audio server, then try again.",
                    retryable=True,
                )
            )
            return
        soonest = min(limit - silent, GAP_SECONDS)
        self._timer = self._loop.call_later(max(soonest, LOOK_SECONDS), self.look)
