"""Speaking on the virtual sound card, through a real MCP client and through the command line: what is heard is checked
at the sink."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.live.host import COMMAND, client, environment
from tests.support import voice
from tests.support.encoding import decode
from tests.support.listening import compare, samples_of
from tests.support.looking import looked_for
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import Behaviour, SpeechServer
from voicemode.clock import monotonic
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.pcm import Frame
from voicemode.speech import SpeechRequest

pytestmark = [pytest.mark.anyio, pytest.mark.live]

TEXT = "The build is green again. All tests pass."
LIMIT = 60


async def embedded_sound(text: str) -> bytes:
    """What the embedded voice says, at 22,050 Hz."""
    engine = EmbeddedVoice()
    try:
        async with engine.synthesize(SpeechRequest(text=text)) as audio:
            return b"".join([chunk async for chunk in audio.chunks])
    finally:
        await engine.close()


@pytest.mark.alone
@pytest.mark.spec("LIV-1")
async def test_the_embedded_voice_is_heard_complete_and_undamaged(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    text = "The build is green again."
    source = await embedded_sound(text)
    async with asyncio.timeout(LIMIT), client(environment(sound_card, tmp_path)) as host:
        with sound_card.recording() as heard:
            heard.wait_until_running()
            result = await host.call_tool("speak", {"message": text, "wait": "finished"})
            samples = heard.samples()
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["heard"] == text
    found = compare(samples, RATE, samples_of(source), 22_050)
    assert found.complete >= 0.99
    assert len(found.pieces) == 1
    assert found.correlation > 0.999
    assert found.gain == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("audio_format", ["pcm", "wav", "mp3", "opus", "aac", "flac"])
@pytest.mark.spec("LIV-2")
async def test_every_format_of_a_server_is_heard_to_the_last_word(
    sound_card: VirtualSoundCard, tmp_path: Path, audio_format: str
) -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=0.05, pace=3.0)) as server:
        variables = environment(
            sound_card, tmp_path, TTS_BASE_URLS=server.base_url, TTS_AUDIO_FORMAT=audio_format
        )
        async with asyncio.timeout(LIMIT), client(variables) as host:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                result = await host.call_tool("speak", {"message": TEXT, "wait": "finished"})
                samples = heard.samples()
        assert {request.format for request in server.requests if request.text} == {audio_format}
    assert not result.is_error, result.content
    assert voice.hear(samples.tobytes(), RATE) == voice.words(TEXT)
    assert result.structured_content is not None
    assert result.structured_content["unheard"] == ""


@pytest.mark.spec("LIV-3")
async def test_speak_returns_when_sound_starts_and_goes_on(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), client(variables) as host:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                result = await host.call_tool("speak", {"message": TEXT})
                assert result.structured_content is not None
                assert result.structured_content["state"] == "speaking"
                assert result.structured_content["timings"]["ttfa"] > 0
                handle = result.structured_content["handle"]

                async def finished() -> bool:
                    shown = await host.call_tool("playback", {"handle": handle})
                    assert shown.structured_content is not None
                    return bool(shown.structured_content["calls"][0]["state"] == "finished")

                await looked_for(finished, LIMIT)
                samples = heard.samples()
    assert voice.hear(samples.tobytes(), RATE) == voice.words(TEXT)


@pytest.mark.timed
@pytest.mark.spec("LIV-4")
async def test_stop_and_cancel_are_silence_within_a_tenth_of_a_second(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), client(variables) as host:
            for way in ("stop", "cancel"):
                with sound_card.recording() as heard:
                    heard.wait_until_running()
                    if way == "stop":
                        await host.call_tool("speak", {"message": TEXT * 3})
                        await asyncio.to_thread(heard.wait_for_sound, 5.0)
                        asked = monotonic()
                        await host.call_tool("playback", {"action": "stop"})
                    else:
                        call = asyncio.create_task(
                            host.call_tool("speak", {"message": TEXT * 3, "wait": "finished"})
                        )
                        await asyncio.to_thread(heard.wait_for_sound, 5.0)
                        asked = monotonic()
                        call.cancel()
                        await asyncio.wait([call])
                    last = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
                    assert heard.time_of(last) - asked < 0.15, way
            after = await host.call_tool("speak", {"message": "Still here.", "wait": "finished"})
            assert after.structured_content is not None
            assert after.structured_content["state"] == "finished"


@pytest.mark.spec("LIV-5")
async def test_without_any_sound_system_the_sound_is_in_a_playable_file(tmp_path: Path) -> None:
    variables = environment(None, tmp_path)
    async with asyncio.timeout(LIMIT), client(variables) as host:
        result = await host.call_tool("speak", {"message": "Nobody hears this.", "wait": "finished"})
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["state"] == "not_played"
    assert result.structured_content["heard"] == ""
    sound = await asyncio.to_thread(read_sound, result.structured_content["recording"])
    assert sound.seconds > 0.8
    assert any(sound.data)


@pytest.mark.spec("LIV-6")
async def test_the_command_line_speaks_a_text_and_a_stream(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        for arguments, written in ((["speak", "--json", TEXT], ""), (["speak", "--json", "-"], TEXT)):
            with sound_card.recording() as heard:
                heard.wait_until_running()
                done = await asyncio.to_thread(
                    subprocess.run,
                    [*COMMAND, *arguments],
                    env=variables,
                    input=written,
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                )
                samples = heard.samples()
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["outcome"] == "finished"
            assert voice.hear(samples.tobytes(), RATE) == voice.words(TEXT)


def read_sound(path: str) -> Frame:
    return decode(Path(path).read_bytes())
