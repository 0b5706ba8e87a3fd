"""A phrase that comes again is played from disk, through a real MCP client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.live.host import client, environment
from tests.support import voice
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer

pytestmark = [pytest.mark.anyio, pytest.mark.live]

PHRASE = "All tests pass."


@pytest.mark.spec("PLY-13")
async def test_a_phrase_said_a_third_time_needs_no_server(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, PHRASE_CACHE_MB="50")
        async with asyncio.timeout(60), client(variables) as host:
            for time in range(3):
                with sound_card.recording() as heard:
                    heard.wait_until_running()
                    result = await host.call_tool("speak", {"message": PHRASE, "wait": "finished"})
                    samples = heard.samples()
                assert not result.is_error, result.content
                assert voice.hear(samples.tobytes(), RATE) == voice.words(PHRASE)
                asked = [request for request in server.requests if request.text]
                assert len(asked) == min(time + 1, 2)
