"""PipeWire in PulseAudio's place, both ways in which ALSA leads to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.host import client, environment
from tests.support import voice
from tests.support.listening import compare, samples_of
from tests.support.looking import looked_for
from tests.support.pipewire_card import PipeWireCard
from tests.support.pipewire_daemon import has_alsa_plugin, what_is_missing
from tests.support.sound_card import RATE
from tests.support.speech_server import Behaviour, SpeechServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live("PipeWire"),
    pytest.mark.skipif(bool(what_is_missing()), reason=f"no PipeWire: {what_is_missing()} is missing"),
]

TEXT = "the build is green and all of the tests pass again"
QUESTION = "Shall I delete the old branch?"
ANSWER = "yes please delete it now"
LIMIT = 40
OWN, DOOR = "PipeWire's plugin", "PulseAudio's plugin"


@pytest.fixture(params=[(OWN, 32), (OWN, 1024), (DOOR, 1024)], ids=lambda each: f"{each[0]}, {each[1]}")
def card(request: pytest.FixtureRequest) -> Iterator[PipeWireCard]:
    way, least = request.param
    if way is OWN and not has_alsa_plugin():
        pytest.skip("pipewire-alsa is missing")
    with PipeWireCard(native=way is OWN, least=least) as opened:
        yield opened


@pytest.mark.spec("LIV-36")
async def test_a_message_is_heard_whole_and_in_one_piece(card: PipeWireCard, tmp_path: Path) -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=0.2, pace=1.5)) as server:
        variables = environment(card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), client(variables) as host:
            for _ in range(2):
                with card.recording() as heard:
                    result = await host.call_tool("speak", {"message": TEXT, "wait": "finished"})
                    await asyncio.to_thread(heard.wait_for_silence, 0.3, 5.0)
                    samples = heard.samples()
                assert not result.is_error, result.content
    found = compare(samples, RATE, samples_of(voice.speak(TEXT, 24_000)), 24_000)
    assert found.complete == 1.0
    assert len(found.pieces) == 1


@pytest.mark.spec("LIV-36")
async def test_a_turn_brings_back_what_was_said(card: PipeWireCard, tmp_path: Path) -> None:
    with SpeechServer() as server:
        variables = environment(card, tmp_path, TTS_BASE_URLS=server.base_url, STT_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), client(variables) as host:
            call = asyncio.create_task(host.call_tool("converse", {"message": QUESTION}))

            async def listening() -> bool:
                shown = await host.call_tool("playback", {})
                calls = (shown.structured_content or {}).get("calls") or [{}]
                return bool(calls[-1].get("state") == "listening")

            await looked_for(listening, LIMIT)
            card.say(voice.speak(ANSWER), 24_000)
            result = await call
    assert result.structured_content is not None, result.content
    assert voice.words(result.structured_content["transcript"]) == voice.words(ANSWER)
