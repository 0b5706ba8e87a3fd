"""The line of calls that want the floor, as files that every process of this user can read.

    floor/book                        locked while somebody reads or changes the line: for microseconds
    floor/3f2a….process               locked by a process that stands in the line; touched while it is awake
    floor/0000000007_speak_….ticket   one call's place; the lowest number has the floor
    floor.held                        locked while somebody has the floor: shows it also where the folder was deleted

The system frees the lock of a process that dies, however it dies; so a process file without a lock, or a ticket
without a process file, is thrown away by whoever sees it. Names carry everything: nothing is ever read or written.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.machine.private_files import FILE_MODE, make_folder, open_file

if TYPE_CHECKING:
    from filelock import FileLock

BOOK = "book"
HELD = ".held"
BOOK_TRIES = 500
BOOK_PAUSE_SECONDS = 0.002
"""Whoever has the book gives it back at once. One that is frozen with it in its hand is waited for no longer than this;
then there is a new book."""

NAME = re.compile(
    r"(?P<number>\d{10})_(?P<who>[a-z0-9 -]+)_(?P<pid>\d+)_(?P<process>[0-9a-f]{8})_(?P<nth>\d+)"
)
LONGEST_WHO = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A place in the line. `who` is what is done, `pid` its process as the system counts it, `process` the same as
    nobody else is called, and `nth` how many tickets it had drawn before."""

    number: int
    who: str
    pid: int
    process: str
    nth: int

    @property
    def name(self) -> str:
        return f"{self.number:010}_{self.who}_{self.pid}_{self.process}_{self.nth}.ticket"

    def __str__(self) -> str:
        return f"{self.who} (process {self.pid})"


