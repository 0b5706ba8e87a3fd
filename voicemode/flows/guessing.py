"""Transcription ahead of time: at a short silence what was said is transcribed, and dropped if the voice goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from voicemode.errors import EngineError
from voicemode.pcm import Frame
from voicemode.speech import Transcript

EARLY_SILENCE = 0.19
"""Silence after which it may be worth asking: a shorter one is inside a word or between two. To the user it is 0.2 s:
devices give 30 ms of sound at once, which by then are over."""

BETWEEN_SECONDS = 0.5
"""Of microphone time, between two requests: they may cost money."""

MOST_REQUESTS = 8
"""In one turn. Who pauses more often is dictating, and waits for the last request as everyone used to."""

Ask = Callable[[Frame], Awaitable[Transcript]]


class Guess:
    """The request that is under way or answered, one at a time. Leaving the block drops it.

    `ask` None never asks, and without `ahead` only what is `needed` is asked for; for that `ask_needed` takes the place
    of `ask`. A failure before the turn ends is no news here: at its end the words are asked for again.
    """

    def __init__(self, ask: Ask | None = None, *, ahead: bool = True, ask_needed: Ask | None = None) -> None:
        self._ask = ask
        self._ask_needed = ask_needed or ask
        self._ahead = ahead
        self._task: asyncio.Task[Transcript] | None = None
        self._audio: Frame | None = None
        self._dropped: set[asyncio.Task[Transcript]] = set()
        self._asked = 0
        self._since = BETWEEN_SECONDS
        """Since the last request began."""

    async def __aenter__(self) -> Guess:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        if self._dropped:
            await asyncio.wait(self._dropped)

    @property
    def asking(self) -> bool:
        return self._task is not None and not self._task.done()

    async def settled(self) -> None:
        """Returns when nothing is under way."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    @property
    def transcript(self) -> Transcript | None:
        """The answer, once it is there."""
        task = self._task
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    def consider(
        self, audio: Callable[[], Frame | None], *, seconds: float, silent: float, needed: bool = False
    ) -> None:
        """A frame of `seconds` has passed; `silent` is how long there has been no voice (0: it goes on). `needed`: what
        was said decides what happens now."""
        self._since += seconds
        if silent <= 0.0:
            self.drop()
            return
        early = not enough(silent, seconds)
        soon = self._since < BETWEEN_SECONDS - 1e-9
        if early or soon or self._task is not None or self._asked >= MOST_REQUESTS:
            return
        ask = self._ask_needed if needed else self._ask
        if ask is None or not (self._ahead or needed):
            return
        sound = audio()
        if sound is not None:
            self._asked += 1
            self._since = 0.0
            self._audio = sound
            self._task = asyncio.ensure_future(ask(sound))
            self._task.add_done_callback(_look_at)

    def drop(self) -> None:
        """What is under way is of no use any more."""
        task, self._task, self._audio = self._task, None, None
        if task is not None and not task.done():
            task.cancel()
            self._dropped.add(task)
            task.add_done_callback(self._dropped.discard)

    async def answer(self, audio: Frame) -> Transcript | None:
        """The words of exactly `audio`, if they were asked for: None when they were not or could not be had until now.
        Raises `EngineError` when they were waited for: who has been too slow once is not waited for twice."""
        task = self._task
        if task is None or self._audio != audio:
            self.drop()
            return None
        failed = task.done() and not task.cancelled() and isinstance(task.exception(), EngineError)
        return None if failed else await task


def enough(silent: float, seconds: float) -> bool:
    """Whether with a frame of `seconds` the silence is as near to the early one as it comes."""
    return silent >= EARLY_SILENCE - seconds / 2 - 1e-9


def _look_at(task: asyncio.Future[Transcript]) -> None:
    """So that asyncio does not report a failure as forgotten."""
    if not task.cancelled():
        task.exception()
