"""The HTTP door as clients, pages and passers-by meet it: a real process, real HTTP, and the SDK's client in both eras
of the protocol."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from tests.doors.http_host import list_tools, listing, run, served
from tests.live.host import environment
from tests.support import voice
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer
from voicemode.clock import monotonic
from voicemode.errors import ConfigurationError
from voicemode.local_http.door import VANISHED_SECONDS, Limits, listen, open_door, url_of

pytestmark = [pytest.mark.anyio]

TEXT = "The build is green again."
LONG = "one two three four five six seven eight nine ten " * 6
TOKEN = "a-long-enough-token"
QUESTION = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.live
@pytest.mark.spec("HTTP-1")
async def test_a_client_of_either_era_lists_the_tools_and_is_heard(
    sound_card: VirtualSoundCard, tmp_path: Path, era: str
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with served(variables) as door, door.client(era) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            with sound_card.recording() as heard:
                heard.wait_until_running()
                result = await client.call_tool("speak", {"message": TEXT, "wait": "finished"})
                samples = heard.samples()
    assert tools == {"converse", "speak", "playback", "voice_status"}
    assert not result.is_error, result.content
    assert voice.hear(samples.tobytes(), RATE) == voice.words(TEXT)


@pytest.mark.spec("HTTP-2")
async def test_a_token_is_asked_of_everyone(tmp_path: Path, era: str) -> None:
    async with served(environment(None, tmp_path), token=TOKEN) as door:
        good = listing(f"127.0.0.1:{door.port}")
        body = list_tools()
        for authorization in (
            "",
            "Bearer",
            "Bearer wrong",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
        ):
            given = {"Authorization": authorization} if authorization else {}
            assert await door.status(body=body, **good, **given) == 401, authorization
        for authorization in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
            assert await door.status(body=body, **good, Authorization=authorization) == 200
        async with door.client(era) as client:
            assert (await client.list_tools()).tools


@pytest.mark.spec("HTTP-3")
async def test_what_a_page_in_a_browser_can_send_is_refused(tmp_path: Path) -> None:
    async with served(environment(None, tmp_path)) as door:
        own = f"127.0.0.1:{door.port}"
        good = listing(own)
        body = list_tools()
        for host in (own, f"localhost:{door.port}", f"LOCALHOST:{door.port}", f"[::1]:{door.port}"):
            assert await door.status(body=body, **{**good, "Host": host}) == 200, host
        assert await door.status(body=body, **good, Origin=f"http://{own}") == 200
        for host in (
            "rebound.example",
            f"rebound.example:{door.port}",
            f"127.0.0.1.example:{door.port}",
            "",
            "127.0.0.1:1",
        ):
            assert await door.status(body=body, **{**good, "Host": host}) == 421, host
        nameless = {key: value for key, value in good.items() if key != "Host"}
        assert await door.status(body=body, **nameless) == 400
        for origin in ("http://page.example", "null", f"http://localhost:{door.port}", "http://127.0.0.1"):
            assert await door.status(body=body, **good, Origin=origin) == 403, origin
            assert await door.status(method="OPTIONS", Host=own, Origin=origin) == 403, origin
        for content_type in (
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/jsonp",
        ):
            assert await door.status(body=body, **{**good, "Content_Type": content_type}) == 415, content_type
        assert (
            await door.status(body=body, **{**good, "Content_Type": "application/json; charset=utf-8"}) == 200
        )
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": "x" * 24,
        }
        foreign = {"Host": own, "Origin": "http://page.example", **upgrade}
        assert await door.status(method="GET", body=b"", **foreign) == 403
        assert await door.status(method="GET", body=b"", **{"Host": own, **upgrade}) in (400, 405, 406)


@pytest.mark.spec("HTTP-4")
async def test_beyond_this_machine_there_is_no_door_without_a_token(tmp_path: Path) -> None:
    variables = environment(None, tmp_path)
    code, said = await run(variables, "mcp", "--http", "--host", "0.0.0.0", "--port", "0")
    assert code == 2
    assert "VOICEMODE_HTTP_TOKEN" in said
    assert not files(tmp_path)
    with pytest.raises(ConfigurationError, match="VOICEMODE_HTTP_TOKEN"):
        listen("0.0.0.0", 0, token="")
    async with served({**variables, "VOICEMODE_SERVE_HOST": "0.0.0.0"}) as door:
        assert "VOICEMODE_HTTP_TOKEN" in "".join(door.said)
        with pytest.raises(OSError, match=r".+"):
            socket.create_connection((_own_address(), door.port), timeout=2).close()


@pytest.mark.spec("HTTP-5")
async def test_with_a_token_any_name_leads_in_and_foreign_pages_still_do_not(tmp_path: Path) -> None:
    async with served(environment(None, tmp_path), "--host", "0.0.0.0", token=TOKEN) as door:
        body = list_tools()
        for host in ("laptop.lan:8765", "host.docker.internal", f"{_own_address()}:{door.port}"):
            good = {**listing(host), "Authorization": f"Bearer {TOKEN}"}
            assert await door.status(body=body, **good) == 200, host
            assert await door.status(body=body, **good, Origin=f"https://{host}") == 200
            assert await door.status(body=body, **good, Origin="https://page.example") == 403
            assert await door.status(body=body, **listing(host)) == 401
        async with door.client("auto") as client:
            assert (await client.list_tools()).tools


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _own_address() -> str:
    """An address of this machine beside loopback; where it has none, the unspecified one, which leads here too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(asking.getsockname()[0])


