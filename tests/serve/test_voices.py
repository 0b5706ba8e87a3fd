"""Voices made of recordings, through the server: where they are found, what loading them takes, which are kept."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.codecs.material import floats, pitch, s16, tone
from tests.serve.house import House, WordVoice, house
from tests.support.chatterbox import standin
from tests.support.file_server import FileServer, Manner
from voicemode.engines.chatterbox.voice import ChatterboxVoice
from voicemode.engines.far_voices import far_voices
from voicemode.engines.voice_cache import MOST_VOICES
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.wav import wav_bytes

pytestmark = pytest.mark.anyio

TEXT = "A sentence in the voice of somebody."


def recording(hertz: float) -> bytes:
    return wav_bytes(Frame(data=s16(tone(1.0, 24_000, hertz=hertz)), format=SPEECH))


@pytest.fixture(autouse=True)
def package() -> Iterator[Any]:
    with standin() as module:
        yield module


@pytest.fixture
def far() -> Iterator[FileServer]:
    with FileServer({"/voices/carol.wav": recording(660.0)}) as server:
        yield server


@pytest.fixture
async def server(far: FileServer, tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "alice.wav").write_bytes(recording(330.0))
    engine = ChatterboxVoice(folders=[tmp_path], remote=far_voices(f"{far.url}/voices/"))
    async with house(engine) as opened:
        yield opened
    await engine.close()


@pytest.fixture
async def http(server: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=20) as client:
        yield client


async def loading_ms(http: httpx2.AsyncClient, voice: str) -> tuple[float, float]:
    """(ms that loading the voice took, its pitch), of a whole reply."""
    said = await http.post("/synthesize", json={"text": TEXT, "voice": voice, "format": "pcm"})
    assert said.status_code == 200, said.text
    return float(said.headers["x-voice-load-ms"]), pitch(floats(said.content), SPEECH.rate)


@pytest.mark.spec("SRV-12")
@pytest.mark.spec("SRV-48")
async def test_a_voice_comes_from_disk_from_what_was_handed_over_or_from_far_away(
    http: httpx2.AsyncClient, far: FileServer
) -> None:
    handed = base64.b64encode(recording(550.0)).decode()
    wanted = ["alice", {"id": "bob", "audio": handed}, "carol", "nobody", "../alice"]
    told = (await http.post("/preload", json={"voices": wanted})).json()["voices"]
    levels = {name: each.get("level", each["status"]) for name, each in told.items()}
    assert levels == {
        "alice": "path",
        "bob": "waveform",
        "carol": "remote",
        "nobody": "error",
        "../alice": "error",
    }
    assert all(told[name]["ms"] > 0 for name in ("alice", "bob", "carol"))
    again = (await http.post("/preload", json={"voices": ["alice", "bob", "carol"]})).json()["voices"]
    assert {each["level"] for each in again.values()} == {"memory"}
    for name, hertz in (("alice", 330), ("bob", 550), ("carol", 660)):
        loading, found = await loading_ms(http, name)
        assert loading == 0.0
        assert found == pytest.approx(hertz, abs=3)
    assert [path for path, _ in far.asked].count("/voices/carol.wav") == 1
    listed = {each["id"] for each in (await http.get("/v1/audio/voices")).json()["voices"]}
    assert {"default", "alice", "bob", "carol"} <= listed


@pytest.mark.spec("SRV-48")
async def test_each_reply_tells_what_loading_its_voice_took(server: House, http: httpx2.AsyncClient) -> None:
    cold, _ = await loading_ms(http, "alice")
    assert cold > 0
    async with websockets.connect(f"{server.socket_url}/ws/synthesize") as socket:
        for expected in (True, False):
            await socket.send(json.dumps({"text": TEXT, "voice": "carol", "binary": True}))
            async for message in socket:
                if isinstance(message, str) and json.loads(message)["type"] == "complete":
                    assert (json.loads(message)["voice_load_ms"] > 0) is expected
                    break


@pytest.mark.spec("SRV-48")
async def test_the_voice_that_was_not_used_for_longest_goes_first(
    http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    others = [f"voice{number}" for number in range(MOST_VOICES - 1)]
    for name in others:
        (tmp_path / f"{name}.wav").write_bytes(recording(440.0))
    await http.post("/preload", json={"voices": ["alice"]})
    await http.post("/preload", json={"voices": others})
    assert (await http.get("/health")).json()["voices_cached"] == MOST_VOICES
    assert (await loading_ms(http, "alice"))[0] == 0.0  # Used again: now another one is the oldest.
    await http.post("/preload", json={"voices": ["carol"]})
    assert (await http.get("/health")).json()["voices_cached"] == MOST_VOICES
    assert (await loading_ms(http, "alice"))[0] == 0.0
    assert (await loading_ms(http, "voice0"))[0] > 0.0


@pytest.mark.spec("SRV-48")
async def test_a_place_far_away_that_fails_is_told_and_spoils_no_other(
    http: httpx2.AsyncClient, far: FileServer
) -> None:
    far.manners.append(Manner(status=500))
    told = (await http.post("/preload", json={"voices": ["carol", "alice"]})).json()["voices"]
    assert (told["carol"]["status"], told["alice"]["status"]) == ("error", "ready")
    assert "500" in told["carol"]["error"]["message"]
    assert (await http.post("/preload", json={"voices": ["carol"]})).json()["voices"]["carol"][
        "level"
    ] == "remote"


@pytest.mark.spec("SRV-12")
@pytest.mark.parametrize(
    ("entry", "status", "named"),
    [
        ({"id": "bob", "audio": "***"}, 400, "base64"),
        ({"id": "bob", "audio": base64.b64encode(b"no sound at all" * 9).decode()}, 200, "sound"),
        ({"id": "b/../b", "audio": base64.b64encode(recording(440.0)).decode()}, 200, "letters"),
        (7, 400, "voices"),
    ],
)
async def test_a_recording_that_cannot_be_taken_is_refused(
    http: httpx2.AsyncClient, entry: object, status: int, named: str
) -> None:
    answer = await http.post("/preload", json={"voices": [entry]})
    assert answer.status_code == status
    assert named in answer.text
    assert '"error"' in answer.text


@pytest.mark.spec("SRV-12")
async def test_engines_that_cannot_take_a_recording_say_so() -> None:
    entry = {"id": "bob", "audio": base64.b64encode(recording(440.0)).decode()}
    async with house(WordVoice()) as server, httpx2.AsyncClient(base_url=server.url) as http:
        told = (await http.post("/preload", json={"voices": [entry, "ann"]})).json()["voices"]
    assert told["bob"]["status"] == "error"
    assert "recording" in told["bob"]["error"]["message"]
    assert told["ann"]["level"] == "engine"
