"""S5's HTTP routes: the whole sound with its stages, getting ready, health and figures."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

import httpx2
import pytest

from tests.serve.house import House, WordVoice, house, words_in
from tests.support import voice
from tests.support.fakes import until
from voicemode.codecs.samples import MU_LAW as MU_LAW_KIND
from voicemode.codecs.samples import TO_S16
from voicemode.engines.chatterbox.voice import ChatterboxVoice
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.first import FirstSpeech
from voicemode.errors import EngineUnavailable

pytestmark = pytest.mark.anyio

TEXT = "Alpha bravo charlie. Delta echo foxtrot golf hotel."


@pytest.mark.spec("SRV-10")
async def test_the_whole_sound_comes_at_once_with_its_length_and_its_stages() -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/synthesize", json={"text": TEXT, "voice_id": "bob"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    sound = answer.content
    assert int.from_bytes(sound[4:8], "little") == len(sound) - 8
    assert int.from_bytes(sound[40:44], "little") == len(sound) - 44
    assert words_in(sound[44:]) == voice.words(TEXT)
    for stage in ("voice-load", "generation", "transcoding", "first-chunk", "total"):
        assert float(answer.headers[f"x-{stage}-ms"]) >= 0, stage
    assert float(answer.headers["x-total-ms"]) >= float(answer.headers["x-first-chunk-ms"]) > 0
    assert float(answer.headers["x-audio-seconds"]) == pytest.approx((len(sound) - 44) / 48_000, abs=0.02)
    assert answer.headers["x-backend"] == "words"


@pytest.mark.spec("SRV-10")
async def test_it_speaks_for_the_telephone() -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/synthesize", json={"text": TEXT, "format": "mulaw"})
        wrong = await http.post("/synthesize", json={"text": TEXT, "preset": "loud"})
        long = await http.post("/synthesize", json={"text": "Long. " * 2_000})
    assert answer.headers["content-type"] == "audio/basic"
    assert len(answer.content) % 160 == 0
    assert voice.hear(TO_S16[MU_LAW_KIND, 1](answer.content), 8_000) == voice.words(TEXT)
    assert (wrong.status_code, long.status_code) == (400, 413)
    assert "balanced" in wrong.json()["error"]["message"]


@pytest.mark.spec("SRV-5")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/audio/translations", 404), ("GET", "/v1/engines", 404), ("GET", "/v1/audio/speech", 405)],
)
async def test_what_is_no_route_is_told_in_openais_object_whatever_was_sent(
    method: str, path: str, status: int
) -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http:
        for kind in ("multipart/form-data; boundary=x", "application/json"):
            answer = await http.request(method, path, content=b"{}", headers={"content-type": kind})
            assert answer.status_code == status
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_route")
            assert path in error["message"]


@pytest.mark.spec("SRV-5")
async def test_who_asks_for_a_voice_that_nobody_has_is_shown_the_servers_own_list() -> None:
    pair = FirstSpeech([WordVoice(voices=("ann", "bob")), WordVoice(name="others", voices=("cid",))])
    async with house(pair) as server, httpx2.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/synthesize", json={"text": TEXT, "voice": "anna"})
    assert answer.status_code == 400
    assert "/v1/audio/voices lists all" in answer.json()["error"]["message"]
    assert "voicemode voices" not in answer.text


class Warming(WordVoice):
    """Counts how often it was warmed."""

    warmed = 0

    async def warm(self) -> None:
        self.warmed += 1


@pytest.mark.spec("SRV-11")
async def test_warming_up_readies_engine_voice_and_resampler() -> None:
    engine = Warming()
    async with house(engine) as server, httpx2.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/warmup", json={"voice": "bob"})
        unknown = await http.post("/warmup", json={"voice": "nobody"})
    told = answer.json()
    assert (told["status"], told["backend"], told["voice"]) == ("ready", "words", "bob")
    parts = told["model_ms"] + told["voice_ms"] + told["resampler_ms"]
    assert told["total_ms"] == pytest.approx(parts, abs=1.0)
    assert engine.warmed == 2
    assert engine.open == 0
    assert unknown.status_code == 400


@pytest.mark.spec("SRV-11")
@pytest.mark.parametrize(
    "headers", [(), ("Content-Length: 0",), ("Content-Length: 0", "Content-Type: text/plain")]
)
async def test_who_wants_nothing_in_particular_need_send_nothing(headers: tuple[str, ...]) -> None:
    """As `curl -X POST` does: without a body, and so without its type."""
    engine = Warming()
    async with house(engine) as server:
        assert await posted(server, "/preload", *headers) == (200, {"voices": {}})
        status, told = await posted(server, "/warmup", *headers)
        assert (status, told.get("status"), told.get("voice"), engine.warmed) == (200, "ready", "ann", 1)
        for path in ("/synthesize", "/v1/audio/speech"):
            assert (await posted(server, path, *headers))[0] == 415, path
        chunked = (*headers[1:], "Transfer-Encoding: chunked")
        assert (await posted(server, "/warmup", *chunked, body=b"2\r\n{}\r\n0\r\n\r\n"))[0] == 415
        json_type = ("Content-Type: application/json", "Content-Length: 2")
        assert (await posted(server, "/warmup", *json_type, body=b"[]"))[0] == 400
        foreign = ("Origin: http://page.example", *headers)
        assert (await posted(server, "/warmup", *foreign))[0] == 403


async def posted(server: House, path: str, *headers: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """The status, and what is told with 200, for exactly these headers beside Host."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = (f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close", *headers)
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode() + body)
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status = int(head.split()[1])
    return status, json.loads(answer) if status == 200 else {}


