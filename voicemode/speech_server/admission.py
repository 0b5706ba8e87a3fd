"""How many streams are served at once: as many as were seen to keep ahead of real time, and no more.

Nobody can say beforehand what an engine holds: it may be a child process, a graphics card, or a server elsewhere. So
the limit is found as networks find theirs: one more is let in after each stream that went well while there was a
crowd; where two in a row fell behind, nobody more is let in than there were, and where that happens again, fewer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from voicemode import clock
from voicemode.errors import Busy

FIRST_LIMIT = 32.0
"""Streams let in before anything was seen."""

CROWDED = 0.75
"""Of the limit: with fewer streams a good one says nothing about how many are too many."""

LEFT_AFTER_TROUBLE = 0.8
IN_A_ROW = 2
"""One stream that falls behind is bad luck."""

REST_SECONDS = 2.0
"""Streams that fall behind together are one trouble, not many."""

BEHIND_SECONDS = 0.25
"""What a client holds before it plays: a stream that is later than this is heard to stop."""

USUAL_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 30


class Full(Busy):
    """`retry_after` whole seconds until a place is likely to be free."""

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(
            f"This server speaks with {limit} voices at once, and all are in use.",
            hint=f"Ask again in {retry_after} s.",
            retryable=True,
        )
        self.retry_after = retry_after


class Draining(Busy):
    def __init__(self) -> None:
        super().__init__(
            "This server is about to end and takes nothing new.", hint="Ask another one.", retryable=True
        )
        self.retry_after = LONGEST_RETRY_SECONDS


@dataclass(slots=True, eq=False)
class Progress:
    """One stream. `sound` seconds were sent; `waited` is the time its engine made it wait."""

    began: float
    first: float | None = None
    sound: float = 0.0
    waited: float = 0.0
    crowd: int = 0
    """Streams at once, at most, while this one was there."""
    broke: bool = False
    """Its engine failed on the way: what that took says nothing about how many it can serve."""
    worst: float = 0.0
    """Seconds by which sound came too late, at worst."""

    def sent(self, seconds: float, at: float) -> None:
        """`seconds` more sound went out. What came before this must last until now."""
        if self.first is None:
            self.first = at
        else:
            self.worst = max(self.worst, at - self.first - self.sound)
        self.sound += seconds


class Admission:
    """`most` is never passed. Use from one thread."""

    def __init__(
        self, *, most: int, first: float = FIRST_LIMIT, now: Callable[[], float] = clock.monotonic
    ) -> None:
        self.draining = False
        self._streams: list[Progress] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self._most = most
        self._limit = min(first, float(most))
        self._now = now
        self._usual = USUAL_SECONDS
        self._trouble = -math.inf
        self._behind = 0

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    @contextmanager
    def stream(self) -> Iterator[Progress]:
        """A place for one stream. Raises `Full` or `Draining`."""
        if self.draining:
            raise Draining
        if self.active >= self.limit:
            raise Full(self.limit, self._retry_after())
        progress = Progress(began=self._now())
        self._streams.append(progress)
        self.idle.clear()
        for each in self._streams:
            each.crowd = max(each.crowd, self.active)
        try:
            yield progress
        finally:
            self._streams.remove(progress)
            if not self.active:
                self.idle.set()
            self._learn(progress)

    def _learn(self, progress: Progress) -> None:
        now, crowd = self._now(), progress.crowd
        if progress.first is None:
            return
        self._usual += (now - progress.began - self._usual) / 8
        engine_was_slow = progress.waited > 0.5 * (now - progress.first)
        if progress.worst > BEHIND_SECONDS and engine_was_slow:
            if not progress.broke:
                self._fell_behind(crowd, now)
            return
        self._behind = 0
        if crowd >= CROWDED * self._limit:
            self._limit = min(self._limit + 1.0, float(self._most))

    def _fell_behind(self, crowd: int, now: float) -> None:
        self._behind += 1
        if self._behind < IN_A_ROW or now - self._trouble < REST_SECONDS:
            return
        self._trouble = now
        fewer = crowd if self._limit >= crowd + 1 else self._limit * LEFT_AFTER_TROUBLE
        self._limit = max(1.0, fewer)

    def _retry_after(self) -> int:
        """One of so many streams ends soon; the mean of an even spread."""
        return min(max(1, math.ceil(self._usual / (self.active + 1))), LONGEST_RETRY_SECONDS)
