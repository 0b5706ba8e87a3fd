"""How many texts an engine's replicas take at the moment, as one ingress sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voicemode import clock
from voicemode.speech_server.admission import LONGEST_RETRY_SECONDS, USUAL_SECONDS, Full


class Room:
    """`ongoing` texts on each replica, and `waiting` in line: where that is nothing, Ray sees no reason for another
    replica. Until it is told otherwise there is one replica and one ingress. Use from one thread."""

    def __init__(self, *, ongoing: int, waiting: int, now: Callable[[], float] = clock.monotonic) -> None:
        self._ongoing = ongoing
        self._waiting = waiting
        self._now = now
        self.replicas = 1
        """That run."""
        self._ingresses = 1
        self._usual = USUAL_SECONDS
        self.taken = 0

    @property
    def most(self) -> int:
        """This ingress's share."""
        return max(1, math.ceil((self.replicas * self._ongoing + self._waiting) / self._ingresses))

    @property
    def all_at_work(self) -> bool:
        """The replicas, each with all that it takes; with several ingresses, by this one's texts alone."""
        return self.taken >= self.replicas * self._ongoing

    def told(self, *, replicas: int, ingresses: int) -> None:
        """How many run now."""
        self.replicas, self._ingresses = replicas, max(1, ingresses)

    @contextmanager
    def text(self) -> Iterator[None]:
        """One text, from its first sentence to its last: what was begun is not refused. Raises `Full`."""
        if self.taken >= self.most:
            seconds = math.ceil(self._usual / self.most)
            raise Full(self.most, min(max(1, seconds), LONGEST_RETRY_SECONDS))
        began = self._now()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._usual += (self._now() - began - self._usual) / 8
