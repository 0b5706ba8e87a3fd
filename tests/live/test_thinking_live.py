"""The thinking sound and a place of one's own, through a real MCP client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.live.host import client, environment
from tests.live.test_converse import ANSWER, LIMIT, QUESTION, when
from tests.support import voice
from tests.support.listening import Samples
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.spec("TRK-13")]


def power(samples: Samples) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


async def test_it_sounds_between_the_answer_and_the_next_call_at_the_assistants_place(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=server.base_url,
            STT_BASE_URLS=server.base_url,
            THINKING_SOUND="true",
            PAN="0.5",
            AUDIO_FEEDBACK="false",
        )
        async with asyncio.timeout(LIMIT), client(variables) as host:
            with sound_card.recording(channels=2) as heard:
                heard.wait_until_running()
                call = asyncio.create_task(host.call_tool("converse", {"message": QUESTION}))
                await when("listening", host)
                sound_card.say(voice.speak(ANSWER), 24_000).wait(10)
                answer = (await call).structured_content
                answered_at = heard.position
                first = await asyncio.to_thread(heard.wait_for_sound, 5.0, after=answered_at + RATE // 2)
                await asyncio.to_thread(heard.wait_for_sound, 5.0, after=first + RATE // 2)
                said = (
                    await host.call_tool("speak", {"message": QUESTION, "wait": "finished"})
                ).structured_content
                await asyncio.to_thread(heard.wait_for_silence, 1.6, 10.0)
                left = heard.samples(0)
                right = heard.samples(1)[: len(left)]
    assert answer is not None
    assert said is not None
    assert (answer["outcome"], answer["transcript"], answer["heard"]) == ("answered", ANSWER, QUESTION)
    assert (said["state"], said["heard"]) == ("finished", QUESTION)
    thinking = slice(answered_at, first + RATE // 4)
    assert int(np.abs(right[thinking].astype(np.int32)).max()) < 700
    assert power(right[:answered_at]) / power(left[:answered_at]) == pytest.approx(5.83, rel=0.1)
    assert voice.hear(right[:answered_at].tobytes(), RATE) == voice.words(QUESTION)
