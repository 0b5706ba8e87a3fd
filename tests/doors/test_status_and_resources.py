"""What a client can read: status, prompts and resources."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp import MCPError
from mcp.types import INVALID_PARAMS, BlobResourceContents, TextResourceContents

from tests.doctor.patient import FakeCard
from tests.doors.door import (
    LIMIT_SECONDS,
    SECRET,
    World,
    door,
    fields,
)
from tests.support.fakes import FakeMicrophone, until
from tests.support.speech_server import closed_port

pytestmark = pytest.mark.anyio


# Status, prompts and resources.


@pytest.mark.spec("TOOL-13")
async def test_voice_status_says_what_would_be_used_and_what_is_wrong(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_TTS_SPEED="very fast", OPENAI_API_KEY=SECRET)
    async with door(world, tmp_path, era) as made:
        result = await made.call("voice_status")
    found = fields(result)
    assert found["floor"] == "free"
    assert found["devices"] == ["There is no sound device."]
    assert found["speech"]
    assert found["transcription"]
    assert "voicemode doctor --sound" in str(found["interrupting"])
    assert "VOICEMODE_TTS_SPEED" in str(found["problems"])
    assert SECRET not in result.model_dump_json()


@pytest.mark.parametrize(("language", "ready"), [("auto", True), ("en-GB", True), ("German", False)])
@pytest.mark.spec("TOOL-13", "DOC-13")
async def test_an_ear_that_does_not_know_the_configured_language_is_not_ready(
    tmp_path: Path, era: str, language: str, *, ready: bool
) -> None:
    world = World(VOICEMODE_STT_LANGUAGE=language, VOICEMODE_WHISPER_PORT="1")
    async with door(world, tmp_path, era) as made:
        found = fields(await made.call("voice_status", check=True))
    assert isinstance(found["transcription"], list)
    ear = found["transcription"][-1]
    assert ear.startswith("embedded ear (ready: " if ready else "embedded ear (English only: ")
    assert ("VOICEMODE_STT_LANGUAGE is 'de'" in ear) is not ready
    assert ("transcription: no engine is ready" in str(found["problems"])) is not ready


@pytest.mark.spec("TOOL-13", "DOC-2")
async def test_voice_status_says_what_the_doctor_would_mend_the_worst_first(tmp_path: Path, era: str) -> None:
    with closed_port() as url:
        world = World(VOICEMODE_TTS_BASE_URLS=url, VOICEMODE_TTS_SPED="2", VOICEMODE_KOKORO_PORT="9")
        async with door(world, tmp_path, era) as made:
            looked = fields(await made.call("voice_status"))["problems"]
            asked = fields(await made.call("voice_status", check=True))["problems"]
    assert isinstance(looked, list)
    assert isinstance(asked, list)
    assert looked[0].startswith("loudspeaker: none")
    assert len({each.rpartition(" → ")[2] for each in looked}) == len(looked)
    assert [
        each
        for each in ("Did you mean VOICEMODE_TTS_SPEED?", "KOKORO_PORT has no effect")
        if each not in str(looked)
    ] == []
    assert "unreachable" not in str(looked)
    assert "unreachable" in str(asked)
    assert max(map(len, asked)) <= 600


@pytest.mark.spec("DOC-2")
async def test_voice_status_opens_the_microphone_only_where_it_is_asked_to_try(
    tmp_path: Path, era: str
) -> None:
    async with door(World(), tmp_path, era) as made:
        microphone = FakeMicrophone([b"\1\1" * 160] * 200)
        made.app.card = FakeCard(made.world.speaker, microphone)
        await made.call("voice_status")
        assert microphone.opened == 0
        await made.call("voice_status", check=True)
        assert (microphone.opened, microphone.open, made.world.speaker.opened) == (1, 0, 0)


@pytest.mark.spec("TOOL-14")
async def test_prompts_are_listed_and_rendered(tmp_path: Path, era: str) -> None:
    async with door(World(), tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        prompts = (await made.client.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["converse", "brief"]
        rendered = await made.client.get_prompt("converse", {"topic": "the release"})
        assert "about the release" in rendered.model_dump_json()
        assert "speak tool" in (await made.client.get_prompt("brief")).model_dump_json()


@pytest.mark.spec("TOOL-14")
async def test_a_prompt_that_there_is_not_is_an_error_that_names_those_there_are(
    tmp_path: Path, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(World(), tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        for name, arguments, told in (
            ("brif", None, "There is no prompt 'brif'; there are: converse, brief."),
            ("converse", {"topc": "x"}, "no argument 'topc'; did you mean topic? Allowed: topic."),
            ("brief", {"topic": "x"}, "no argument 'topic'. Allowed: none."),
        ):
            with pytest.raises(MCPError, match=re.escape(told)) as failed:
                await made.client.get_prompt(name, arguments)
            assert failed.value.code == INVALID_PARAMS
    assert caplog.records == []


@pytest.mark.spec("TOOL-15")
async def test_configuration_voices_turns_and_guide_can_be_read(tmp_path: Path, era: str) -> None:
    world = World(VOICEMODE_TTS_SPEED="1.5", OPENAI_API_KEY=SECRET)
    async with door(world, tmp_path, era) as made, asyncio.timeout(LIMIT_SECONDS):
        await made.call("speak", message="hello there.", wait="finished")
        texts = {}
        for resource in (await made.client.list_resources()).resources:
            content = await made.read(str(resource.uri))
            assert isinstance(content, TextResourceContents)
            texts[str(resource.uri)] = content.text
    assert set(texts) == {f"voicemode://{name}" for name in ("guide", "config", "voices", "turns")}
    variables = {row["name"]: row for row in json.loads(texts["voicemode://config"])["variables"]}
    assert (variables["VOICEMODE_TTS_SPEED"]["value"], variables["VOICEMODE_TTS_SPEED"]["source"]) == (
        "1.5",
        "environment",
    )
    assert (variables["OPENAI_API_KEY"]["secret"], variables["VOICEMODE_TTS_SPEED"]["secret"]) == (
        True,
        False,
    )
    assert SECRET not in json.dumps(texts)
    assert [voice["id"] for voice in json.loads(texts["voicemode://voices"])] == ["default"]
    (turn,) = json.loads(texts["voicemode://turns"])
    assert (turn["state"], turn["heard"]) == ("finished", "hello there.")
    assert "# Speaking with the user" in texts["voicemode://guide"]


@pytest.mark.spec("TOOL-16")
async def test_a_recording_can_be_read_by_its_name(tmp_path: Path, era: str) -> None:
    async with door(World(VOICEMODE_SAVE_AUDIO="true"), tmp_path, era) as made:
        found = fields(await made.call("speak", message="hello there.", wait="finished"))
        path = Path(str(found["recording"]))
        await until(path.is_file)
        content = await made.read(f"voicemode://recordings/{path.name}")
    assert isinstance(content, BlobResourceContents)
    assert content.mime_type == "audio/wav"
    assert content.blob.startswith("UklGR")


HOSTILE: list[Callable[[Path], str]] = [
    lambda folder: "../../secret.wav",
    lambda folder: "..%2F..%2Fsecret.wav",
    lambda folder: "%2E%2E%2Fsecret.wav",
    lambda folder: str(folder / "secret.wav").replace("/", "%2F"),
    lambda folder: "..%5Csecret.wav",
    lambda folder: "link.wav",
    lambda folder: "*.wav",
    lambda folder: "sound.wav%00.txt",
    lambda folder: "note.json",
    lambda folder: "..",
    lambda folder: "x" * 5_000 + ".wav",
]


@pytest.mark.spec("TOOL-16")
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_that_leads_elsewhere_finds_nothing(
    tmp_path: Path, era: str, name: Callable[[Path], str]
) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF secret")
    folder = tmp_path / "recordings" / "2026" / "11"
    folder.mkdir(parents=True)
    (folder / "sound.wav").write_bytes(b"RIFF")
    (folder / "note.json").write_text("{}")
    if os.name != "nt":
        (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    async with door(World(), tmp_path, era) as made:
        with pytest.raises(MCPError):
            await made.read(f"voicemode://recordings/{name(tmp_path)}")
        assert isinstance(await made.read("voicemode://recordings/sound.wav"), BlobResourceContents)
