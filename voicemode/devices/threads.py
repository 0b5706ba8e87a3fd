"""Blocking calls into audio libraries, off the event loop and with an end.

Not the loop's own pool: a frozen audio daemon can keep a call for ever, and the pool's threads are joined when
the interpreter leaves. These are daemon threads that nobody waits for longer than asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from voicemode.errors import DeviceError

T = TypeVar("T")


class _Call(Generic[T]):
    """One blocking call. Its result goes to the waiter, or to `late` when the waiter has left."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], T], late: Callable[[T], None] | None
    ) -> None:
        self._loop = loop
        self._work = work
        self._late = late
        self._lock = threading.Lock()
        self._left = False
        self.answer: asyncio.Future[T] = loop.create_future()

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as problem:  # the edge of a thread: the waiter raises it
            self._deliver(problem=problem)
            return
        if not self._deliver(result) and self._late is not None:
            self._late(result)

    def leave(self) -> None:
        with self._lock:
            self._left = True

    def _deliver(self, *result: T, problem: BaseException | None = None) -> bool:
        with self._lock:
            if self._left or self._loop.is_closed():
                return False
            self._loop.call_soon_threadsafe(self._settle, result, problem)
            return True

    def _settle(self, result: tuple[T, ...], problem: BaseException | None) -> None:
        if not self.answer.done():
            if problem is not None:
                self.answer.set_exception(problem)
            else:
                self.answer.set_result(result[0])
        elif result and self._late is not None:
            # The waiter was cancelled between the thread's answer and this turn of the loop.
            threading.Thread(target=self._late, args=result, daemon=True).start()


async def aside(work: Callable[[], T], *, what: str, late: Callable[[T], None] | None = None) -> T:
    """Runs `work` in a thread of its own. When the caller is cancelled it goes on, and `late` is given its result, in
    that thread."""
    call = _Call(asyncio.get_running_loop(), work, late)
    threading.Thread(target=call.run, name=f"voicemode {what}", daemon=True).start()
    try:
        return await call.answer
    finally:
        call.leave()


async def in_thread(
    work: Callable[[], T], *, what: str, limit_seconds: float, late: Callable[[T], None] | None = None
) -> T:
    """The same with a limit, after which it raises `DeviceError` naming `what`."""
    try:
        async with asyncio.timeout(limit_seconds):
            return await aside(work, what=what, late=late)
    except TimeoutError:
        raise DeviceError(
            f"{what}: the sound system did not answer within {limit_seconds:g} s.",
            hint="The audio server may be frozen: restart it (PulseAudio, PipeWire, coreaudiod) and try again.",
            retryable=True,
        ) from None
