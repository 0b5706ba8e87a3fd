"""`voicemode serve` as a process: the embedded voice behind real HTTP, its log, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import openai
import pytest

from tests.live.host import COMMAND, environment
from tests.support.fakes import until
from voicemode.speech_server.serve import LIMITS as SERVE_LIMITS

pytestmark = pytest.mark.anyio

LIMIT_SECONDS = 45.0
READY = "Serving at "
SECRET_WORDS = "The purple elephant dances at midnight."


@dataclass(kw_only=True)
class Running:
    process: Process
    url: str
    said: list[str] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(LIMIT_SECONDS):
            code = await self.process.wait()
            if self.reading is not None:
                await self.reading
        return code


@asynccontextmanager
async def running(
    variables: Mapping[str, str], *arguments: str, before: Sequence[str] = ()
) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *before, *COMMAND, "serve", *arguments,
        env=dict(variables), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    stderr = process.stderr
    said: list[str] = []

    async def read() -> None:
        while line := (await stderr.readline()).decode():
            said.append(line)

    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while line := (await stderr.readline()).decode():
                said.append(line)
                if line.startswith(READY):
                    url = line.removeprefix(READY).strip()
                    reading = asyncio.create_task(read())
                    yield Running(process=process, url=url, said=said, reading=reading)
                    return
        raise AssertionError(f"The server did not start: {''.join(said)}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_draining(url: str) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), httpx2.AsyncClient() as http:
        while (await http.get(f"{url}/health")).status_code == 200:
            pass


def kept(folder: Path) -> list[str]:
    """What stands in the event logs."""
    return [path.read_text() for path in folder.rglob("*.jsonl")]


@pytest.mark.spec("SRV-37")
@pytest.mark.spec("SRV-38")
async def test_it_speaks_tells_no_words_and_ends_when_all_is_said(tmp_path: Path) -> None:
    """A client that is still reading when the signal comes gets all of it."""
    text = " ".join(f"{SECRET_WORDS} Number {number}." for number in range(120))
    async with running(environment(None, tmp_path), "--port", "0", "--engine", "embedded") as server:
        client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        async with (
            client,
            httpx2.AsyncClient(base_url=server.url) as http,
            client.audio.speech.with_streaming_response.create(
                model="embedded", voice="alloy", input=text, response_format="pcm"
            ) as answer,
        ):
            chunks = answer.iter_bytes(16_384)
            size = len(await anext(chunks))
            page = await http.get("/")
            assert "<title>voicemode</title>" in page.text
            server.process.send_signal(signal.SIGTERM)
            await until_draining(server.url)
            refused = await http.post("/synthesize", json={"text": "Late."})
            assert refused.status_code == 503
            async for chunk in chunks:
                size += len(chunk)
            assert size > 48_000 * 120
        assert await server.ended() == 0
    lines = [line for line in server.said if "speech_served" in line]
    told = json.loads(lines[0])
    assert (told["route"], told["outcome"], told["engine"]) == ("/v1/audio/speech", "finished", "embedded")
    logs = kept(tmp_path)
    assert logs
    assert not [each for each in (*server.said, *logs) if "elephant" in each]


@pytest.mark.spec("SRV-37")
async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {number} of many." for number in range(400))
    variables = environment(None, tmp_path, SPEECH_DRAIN="600")
    async with running(variables, "--port", "0", "--engine", "embedded") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        body = json.dumps({"input": text, "response_format": "pcm"}).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        await until_draining(server.url)
        assert await server.end(signal.SIGINT) == 0
        writer.close()


@pytest.mark.spec("SRV-33")
@pytest.mark.parametrize("limit", ["-S -n 300", "-n 300"])
async def test_more_connections_than_files_are_allowed_keep_nobody_out(tmp_path: Path, limit: str) -> None:
    """Of the system's two limits a program can raise the one up to the other."""
    shell = ("sh", "-c", f'ulimit {limit}; exec "$@"', "sh")
    async with (
        running(environment(None, tmp_path), "--port", "0", "--engine", "embedded", before=shell) as server,
        AsyncExitStack() as stack,
    ):
        for _ in range(350):
            _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            stack.callback(writer.close)
        # Sooner than any of them would be sent away for loitering.
        async with httpx2.AsyncClient(base_url=server.url, timeout=SERVE_LIMITS.request_seconds / 2) as http:
            said = await http.post("/synthesize", json={"text": "Hello."})
        assert said.status_code == 200
        assert await server.end(signal.SIGTERM) == 0


@pytest.mark.spec("SRV-39")
async def test_it_does_not_ask_itself(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = environment(None, tmp_path) | {
        "VOICEMODE_SPEECH_PORT": port,
        "VOICEMODE_KOKORO_PORT": port,
        "VOICEMODE_WHISPER_PORT": port,
    }
    async with running(variables) as server, httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
        engines = (await http.get("/health")).json()["engines"]
        assert f"127.0.0.1:{port}" not in engines
        said = await http.post("/synthesize", json={"text": "Hello."})
        assert said.status_code == 200
        assert await server.end(signal.SIGINT) == 0


@pytest.mark.spec("SRV-50")
async def test_a_server_that_cannot_speak_says_so_where_it_says_where_it_is(tmp_path: Path) -> None:
    variables = environment(None, tmp_path, CHATTERBOX_WEIGHTS=str(tmp_path / "none"))
    async with running(variables, "--port", "0", "--engine", "chatterbox") as server:
        at = len(server.said)
        await until(lambda: len(server.said) > at)
        assert server.said[at].startswith("No engine can speak: ")
        assert "chatterbox" in server.said[at].lower()
        async with httpx2.AsyncClient(base_url=server.url) as http:
            assert (await http.get("/health")).status_code == 503
            said = await http.post("/synthesize", json={"text": "Hello."})
            assert said.status_code == 503
        assert await server.end(signal.SIGTERM) == 0


@pytest.mark.spec("SRV-42")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--host", "0.0.0.0"), "VOICEMODE_HTTP_TOKEN"),
        (("--engine", "nobody"), "VOICEMODE_SPEECH_ENGINES"),
        (("--host", "203.0.113.7"), "VOICEMODE_"),
    ],
)
async def test_a_server_that_cannot_be_says_why(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", "--port", "0", *arguments,
        env=environment(None, tmp_path), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode in (1, 2)
    assert named in errors.decode()
    assert "Traceback" not in errors.decode()
