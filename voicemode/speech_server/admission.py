"""How many streams are served at once: as many as were seen to keep ahead of real time, and no more.

Nobody can say beforehand what an engine holds: it may be a child process, a graphics card, or a server elsewhere. So
the limit is found as networks find theirs. It begins as a guess; while it is one, each stream that is seen to keep
ahead of real time lets in one more, and whoever comes beyond it waits a moment for that. Where two streams in a row
fell behind it is known: nobody more is let in than there were, and where that happens again, fewer; whoever comes
beyond it is told so at once, and one more is let in after each stream that went well in a crowd.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from voicemode import clock
from voicemode.errors import Busy
from voicemode.speech_server.newcomers import Newcomers

FIRST_LIMIT = 32.0
"""Streams let in before anything was seen, of an engine that has not been measured."""

PROOF_SECONDS = 0.5
"""Of sound, all in time, show that an engine keeps up: the first of it can be there because it was made ahead."""

LINE_SECONDS = 2.0
"""Whoever waits for a guess to rise waits so long at most: behind an engine that is half as fast again as its sound a
limit of 32 rises to 200 meanwhile. Users who wait longer have left."""

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

    ONE = "This server speaks with one voice at a time, and it is in use."
    MANY = "This server speaks with {limit} voices at once, and all are in use."

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(
            self.MANY.format(limit=limit) if limit > 1 else self.ONE,
            hint=f"Ask again in {retry_after} s.",
            retryable=True,
        )
        self.retry_after = retry_after


class FullOfRecordings(Full):
    ONE = "This server transcribes one recording at a time, and one is being transcribed."
    MANY = "This server transcribes {limit} recordings at once, and as many are being transcribed."


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
    newcomers: Newcomers
    first: float | None = None
    sound: float = 0.0
    waited: float = 0.0
    crowd: int = 0
    """Streams at once, at most, while this one was there."""
    broke: bool = False
    """Its engine failed on the way: what that took says nothing about how many it can serve."""
    worst: float = 0.0
    """Seconds by which sound came too late, at worst."""
    let_in: float = 0.0
    """When it got its place, which can be later than `began`."""
    on_proof: Callable[[Progress], None] | None = None
    """Told once, when it has been shown that the engine keeps up."""

    def sent(self, seconds: float, at: float) -> None:
        """`seconds` more sound went out. What came before this must last until now."""
        if self.first is None:
            self.first = at
        else:
            self.worst = max(self.worst, at - self.first - self.sound)
        self.sound += seconds
        if self.on_proof is not None and self.sound >= max(PROOF_SECONDS, at - self.let_in):
            proved, self.on_proof = self.on_proof, None
            proved(self)

    async def give_way(self, at: float) -> None:
        """Lets those go first who have no sound yet, as long as its client has enough."""
        if self.first is not None:
            await self.newcomers.first(self.first + self.sound - at)


class Admission:
    """`most` is never passed; `first` is the guess, for which nobody waits longer than `line_seconds`; `full` is raised
    where there is no place. Use from one thread."""

    def __init__(
        self,
        *,
        most: int,
        first: float = FIRST_LIMIT,
        line_seconds: float = LINE_SECONDS,
        full: type[Full] = Full,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.draining = False
        self._streams: list[Progress] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self._most = most
        self._limit = max(1.0, min(first, float(most)))
        self._known = False
        """Whether trouble has shown where the limit is."""
        self._line: deque[asyncio.Future[None]] = deque()
        self._called: set[asyncio.Future[None]] = set()
        """Out of the line and not at their places yet."""
        self._full = full
        self._newcomers = Newcomers()
        self._line_seconds = line_seconds
        self._now = now
        self._usual = USUAL_SECONDS
        self._trouble = -math.inf
        self._behind = 0

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Progress]:
        """`stream`, after its turn where the limit is a guess."""
        began = self._now()
        await self._turn()
        with self.stream() as progress:
            progress.began = began
            self._newcomers.came(progress)
            try:
                yield progress
            finally:
                self._newcomers.settled(progress)

    def check(self, *, begun: bool = False) -> None:
        """Raises what `stream` would raise now."""
        if self.draining and not begun:
            raise Draining
        if not self._free:
            raise self._full(self.limit, self._retry_after())

    @contextmanager
    def stream(self, *, begun: bool = False) -> Iterator[Progress]:
        """A place for one stream. `begun`: what it is for has begun before it could be refused for draining. Raises
        `Full` or `Draining`."""
        self.check(begun=begun)
        now = self._now()
        progress = Progress(began=now, newcomers=self._newcomers, let_in=now, on_proof=self._proved)
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
            self._call()

    @property
    def _free(self) -> int:
        return max(0, self.limit - self.active - len(self._called))

    async def _turn(self) -> None:
        """Returns when there is a place, or when it is of no use to wait for one."""
        ahead = self.active + len(self._called) + self.waiting
        if self.draining or self._known or self._free or ahead >= self._most:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(self._line_seconds):
                await turn
        except TimeoutError:
            return
        except asyncio.CancelledError:
            self._called.discard(turn)
            self._call()  # The place that it would have taken is the next one's.
            raise
        finally:
            self._called.discard(turn)
            with suppress(ValueError):
                self._line.remove(turn)

    def _call(self) -> None:
        """Who has waited longest comes next."""
        while self._line and self._free:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                self._called.add(turn)

    def _proved(self, progress: Progress) -> None:
        self._newcomers.settled(progress)
        if not self._known and not progress.broke:
            self._let_in_more(progress)

    def _let_in_more(self, progress: Progress) -> None:
        if self._line or progress.crowd >= CROWDED * self._limit:
            self._limit = min(self._limit + 1.0, float(self._most))
            self._call()

    def _learn(self, progress: Progress) -> None:
        now, crowd = self._now(), progress.crowd
        if progress.first is None:
            return
        self._usual += (now - progress.let_in - self._usual) / 8
        engine_was_slow = progress.waited > 0.5 * (now - progress.first)
        if progress.worst > BEHIND_SECONDS and engine_was_slow:
            if not progress.broke:
                self._fell_behind(crowd, now)
            return
        self._behind = 0
        if self._known or progress.on_proof is not None:  # Otherwise its proof has let in one already.
            self._let_in_more(progress)

    def _fell_behind(self, crowd: int, now: float) -> None:
        self._behind += 1
        if self._behind < IN_A_ROW or now - self._trouble < REST_SECONDS:
            return
        self._known = True
        self._trouble = now
        fewer = crowd if self._limit >= crowd + 1 else self._limit * LEFT_AFTER_TROUBLE
        self._limit = max(1.0, fewer)

    def _retry_after(self) -> int:
        """One of so many streams ends soon; the mean of an even spread."""
        return min(max(1, math.ceil(self._usual / (self.active + 1))), LONGEST_RETRY_SECONDS)
