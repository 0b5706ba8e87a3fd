"""The playback tool: pause, resume, skip, replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.doors.door import LONG, Door, World, door, fields, starved, text_of
from tests.flows.world import RULES
from tests.support.fakes import FakeMicrophone, FakeVoice, until
from voicemode.errors import EndpointUnreachable
from voicemode.flows.meanwhile import Meanwhile
from voicemode.sound.thinking import thinking_sound
from voicemode.speech import Outcome

pytestmark = pytest.mark.anyio


async def act(made: Door, action: str, **arguments: object) -> Mapping[str, str]:
    """Does it; what is shown of the call that it was done to."""
    found = fields(await made.call("playback", action=action, **arguments))
    (call,) = cast("list[dict[str, str]]", found["calls"])
    return call


@pytest.mark.spec("TOOL-18")
async def test_a_message_is_paused_and_resumed(tmp_path: Path, era: str) -> None:
    world = World()
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        handle = str(fields(await made.call("speak", message=LONG))["handle"])
        shown = await act(made, "pause")
        assert (shown["handle"], shown["state"]) == (handle, "paused")
        assert f"{shown['heard']} {shown['unheard']}".strip() == LONG
        world.voice.allow(60)
        assert (await act(made, "status", handle=handle))["state"] == "paused"
        assert (await act(made, "resume"))["state"] == "speaking"
        await until(lambda: made.state() == Outcome.FINISHED)
    assert world.speaker.words == list(range(1, 61))


@pytest.mark.spec("TOOL-18")
async def test_what_sounds_is_skipped_and_the_next_begins(tmp_path: Path, era: str) -> None:
    world = World()
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        first = fields(await made.call("speak", message=LONG))
        await made.call("speak", message="and then.", wait="queued")
        world.voice.allow(60)
        shown = await act(made, "skip")
        assert (shown["handle"], shown["state"]) == (first["handle"], "cancelled")
        await until(lambda: made.state() == Outcome.FINISHED)
    assert world.voice.asked[-1].text == "and then."


@pytest.mark.spec("TOOL-18")
async def test_a_message_is_said_again(tmp_path: Path, era: str) -> None:
    async with door(World(), tmp_path, era) as made:
        first = fields(await made.call("speak", message="all well.", wait="finished", voice="nova"))
        await made.call("speak", message="something else.", wait="finished")
        again = await act(made, "replay", handle=first["handle"])
        assert again["handle"] != first["handle"]
        await until(lambda: made.state() == Outcome.FINISHED)
        asked = [(request.text, request.voice) for request in made.world.voice.asked]
    assert asked == [("all well.", "nova"), ("something else.", None), ("all well.", "nova")]


@pytest.mark.spec("TOOL-18")
async def test_a_call_that_listens_cannot_be_paused_and_says_so(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S="0.3")
    world.microphone = FakeMicrophone([])
    world.rules = replace(RULES, no_speech=100_000, maximum=100_000)
    async with door(world, tmp_path, era) as made:
        found = fields(await made.call("converse", message="are you there?"))
        await until(lambda: made.state() == "listening")
        refused = await made.call("playback", action="pause")
        assert refused.is_error
        assert f"Call {found['handle']} is listening; only a message that is sounding" in text_of(refused)
        assert (await act(made, "stop"))["state"] == "cancelled"


@pytest.mark.spec("TRK-13")
async def test_the_thinking_sound_ends_when_playback_is_asked_to_do_something(
    tmp_path: Path, era: str
) -> None:
    async with door(World(), tmp_path, era) as made:
        thinking = made.app.meanwhile = Meanwhile(made.world.speaker, thinking_sound)
        made.app.witnesses.add(thinking.watch)
        assert fields(await made.call("converse", message="are you there?"))["outcome"] == "answered"
        await until(lambda: made.world.speaker.open == 1)
        await made.call("playback")
        assert thinking.sounding
        assert not (await made.call("playback", action="stop")).is_error
        await until(lambda: not thinking.sounding)


@pytest.mark.spec("CNV-24")
async def test_playback_tells_why_a_message_failed_that_nobody_waited_for(tmp_path: Path, era: str) -> None:
    world = World()
    world.voice = FakeVoice(
        error=EndpointUnreachable("Nobody answers at server:1.", engine="fake voice", hint="Start it.")
    )
    async with door(world, tmp_path, era) as made:
        await made.call("speak", message="hello there.", wait="queued")
        await until(lambda: made.state() == "failed")
        assert "failed (Nobody answers at server:1. Start it.)" in text_of(await made.call("playback"))