class Line:
    """The line as this process sees it. Everything that is said to need the book is called inside `book`.

    Raises `OSError` where the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = secrets.token_hex(4)
        self._alive: FileLock | None = None
        self._drawn = 0
        self._mine: set[Ticket] = set()
        self._seen = folder.is_dir()
        """There is a line, and others may stand in it."""

    @asynccontextmanager
    async def book(self) -> AsyncIterator[None]:
        """Nobody else reads or changes the line meanwhile; so nothing is awaited inside."""
        make_folder(self.folder)
        self._seen = True
        lock = await self._take_book()
        if lock is None:
            # Its keeper reads and writes on if it ever thaws, which costs no more than a place in the line.
            self._throw_book_away()
            lock = await self._take_book()
        if lock is None:
            raise OSError(f"{self.folder / BOOK} is kept locked by a process that stands still")
        try:
            yield
        finally:
            lock.release()

    async def _take_book(self) -> FileLock | None:
        """None when it cannot be had within the limit, and is still the same that could not be had at first."""
        from filelock import Timeout

        lock = self._lock(BOOK)
        kept = self._which_book()
        for _ in range(BOOK_TRIES):
            with suppress(Timeout):
                lock.acquire(blocking=False)
                return lock
            await asyncio.sleep(BOOK_PAUSE_SECONDS)
            if kept != self._which_book():
                return await self._take_book()  # Another one has thrown it away.
        return None

    def _which_book(self) -> int:
        """A file that somebody has open keeps its number, even when it has no name any more."""
        try:
            return (self.folder / BOOK).stat().st_ino
        except OSError:
            return 0

    def _throw_book_away(self) -> None:
        with suppress(OSError):  # Windows: nobody can.
            (self.folder / BOOK).unlink()

    def peek(self) -> list[Ticket] | None:
        """The line as it stands; None when somebody has the book just now, or it cannot be read. Makes no folder."""
        if not self.folder.is_dir():
            return []
        self._seen = True
        lock = self._lock(BOOK)
        try:
            with lock.acquire(blocking=False):
                return self.living()
        except OSError:  # Timeout is one.
            return None

    # With the book.

    def draw(self, who: str) -> Ticket:
        """The last place in the line."""
        try:
            return self._draw(who)
        except OSError:
            if not self._mine:
                self.close()
            raise

    def _draw(self, who: str) -> Ticket:
        if self._alive is None:
            self._live()
        self._sweep()
        number = max((ticket.number for ticket in self._tickets()), default=0) + 1
        self._drawn += 1
        ticket = Ticket(
            number=number,
            who=re.sub(r"[^a-z0-9 -]", "", who.lower())[:LONGEST_WHO] or "call",
            pid=os.getpid(),
            process=self._process,
            nth=self._drawn,
        )
        self._lay_down(ticket)
        self._mine.add(ticket)
        return ticket

    def restore(self) -> None:
        """This process's places again, as they were: everybody does so, and the order is the old one."""
        if self._alive is not None:
            self._alive.release()
        self._live()
        for ticket in self._mine:
            with suppress(FileExistsError):
                self._lay_down(ticket)

    def _live(self) -> None:
        alive = self._lock(f"{self._process}.process")
        alive.acquire(blocking=False)
        self._alive = alive

    def _lay_down(self, ticket: Ticket) -> None:
        os.close(open_file(self.folder / ticket.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    def living(self) -> list[Ticket]:
        """Everybody's tickets, first come first; those of the dead are thrown away."""
        tickets = self._tickets()
        dead = {process for process in {ticket.process for ticket in tickets} if not self._lives(process)}
        for ticket in tickets:
            if ticket.process in dead:
                self.strike(ticket)
        return [ticket for ticket in tickets if ticket.process not in dead]

    def from_the_first(self) -> list[Ticket]:
        """The same, where only the first is known to live: who waits behind twenty asks after one, not after twenty."""
        tickets = self._tickets()
        while tickets and not self._lives(tickets[0].process):
            self.strike(tickets.pop(0))
        return tickets

    def take(self) -> None:
        """This process has the floor."""
        with suppress(OSError):
            if not self._held.is_locked:
                self._held.acquire(blocking=False)

    def take_again(self, ticket: Ticket) -> None:
        """The floor is this process's, and what shows it may be deleted. Whoever has come since and stands before
        `ticket` loses their place; one who speaks already is silent with their next beat."""
        for other in self.living():
            if other.number <= ticket.number and not self.is_mine(other):
                self.strike(other)
        self.give_back()
        self.take()

    def is_robbed(self) -> bool:
        """Somebody has the floor and stands in no line: the folder was deleted, and nobody's place is back yet."""
        from filelock import Timeout

        if self._tickets() or self._held.is_locked:
            return False
        try:
            with self._held_lock().acquire(blocking=False):
                return False
        except Timeout:
            return True
        except OSError:
            return False

    def dispossess(self, ticket: Ticket) -> None:
        """Takes the place away from whoever stands still, and what shows that they have the floor."""
        self.strike(ticket)
        with suppress(OSError):  # Windows: nobody can. Whoever comes into an empty line waits a moment, then.
            Path(self._held.lock_file).unlink()

    def strike(self, ticket: Ticket) -> None:
        """Takes somebody's place away. Its process sees that the file is gone."""
        with suppress(OSError):
            (self.folder / ticket.name).unlink()

    def heartbeat(self, ticket: Ticket) -> int:
        """Changes as long as the ticket's process is awake."""
        try:
            return (self.folder / f"{ticket.process}.process").stat().st_mtime_ns
        except OSError:
            return 0

    # Without it: only what is this process's own.

    def has_vanished(self) -> bool:
        """There was a line, and its folder is gone with all that were in it."""
        return self._seen and not self.folder.is_dir()

    def is_mine(self, ticket: Ticket) -> bool:
        return ticket.process == self._process

    def beat(self) -> None:
        with suppress(OSError):
            os.utime(self.folder / f"{self._process}.process")

    def is_gone(self) -> bool:
        """The folder was deleted while this process stood in the line."""
        return self._alive is not None and not (self.folder / f"{self._process}.process").exists()

    def was_struck(self, ticket: Ticket) -> bool:
        """Somebody took the place away. A folder that is gone with all that was in it says nothing of the kind."""
        own = self.folder / f"{self._process}.process"
        return own.exists() and not (self.folder / ticket.name).exists()

    def give_back(self) -> None:
        """This process has the floor no more. Before it leaves its place."""
        with suppress(OSError):
            self._held.release()

    def leave(self, ticket: Ticket) -> None:
        self.strike(ticket)
        self._mine.discard(ticket)
        if not self._mine:
            self.close()

    def close(self) -> None:
        """Nothing of this process is left in the line."""
        for ticket in self._mine:
            self.strike(ticket)
        self._mine.clear()
        if self._alive is not None:
            with suppress(OSError):
                self._alive.release()
                (self.folder / f"{self._process}.process").unlink()
            self._alive = None

    def _tickets(self) -> list[Ticket]:
        found = []
        for path in self.folder.glob("*.ticket"):
            if match := NAME.fullmatch(path.stem):
                number, pid, nth = (int(match[each]) for each in ("number", "pid", "nth"))
                found.append(
                    Ticket(number=number, who=match["who"], pid=pid, process=match["process"], nth=nth)
                )
        return sorted(found, key=lambda ticket: (ticket.number, ticket.name))

    def _sweep(self) -> None:
        """Throws away what the dead have left behind."""
        self.living()
        for path in self.folder.glob("*.process"):
            self._lives(path.stem)

    def _lives(self, process: str) -> bool:
        if process == self._process:
            return self._alive is not None
        path = self.folder / f"{process}.process"
        if not path.exists():
            return False
        try:
            with self._lock(path.name).acquire(blocking=False):
                path.unlink(missing_ok=True)
                return False
        except OSError:  # Held by its process; or not ours to know.
            return True

    def _lock(self, name: str) -> FileLock:
        return _lock(self.folder / name)

    @cached_property
    def _held(self) -> FileLock:
        return self._held_lock()

    def _held_lock(self) -> FileLock:
        return _lock(self.folder.with_suffix(HELD))


def _lock(path: Path) -> FileLock:
    from filelock import FileLock  # Half a megabyte, which no server needs before its first call.

    return FileLock(path, mode=FILE_MODE, thread_local=False)
