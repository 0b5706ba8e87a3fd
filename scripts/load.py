"""How many streams one speech server holds: `python -m scripts.load`, in two processes, over real HTTP.

    python -m scripts.load [--streams 1,64,200] [--engine embedded] [--format pcm] [--seconds 6] [--bisect]

The server is `voicemode serve` in a process of its own. With `--engine none` its voice costs nothing: ready sound, in
parts of 200 ms, half as fast again as it is heard. The clients are in this process: each connects, asks, and plays
what comes from a buffer of 200 ms; a buffer that runs dry is an underrun. Arrivals are spread over two seconds. A
number of streams is held when every one succeeds, none has an underrun and the 95th percentile of the time to the first
sound is at most 250 ms; `--bisect` looks for the largest.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from voicemode.app import open_app
from voicemode.clock import monotonic
from voicemode.config import Config
from voicemode.pcm import SPEECH
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice
from voicemode.speech_server.engines import picked
from voicemode.speech_server.serve import serving

MOST = 1_024
"""Streams that the server is told to let in: what it holds is what is looked for."""

PART_SECONDS, PACE = 0.2, 1.5
CLIENT_BUFFER_SECONDS = 0.2
ARRIVALS_SECONDS = 2.0
LONGEST_FIRST_SECONDS = 0.25
LIMIT_SECONDS = 120.0
END_OF_BODY = b"0\r\n\r\n"
SECOND_BYTES = SPEECH.rate * SPEECH.bytes_per_sample
SPOKEN = "This is a sentence of a usual length, with a clause in it. "
"""About three seconds and a half of the embedded voice."""


class Ready:
    """An engine that costs nothing: the same hum for everybody, as long as the text has characters, part by part."""

    def __init__(self) -> None:
        hum = [round(9_000 * math.sin(at * math.tau * 200 / SPEECH.rate)) for at in range(SPEECH.rate)]
        self._part = array("h", hum).tobytes()[: int(PART_SECONDS * SECOND_BYTES)]

    @property
    def name(self) -> str:
        return "ready"

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        yield EncodedAudio(
            chunks=self._parts(seconds_of(request.text)),
            format=AudioFormat.PCM,
            engine=self.name,
            voice="hum",
        )

    async def voices(self) -> list[Voice]:
        return [Voice(id="hum", engine=self.name)]

    async def close(self) -> None:
        return

    async def _parts(self, seconds: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(round(seconds / PART_SECONDS)):
            await asyncio.sleep(began + number * PART_SECONDS / PACE - loop.time())
            yield self._part


def seconds_of(text: str) -> float:
    """A reader says some fifteen characters a second."""
    return max(PART_SECONDS, len(text) / 15)


async def serve(engine: str, folder: str) -> None:
    """The server's process: tells its address, and ends with its standard input."""
    environment = {
        "VOICEMODE_BASE_DIR": folder,
        "VOICEMODE_SPEECH_PORT": "0",
        "VOICEMODE_SPEECH_STREAMS": str(MOST),
    }
    config = Config.from_sources(environment)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(config, environment))
        engines = [Ready()] if engine == "none" else picked(app.line_up.speakers, [engine])
        server = await stack.enter_async_context(serving(app, engines=engines, first=MOST))
        gc.freeze()
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@dataclass(kw_only=True)
class Stream(asyncio.Protocol):
    """One client. Times are monotonic; `late` is by how much the sound came too late, at worst."""

    host: str
    body: bytes
    rate: float
    """Bytes of a second of sound, in the format asked for."""
    ended: asyncio.Future[None]
    asked: float = 0.0
    first: float | None = None
    gap: float = 0.0
    late: float = 0.0
    size: int = 0
    ok: bool = False
    _last: float = 0.0
    _begins: float | None = None
    _head: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        transport.write(
            f"{head}Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n".encode() + self.body
        )

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        if self.first is None:
            self._head += data
            head, found, data = bytes(self._head).partition(b"\r\n\r\n")
            if not found or not data:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                return
            self.first = self._last = now
        self.gap = max(self.gap, now - self._last)
        self._last = now
        if self._begins is not None:
            self.late = max(self.late, now - self._begins - self.size / self.rate)
        self.size += len(data)
        if self._begins is None and self.size / self.rate >= CLIENT_BUFFER_SECONDS:
            self._begins = now
        self.ok = data.endswith(END_OF_BODY)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of so many streams. Seconds, MB, and processor seconds for each second."""

    streams: int
    succeeded: int
    first: tuple[float, float, float]
    gap: float
    underruns: int
    memory: float
    cpu: float
    sound: float

    @property
    def held(self) -> bool:
        good = self.succeeded == self.streams and not self.underruns
        return good and self.first[1] <= LONGEST_FIRST_SECONDS

    def shown(self) -> str:
        p50, p95, p99 = (f"{seconds * 1000:.0f}" for seconds in self.first)
        return (
            f"| {self.streams} | {self.succeeded} | {p50} | {p95} | {p99} | {self.gap * 1000:.0f} | {self.underruns} "
            f"| {self.memory:.0f} | {self.cpu * 100:.0f} |"
        )


HEAD = (
    "| streams | succeeded | first ms: p50 | p95 | p99 | longest gap ms | underruns | memory, MB | CPU, % of a core |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


async def ask(url: str, *, streams: int, seconds: float, format: AudioFormat, process: Process) -> Row:  # noqa: A002
    """So many clients at once."""
    host = url.removeprefix("http://")
    text = SPOKEN * max(1, round(seconds * 15 / len(SPOKEN)))
    body = json.dumps({"model": "voicemode", "input": text, "response_format": format}).encode()
    rate = SECOND_BYTES if format in (AudioFormat.PCM, AudioFormat.WAV) else BYTES_PER_SECOND[format]
    loop = asyncio.get_running_loop()
    clients: list[Stream] = []
    cpu, began = process.cpu(), monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(number / streams * ARRIVALS_SECONDS)
        client = Stream(host=host, body=body, rate=rate, ended=loop.create_future(), asked=monotonic())
        clients.append(client)
        name, _, port = host.partition(":")
        transport, _ = await loop.create_connection(lambda: client, name, int(port))
        try:
            await client.ended
        finally:
            transport.abort()

    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        for number in range(streams):
            tasks.create_task(one(number))
    elapsed = monotonic() - began
    firsts = sorted((each.first - each.asked) if each.first else math.inf for each in clients)
    return Row(
        streams=streams,
        succeeded=sum(each.ok for each in clients),
        first=(at(firsts, 0.5), at(firsts, 0.95), at(firsts, 0.99)),
        gap=max(each.gap for each in clients),
        underruns=sum(each.late > 0 for each in clients),
        memory=process.memory(),
        cpu=(process.cpu() - cpu) / elapsed,
        sound=sum(each.size for each in clients) / rate,
    )


BYTES_PER_SECOND = {
    AudioFormat.MP3: 8_000,
    AudioFormat.OPUS: 4_000,
    AudioFormat.AAC: 8_000,
    AudioFormat.FLAC: 20_000,
}
"""Of the server's default bit rates, roughly: enough to see a stream that stops."""


