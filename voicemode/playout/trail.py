"""Which of the samples that a device has pulled were speech, and how many of these have been heard by now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from voicemode.pcm import PcmFormat

LONGEST_LATENCY_SECONDS = 1.0
"""A device may pull before its latency is known: what was given is remembered at least this long."""


class Trail:
    """Counts what one device after the other has pulled, as far back as it may still hold it."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._runs: deque[list[int]] = deque()
        """Each is [pulled before it, speech given before it, speech in it]; silence lies between runs."""
        self._pulled = 0
        self._before = 0
        """Speech given before this device."""
        self._most = 0

    def pulled(self, samples: int, given: int, position: int, latency: Callable[[], float]) -> None:
        """`samples` more, of which the first `given` are speech, up to `position`; `latency` in seconds."""
        runs = self._runs
        if given:
            last = runs[-1] if runs else None
            if last and last[0] + last[2] == self._pulled:
                last[2] += given
            else:
                runs.append([self._pulled, position - given, given])
        self._pulled += samples
        if len(runs) > 1:
            horizon = self._pulled - self._format.samples(max(latency(), LONGEST_LATENCY_SECONDS))
            while len(runs) > 1 and runs[1][0] <= horizon:
                runs.popleft()

    def heard(self, latency: float) -> int:
        """Samples of speech that have become audible, where one takes `latency` seconds from pull to sound."""
        audible = self._pulled - self._format.samples(latency)
        heard = self._before
        for pulled, before, given in self._runs:
            if pulled > audible:
                break
            heard = before + min(given, audible - pulled)
        # A device that begins to hold more takes nothing back.
        self._most = max(self._most, heard)
        return self._most

    def begin(self, position: int) -> None:
        """Another device goes on at `position`."""
        self._before, self._pulled = position, 0
        self._runs.clear()