@pytest.mark.spec("SRV-12")
async def test_of_each_voice_it_is_told_whether_it_is_ready() -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/preload", json={"voices": ["ann", "alloy", "nobody", "../../etc/passwd"]})
        many = await http.post("/preload", json={"voices": ["ann"] * 51})
    told = answer.json()["voices"]
    assert (told["ann"]["status"], told["alloy"]["status"]) == ("ready", "ready")
    assert told["nobody"]["error"]["code"] == "unknown_voice"
    assert told["../../etc/passwd"]["status"] == "error"
    assert many.status_code == 400


@pytest.mark.spec("SRV-12")
async def test_half_a_character_in_a_name_comes_back_as_it_came() -> None:
    headers = {"content-type": "application/json"}
    async with house() as server, httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
        answer = await http.post("/preload", content=b'{"voices": ["\\ud800", "ann"]}')
    assert answer.status_code == 200
    assert {name: told["status"] for name, told in answer.json()["voices"].items()} == {
        "\ud800": "error",
        "ann": "ready",
    }


@pytest.mark.spec("SRV-13")
@pytest.mark.spec("SRV-37")
async def test_health_tells_what_goes_on_and_when_it_ends() -> None:
    gate = asyncio.Semaphore(0)
    engine = WordVoice(gate=gate)
    async with house(engine) as server, httpx2.AsyncClient(base_url=server.url) as http:
        speaking = asyncio.create_task(http.post("/synthesize", json={"text": "Hello."}))
        await until(lambda: engine.open == 1)
        told = await http.get("/health")
        assert told.status_code == 200
        assert told.json() | {"version": ""} == {
            "status": "healthy",
            "version": "",
            "engines": ["words"],
            "active_streams": 1,
            "stream_limit": 64,
            "waiting": 0,
            "voices_cached": 0,
        }
        server.service.places.draining = True
        told = await http.get("/health")
        assert (told.status_code, told.json()["status"]) == (503, "draining")
        refused = await http.post("/synthesize", json={"text": "Hello."})
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        for _ in range(100):
            gate.release()
        assert words_in((await speaking).content[44:]) == ["hello"]


class Unable(WordVoice):
    async def check(self) -> None:
        raise EngineUnavailable("The voice has no package.", engine=self.name)


@pytest.mark.spec("SRV-13")
async def test_a_server_of_which_no_engine_can_speak_is_not_healthy_and_says_why() -> None:
    async with house(Unable()) as server, httpx2.AsyncClient(base_url=server.url) as http:
        told = await http.get("/health")
    assert (told.status_code, told.json()["status"]) == (503, "unavailable")
    assert "no package" in told.json()["reason"]
    async with (
        house(Unable(), WordVoice(name="other")) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        told = await http.get("/health")
    assert (told.status_code, told.json()["status"]) == (200, "healthy")
    assert "reason" not in told.json()


@pytest.mark.spec("SRV-13")
async def test_who_has_no_token_is_told_who_cannot_speak_and_nothing_of_the_machine() -> None:
    class Misplaced(WordVoice):
        async def check(self) -> None:
            raise EngineUnavailable("There are no weights in /srv/weights.", engine=self.name)

    async with house(Misplaced(), token="secret") as server, httpx2.AsyncClient(base_url=server.url) as http:
        stranger = await http.get("/health")
        wrong = await http.get("/health", headers={"Authorization": "Bearer guessed"})
        owner = await http.get("/health", headers={"Authorization": "Bearer secret"})
    assert [each.status_code for each in (stranger, wrong, owner)] == [503] * 3
    assert "/srv/weights" in owner.json()["reason"]
    for each in (stranger, wrong):
        assert "/srv" not in each.text
        assert "words (engine_unavailable)" in each.json()["reason"]


@pytest.mark.spec("SRV-13")
async def test_chatterbox_without_its_package_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chatterbox", None)
    engine = ChatterboxVoice()
    async with house(engine) as server, httpx2.AsyncClient(base_url=server.url) as http:
        told = await http.get("/health")
        spoken = await http.post("/v1/audio/speech", json={"input": "Hello."})
    await engine.close()
    assert (told.status_code, spoken.status_code) == (503, 503)
    assert "chatterbox-tts" in told.json()["reason"]
    embedded = EmbeddedVoice()
    async with house(embedded) as server, httpx2.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/health")).status_code == 200
    assert not embedded.pids
    await embedded.close()


@pytest.mark.spec("SRV-14")
async def test_prometheus_reads_the_figures() -> None:
    async with house(WordVoice(breaks=[3])) as server, httpx2.AsyncClient(base_url=server.url) as http:
        said = await http.post("/synthesize", json={"text": TEXT})
        await http.post("/synthesize", json={"text": ""})
        await http.get("/health", headers={"Origin": "http://page.example"})
        shown = (await http.get("/metrics")).text

    def value(line: str) -> float:
        found = re.search(rf"^{re.escape(line)} ([0-9.e+-]+)$", shown, re.MULTILINE)
        assert found, line
        return float(found[1])

    labels = '{engine="words",outcome="finished",route="/synthesize"}'
    assert value(f"voicemode_speech_requests_total{labels}") == 1
    seconds = float(said.headers["x-audio-seconds"])
    assert value('voicemode_speech_seconds_total{engine="words"}') == pytest.approx(seconds, abs=0.01)
    assert value('voicemode_engine_breaks_total{engine="words"}') == 1
    assert value('voicemode_refused_requests_total{status="403"}') == 1
    assert value('voicemode_first_sound_seconds_count{route="/synthesize"}') == 1
    assert value("voicemode_active_streams") == 0
    assert value("voicemode_stream_limit") == 64
