"""How many streams one speech server holds: `python -m scripts.load`, in two processes, over real HTTP. For Linux.

    python -m scripts.load [--streams 1,64,200] [--engine embedded] [--format mp3] [--seconds 6] [--bisect] [--at-once]

The server is that of `voicemode serve`, in a process of its own. With `--engine none` its voice costs nothing: ready
sound, like a voice, in parts of 200 ms, half as fast again as it is heard. The clients are in this process: each
connects, asks, and plays what comes from a buffer of 200 ms; a buffer that runs dry is an underrun. Arrivals are spread
over two seconds. A number of streams is held when every one succeeds, none has an underrun and the 95th percentile of
the time to the first sound is at most 250 ms; `--bisect` looks for the largest. A try that failed is made again, twice
at most: on a machine that others use, one try says more about them (`kept waiting`).

All are let in, since what the server holds is what is looked for. `--guess` leaves the server its own limit, and
`--at-once` lets all come in one moment: what a crowd meets that comes to a new server.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import random
import subprocess
import sys
import tempfile
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from scripts.measuring.streams import HEAD, Process, Row, ask
from voicemode.app import open_app
from voicemode.configuration.config import Config
from voicemode.pcm import SPEECH
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice
from voicemode.speech_server.admission import FIRST_LIMIT
from voicemode.speech_server.engines import picked
from voicemode.speech_server.serve import serving

MOST = 2_048
PART_SECONDS, PACE = 0.2, 1.5
ARRIVALS_SECONDS = 2.0
TRIES = 3
SECOND_BYTES = SPEECH.rate * SPEECH.bytes_per_sample
SPOKEN = "This is a sentence of a usual length, with a clause in it. "
"""About three seconds and a half of the embedded voice."""


class Ready:
    """An engine that costs nothing: the same sound for everybody, as long as the text has characters, part by part."""

    def __init__(self) -> None:
        self._part = voiced()

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


def voiced() -> bytes:
    """A part like a syllable: harmonics of 120 Hz that fall off, and some breath, swelling and dying away. Encoders
    work as long on it as on a voice; on a pure tone some take four times as long."""
    chance = random.Random(1)
    count = SPEECH.samples(PART_SECONDS)
    values = array("h")
    for at in range(count):
        turn = at * math.tau * 120 / SPEECH.rate
        tone = sum(math.sin(turn * each) / each for each in range(1, 20))
        swell = math.sin(math.pi * at / count)
        values.append(round(6_000 * swell * (tone + 0.1 * chance.uniform(-1, 1))))
    return values.tobytes()


def seconds_of(text: str) -> float:
    """A reader says some fifteen characters a second."""
    return max(PART_SECONDS, len(text) / 15)


async def serve(engine: str, folder: str, *, guess: bool) -> None:
    """The server's process: tells its address, and ends with its standard input."""
    environment = {"VOICEMODE_BASE_DIR": folder, "VOICEMODE_SPEECH_PORT": "0"}
    if not guess:
        environment["VOICEMODE_SPEECH_STREAMS"] = str(MOST)
    config = Config.from_sources(environment)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(config, environment))
        engines = [Ready()] if engine == "none" else picked(app.line_up.speakers, [engine])
        first = FIRST_LIMIT if guess else MOST
        server = await stack.enter_async_context(serving(app, engines=engines, first=first))
        gc.collect()
        gc.freeze()  # As `voicemode serve` does.
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def server(engine: str, *, guess: bool) -> Iterator[tuple[str, Process]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scripts.load", "--serve", "--engine", engine, "--folder", folder]
        command += ["--guess"] if guess else []
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


class Measuring:
    """Each number on a fresh server, so that none pays for the one before."""

    def __init__(self, options: argparse.Namespace, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell

    def row(self, streams: int) -> Row:
        options = self._options
        text = SPOKEN * max(1, round(options.seconds * 15 / len(SPOKEN)))
        with server(options.engine, guess=options.guess) as (url, process):
            found = asyncio.run(
                ask(
                    url,
                    text,
                    streams=streams,
                    arrivals=0.0 if options.at_once else ARRIVALS_SECONDS,
                    seconds=seconds_of(text),
                    format=AudioFormat(options.format),
                    process=process,
                )
            )
        self._tell(found.shown() + (f" busy: {found.busy}" if found.busy else ""))
        return found

    def holds(self, streams: int) -> bool:
        """Whether one try of three held them; no more is tried than it needs."""
        return any(self.row(streams).held for _ in range(TRIES))

    def largest(self, rows: Sequence[Row]) -> int:
        good = max((each.streams for each in rows if each.held), default=0)
        bad = 2 * good or 64
        while bad <= MOST and self.holds(bad):
            good, bad = bad, 2 * bad
        while bad - good > max(4, good // 20):
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self.holds(middle) else (good, middle)
        return good


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--streams",
        type=lambda text: [int(word) for word in text.split(",") if word],
        default=[1, 4, 16, 64, 128, 200, 256],
    )
    parser.add_argument("--engine", default="none", help="none, or the name of a real one (embedded)")
    parser.add_argument("--format", default=AudioFormat.PCM, choices=list(AudioFormat))
    parser.add_argument("--seconds", type=float, default=6.0, help="of sound in each stream")
    parser.add_argument("--bisect", action="store_true")
    parser.add_argument("--at-once", action="store_true")
    parser.add_argument("--guess", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.serve:
        asyncio.run(serve(options.engine, options.folder, guess=options.guess))
        return 0

    def tell(line: str) -> None:
        print(line, flush=True)

    tell(HEAD)
    measuring = Measuring(options, tell)
    rows = [measuring.row(streams) for streams in options.streams]
    if options.bisect:
        tell(f"Largest number held: {measuring.largest(rows)}.")
    return 0 if all(row.succeeded == row.streams for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
