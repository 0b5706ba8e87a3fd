"""The whole application in front of replicas, on a real port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.cluster.replicas import Cluster, cluster
from tests.live.host import environment
from tests.serve.house import LIMIT_SECONDS, WordVoice, words_in
from tests.support.fakes import until
from voicemode.cluster.ingress import Front, open_front
from voicemode.cluster.manners import Manners, OwnNames
from voicemode.cluster.remote import RemoteVoice
from voicemode.errors import EngineUnavailable
from voicemode.local_http.door import Limits, listen, open_door, url_of
from voicemode.speech_server.engines import none_can

pytestmark = pytest.mark.anyio

TEXT = "Alpha bravo charlie delta. Echo foxtrot golf hotel. India juliet kilo lima."
WORDS = [word.strip(".").lower() for word in TEXT.split()]


@asynccontextmanager
async def front(made: Cluster, folder: Path, **variables: str) -> AsyncIterator[tuple[Front, str]]:
    async def running() -> Mapping[str, int]:
        alive = sum(each.alive for each in made.replicas.replicas)
        return {made.behind.name: alive, "ingress": 1}

    opened = await open_front(
        environment(None, folder, **variables), voices=[made.behind], running=running, ingress="ingress"
    )
    try:
        with listen("127.0.0.1", 0, token="") as listening:
            url = url_of(listening, "127.0.0.1")
            async with open_door(opened.web, listening, websockets=True), asyncio.timeout(LIMIT_SECONDS):
                yield opened, url
    finally:
        await opened.close()


def speech(text: str = TEXT, **more: object) -> dict[str, object]:
    return {"input": text, "response_format": "pcm", **more}


@pytest.mark.spec("CLU-4")
async def test_of_a_text_no_word_is_lost_when_its_replica_dies(tmp_path: Path) -> None:
    gates = asyncio.Semaphore(3), asyncio.Semaphore(3)
    made = cluster(*(WordVoice(gate=gate) for gate in gates), voices=0)
    async with front(made, tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as http:
        async with http.stream("POST", "/v1/audio/speech", json=speech()) as answer:
            chunks = answer.aiter_bytes()
            sound = await anext(chunks)
            (speaking,) = [each for each in made.replicas.replicas if each.asked]
            speaking.die()
            for gate in gates:
                for _ in range(1_000):
                    gate.release()
            sound += b"".join([chunk async for chunk in chunks])
        heard = words_in(sound)
        assert [word for word in WORDS if word not in heard] == []
        assert sorted(each.alive for each in made.replicas.replicas) == [False, True]


@pytest.mark.spec("CLU-7")
async def test_who_finds_every_replica_busy_is_told_when_to_come_back(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    made = cluster(WordVoice(gate=gate), ongoing=1, waiting=0)
    async with front(made, tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as http:
        async with http.stream("POST", "/v1/audio/speech", json=speech()) as answer:
            chunks = answer.aiter_bytes()
            sound = await anext(chunks)
            refused = await http.post("/v1/audio/speech", json=speech("No room."))
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["code"] == "busy"
            async with connect(f"{url.replace('http', 'ws')}/ws/synthesize") as socket:
                await socket.send(json.dumps({"text": "No room."}))
                told = json.loads(await socket.recv())
                assert told["error"]["code"] == "busy"
                assert told["retry_after"] >= 1
            assert (await http.get("/health")).status_code == 200
            for _ in range(1_000):
                gate.release()
            sound += b"".join([chunk async for chunk in chunks])
        assert words_in(sound) == WORDS, "the later sentences of a text that was let in were refused"
        assert (await http.post("/v1/audio/speech", json=speech())).status_code == 200


@pytest.mark.spec("CLU-7")
async def test_room_follows_the_replicas_that_run(tmp_path: Path) -> None:
    made = cluster(*(WordVoice() for _ in range(3)), ongoing=2, waiting=1)
    async with front(made, tmp_path):
        await until(lambda: made.behind.room.most == 7)


class Ailing(WordVoice):
    """`ails` is why it cannot speak; with "…" it never says."""

    ails = ""

    async def check(self) -> None:
        if self.ails == "…":
            await asyncio.Event().wait()
        if self.ails:
            raise EngineUnavailable(self.ails, engine=self.name)


@pytest.mark.spec("CLU-13")
async def test_health_is_that_of_the_engines_behind_the_replicas(tmp_path: Path) -> None:
    engine = Ailing()
    made = cluster(engine, check_seconds=0.05)
    async with front(made, tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as http:

        async def health() -> tuple[int, str]:
            answer = await http.get("/health")
            return answer.status_code, answer.json().get("reason", "")

        assert await health() == (200, "")
        engine.ails = "Its model cannot be loaded."
        assert await health() == (503, "Its model cannot be loaded.")
        engine.ails = "…"  # At work with all it takes: that is no reason to send nobody here.
        asked = made[0].asked
        for _ in range(3):
            assert await health() == (200, "")
        assert made[0].asked == asked + 1
        assert (await http.post("/v1/audio/speech", json=speech())).status_code == 200
    engine.ails = ""
    async with front(made, tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as http:
        made[0].die()
        assert (await http.get("/health")).status_code == 503


@pytest.mark.spec("CLU-13")
async def test_replicas_that_are_all_at_work_are_not_asked() -> None:
    made = cluster(WordVoice(), ongoing=1)
    with made.behind.room.text():
        assert await none_can([RemoteVoice(made.behind)]) == []
        assert made[0].asked == 0, "it would answer after the text"
    assert await none_can([RemoteVoice(made.behind)]) == []
    assert made[0].asked == 1


@pytest.mark.spec("CLU-13")
@pytest.mark.parametrize("may_rest", [False, True])
async def test_an_engine_without_a_replica_can_speak_only_where_that_is_its_rest(may_rest: bool) -> None:
    made = cluster(WordVoice(), may_rest=may_rest)
    voice = RemoteVoice(made.behind)
    made.behind.room.told(replicas=0, ingresses=1)
    found = await none_can([voice])
    assert bool(found) is not may_rest
    assert all("`serve status`" in str(each) for each in found)
    assert made[0].asked == 0, "asking starts a replica"


@pytest.mark.spec("CLU-6")
async def test_preload_and_warmup_reach_the_replicas(tmp_path: Path) -> None:
    made = cluster(WordVoice(), WordVoice())
    async with front(made, tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as http:
        told = (await http.post("/preload", json={"voices": ["bob", "nobody"]})).json()["voices"]
        assert told["bob"] == {"status": "ready", "level": "engine", "ms": 0.0}
        assert told["nobody"]["error"]["code"] == "unknown_voice"
        assert sorted(each.held.loaded for each in made.replicas.replicas) == [[], ["bob"]]
        warmed = (await http.post("/warmup", json={"voice": "bob"})).json()
        assert (warmed["status"], warmed["backend"], warmed["voice"]) == ("ready", "words", "bob")


@pytest.mark.spec("CLU-10")
async def test_a_front_that_is_drained_takes_nothing_new_and_says_what_it_has(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    async with (
        front(cluster(WordVoice(gate=gate)), tmp_path) as (opened, url),
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
    ):
        async with http.stream("POST", "/v1/audio/speech", json=speech()) as answer:
            chunks = answer.aiter_bytes()
            sound = await anext(chunks)
            draining = asyncio.create_task(opened.composed.drain())
            await asyncio.sleep(0)
            assert (await http.get("/health")).status_code == 503
            assert (await http.post("/v1/audio/speech", json=speech())).status_code == 503
            assert not draining.done()
            for _ in range(1_000):
                gate.release()
            sound += b"".join([chunk async for chunk in chunks])
        assert words_in(sound) == WORDS
        await draining


@pytest.mark.spec("CLU-8")
async def test_with_a_token_it_is_asked_of_everyone(tmp_path: Path) -> None:
    variables = {"HTTP_TOKEN": "s3cret-s3cret-s3cret"}
    async with (
        front(cluster(WordVoice()), tmp_path, **variables) as (_, url),
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
    ):
        assert (await http.post("/v1/audio/speech", json=speech())).status_code == 401
        own = {"authorization": f"Bearer {variables['HTTP_TOKEN']}"}
        assert (await http.post("/v1/audio/speech", json=speech(), headers=own)).status_code == 200
        with pytest.raises(InvalidStatus):
            await connect(f"{url.replace('http', 'ws')}/ws/synthesize")


@pytest.mark.spec("CLU-8")
async def test_without_a_token_a_page_whose_name_was_pointed_here_is_refused(tmp_path: Path) -> None:
    async with (
        front(cluster(WordVoice()), tmp_path) as (_, url),
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
    ):
        for host, status in (("evil.example:8880", 421), ("127.0.0.1:1", 200), ("[::1]:8880", 200)):
            assert (await http.get("/health", headers={"host": host})).status_code == status
        foreign = {"origin": "https://evil.example"}
        assert (await http.post("/v1/audio/speech", json=speech(), headers=foreign)).status_code == 403


@pytest.mark.spec("CLU-8")
async def test_a_message_of_a_megabyte_closes_its_socket(tmp_path: Path) -> None:
    async with front(cluster(WordVoice()), tmp_path) as (opened, _):
        with listen("127.0.0.1", 0, token="") as listening:
            url = url_of(listening, "127.0.0.1").replace("http", "ws")
            large = Limits(message_bytes=4_000_000)  # As Ray's proxy takes them.
            async with (
                open_door(opened.web, listening, limits=large, websockets=True),
                connect(f"{url}/ws/synthesize") as socket,
            ):
                await socket.send(json.dumps({"text": "x" * 1_000_000}))
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1009


async def answered(scope: dict[str, object], *, token: str = "") -> list[Message]:
    """What goes out for a request whose body never comes."""
    sent: list[Message] = []

    async def web(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("it never comes")

    async def send(message: Message) -> None:
        sent.append(message)

    manners = Manners(web, token=token, limits=Limits(request_seconds=0.01))
    await manners({"headers": [], "path": "/", **scope}, receive, send)
    return sent


@pytest.mark.spec("CLU-8")
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent = await answered({"type": "http", "method": "POST", "client": ("127.0.0.1", 1)})
    assert [each.get("status") for each in sent] == [408, None]


@pytest.mark.spec("CLU-8")
@pytest.mark.parametrize("client", [("192.0.2.1", 1), None, ("not an address", 1)])
async def test_without_a_token_nobody_comes_in_from_elsewhere(client: tuple[str, int] | None) -> None:
    sent = await answered({"type": "http", "method": "GET", "client": client})
    assert sent[0]["status"] == 403
    sent = await answered({"type": "websocket", "client": client})
    assert sent == [{"type": "websocket.close", "code": 1008}]
    sent = await answered({"type": "http", "method": "GET", "client": client}, token="t")
    assert sent[0]["status"] == 408


@pytest.mark.spec("CLU-8")
def test_own_names_are_this_machine_at_any_port() -> None:
    names = OwnNames()
    good = ("localhost", "localhost:8880", "127.0.0.1:80", "127.0.0.1", "[::1]:8880", "[::1]")
    assert [each for each in good if each not in names] == []
    bad = ("evil.example", "localhost.evil.example:8880", "127.0.0.1.nip.example", "10.0.0.1:8880", "", ":80")
    assert [each for each in bad if each in names] == []