@pytest.mark.spec("HTTP-6")
async def test_bodies_that_are_too_large_are_refused_and_the_next_is_served(tmp_path: Path) -> None:
    async with served(environment(None, tmp_path)) as door:
        good = listing(f"127.0.0.1:{door.port}")
        large = 3_000_000
        assert await door.status(body=b"", **good, Content_Length=str(large)) == 413
        chunks = (b"%x\r\n" % 60_000 + b" " * 60_000 + b"\r\n") * (large // 60_000)
        assert await door.status(body=chunks, **good, Transfer_Encoding="chunked") == 413
        assert await door.status(body=b"x" * 70_000, Host=f"127.0.0.1:{door.port}", Content_Type="x") == 415
        huge = {**good, "X_Filler": "x" * 1_000_000}
        assert await door.status(body=list_tools(), **huge) == 400
        assert await door.status(body=list_tools(), **good) == 200


@pytest.mark.spec("HTTP-7")
async def test_those_who_are_slow_to_ask_hold_up_nobody(tmp_path: Path, era: str) -> None:
    async with served(environment(None, tmp_path)) as door, AsyncExitStack() as stack:
        for number in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            stack.callback(writer.close)
            writer.write((b"", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1", b"POST /mcp HT")[number % 3])
        async with asyncio.timeout(10), door.client(era) as client:
            assert (await client.list_tools()).tools


@pytest.mark.parametrize(
    "said", ["", "GET / HTTP/1.1\r\nHost: x", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]
)
@pytest.mark.spec("HTTP-7")
async def test_a_request_that_does_not_come_to_its_end_is_given_up(said: str) -> None:
    listening = listen("127.0.0.1", 0, token="")
    async with open_door(_hello, listening, limits=Limits(request_seconds=0.1)):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        try:
            writer.write(said.encode())
            async with asyncio.timeout(5):
                assert await reader.read() == b""
        finally:
            writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HT", QUESTION])
@pytest.mark.spec("HTTP-7")
async def test_where_it_is_crowded_the_one_that_loiters_longest_goes(said: bytes) -> None:
    """Whether it never asked, did not finish asking, or was answered and stays."""
    listening = listen("127.0.0.1", 0, token="")
    async with open_door(_hello, listening, limits=Limits(connections=3)), AsyncExitStack() as stack:
        connections = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            stack.callback(writer.close)
            connections.append((reader, writer))
            writer.write(said)
            if said.endswith(b"\r\n\r\n"):
                await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(5):
            assert await connections[0][0].read() == b""
            for reader, writer in connections[1:]:
                writer.write(QUESTION.removeprefix(said) or QUESTION)
                assert (await reader.readline()).split()[1] == b"200"


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.live
@pytest.mark.timed
@pytest.mark.parametrize("wait", ["speaking", "listening"])
@pytest.mark.spec("HTTP-8")
async def test_a_client_that_vanishes_is_silence_a_closed_microphone_and_a_free_floor(
    sound_card: VirtualSoundCard, tmp_path: Path, era: str, wait: str
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=server.base_url,
            STT_BASE_URLS=server.base_url,
            AUDIO_FEEDBACK="false",
        )
        async with served(variables) as door:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                before = sound_card.microphone_users()
                tool, message = ("speak", LONG) if wait == "speaking" else ("converse", "")
                async with door.caller(era, tool, message) as caller:
                    if wait == "speaking":
                        await asyncio.to_thread(heard.wait_for_sound, 15.0)
                    else:
                        await asyncio.to_thread(sound_card.wait_for_microphone_users, before + 1)
                    caller.kill()
                    vanished = monotonic()
                if wait == "speaking":
                    last = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
                    assert heard.time_of(last) - vanished < 0.15
                else:
                    await asyncio.to_thread(sound_card.wait_for_microphone_users, before)
                    assert monotonic() - vanished < 0.5
                async with door.client(era) as client:
                    again = await client.call_tool("speak", {"message": "free", "wait": "finished"})
            assert again.structured_content is not None
            assert again.structured_content["state"] == "finished"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a socket option of Linux")
@pytest.mark.spec("HTTP-8")
def test_a_client_whose_machine_left_the_network_is_given_up() -> None:
    with listen("127.0.0.1", 0, token="") as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert (
                accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_SECONDS * 1_000
            )


@pytest.mark.spec("HTTP-9")
async def test_a_door_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    variables = environment(None, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = await run(variables, "mcp", "--http", "--port", port)
        assert (code, said.count("\n")) == (1, 1)
        assert port in said
        assert "taken" in said
    for arguments, named in {
        ("--port", "70000"): "70000",
        ("--host", "203.0.113.7"): "203.0.113.7",
        ("--host", "no.such.name.invalid"): "no.such.name.invalid",
    }.items():
        code, said = await run({**variables, "VOICEMODE_HTTP_TOKEN": TOKEN}, "mcp", "--http", *arguments)
        assert code in (1, 2)
        assert named in said
        assert "Traceback" not in said
    assert not files(tmp_path)


@pytest.mark.spec("HTTP-10")
def test_the_address_that_is_told_works_on_this_machine() -> None:
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]", "::"):
        with listen(host, 0, token=TOKEN) as listening:
            port = listening.getsockname()[1]
            url = url_of(listening, host)
            name = url.removeprefix("http://").removesuffix(f":{port}")
            socket.create_connection((name.strip("[]"), port), timeout=2).close()


@pytest.mark.live
@pytest.mark.timed
@pytest.mark.parametrize(
    ("era", "number"),
    [
        ("legacy", signal.SIGTERM),
        ("2026-07-28", signal.SIGTERM),
        ("2026-07-28", signal.SIGINT),
        ("2026-07-28", signal.SIGHUP),
    ],
)
@pytest.mark.spec("HTTP-11")
async def test_a_signal_is_silence_an_answer_and_the_end(
    sound_card: VirtualSoundCard, tmp_path: Path, era: str, number: signal.Signals
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, SAVE_AUDIO="true")
        with sound_card.recording() as heard:
            heard.wait_until_running()
            async with served(variables) as door:
                async with AsyncExitStack() as stack:
                    client = await stack.enter_async_context(door.client(era))
                    await (
                        client.list_tools()
                    )  # The client knows what an answer looks like before the server goes.
                    call = asyncio.create_task(
                        client.call_tool("speak", {"message": LONG, "wait": "finished"})
                    )
                    await asyncio.to_thread(heard.wait_for_sound, 15.0)
                    asked = monotonic()
                    gone = await door.end(number)
                    result = await call
                last = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
                assert door.process.returncode == 0
        assert heard.time_of(last) - asked < 0.2
        assert gone < 0.6
        assert result.structured_content is not None
        assert result.structured_content["state"] == "cancelled"
    kept = {path.name.rsplit("_", 1)[-1] for path in files(tmp_path) if path.suffix == ".wav"}
    assert kept == {"sink.wav", "tts.wav", "stream-0.wav"}


@pytest.mark.spec("HTTP-12")
async def test_a_server_that_was_told_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    async with served(environment(None, tmp_path), before=("nohup",)) as door:
        door.process.send_signal(signal.SIGHUP)
        assert await door.status(body=list_tools(), **listing(f"127.0.0.1:{door.port}")) == 200
        await door.end(signal.SIGTERM)
        assert door.process.returncode == 0
