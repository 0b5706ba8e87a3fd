"""One voice at a time on a machine, inside a process."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.fakes import until
from tests.support.floor_callers import Callers, all_have_beaten, so_many_stand
from voicemode.errors import Busy
from voicemode.machine.floor import MachineFloor
from voicemode.machine.private_files import FILE_MODE
from voicemode.machine.tickets import BOOK

pytestmark = pytest.mark.anyio

LIMIT_SECONDS = 20.0


async def held(floor: MachineFloor, who: str) -> float:
    """Takes the floor and gives it back; the seconds waited."""
    async with asyncio.timeout(LIMIT_SECONDS), floor.hold(who) as waited:
        return waited


async def keep(floor: MachineFloor, who: str) -> None:
    async with floor.hold(who):
        await asyncio.Event().wait()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "floor").iterdir()}


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


@pytest.mark.spec("FLR-2")
async def test_who_has_the_floor_and_who_waits_can_be_seen(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    me = f"(process {os.getpid()})"
    assert (floor.holder(), floor.shown(), floor.before(0)) == ("", "", "")
    calls = [asyncio.create_task(keep(floor, who)) for who in ("speak", "converse", "listen")]
    await until(lambda: len(floor.line()) == 3)
    assert floor.holder() == f"speak {me}"
    assert MachineFloor(tmp_path).shown() == f"speak {me}; waiting: converse {me}, listen {me}"
    assert floor.before(0) == ""
    assert floor.before(1) == f"speak {me} has the floor"
    assert floor.before(2) == f"speak {me} has the floor, 1 more before you"
    assert MachineFloor(tmp_path).before(0) == f"speak {me} has the floor, 2 more before you"
    for call in reversed(calls):
        call.cancel()
    await asyncio.wait(calls, timeout=LIMIT_SECONDS)
    assert floor.shown() == ""


@pytest.mark.spec("EVT-14")
async def test_who_waits_is_told_once_for_whom_in_this_process_or_another(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    told: list[str] = []

    async def take(where: MachineFloor) -> None:
        async with where.hold("listen", told.append):
            pass

    await take(floor)
    assert told == []
    keeping = asyncio.create_task(keep(floor, "speak"))
    await until(lambda: floor.holder() != "")
    waiting = [asyncio.create_task(take(where)) for where in (floor, MachineFloor(tmp_path))]
    await until(lambda: len(told) == 2)
    keeping.cancel()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*waiting)
    assert told == [f"speak (process {os.getpid()})"] * 2


@pytest.mark.spec("FLR-2")
async def test_what_is_done_is_shown_as_plain_words_whatever_it_is_called(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    for who, shown in (("../../Speak!\n", "speak"), ("\u202e", "call"), ("x" * 500, "x" * 40)):
        async with asyncio.timeout(LIMIT_SECONDS), floor.hold(who):
            assert floor.holder() == f"{shown} (process {os.getpid()})"


@pytest.mark.spec("FLR-4")
async def test_a_waiter_that_gives_up_leaves_nothing_and_the_others_keep_their_places(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    holding = asyncio.create_task(keep(floor, "speak"))
    await until(lambda: floor.holder() != "")
    impatient = [asyncio.create_task(keep(floor, f"call {number}")) for number in range(3)]
    patient = asyncio.create_task(held(floor, "patient"))
    await until(lambda: len(floor.line()) == 5)
    for each in impatient:
        each.cancel()
    await asyncio.wait(impatient, timeout=LIMIT_SECONDS)
    assert [ticket.who for ticket in floor.line()] == ["speak", "patient"]
    holding.cancel()
    await patient
    assert left_in(tmp_path) == {"book"}


@pytest.mark.spec("FLR-4")
async def test_a_holder_that_is_cancelled_frees_the_floor(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    keeping = asyncio.create_task(keep(floor, "speak"))
    await until(lambda: floor.holder() != "")
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=LIMIT_SECONDS)
    assert keeping.cancelled()
    assert left_in(tmp_path) == {"book"}
    await held(floor, "next")


@pytest.mark.spec("FLR-4")
async def test_a_call_that_fails_frees_the_floor(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    with pytest.raises(ZeroDivisionError):
        async with floor.hold("speak"):
            raise ZeroDivisionError
    assert left_in(tmp_path) == {"book"}


@pytest.mark.spec("FLR-5")
async def test_without_a_usable_folder_calls_still_take_turns_and_one_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
    (warning,) = caplog.messages
    assert "Other processes cannot be seen" in warning


@pytest.mark.spec("FLR-5")
async def test_a_folder_that_goes_away_while_somebody_speaks_takes_nobodys_floor(tmp_path: Path) -> None:
    floor = MachineFloor(tmp_path)
    async with asyncio.timeout(LIMIT_SECONDS):
        async with floor.hold("speak"):
            (tmp_path / "floor").rename(tmp_path / "elsewhere")
            await so_many_stand(tmp_path, 1)  # The next beat of the heart restores the place.
        await held(floor, "next")
    assert left_in(tmp_path) == {"book"}


@pytest.mark.spec("FLR-8")
async def test_a_folder_that_is_deleted_lets_nobody_talk_over_the_holder_and_changes_no_order(
    tmp_path: Path,
) -> None:
    callers = Callers([MachineFloor(tmp_path) for _ in range(3)])
    async with asyncio.timeout(LIMIT_SECONDS):
        for number in range(3):
            callers.come(number)
            await so_many_stand(tmp_path, number + 1)
        for again in range(2):
            (tmp_path / "floor").rename(tmp_path / f"elsewhere {again}")
            await so_many_stand(tmp_path, 3)
            await all_have_beaten(tmp_path, 3)  # Long enough for one who would not wait.
            assert callers.order == [0]
        for number in range(3):
            await callers.have_had_it(number + 1)
            callers.free(number)
        await callers.gone()
    assert callers.order == [0, 1, 2]
    assert callers.together == 1
    assert left_in(tmp_path) == {"book"}


@pytest.mark.spec("FLR-8")
async def test_who_comes_into_a_deleted_folder_waits_behind_all_who_were_there(tmp_path: Path) -> None:
    """Also in the moment before any of those has seen that it is gone."""
    callers = Callers([MachineFloor(tmp_path) for _ in range(4)])
    async with asyncio.timeout(LIMIT_SECONDS):
        for number in range(3):
            callers.come(number)
            await so_many_stand(tmp_path, number + 1)
        (tmp_path / "floor").rename(tmp_path / "elsewhere")
        callers.come(3)
        await so_many_stand(tmp_path, 4)
        for number in range(4):
            await callers.have_had_it(number + 1)
            assert callers.order == list(range(number + 1))
            callers.free(number)
        await callers.gone()
    assert left_in(tmp_path) == {"book"}


@pytest.mark.spec("FLR-9")
@pytest.mark.parametrize("has_looked", [True, False])
async def test_with_the_whole_data_folder_deleted_whoever_has_the_floor_soon_is_alone(
    tmp_path: Path, has_looked: bool
) -> None:
    data = tmp_path / "data"
    first, second = MachineFloor(data), MachineFloor(data)
    inside: list[str] = []
    most = 0
    stopped: list[str] = []
    freed = asyncio.Event()

    async def take(who: str, floor: MachineFloor) -> None:
        nonlocal most
        try:
            async with floor.hold(who):
                inside.append(who)
                most = max(most, len(inside))
                try:
                    await freed.wait()
                finally:
                    inside.remove(who)
        except Busy:
            stopped.append(who)

    holder = asyncio.create_task(take("holder", first))
    await until(lambda: inside == ["holder"])
    if has_looked:
        assert len(second.line()) == 1
    await all_have_beaten(data, 1)  # The holder has just looked, and will not for a while.
    data.rename(tmp_path / "elsewhere")
    late = asyncio.create_task(take("late", second))
    await until(lambda: [ticket.who for ticket in first.line()][:1] == ["holder"])
    await until(lambda: inside == ["holder"])
    await all_have_beaten(data, 2)  # Long enough for one who would not wait.
    assert inside == ["holder"]
    if has_looked:
        assert not late.done()
    after = asyncio.create_task(take("after", MachineFloor(data)))
    await until(lambda: any(ticket.who == "after" for ticket in first.line()))
    assert inside == ["holder"]
    freed.set()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(holder, late, after)
    if has_looked:
        assert (most, stopped) == (1, [])
    else:
        assert stopped in ([], ["late"])  # It may have come just when the holder looked.
    assert left_in(data) == {"book"}


@pytest.mark.spec("FLR-5")
async def test_strange_files_in_its_folder_disturb_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "floor"
    folder.mkdir()
    for name in ("notes.txt", "1.ticket", "0000000001_speak_12_nonsense_1.ticket", "x.process"):
        (folder / name).write_text("strange")
    (folder / "0000000001_speak_1_0123abcd_1.ticket").write_text("nobody lives there")
    floor = MachineFloor(tmp_path)
    assert await held(floor, "speak") < 1.0
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
        async with asyncio.timeout(LIMIT_SECONDS), floor.hold("speak"):
            files = list((folder / "floor").iterdir())
            modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in files}
    finally:
        os.umask(before)
    assert modes == {"": FILE_MODE, ".process": FILE_MODE, ".ticket": FILE_MODE}
    made = (folder / "floor", folder, folder.parent)
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 3


@pytest.mark.spec("FLR-6")
@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
@pytest.mark.parametrize("name", ["floor", "floor/book"])
async def test_a_link_in_its_place_is_not_written_through(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    precious.chmod(0o644)
    planted = tmp_path / "data" / name
    planted.parent.mkdir(parents=True)
    planted.symlink_to(precious)
    await held(MachineFloor(tmp_path / "data"), "speak")
    assert precious.read_text() == "mine"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o644


@pytest.mark.spec("FLR-7")
@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be thrown away there")
async def test_a_process_that_is_frozen_while_it_looks_at_the_line_stops_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "floor"
    folder.mkdir()
    frozen = FileLock(folder / BOOK)
    frozen.acquire()
    callers = Callers([MachineFloor(tmp_path) for _ in range(3)])
    async with asyncio.timeout(LIMIT_SECONDS):
        for number in range(3):
            callers.come(number)
        for place in range(3):
            await callers.have_had_it(place + 1)
            await so_many_stand(tmp_path, 3 - place)
            await all_have_beaten(tmp_path, 1)  # The others have looked whether they are first.
            callers.free(callers.order[-1])
        await callers.gone()
    frozen.release()
    assert sorted(callers.order) == [0, 1, 2]
    assert callers.together == 1
    assert MachineFloor(tmp_path).line() == []
