"""One voice at a time on a machine: inside a process, and between processes that really run."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fakes import until
from voicemode import clock
from voicemode.floor import MachineFloor

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
LIMIT_SECONDS = 20.0
HOLDER = """
import asyncio, os, sys
from pathlib import Path
from voicemode.floor import MachineFloor

async def main():
    async with MachineFloor(Path(sys.argv[1])).hold(sys.argv[2]):
        os.write(1, b"held\\n")
        await asyncio.to_thread(sys.stdin.readline)
        os.write(1, b"leaving\\n")

asyncio.run(main())
"""


class Holder:
    """Another process that takes the floor and keeps it until it is told to leave."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            return (await asyncio.to_thread(self.process.stdout.readline)).decode().strip()

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@contextmanager
def holder(folder: Path, who: str) -> Iterator[Holder]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), who],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield Holder(process)
        finally:
            process.kill()


async def held(floor: MachineFloor, who: str) -> float:
    """Takes the floor and gives it back; the seconds waited."""
    async with asyncio.timeout(LIMIT_SECONDS), floor.hold(who) as waited:
        return waited


@pytest.mark.spec("FLR-1")
async def test_calls_of_one_process_have_the_floor_one_at_a_time_and_in_order(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    order: list[str] = []

    async def take(number: int) -> None:
        async with floor.hold(f"call {number}"):
            order.append(f"{number} in")
            for _ in range(5):
                await asyncio.sleep(0)
            order.append(f"{number} out")

    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(take(number) for number in range(20)))
    assert order == [f"{number} {step}" for number in range(20) for step in ("in", "out")]
    assert floor.holder() == ""


@pytest.mark.spec("FLR-1")
async def test_two_processes_have_the_floor_one_after_the_other(tmp_path: Path) -> None:
    with holder(tmp_path, "speak") as first:
        assert await first.says() == "held"
        floor = MachineFloor(tmp_path)
        waiting = asyncio.create_task(held(floor, "listen"))
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()
        first.leave()
        assert await first.says() == "leaving"
        waited = await waiting
    assert waited >= 0.2


@pytest.mark.spec("FLR-2")
async def test_who_has_the_floor_can_be_seen_from_every_process(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    assert floor.holder() == ""
    with holder(tmp_path, "speak") as other:
        assert await other.says() == "held"
        assert floor.holder() == f"speak (process {other.process.pid})"
        other.leave()
        await other.says()
        await asyncio.to_thread(other.process.wait, LIMIT_SECONDS)
    assert floor.holder() == ""
    async with floor.hold("converse"):
        assert floor.holder() == f"converse (process {os.getpid()})"
        assert MachineFloor(tmp_path).holder() == floor.holder()
    assert floor.holder() == ""


@pytest.mark.spec("FLR-3")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
async def test_a_holder_that_is_killed_frees_the_floor_within_a_second(tmp_path: Path) -> None:
    with holder(tmp_path, "speak") as other:
        assert await other.says() == "held"
        floor = MachineFloor(tmp_path)
        waiting = asyncio.create_task(held(floor, "listen"))
        await asyncio.wait({waiting}, timeout=0.1)
        assert not waiting.done()
        other.process.send_signal(signal.SIGKILL)
        killed = clock.monotonic()
        await waiting
        assert clock.monotonic() - killed < 1.0
    assert floor.holder() == ""


@pytest.mark.spec("FLR-4")
async def test_a_waiter_that_gives_up_leaves_no_lock_and_the_queue_intact(tmp_path: Path) -> None:
    with holder(tmp_path, "speak") as other:
        assert await other.says() == "held"
        floor = MachineFloor(tmp_path)
        impatient = [asyncio.create_task(held(floor, f"call {number}")) for number in range(3)]
        patient = asyncio.create_task(held(floor, "patient"))
        await asyncio.wait(impatient, timeout=0.15)
        for each in impatient:
            each.cancel()
        async with asyncio.timeout(LIMIT_SECONDS):
            done, _ = await asyncio.wait(impatient)
        assert all(each.cancelled() for each in done)
        assert floor.holder() == f"speak (process {other.process.pid})"
        other.leave()
        await other.says()
        await patient
    assert floor.holder() == ""
    with holder(tmp_path, "next") as following:
        assert await following.says() == "held"


@pytest.mark.spec("FLR-4")
async def test_a_holder_that_is_cancelled_frees_the_floor(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)

    async def keep() -> None:
        async with floor.hold("speak"):
            await asyncio.Event().wait()

    keeping = asyncio.create_task(keep())
    await until(lambda: floor.holder() != "")
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=LIMIT_SECONDS)
    assert floor.holder() == ""
    await held(floor, "next")


@pytest.mark.spec("FLR-5")
async def test_without_a_usable_folder_calls_still_take_turns_inside_the_process(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    floor = MachineFloor(in_the_way / "below")
    order: list[int] = []

    async def take(number: int) -> None:
        async with floor.hold("speak"):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(take(number) for number in range(5)))
    assert order == [number for number in range(5) for _ in range(2)]
    assert floor.holder() == ""


@pytest.mark.spec("FLR-5")
async def test_a_holder_that_cannot_be_written_down_has_the_floor_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "floor.holder").mkdir()
    floor = MachineFloor(tmp_path)
    async with asyncio.timeout(LIMIT_SECONDS), floor.hold("speak"):
        assert floor.holder() == "another process"
    assert floor.holder() == ""


@pytest.mark.spec("FLR-6")
@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
async def test_its_files_are_the_users_alone_and_looking_makes_none(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "voicemode"
    floor = MachineFloor(folder)
    before = os.umask(0)
    try:
        assert floor.holder() == ""
        assert not folder.parent.exists()
        await held(floor, "speak")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes["floor.holder"] == 0o600
    assert set(modes.values()) == {0o600}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]


@pytest.mark.spec("FLR-6")
@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
async def test_a_link_in_the_holders_place_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "floor.holder").symlink_to(precious)
    await held(MachineFloor(folder), "speak")
    assert precious.read_text() == "mine"
