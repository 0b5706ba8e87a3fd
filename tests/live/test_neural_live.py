"""An installed neural voice on the virtual sound card: a tiny model, and every sample of it is heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engines.neural import made, put, voice
from tests.live.host import client, environment
from tests.support.contract import said
from tests.support.listening import compare, samples_of
from tests.support.sound_card import RATE, VirtualSoundCard
from voicemode.models.store import Store
from voicemode.speech import SpeechRequest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.alone]

TEXT = "The build is green again, and all tests pass."
LIMIT = 60


@pytest.mark.spec("NEU-2")
async def test_a_neural_voice_is_heard_complete_and_in_one_piece(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    put(Store(tmp_path / "models"), "piper-en-ljspeech")
    async with voice(made("piper")) as engine:
        audio, source = await said(engine, SpeechRequest(text=TEXT))
    variables = environment(sound_card, tmp_path, MODELS_DIR=str(tmp_path / "models"))
    async with asyncio.timeout(LIMIT), client(variables) as host:
        with sound_card.recording() as heard:
            heard.wait_until_running()
            result = await host.call_tool("speak", {"message": TEXT, "wait": "finished"})
            samples = heard.samples()
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["heard"] == TEXT
    found = compare(samples, RATE, samples_of(source), audio.pcm.rate)
    assert found.complete >= 0.99
    assert len(found.pieces) == 1
