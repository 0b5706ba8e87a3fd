"""Answers of a process that has ended, fetched from the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.doors.door import LONG, World, door, fields, starved, text_of
from tests.doors.test_tools_under_way import SHORT, pending
from tests.flows.world import SlowEar
from tests.support.fakes import until
from voicemode.mcp_server.results import FROM_THE_ROOM
from voicemode.speech import Outcome

pytestmark = pytest.mark.anyio


@pytest.mark.spec("TOOL-22")
async def test_an_answer_that_nobody_fetched_is_brought_by_the_next_process(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        handle = await pending(made, message=LONG)
        world.voice.allow(60)
        await until(lambda: made.state() == Outcome.ANSWERED)
    async with door(World(), tmp_path, era) as made:
        answer = await made.call("converse", handle=handle)
        found = fields(answer)
        assert (found["outcome"], found["transcript"]) == ("answered", "yes please")
        assert str(found["recording"]).endswith("_stt.wav")
        assert "has ended" in str(found["note"])
        assert text_of(answer).startswith(FROM_THE_ROOM)
        for unknown in ("12345678", "*", "../../x", handle[:7]):
            assert "There is no call" in text_of(await made.call("converse", handle=unknown))


@pytest.mark.spec("TOOL-22")
async def test_an_answer_that_its_process_could_not_transcribe_is_named_by_the_next_one(
    tmp_path: Path, era: str
) -> None:
    world = World()
    world.ear = SlowEar()
    async with door(world, tmp_path, era) as made:
        calling = asyncio.create_task(made.client.call_tool("converse", {"message": "Go on?"}))
        await until(lambda: made.state() == "transcribing")
        handle = made.app.conversation.calls()[-1].handle
        calling.cancel()
        await until(lambda: made.state() == Outcome.CANCELLED)
    async with door(World(), tmp_path, era) as made:
        answer = await made.call("converse", handle=handle)
        assert fields(answer)["outcome"] == "not_transcribed"
        assert str(fields(answer)["recording"]) in text_of(answer)