def at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


class Process:
    """What the server's process takes, by what Linux says of it and its children."""

    def __init__(self, number: int) -> None:
        self._number = number

    def cpu(self) -> float:
        """Seconds of its own."""
        fields = Path(f"/proc/{self._number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MB resident, without children."""
        status = Path(f"/proc/{self._number}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def server(engine: str) -> Iterator[tuple[str, Process]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scripts.load", "--serve", "--engine", engine, "--folder", folder]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdin is not None
            try:
                yield child.stdout.readline().strip(), Process(child.pid)
            finally:
                child.stdin.close()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()


def measured(options: argparse.Namespace, tell: Callable[[str], None]) -> list[Row]:
    """Each number on a fresh server, so that none pays for the one before."""

    def row(streams: int) -> Row:
        with server(options.engine) as (url, process):
            found = asyncio.run(
                ask(
                    url,
                    streams=streams,
                    seconds=options.seconds,
                    format=AudioFormat(options.format),
                    process=process,
                )
            )
        tell(found.shown())
        return found

    tell(HEAD)
    rows = [row(streams) for streams in options.streams]
    if options.bisect:
        good = max((each.streams for each in rows if each.held), default=0)
        bad = min((each.streams for each in rows if not each.held and each.streams > good), default=MOST)
        while bad - good > max(4, good // 20):
            middle = (good + bad) // 2
            rows.append(row(middle))
            good, bad = (middle, bad) if rows[-1].held else (good, middle)
        tell(f"Largest number held: {good}.")
    return rows


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.load", description=__doc__)
    parser.add_argument(
        "--streams",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[1, 4, 16, 64, 128, 200, 256],
    )
    parser.add_argument("--engine", default="none", help="none, or the name of a real one (embedded)")
    parser.add_argument("--format", default=AudioFormat.PCM, choices=list(AudioFormat))
    parser.add_argument("--seconds", type=float, default=6.0, help="of sound in each stream")
    parser.add_argument("--bisect", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.serve:
        asyncio.run(serve(options.engine, options.folder))
        return 0
    rows = measured(options, lambda line: print(line, flush=True))
    return 0 if all(row.succeeded == row.streams for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
