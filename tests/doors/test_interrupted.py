"""A message that the user talks over, as the assistant is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doors.door import LONG, World, door, fields, text_of
from tests.flows.world import SteadyMicrophone
from tests.support.fakes import ECHO, ROOM, SPOKEN, FakeEar, FakeEcho

pytestmark = pytest.mark.anyio


@pytest.mark.spec("LSN-55")
async def test_one_answer_tells_what_was_heard_what_was_not_and_what_the_user_said(
    tmp_path: Path, era: str
) -> None:
    world = World()
    world.echo = FakeEcho()
    world.ear = FakeEar("No, the other one.")
    world.microphone = SteadyMicrophone([*[ECHO] * 200, *[SPOKEN] * 90, *[ROOM] * 900], world.speaker)
    async with door(world, tmp_path, era) as made:
        result = await made.call("converse", message=LONG)
    found = fields(result)
    assert (found["outcome"], found["interrupted"]) == ("interrupted", True)
    assert found["transcript"] == "No, the other one."
    assert f"{found['heard']} {found['unheard']}" == LONG
    for told in ("They interrupted you", str(found["unheard"]), "No, the other one.", "words from the room"):
        assert told in text_of(result)
    assert not world.echo.open
