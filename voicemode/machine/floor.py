"""One voice at a time on a machine: calls of all processes have the floor in the order in which they came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from voicemode import clock
from voicemode.errors import Busy
from voicemode.machine.tickets import Line, Ticket

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""How often a waiting process looks whether it is first."""

BEAT_SECONDS = 0.25
"""How often a process shows that it is awake, and looks whether it still has the floor."""

RESTORED_LOOKS = 2 * round(BEAT_SECONDS / LOOK_SECONDS)
"""Whoever finds the line deleted gives those who stood in it so long to restore their places."""

FROZEN_SECONDS = 5.0
"""A process that has not moved for so long (stopped, hung) loses its place to whoever waits behind it. A machine under
load holds a process up for a second or two."""


def _ignore(holder: str) -> None:
    """Nobody wants to know."""


def _warned(what: str) -> None:
    logger.warning("%s", what)


class MachineFloor:
    """The floor of this user on this machine. `folder` is where all their voicemode processes meet.

    Each call draws a ticket when it comes, so the order is that of all processes together. A folder that cannot be used
    leaves only the queue inside this process, with a warning.
    """

    def __init__(
        self,
        folder: Path,
        *,
        frozen_seconds: float = FROZEN_SECONDS,
        on_warning: Callable[[str], None] = _warned,
    ) -> None:
        self._warn = on_warning
        self._line = Line(folder / "floor")
        self._frozen_looks = max(int(frozen_seconds / LOOK_SECONDS), 1)
        self._drawing = asyncio.Lock()
        self._queue = asyncio.Lock()
        self._seen: list[Ticket] = []
        self._warned = False
        self._waiting = 0
        self._restoring = 0
        self._holding: Ticket | None = None
        self._on_lost: Callable[[], None] = lambda: None
        self._beating: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hold(self, who: str, on_wait: Callable[[str], None] = _ignore) -> AsyncIterator[float]:
        """The floor; the value is the seconds waited, and `on_wait` is told once who has it meanwhile.

        Raises `Busy` when this process stood still so long that the next one was let in, or when it was let in only
        because the line had been deleted: the block is cancelled first.
        """
        began = clock.monotonic()
        drawn = await self._draw(who)
        self._awake(1)
        try:
            if self._queue.locked():
                on_wait(self.holder() or "another call")
                on_wait = _ignore
            async with self._queue:
                self._holding = await self._reach_the_front(who, on_wait)
                try:
                    async with self._until_lost():
                        yield clock.monotonic() - began
                finally:
                    self._line.give_back()
                    if self._holding is not None:
                        self._line.leave(self._holding)
                    self._holding = None
        finally:
            if drawn is not None and drawn != self._holding:
                self._line.leave(drawn)
            self._awake(-1)

    def line(self) -> list[Ticket]:
        """Everybody who has the floor or waits for it, first come first."""
        self._seen = found if (found := self._line.peek()) is not None else self._seen
        return self._seen

    def holder(self) -> str:
        """Who has the floor now: "speak (process 1234)", or "" when it is free."""
        return next((str(ticket) for ticket in self.line()), "")

    def shown(self) -> str:
        """Who has the floor and who waits for it; "" when it is free."""
        holder, *waiting = [str(ticket) for ticket in self.line()] or [""]
        return f"{holder}; waiting: {', '.join(waiting)}" if waiting else holder

    def before(self, nth: int) -> str:
        """Who is before the call of this process that has `nth` of its calls before it; "" when nobody is."""
        line = self.line()
        mine = [place for place, ticket in enumerate(line) if self._line.is_mine(ticket)]
        ahead = mine[nth] if nth < len(mine) else len(line)
        if not ahead:
            return ""
        return f"{line[0]} has the floor" + (f", {ahead - 1} more before you" if ahead > 1 else "")

    # Waiting.

    async def _draw(self, who: str) -> Ticket | None:
        # In the order in which the calls came, also when the book is not free at once.
        async with self._drawing:
            await self._restore()
            if self._line.has_vanished():
                self._restoring = RESTORED_LOOKS
            try:
                for _ in range(RESTORED_LOOKS):
                    async with self._line.book():
                        if not self._line.is_robbed():
                            return self._line.draw(who)
                    await asyncio.sleep(LOOK_SECONDS)
                async with self._line.book():
                    return self._line.draw(who)
            except OSError as error:
                self._without(error)
                return None

    async def _reach_the_front(self, who: str, on_wait: Callable[[str], None]) -> Ticket | None:
        """Waits until this process is first; None when there is no line to stand in.

        Its tickets are as good as one another: a call whose ticket was taken away while the process was frozen goes on
        with the next one, so that no call waits for a later one of its own process.
        """
        seen: dict[str, tuple[int, int]] = {}
        while True:
            await self._restore()
            self._restoring = max(self._restoring - 1, 0)
            try:
                async with self._line.book():
                    line = self._line.from_the_first()
                    if not any(self._line.is_mine(ticket) for ticket in line):
                        line.append(self._line.draw(who))
                    if self._line.is_mine(line[0]):
                        if not self._restoring:
                            self._line.take()
                            return line[0]
                    else:
                        on_wait(str(line[0]))
                        on_wait = _ignore
                        if self._frozen(line[0], seen):
                            self._warn(f"{line[0]} has not moved for a while: the next one has the floor.")
                            self._line.dispossess(line[0])
            except OSError as error:
                self._without(error)
                return None
            await asyncio.sleep(LOOK_SECONDS)

    async def _restore(self) -> None:
        """Somebody deleted the folder: nobody may talk over whoever has the floor for that."""
        if self._line.is_gone():
            with suppress(OSError):
                async with self._line.book():
                    if self._line.is_gone():
                        self._line.restore()
                        self._restoring = RESTORED_LOOKS
                        if self._holding is not None:
                            self._line.take_again(self._holding)

    def _frozen(self, ticket: Ticket, seen: dict[str, tuple[int, int]]) -> bool:
        """Looks are counted, not seconds: this process may have stood still itself, or the whole machine slept."""
        beat = self._line.heartbeat(ticket)
        before, looks = seen.get(ticket.process, (beat, 0))
        seen[ticket.process] = beat, looks + 1 if beat == before else 0
        return beat == before and looks + 1 >= self._frozen_looks

    def _without(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"Other processes cannot be seen and may speak at the same time: {error}")

    # Holding.

    @asynccontextmanager
    async def _until_lost(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        before, lost = task.cancelling(), False

        def on_lost() -> None:
            nonlocal lost
            if not lost:
                lost = True
                task.cancel()

        self._on_lost = on_lost
        try:
            yield
        except asyncio.CancelledError:
            if lost and task.uncancel() <= before:
                raise Busy(
                    "This process stood still for so long that the next in line has the floor, or the folder that "
                    "shows who has it was deleted; the call was stopped.",
                    hint="playback shows what was heard; the rest can be said again.",
                    retryable=True,
                ) from None
            raise
        finally:
            self._on_lost = lambda: None

    def _awake(self, more: int) -> None:
        """The heart beats while any call waits or has the floor."""
        self._waiting += more
        if self._waiting and self._beating is None:
            self._beating = asyncio.create_task(self._beat())
        elif not self._waiting and self._beating is not None:
            self._beating.cancel()
            self._beating = None

    async def _beat(self) -> None:
        while True:
            await self._restore()
            self._line.beat()
            if self._holding is not None:
                if self._line.was_struck(self._holding):
                    self._on_lost()
                else:
                    self._line.take()  # Somebody who came into a deleted folder may have had it for a moment.
            await asyncio.sleep(BEAT_SECONDS)
