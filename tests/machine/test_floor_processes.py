"""One voice at a time between processes that really run, die, freeze and come back."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support import floor_child
from tests.support.looking import looked_for
from voicemode import clock
from voicemode.machine.floor import MachineFloor

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 20.0
FROZEN_SECONDS = 0.5
posix = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP and SIGKILL on this system")


class Child:
    """A process that does what it is told, see `floor_child`."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n".encode())

    async def says(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            return (await self.process.stdout.readline()).decode().strip()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def children(folder: Path, number: int, frozen: float = FROZEN_SECONDS) -> AsyncIterator[list[Child]]:
    """So many processes that meet in `folder`."""

    @asynccontextmanager
    async def child() -> AsyncIterator[Child]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", floor_child.__name__, str(folder), str(frozen),
            cwd=ROOT, stdin=PIPE, stdout=PIPE,
        )  # fmt: skip
        try:
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(child()) for _ in range(number)]
        for each in made:
            assert await each.says() == "ready"
        yield made


async def stands(floor: MachineFloor, *line: str) -> None:
    """Returns when just these stand in the line, first come first."""

    async def do_they() -> bool:
        return [ticket.who for ticket in floor.line()] == list(line)

    await looked_for(do_they, LIMIT_SECONDS)


async def stand_in_line(floor: MachineFloor, **processes: Child) -> None:
    """Each comes when the one before it stands there; the first has the floor."""
    names = list(processes)
    for place, (name, child) in enumerate(processes.items()):
        child.tell(f"want {name}")
        await stands(floor, *names[: place + 1])
    assert await processes[names[0]].says() == f"in {names[0]}"


@pytest.mark.spec("FLR-1")
async def test_calls_of_three_processes_have_the_floor_in_the_order_in_which_they_came(
    tmp_path: Path,
) -> None:
    floor = MachineFloor(tmp_path)
    chosen = random.Random(7)
    async with children(tmp_path, 3) as processes:
        came = {f"call-{number}": chosen.choice(processes) for number in range(24)}
        for place, (name, child) in enumerate(came.items()):
            child.tell(f"want {name}")
            await stands(floor, *list(came)[: place + 1])
        for name, child in came.items():
            assert await child.says() == f"in {name}"
            child.tell("leave")
            assert await child.says() == f"out {name}"
    assert floor.line() == []


@pytest.mark.spec("FLR-1")
async def test_processes_in_a_hurry_are_never_in_together(tmp_path: Path) -> None:
    async with children(tmp_path, 3, frozen=LIMIT_SECONDS) as processes:
        for child in processes:
            child.tell("hurry 12")
        assert [await child.says() for child in processes] == ["done"] * 3


@posix
@pytest.mark.timed
@pytest.mark.spec("FLR-3")
async def test_the_next_one_has_the_floor_within_a_second_of_its_holders_death(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    async with children(tmp_path, 2) as (first, second):
        await stand_in_line(floor, first=first, second=second)
        killed = clock.monotonic()
        first.signal(signal.SIGKILL)
        assert await second.says() == "in second"
        assert clock.monotonic() - killed < 1.0
        await stands(floor, "second")


@posix
@pytest.mark.timed
@pytest.mark.spec("FLR-3")
async def test_waiters_that_are_killed_hold_nobody_up_and_leave_nothing(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    async with children(tmp_path, 4) as (first, second, third, last):
        await stand_in_line(floor, first=first, second=second, third=third, last=last)
        for child in (second, third):
            child.signal(signal.SIGKILL)
            await child.process.wait()
        await stands(floor, "first", "last")
        first.tell("leave")
        left = clock.monotonic()
        assert await last.says() == "in last"
        assert clock.monotonic() - left < 1.0
        last.tell("leave")
        assert await last.says() == "out last"
    assert {path.name for path in (tmp_path / "floor").iterdir()} == {"book"}


@posix
@pytest.mark.timed
@pytest.mark.spec("FLR-3")
async def test_killed_at_any_moment_a_process_leaves_the_line_in_order(tmp_path: Path) -> None:
    chosen = random.Random(11)
    for _ in range(5):
        async with children(tmp_path, 2, frozen=LIMIT_SECONDS) as (victim, other):
            victim.tell("hurry 500")
            other.tell("want other")
            await asyncio.sleep(chosen.uniform(0.0, 0.05))  # The moment is what is tried.
            victim.signal(signal.SIGKILL)
            killed = clock.monotonic()
            assert await other.says() == "in other"
            assert clock.monotonic() - killed < 1.0
            (tmp_path / "inside").unlink(missing_ok=True)


@pytest.mark.spec("FLR-4")
async def test_a_waiter_that_gives_up_disturbs_no_other_process(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    async with children(tmp_path, 3) as (first, second, third):
        await stand_in_line(floor, first=first, second=second, third=third)
        second.tell("give up second")
        assert await second.says() == "gone second"
        await stands(floor, "first", "third")
        first.tell("leave")
        assert await third.says() == "in third"


@posix
@pytest.mark.timed
@pytest.mark.spec("FLR-7")
async def test_a_frozen_holder_loses_the_floor_after_the_ceiling_and_is_told_when_it_thaws(
    tmp_path: Path,
) -> None:
    floor = MachineFloor(tmp_path)
    async with children(tmp_path, 2) as (first, second):
        first.tell("want first")
        assert await first.says() == "in first"
        first.tell("want later")
        await stands(floor, "first", "later")
        second.tell("want second")
        await stands(floor, "first", "later", "second")
        frozen = clock.monotonic()
        first.signal(signal.SIGSTOP)
        assert await second.says() == "in second"
        assert clock.monotonic() - frozen >= FROZEN_SECONDS
        first.signal(signal.SIGCONT)
        thawed = clock.monotonic()
        assert await first.says() == "lost first"
        assert clock.monotonic() - thawed < 0.1
        await stands(floor, "second", "later")
        second.tell("leave")
        assert await first.says() == "in later"


@posix
@pytest.mark.spec("FLR-7")
async def test_a_frozen_waiter_is_passed_over_and_waits_on_when_it_thaws(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    async with children(tmp_path, 3) as (first, second, third):
        await stand_in_line(floor, first=first, second=second, third=third)
        second.signal(signal.SIGSTOP)
        first.tell("leave")
        assert await third.says() == "in third"
        second.signal(signal.SIGCONT)
        await stands(floor, "third", "second")
        third.tell("leave")
        assert await second.says() == "in second"


@posix
@pytest.mark.spec("FLR-7")
async def test_a_holder_that_froze_while_nobody_waited_still_has_the_floor(tmp_path: Path) -> None:
    async with children(tmp_path, 1) as (first,):
        first.tell("want first")
        assert await first.says() == "in first"
        first.signal(signal.SIGSTOP)
        await asyncio.sleep(2 * FROZEN_SECONDS)
        first.signal(signal.SIGCONT)
        first.tell("leave")
        assert await first.says() == "out first"
