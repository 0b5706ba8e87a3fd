"""Two clients of one server that speaks over HTTP: one voice at a time, and each sees the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mcp import Client

from tests.doors.http_host import served
from tests.live.host import environment
from tests.support import voice
from tests.support.looking import looked_for
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.spec("HTTP-14")]

LIMIT = 60
FIRST = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen."
SECOND = "The second one waits."


async def calls(client: Client) -> list[dict[str, str]]:
    shown = (await client.call_tool("playback", {})).structured_content
    assert shown is not None
    return list(shown["calls"])


async def states(client: Client) -> list[str]:
    return [call["state"] for call in await calls(client)]


async def test_two_clients_take_turns_and_one_may_skip_what_the_other_says_and_say_it_again(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    told: list[str] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with (
            asyncio.timeout(LIMIT),
            served(variables) as door,
            door.client("legacy") as one,
            door.client("2026-07-28") as other,
        ):
            with sound_card.recording() as heard:
                heard.wait_until_running()
                speaking = asyncio.create_task(one.call_tool("speak", {"message": FIRST, "wait": "finished"}))

                async def under_way() -> bool:
                    known = await calls(other)
                    return bool(known) and len(known[0]["heard"].split()) >= 3

                await looked_for(under_way, LIMIT)
                waiting = asyncio.create_task(
                    other.call_tool("speak", {"message": SECOND, "wait": "finished"}, progress_callback=watch)
                )

                async def both() -> bool:
                    return await states(one) == ["speaking", "waiting"]

                await looked_for(both, LIMIT)
                await other.call_tool("playback", {"action": "skip"})
                skipped, said = await speaking, await waiting
                await asyncio.to_thread(heard.wait_for_silence, 0.5, 20.0)
                samples = heard.samples()
            assert skipped.structured_content is not None
            assert said.structured_content is not None
            with sound_card.recording() as again:
                again.wait_until_running()
                await other.call_tool(
                    "playback", {"action": "replay", "handle": skipped.structured_content["handle"]}
                )

                async def over() -> bool:
                    return (await states(one))[-1] == "finished"

                await looked_for(over, LIMIT)
                await asyncio.to_thread(again.wait_for_silence, 0.5, 20.0)
                replayed = again.samples()
    first = skipped.structured_content
    assert first["state"] == "cancelled"
    assert f"{first['heard']} {first['unheard']}" == FIRST
    assert said.structured_content["state"] == "finished"
    assert told[0].startswith("waiting: speak (process ")
    heard_words = voice.hear(samples.tobytes(), RATE)
    second = voice.words(SECOND)
    assert heard_words[-len(second) :] == second
    before = heard_words[: -len(second)]
    reported = voice.words(first["heard"])
    # The word in which it was cut may be half heard.
    assert before[: len(reported)] == reported
    assert 0 <= len(before) - len(reported) <= 2
    assert voice.hear(replayed.tobytes(), RATE) == voice.words(FIRST)
