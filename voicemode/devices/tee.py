"""A tee: what the loudspeaker is given goes to further listeners too, and none of them can slow it down.

Each listener has a thread and a queue of its own. The device's thread only puts blocks into the queues; nothing comes
back from a listener, so what the assistant says never becomes something it hears.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from voicemode import clock
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import Pull

AHEAD_SECONDS = 2.0
"""Sound that waits for a slow listener; what comes while so much waits is left out for it, and counted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A block that the loudspeaker was given. `position` is its first sample, counted from when the loudspeaker was
    opened: after a block that was left out it jumps."""

    frame: Frame
    position: int


class Listener(Protocol):
    """One who hears what the loudspeaker is given: a recorder, an avatar, an echo canceller. All calls come from one
    thread of the listener's own and may take their time."""

    def hear(self, sound: Given) -> None: ...

    def done(self, left_out: int) -> None:
        """The loudspeaker is closed. `left_out` samples came while this listener lagged, and were not handed over."""


class _Line:
    """The way to one listener. `offer` is called by one thread, `_run` by another; no lock lies between them."""

    def __init__(self, listener: Listener, limit: int) -> None:
        self.left_out = 0
        self._listener = listener
        self._limit = limit
        self._queue: SimpleQueue[Given | None] = SimpleQueue()
        self._offered = 0
        self._taken = 0
        self._deaf = False
        self.thread = threading.Thread(target=self._run, name="voicemode listener", daemon=True)
        self.thread.start()

    def offer(self, sound: Given) -> None:
        samples = sound.frame.samples
        if self._deaf or self._offered - self._taken + samples > self._limit:
            self.left_out += samples
            return
        self._offered += samples
        self._queue.put(sound)

    def end(self) -> None:
        self._queue.put(None)

    def _run(self) -> None:
        try:
            while (sound := self._queue.get()) is not None:
                self._listener.hear(sound)
                self._taken += sound.frame.samples
            self._listener.done(self.left_out)
        except Exception:  # the edge of a thread: the listener is taken off, the loudspeaker goes on
            self._deaf = True
            _log.warning("%s hears no more: it failed", type(self._listener).__name__, exc_info=True)


class Tee:
    """A `ports.Pull` that hands on what it gives. `close` once nothing is pulled any more."""

    def __init__(
        self,
        pull: Pull,
        fmt: PcmFormat,
        listeners: Sequence[Listener],
        *,
        ahead_seconds: float = AHEAD_SECONDS,
    ) -> None:
        self._pull = pull
        self._format = fmt
        self._position = 0
        self._lines = [_Line(listener, fmt.samples(ahead_seconds)) for listener in listeners]

    @property
    def left_out(self) -> tuple[int, ...]:
        """Samples that each listener has not been handed because it lagged or failed."""
        return tuple(line.left_out for line in self._lines)

    def __call__(self, samples: int) -> bytes:
        data = self._pull(samples)
        if data:
            sound = Given(frame=Frame(data=data, format=self._format), position=self._position)
            self._position += sound.frame.samples
            for line in self._lines:
                line.offer(sound)
        return data

    def close(self) -> None:
        """Tells the listeners that this was all; they take what waits for them and are done. Does not wait."""
        for line in self._lines:
            line.end()

    def wait(self, limit_seconds: float) -> bool:
        """Whether all listeners were done within the limit. For a thread, not for the event loop."""
        until = clock.monotonic() + limit_seconds
        for line in self._lines:
            line.thread.join(max(until - clock.monotonic(), 0.0))
        return not any(line.thread.is_alive() for line in self._lines)
