"""What a server meets that is not a good client: floods, fragments, foreigners, and those who leave."""

from __future__ import annotations

import asyncio
import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any, Literal

import httpx2
import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.serve.house import House, WordEar, WordVoice, house, words_in
from tests.support import voice
from tests.support.encoding import decode
from tests.support.fakes import until
from voicemode.events import RequestRefused, SpeechServed
from voicemode.local_http.door import Limits
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.wav import wav_bytes
from voicemode.speech_server.arriving import Arriving, Crowded

pytestmark = pytest.mark.anyio

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf")
LONG = " ".join(f"word {number}" for number in range(60)) + "."


async def asked(server: House, head: str, body: bytes = b"") -> int:
    """The status of a request of exactly these bytes; 0 when there is no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    finally:
        writer.close()


def speech_head(server: House, *more: str, length: int | None = None, host: str = "") -> str:
    lines = [
        "POST /v1/audio/speech HTTP/1.1",
        f"Host: {host or f'127.0.0.1:{server.port}'}",
        *(more or ("Content-Type: application/json",)),
        *([] if length is None else [f"Content-Length: {length}"]),
    ]
    return "\n".join([*lines, ""])


@pytest.mark.spec("SRV-30")
async def test_a_client_that_hangs_up_stops_its_generation_within_a_second() -> None:
    engine = WordVoice(gate=asyncio.Semaphore(9))
    async with house(engine) as server:
        body = json.dumps(
            {"model": "tts-1", "voice": "ann", "input": LONG, "response_format": "pcm"}
        ).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(speech_head(server, length=len(body)).replace("\n", "\r\n").encode() + b"\r\n" + body)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(100)
        assert engine.open == 1
        writer.transport.abort()
        async with asyncio.timeout(1.0):
            await until(lambda: engine.open == 0)
        await until(lambda: server.service.places.active == 0)
    (served,) = server.of(SpeechServed)
    assert isinstance(served, SpeechServed)
    assert served.outcome == "left"


@pytest.mark.spec("SRV-30")
async def test_a_client_that_hangs_up_before_the_first_sound_stops_it_as_well() -> None:
    engine = WordVoice(gate=asyncio.Semaphore(0))
    async with house(engine) as server, server.client() as client:
        call = asyncio.create_task(
            client.audio.speech.create(model="tts-1", voice="ann", input=LONG, response_format="pcm")
        )
        await until(lambda: engine.open == 1)
        call.cancel()
        async with asyncio.timeout(1.0):
            await until(lambda: engine.open == 0)


@pytest.mark.spec("SRV-31")
async def test_sixteen_at_once_hear_their_own_words_and_nobody_elses() -> None:
    texts = [" ".join(random.Random(number).choices(WORDS, k=12)) + f" {number}." for number in range(16)]
    async with house() as server, server.client() as client:

        async def say(text: str) -> list[str]:
            answer = await client.audio.speech.create(
                model="tts-1", voice="ann", input=text, response_format="pcm"
            )
            return words_in(answer.content)

        async def stream(text: str) -> list[str]:
            sound = b""
            async with connect(f"{server.socket_url}/ws/synthesize") as socket:
                await socket.send(json.dumps({"text": text, "binary": True}))
                async for message in socket:
                    if isinstance(message, bytes):
                        sound += message
                    elif json.loads(message)["type"] == "complete":
                        break
            return words_in(sound)

        ways = [say if number % 2 else stream for number in range(16)]
        heard = await asyncio.gather(*(way(text) for way, text in zip(ways, texts, strict=True)))
    assert heard == [voice.words(text) for text in texts]


@pytest.mark.spec("SRV-32")
async def test_beyond_its_capacity_it_says_when_to_come_back() -> None:
    gate = asyncio.Semaphore(0)
    engine = WordVoice(gate=gate)
    async with house(engine, most=2) as server, server.client() as client:
        say = client.audio.speech.create
        calls = [
            asyncio.create_task(say(model="tts-1", voice="ann", input="Hello.", response_format="pcm"))
            for _ in range(2)
        ]
        await until(lambda: engine.open == 2)
        with pytest.raises(openai.InternalServerError) as caught:
            await say(model="tts-1", voice="ann", input="Hello.")
        assert caught.value.status_code == 503
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert (await client.models.list()).data
        for _ in range(100):
            gate.release()
        for call in calls:
            assert words_in((await call).content) == ["hello"]


@pytest.mark.spec("SRV-32")
async def test_who_finds_no_place_for_a_recording_is_told_so() -> None:
    sound = wav_bytes(Frame(data=voice.speak("hello", SPEECH.rate), format=SPEECH))
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http, AsyncExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.service.hearings.stream())
        answer = await http.post("/v1/audio/transcriptions", files={"file": ("a.wav", sound)})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "transcribes 4 recordings" in answer.json()["error"]["message"]


@pytest.mark.spec("SRV-46")
async def test_a_crowd_that_comes_to_a_new_server_at_once_is_served() -> None:
    words = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
    texts = [f"{one} {two}." for one in words[:4] for two in words[4:]]
    async with house(first=2) as server, server.client() as client:

        async def say(text: str) -> list[str]:
            answer = await client.audio.speech.create(
                model="tts-1", voice="ann", input=text, response_format="pcm"
            )
            return words_in(answer.content)

        heard = await asyncio.gather(*(say(text) for text in texts))
        assert [" ".join(each) + "." for each in heard] == texts
        assert server.service.places.limit > 2


class Counted(ThreadPoolExecutor):
    """Threads that count what they are given to do."""

    given = 0

    def submit(self, *what: Any, **named: Any) -> Any:
        self.given += 1
        return super().submit(*what, **named)


@pytest.mark.spec("SRV-53")
@pytest.mark.parametrize(("to", "dear"), [("mp3", True), ("aac", True), ("opus", False), ("wav", False)])
async def test_what_is_dear_to_encode_is_encoded_beside_the_event_loop(
    to: Literal["mp3", "aac", "opus", "wav"], dear: bool
) -> None:
    with Counted(max_workers=2) as threads:
        async with house(threads=threads) as server, server.client() as client:
            answer = await client.audio.speech.create(
                model="tts-1", voice="ann", input=LONG, response_format=to
            )
    assert words_in(decode(answer.content).data) == voice.words(LONG)
    assert (threads.given > 10) is dear


@pytest.mark.spec("SRV-33")
async def test_those_who_are_slow_to_ask_hold_up_nobody() -> None:
    limits = Limits(request_seconds=0.3, connections=64)
    async with house(limits=limits) as server, server.client() as client, AsyncExitStack() as stack:
        readers = []
        for number in range(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            head = speech_head(server, length=100).replace("\n", "\r\n").encode()
            writer.write((b"", head[:40], head + b"\r\n{", b"GET /ws/synthesize HTTP")[number % 4])
            readers.append(reader)
        answer = await client.audio.speech.create(
            model="tts-1", voice="ann", input="Hello.", response_format="pcm"
        )
        assert words_in(answer.content) == ["hello"]
        async with asyncio.timeout(5):
            for reader in readers:
                assert await reader.read() == b""


@pytest.mark.spec("SRV-33")
async def test_who_sends_a_recording_slowly_takes_no_place_from_others() -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http, AsyncExitStack() as stack:
        head = speech_head(server, "Content-Type: multipart/form-data; boundary=x", length=1_000)
        head = head.replace("/speech", "/transcriptions").replace("\n", "\r\n")
        for _ in range(8):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(head.encode() + b"\r\n--x")
        await until(lambda: server.service.uploads.coming == 8)
        sound = Frame(data=voice.speak("hello", SPEECH.rate), format=SPEECH)
        answer = await http.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav_bytes(sound))})
        assert (answer.status_code, answer.json()["text"]) == (200, "hello")


@pytest.mark.spec("SRV-33")
async def test_of_too_many_recordings_the_one_goes_that_has_been_on_its_way_longest() -> None:
    uploads = Arriving(most=2)
    left: list[str] = []

    async def come(name: str) -> None:
        try:
            async with uploads.room():
                await asyncio.Event().wait()
        except Crowded:
            left.append(name)

    tasks = [asyncio.create_task(come(name)) for name in "abcd"]
    await until(lambda: len(left) == 2)
    assert (left, uploads.coming) == (["a", "b"], 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert uploads.coming == 0


@pytest.mark.spec("SRV-34")
async def test_bodies_and_messages_that_are_too_large_are_refused_and_the_next_is_served() -> None:
    limits = Limits(message_bytes=100_000)
    async with house(limits=limits) as server, server.client() as client:
        assert await asked(server, speech_head(server, length=2_000_000)) == 413
        chunks = (b"%x\r\n" % 60_000 + b" " * 60_000 + b"\r\n") * 30
        chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        assert await asked(server, speech_head(server, *chunked), chunks) == 413
        upload = speech_head(server, "Content-Type: multipart/form-data; boundary=x", length=30_000_000)
        assert await asked(server, upload.replace("speech", "transcriptions")) == 413
        async with connect(f"{server.socket_url}/ws/synthesize") as socket:
            await socket.send(json.dumps({"text": "x" * 200_000}))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1009
        answer = await client.audio.speech.create(
            model="tts-1", voice="ann", input="Hello.", response_format="pcm"
        )
        assert words_in(answer.content) == ["hello"]


@pytest.mark.spec("SRV-34")
async def test_forms_that_are_none_are_refused() -> None:
    ear = WordEar()
    async with house(ear=ear) as server:
        head = speech_head(server, "Content-Type: multipart/form-data; boundary=x", length=0)
        head = head.replace("/speech", "/transcriptions")
        assert await asked(server, head) == 400
        for body in (
            b"--x\r\n",
            b"junk" * 99,
            b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n--x--",
        ):
            assert await asked(server, head.replace("Length: 0", f"Length: {len(body)}"), body) == 400, body
        many = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="n%d"\r\n\r\n1\r\n' % number for number in range(99)
        )
        assert await asked(server, head.replace("Length: 0", f"Length: {len(many)}"), many + b"--x--") == 400
    assert not ear.asked


@pytest.mark.spec("SRV-35")
@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff",
        b"\x81\x05hello",  # not masked
        b"\x83\x80\0\0\0\0",  # an opcode that does not exist
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",  # 2^63 bytes are announced
        b"\x81\x82\0\0\0\0\xff\xfe",  # text that is not UTF-8
        b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b",  # a new message inside a fragmented one
        b"\x89\xfe\x00\xff\0\0\0\0" + b"x" * 255,  # a ping that is too long
    ],
    ids=["junk", "unmasked", "opcode", "endless", "utf8", "fragments", "ping"],
)
async def test_bad_frames_close_their_own_socket_alone(frame: bytes) -> None:
    engine = WordVoice()
    async with house(engine) as server, connect(f"{server.socket_url}/ws/synthesize") as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        upgrade = (
            f"GET /ws/synthesize HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
        )
        writer.write(upgrade.encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(frame)
        async with asyncio.timeout(5):
            await reader.read()  # Until it is closed.
        writer.close()
        await good.send(json.dumps({"text": "Hello."}))
        async for message in good:
            if json.loads(message)["type"] == "complete":
                break
    assert len(engine.asked) == 1


@pytest.mark.spec("SRV-40")
async def test_what_a_page_in_a_browser_can_send_is_refused() -> None:
    engine = WordVoice()
    async with house(engine) as server:
        body = json.dumps({"model": "tts-1", "voice": "ann", "input": "Hi."}).encode()
        own = f"127.0.0.1:{server.port}"
        json_type = "Content-Type: application/json"
        size = len(body)
        for host in ("rebound.example", f"rebound.example:{server.port}", "127.0.0.1:1"):
            assert await asked(server, speech_head(server, length=size, host=host), body) == 421, host
        for origin in ("http://page.example", "null", "https://127.0.0.1"):
            head = speech_head(server, json_type, f"Origin: {origin}", length=size)
            assert await asked(server, head, body) == 403, origin
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
            assert await asked(server, speech_head(server, f"Content-Type: {kind}", length=size), body) == 415
        assert not engine.asked
        assert len(server.of(RequestRefused)) == 9
        own_page = speech_head(server, json_type, f"Origin: http://{own}", length=size)
        assert await asked(server, own_page, body) == 200


@pytest.mark.spec("SRV-41")
async def test_pages_that_were_named_may_call_and_are_told_so() -> None:
    origin = "https://app.example"
    async with house(token="secret", origins=(origin,)) as server, httpx2.AsyncClient() as http:
        ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        asked_first = await http.options(
            f"{server.url}/v1/audio/speech", headers=ask | {"Access-Control-Request-Headers": "authorization"}
        )
        assert asked_first.status_code == 200
        assert asked_first.headers["access-control-allow-origin"] == origin
        other = await http.options(
            f"{server.url}/v1/audio/speech", headers=ask | {"Origin": "https://x.example"}
        )
        assert other.status_code == 403
        bearer = {"Authorization": "Bearer secret", "Origin": origin}
        listed = await http.get(f"{server.url}/v1/models", headers=bearer)
        assert listed.status_code == 200
        assert listed.headers["access-control-allow-origin"] == origin
        assert (await http.get(f"{server.url}/v1/models", headers={"Origin": origin})).status_code == 401


@pytest.mark.spec("SRV-42")
async def test_a_token_is_asked_of_everyone_but_for_the_page_and_its_health() -> None:
    async with house(token="secret") as server, httpx2.AsyncClient() as http:
        for path in ("/v1/models", "/v1/audio/voices", "/metrics"):
            assert (await http.get(f"{server.url}{path}")).status_code == 401, path
            right = await http.get(f"{server.url}{path}", headers={"Authorization": "Bearer secret"})
            assert right.status_code == 200, path
        for path in ("/", "/health"):
            assert (await http.get(f"{server.url}{path}")).status_code == 200, path
            posted = await http.post(f"{server.url}{path}", json={})
            assert posted.status_code == 401, path
        async with server.client() as client:
            assert (await client.audio.speech.create(model="tts-1", voice="ann", input="Hi.")).content
