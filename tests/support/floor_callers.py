"""Calls that want the floor, each as in a process of its own, and what is seen of their line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.support.fakes import until
from voicemode.machine.floor import MachineFloor
from voicemode.machine.tickets import Line


class Callers:
    """`order` has who got the floor; whoever has it keeps it until it is freed. `together` is how many had it at once
    at the most."""

    def __init__(self, floors: Sequence[MachineFloor]) -> None:
        self.order: list[int] = []
        self.together = 0
        self._inside = 0
        self._floors = floors
        self._freed = [asyncio.Event() for _ in floors]
        self._calls: list[asyncio.Task[None]] = []

    def come(self, number: int) -> None:
        self._calls.append(asyncio.create_task(self._take(number)))

    async def have_had_it(self, number: int) -> None:
        """Returns when so many have got the floor."""
        await until(lambda: len(self.order) == number)

    def free(self, number: int) -> None:
        self._freed[number].set()

    async def gone(self) -> None:
        await asyncio.gather(*self._calls)

    async def _take(self, number: int) -> None:
        async with self._floors[number].hold("speak"):
            self.order.append(number)
            self._inside += 1
            self.together = max(self.together, self._inside)
            await self._freed[number].wait()
            self._inside -= 1


async def so_many_stand(folder: Path, number: int) -> None:
    """Returns when so many are in the line, whoever has the floor among them."""
    watcher = MachineFloor(folder)
    await until(lambda: len(watcher.line()) == number)


async def all_have_beaten(folder: Path, times: int) -> None:
    """Returns when everybody in the line has shown so many times that they are awake, or has left: meanwhile they have
    looked whether they are first more often than that."""
    watcher, line = MachineFloor(folder), Line(folder / "floor")
    tickets = watcher.line()
    assert tickets
    for _ in range(times):
        before = {ticket: beat for ticket in tickets if (beat := line.heartbeat(ticket))}
        await until(lambda: all(line.heartbeat(each) != beat for each, beat in before.items()))  # noqa: B023
