"""An answer leaves when what it tells of is in the event log, or the disk has had its chance."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.doors.door import World, door
from voicemode.logs.eventlog import EventLog
from voicemode.logs.logbook import Logbook

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class HeldLog(EventLog):
    """Writes nothing before somebody waits until it is `settled`; `hung`: not then either."""

    def __init__(self, folder: Path, *, hung: bool = False) -> None:
        super().__init__(folder, wall=self._held_wall)
        self.may_write = threading.Event()
        self.waits: list[bool] = []
        self._hung = hung

    async def settled(self, limit_s: float) -> bool:
        if not self._hung:
            self.may_write.set()
            limit_s = LIMIT_S
        self.waits.append(await super().settled(limit_s))
        return self.waits[-1]

    def _held_wall(self) -> datetime:
        if threading.current_thread().name == "event-log":
            self.may_write.wait(LIMIT_S)
        return NOON


@pytest.mark.spec("EVT-16")
@pytest.mark.parametrize(
    ("tool", "arguments", "last"),
    [
        ("speak", {"message": "one two.", "wait": "finished"}, "turn_finished"),
        ("speak", {"message": "one two."}, "first_audio"),
        ("converse", {"message": "one two."}, "turn_finished"),
        ("speak", {"message": ""}, "call_refused"),
        ("speak", {"message": "one two.", "voise": "alloy"}, "call_refused"),
        ("speak", {"message": "one two.", "speed": "fast"}, "call_refused"),
        ("playback", {"action": "resume"}, "call_refused"),
    ],
)
async def test_when_an_answer_leaves_what_it_tells_of_is_in_the_file(
    tmp_path: Path, era: str, tool: str, arguments: dict[str, object], last: str
) -> None:
    log = HeldLog(tmp_path / "events")
    async with door(World(), tmp_path, era, log=log) as opened:
        await opened.call(tool, **arguments)
        assert last in [line.name for line in Logbook(log.folder).lines()]


@pytest.mark.spec("EVT-16")
async def test_a_disk_that_hangs_delays_one_answer_and_no_more_until_it_has_moved(
    tmp_path: Path, era: str
) -> None:
    log = HeldLog(tmp_path / "events", hung=True)
    async with door(World(), tmp_path, era, log=log) as opened:
        for _ in range(3):
            await opened.call("speak", message="one two.", wait="finished")
        assert log.waits == [False] * 3
        assert list(Logbook(log.folder).lines()) == []
        log.may_write.set()
        assert log.flush(LIMIT_S)
        await opened.call("voice_status")
        assert log.waits[-1]
        assert [line.name for line in Logbook(log.folder).lines()].count("turn_finished") == 3
