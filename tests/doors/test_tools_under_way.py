"""What a client sees of a call that goes on: progress, cancelling, and an answer that is fetched later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from mcp import Client

from tests.doors.door import LIMIT_SECONDS, LONG, Door, World, door, fields, starved, text_of
from tests.flows.world import RULES, PatientMicrophone, SlowEar
from tests.support.fakes import DEAD, WORD, FakeMicrophone, FakeVoice, until
from voicemode.mcp_server import PROGRESS_SECONDS
from voicemode.speech import Outcome

pytestmark = pytest.mark.anyio


# Progress.


@pytest.mark.spec("TOOL-10")
async def test_progress_comes_at_once_rises_and_says_what_is_happening(tmp_path: Path, era: str) -> None:
    world = World()
    gate = asyncio.Semaphore(20)
    world.voice = FakeVoice(gate=gate, chunk_bytes=2 * WORD)
    told: list[tuple[float, str]] = []
    at: list[float] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))
        at.append(asyncio.get_running_loop().time())

    async with door(world, tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        began = asyncio.get_running_loop().time()
        calling = asyncio.create_task(
            made.client.call_tool("converse", {"message": LONG}, progress_callback=watch)
        )
        await until(lambda: len(told) >= 3)
        for _ in range(60):
            gate.release()
        assert not (await calling).is_error
    steps = [step for step, _ in told]
    assert steps == sorted(set(steps))
    assert at[0] - began < PROGRESS_SECONDS
    assert PROGRESS_SECONDS < 2.0
    assert any(message.startswith("speaking ") and message.endswith("/60") for _, message in told)


@pytest.mark.spec("TOOL-10")
async def test_who_waits_is_told_who_has_the_floor(tmp_path: Path, era: str) -> None:
    world = World()
    world.voice = starved()
    told: list[str] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with door(world, tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        await made.call("speak", message=LONG)
        waiting = asyncio.create_task(
            made.client.call_tool("converse", {"message": "and me?"}, progress_callback=watch)
        )
        await until(lambda: bool(told))
        assert told[0] == f"waiting: speak (process {os.getpid()}) has the floor"
        told.clear()
        later = asyncio.create_task(
            made.client.call_tool("speak", {"message": "and I?"}, progress_callback=watch)
        )
        await until(lambda: any("1 more before you" in message for message in told))
        await until(lambda: len(made.app.floor.line()) == 3)
        found = fields(await made.call("playback"))
        me = f"(process {os.getpid()})"
        assert found["floor"] == f"speak {me}; waiting: converse {me}, speak {me}"
        assert fields(await made.call("voice_status"))["floor"] == found["floor"]
        await made.call("playback", action="stop")
        assert fields(await waiting)["outcome"] == "cancelled"
        assert fields(await later)["state"] == "cancelled"


# Cancelling.


@pytest.mark.spec("TOOL-11")
@pytest.mark.parametrize(
    ("tool", "state"),
    [
        *[("converse", state) for state in ("waiting", "starting", "speaking", "listening", "transcribing")],
        *[("speak", state) for state in ("waiting", "starting")],
        *[("speak to the end", state) for state in ("waiting", "starting", "speaking")],
    ],
)
async def test_a_cancelled_call_is_silent_closed_and_leaves_the_server_usable(
    tmp_path: Path, era: str, tool: str, state: str
) -> None:
    world = World()
    world.voice = {"waiting": starved(), "starting": starved(0), "speaking": starved()}.get(
        state, world.voice
    )
    world.ear = SlowEar() if state == "transcribing" else world.ear
    if state == "listening":
        world.microphone = FakeMicrophone([])
        world.rules = replace(RULES, no_speech=100_000, maximum=100_000)
    async with door(world, tmp_path, era) as made:
        if state == "waiting":
            await made.call("speak", message=LONG)
        name, _, to_the_end = tool.partition(" ")
        arguments = {"message": LONG, "wait": "finished"} if to_the_end else {"message": LONG}
        calling = asyncio.create_task(made.client.call_tool(name, arguments))
        await until(lambda: made.state() == state)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await until(lambda: made.state() == Outcome.CANCELLED)
        await made.call("playback", action="stop")
        assert world.quiet
        assert made.app.floor.holder() == ""
        assert not (await made.call("playback")).is_error


@pytest.mark.spec("TOOL-12")
async def test_a_call_that_another_client_stops_is_answered(tmp_path: Path, era: str) -> None:
    world = World()
    world.microphone = FakeMicrophone([])
    world.rules = replace(RULES, no_speech=100_000, maximum=100_000)
    async with door(world, tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        calling = asyncio.create_task(made.client.call_tool("converse", {"message": "are you there?"}))
        await until(lambda: made.state() == "listening")
        async with Client(made.server, mode=era) as other:
            await other.call_tool("playback", {"action": "stop"})
        found = fields(await calling)
    assert (found["outcome"], found["heard"]) == ("cancelled", "are you there?")


# An answer that is fetched later.

SHORT = "0.3"
"""Seconds that the client waits."""


async def pending(made: Door, **arguments: object) -> str:
    """The handle of a call that has been answered as pending."""
    found = fields(await made.call("converse", **arguments))
    assert found["outcome"] == "pending"
    return str(found["handle"])


async def fetched(made: Door, handle: str) -> Mapping[str, object]:
    """What becomes of the call, however often it has to be asked for."""
    while (found := fields(await made.call("converse", handle=handle)))["outcome"] == "pending":
        assert found["handle"] == handle
    return found


@pytest.mark.spec("TOOL-17")
async def test_a_call_that_lasts_longer_than_the_client_waits_goes_on_and_its_answer_is_fetched(
    tmp_path: Path, era: str
) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        answer = await made.call("converse", message=LONG)
        found = fields(answer)
        assert (found["outcome"], made.state()) == ("pending", "speaking")
        assert found["heard"]
        assert f"{found['heard']} {found['unheard']}" == LONG
        handle = str(found["handle"])
        assert f"Call converse with handle {handle}" in text_of(answer)
        world.voice.allow(60)
        found = await fetched(made, handle)
        assert (found["outcome"], found["heard"], found["transcript"]) == ("answered", LONG, "yes please")
        assert await fetched(made, handle) == found
        assert len(made.app.conversation.calls()) == 1


@pytest.mark.spec("TOOL-17")
async def test_an_answer_that_came_meanwhile_is_kept_told_and_returned_at_once(
    tmp_path: Path, era: str
) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        handle = await pending(made, message=LONG)
        told = text_of(await made.call("playback", handle=handle))
        assert "its caller comes back for the answer" in told
        world.voice.allow(60)
        await until(lambda: made.state() == Outcome.ANSWERED)
        (listed,) = cast("list[dict[str, str]]", fields(await made.call("playback"))["calls"])
        assert listed["note"] == "its result waits: converse with this handle"
        found = fields(await made.call("converse", handle=handle))
        assert found["transcript"] == "yes please"
        (listed,) = cast("list[dict[str, str]]", fields(await made.call("playback"))["calls"])
        assert "note" not in listed


@pytest.mark.spec("TOOL-17")
async def test_a_failure_that_came_meanwhile_is_told_when_the_answer_is_fetched(
    tmp_path: Path, era: str
) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved()
    world.microphone = PatientMicrophone([DEAD] * 400, world.speaker)
    async with door(world, tmp_path, era) as made:
        handle = await pending(made, message=LONG)
        world.voice.allow(60)
        await until(lambda: made.state() == "failed")
        result = await made.call("converse", handle=handle)
        assert result.is_error
        assert "voicemode doctor" in text_of(result)


@pytest.mark.spec("TOOL-17")
async def test_who_cancels_the_fetching_ends_the_call(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.microphone = FakeMicrophone([])
    world.rules = replace(RULES, no_speech=100_000, maximum=100_000)
    async with door(world, tmp_path, era) as made:
        handle = await pending(made, message="are you there?")
        await until(lambda: made.state() == "listening")
        fetching = asyncio.create_task(made.client.call_tool("converse", {"handle": handle}))
        await asyncio.wait({fetching}, timeout=0.1)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await until(lambda: made.state() == Outcome.CANCELLED)
        assert world.quiet
        assert made.app.floor.holder() == ""
        assert fields(await made.call("converse", handle=handle))["outcome"] == "cancelled"


@pytest.mark.spec("TOOL-17")
async def test_two_that_fetch_the_same_answer_both_get_it_and_one_that_leaves_takes_it_from_nobody(
    tmp_path: Path, era: str
) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S="0.5")
    world.voice = starved()
    async with door(world, tmp_path, era) as made, Client(made.server, mode=era) as other:
        handle = await pending(made, message=LONG)
        (call,) = made.app.conversation.calls()
        leaving, *staying = (
            asyncio.create_task(client.call_tool("converse", {"handle": handle}))
            for client in (other, made.client, other)
        )
        await until(lambda: call.awaited_by == 3)
        leaving.cancel()
        await until(lambda: call.awaited_by == 2)
        assert made.state() == "speaking"
        world.voice.allow(60)
        for each in staying:
            while (found := fields(await each))["outcome"] == "pending":
                each = asyncio.create_task(made.client.call_tool("converse", {"handle": handle}))
            assert found["transcript"] == "yes please"


@pytest.mark.spec("TOOL-17")
async def test_what_is_pending_ends_with_the_server(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.microphone = FakeMicrophone([])
    world.rules = replace(RULES, no_speech=100_000, maximum=100_000)
    async with door(world, tmp_path, era) as made:
        await pending(made, message="are you there?")
        assert not world.quiet
    assert world.quiet


@pytest.mark.spec("TOOL-17")
async def test_a_message_that_lasts_longer_than_the_client_waits_sounds_on(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved()
    async with door(world, tmp_path, era) as made:
        found = fields(await made.call("speak", message=LONG, wait="finished"))
        assert found["state"] == "speaking"
        await made.call("playback", action="pause")
        waiting = await made.call("speak", message="and then.")
        assert fields(waiting)["state"] == "waiting"
        assert "Waiting for its turn" in text_of(waiting)
        assert "playback tells how it goes on" in text_of(waiting)
        await made.call("playback", action="resume")
        world.voice.allow(80)
        await until(lambda: made.state() == Outcome.FINISHED)
        assert [call.status().state for call in made.app.conversation.calls()] == ["finished"] * 2


@pytest.mark.spec("TOOL-17")
async def test_speak_says_at_the_limit_what_the_call_is_doing(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S=SHORT)
    world.voice = starved(0)
    async with door(world, tmp_path, era) as made:
        answer = await made.call("speak", message=LONG)
        assert fields(answer)["state"] == "starting"
        assert "Its turn has come; its first sound is on the way." in text_of(answer)
        await made.call("playback", action="stop")
        calling = asyncio.create_task(made.call("speak", message=LONG, wait="finished"))
        await until(lambda: made.state() == "starting")
        await made.call("playback", action="pause")
        answer = await calling
        assert fields(answer)["state"] == "paused"
        assert text_of(answer).startswith("Paused: it has the floor until playback resumes")


@pytest.mark.spec("TOOL-17")
async def test_without_a_limit_no_call_is_pending(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_CLIENT_LIMIT_S="0")
    world.voice = starved()
    told: list[str] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with door(world, tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        calling = asyncio.create_task(
            made.client.call_tool("converse", {"message": LONG}, progress_callback=watch)
        )
        await until(lambda: len(told) >= 2)
        world.voice.allow(60)
        assert fields(await calling)["outcome"] == "answered"
