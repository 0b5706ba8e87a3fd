"""The speech server on a real, small Ray: two replicas in processes of their own behind an ingress and Ray's proxy.

The tests share one cluster, which takes half a minute to start; the last one ends it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from websockets.asyncio.client import connect

from tests.cluster.engine import SLOWLY, VOICES
from tests.cluster.ray_process import ONGOING, REPLICAS, WAITING, OnRay, on_ray
from tests.serve.house import words_in
from tests.support.contract import comes_true, process_is_gone, process_runs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.alone,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray has no wheel here"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

LIMIT_SECONDS = 60.0
TEXT = "Alpha bravo charlie delta. Echo foxtrot golf hotel. India juliet kilo lima."
WORDS = [word.strip(".").lower() for word in TEXT.split()]
UNHEARD = ("cid", "dee")
"""Voices that no other test here asks for."""
LONG = " ".join(f"Alpha bravo charlie number {number}." for number in range(40))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnRay]:
    with on_ray(tmp_path_factory.mktemp("on_ray")) as running:
        yield running


@pytest.fixture
async def http(server: OnRay) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        httpx2.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as client,
    ):
        yield client


def speech(
    text: str = TEXT, *, voice: str = "ann", slowly: bool = False, model: str = "words"
) -> dict[str, object]:
    given: dict[str, object] = {"input": text, "response_format": "pcm", "voice": voice, "model": model}
    return {**given, "instructions": SLOWLY} if slowly else given


@asynccontextmanager
async def speaking(http: httpx2.AsyncClient, **asked: object) -> AsyncIterator[httpx2.Response]:
    """A slow answer whose first sound is there."""
    async with http.stream("POST", "/v1/audio/speech", json=asked) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield answer


def replica_of(answer: httpx2.Response) -> int:
    """The process that spoke."""
    return int(answer.headers["x-voice"].rpartition("@")[2])


@pytest.mark.spec("CLU-9")
async def test_sound_is_streamed_over_http_while_a_replica_still_speaks(
    server: OnRay, http: httpx2.AsyncClient
) -> None:
    async with speaking(http, **speech(slowly=True)) as answer:
        chunks = answer.aiter_bytes()
        sound = await anext(chunks)
        assert server.at_work()
        sound += b"".join([chunk async for chunk in chunks])
    assert words_in(sound) == WORDS
    assert answer.headers["x-backend"] == "words"
    assert not server.at_work()
    assert replica_of(answer) != server.process.pid


@pytest.mark.spec("CLU-9")
async def test_a_websocket_speaks_a_text_while_it_is_written(server: OnRay) -> None:
    sound = bytearray()
    async with asyncio.timeout(LIMIT_SECONDS), connect(f"{server.socket_url}/ws/synthesize-stream") as socket:

        async def until(kind: str) -> None:
            while (message := json.loads(await socket.recv()))["type"] != kind:
                if message["type"] == "audio":
                    sound.extend(base64.b64decode(message["audio"]))

        await socket.send(json.dumps({"type": "init", "voice": "bob", "format": "pcm"}))
        await until("ready")
        await socket.send(json.dumps({"type": "text", "text": "Alpha bravo charlie delta. "}))
        await until("sentence_complete")
        assert words_in(bytes(sound)) == WORDS[:4]
        await socket.send(json.dumps({"type": "text", "text": "Echo foxtrot golf hotel."}))
        await socket.send(json.dumps({"type": "end"}))
        await until("complete")
    assert words_in(bytes(sound)) == WORDS[:8]


@pytest.mark.spec("CLU-9")
async def test_lists_health_and_errors_are_those_of_the_server(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/health")).json()["engines"] == ["words", "tide"]
    voices = (await http.get("/v1/audio/voices")).json()["voices"]
    assert [each["id"] for each in voices if not each.get("usual")] == [*VOICES, *VOICES]
    unknown = await http.post("/v1/audio/speech", json=speech(voice="nobody"))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_voice")
    assert (await http.get("/health", headers={"host": "evil.example"})).status_code == 421


@pytest.mark.spec("CLU-6")
async def test_a_voice_is_found_on_the_replica_that_has_it(server: OnRay, http: httpx2.AsyncClient) -> None:
    async def asked(voice: str, text: str = "Alpha.", *, slowly: bool = False) -> int:
        answer = await http.post("/v1/audio/speech", json=speech(text, voice=voice, slowly=slowly))
        assert answer.status_code == 200
        return replica_of(answer)

    # While a text of a second is spoken, the routers learn who has loaded its voice.
    home = {voice: await asked(voice, TEXT, slowly=True) for voice in UNHEARD}
    for _ in range(5):
        assert {voice: await asked(voice) for voice in UNHEARD} == home
    assert [each for each in server.loaded() if each in UNHEARD] == list(UNHEARD)
    told = (await http.post("/preload", json={"voices": ["eve", "nobody"]})).json()["voices"]
    assert (told["eve"]["status"], told["eve"]["level"]) == ("ready", "path")
    assert told["nobody"]["error"]["code"] == "unknown_voice"


@pytest.mark.spec("CLU-5")
async def test_a_client_who_leaves_stops_the_engine_in_its_replica_within_a_second(
    server: OnRay, http: httpx2.AsyncClient
) -> None:
    async with speaking(http, **speech(LONG, slowly=True)) as answer:
        await anext(answer.aiter_bytes())
        assert server.at_work()
    assert await comes_true(lambda: not server.at_work(), 10) < 1.0
    async with connect(f"{server.socket_url}/ws/synthesize") as socket:
        await socket.send(json.dumps({"text": LONG, "voice": "ann", "instructions": SLOWLY}))
        await socket.recv()
        await comes_true(lambda: bool(server.at_work()), 10)
        socket.transport.abort()
    assert await comes_true(lambda: not server.at_work(), 10) < 1.0


@pytest.mark.spec("CLU-7")
async def test_more_texts_than_the_replicas_take_are_refused(server: OnRay, http: httpx2.AsyncClient) -> None:
    most = REPLICAS * ONGOING + WAITING
    while (await http.get("/health")).json()["active_streams"]:
        pass  # Of the test before.
    async with AsyncExitStack() as stack:
        for _ in range(most - WAITING):
            await stack.enter_async_context(speaking(http, **speech(LONG, slowly=True)))
        in_line = asyncio.create_task(http.post("/v1/audio/speech", json=speech("In line.")))

        while (await http.get("/health")).json()["active_streams"] < most:
            pass
        answer = await http.post("/v1/audio/speech", json=speech("Refused."))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert not in_line.done()
    assert (await in_line).status_code == 200


@pytest.mark.spec("CLU-2")
async def test_under_load_a_second_replica_speaks_and_when_the_load_has_gone_one_is_left(
    http: httpx2.AsyncClient,
) -> None:
    async def spoken_by() -> int:
        answer = await http.post("/v1/audio/speech", json=speech("Alpha.", model="tide"))
        assert answer.status_code == 200
        return replica_of(answer)

    alone = await spoken_by()
    assert await spoken_by() == alone
    async with AsyncExitStack() as load:
        for _ in range(ONGOING):
            await load.enter_async_context(speaking(http, **speech(LONG, slowly=True, model="tide")))
        # It is full: who comes now waits for a second one, or for the gap between two sentences.
        while (second := await spoken_by()) == alone:
            pass
        assert not process_is_gone(alone)
    await comes_true(lambda: process_is_gone(alone) or process_is_gone(second), 30)
    left = await spoken_by()
    assert left in (alone, second)
    assert not process_is_gone(left)


@pytest.mark.spec("CLU-4")
async def test_a_replica_that_is_killed_costs_no_word(server: OnRay, http: httpx2.AsyncClient) -> None:
    async with speaking(http, **speech(slowly=True)) as answer:
        chunks = answer.aiter_bytes()
        sound = await anext(chunks)
        killed = replica_of(answer)
        os.kill(killed, signal.SIGKILL)
        sound += b"".join([chunk async for chunk in chunks])
    heard = words_in(sound)
    assert [word for word in WORDS if word not in heard] == []
    again = await http.post("/v1/audio/speech", json=speech("Alpha."))
    assert again.status_code == 200
    assert replica_of(again) != killed


@pytest.mark.spec("CLU-10")
async def test_it_says_what_it_has_begun_leaves_no_process_and_told_no_word(server: OnRay) -> None:
    """The last one here: it ends the server."""
    async with (
        asyncio.timeout(2 * LIMIT_SECONDS),
        httpx2.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http,
    ):
        async with speaking(http, **speech(f"{TEXT} Elephant.", slowly=True)) as answer:
            chunks = answer.aiter_bytes()
            sound = await anext(chunks)
            server.process.send_signal(signal.SIGTERM)
            while (await http.get("/health")).status_code == 200:
                pass
            assert (await http.post("/v1/audio/speech", json=speech())).status_code == 503
            sound += b"".join([chunk async for chunk in chunks])
        assert words_in(sound) == [*WORDS, "elephant"]
    assert await asyncio.to_thread(server.ended) == 0
    await comes_true(lambda: not any(process_runs(pid) for pid in server.belonging()), 20)
    written = [each.read_bytes() for each in server.logs.rglob("*") if each.is_file()]
    assert written
    assert not [each for each in (*written, *(line.encode() for line in server.said)) if b"lephant" in each]
