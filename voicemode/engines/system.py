"""The operating system's own voice.

Each text is one run of a program that writes a WAV into a folder of its own; leaving the request kills the run.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from voicemode.engines.system_dialects import DIALECTS, NAME, RATE, Dialect, Order
from voicemode.errors import BadContent, EngineError, EngineUnavailable, InvalidRequest, UnknownVoice
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice
from voicemode.text.similar import similar

PIECE_BYTES = 8_192
SECONDS_AT_LEAST = 30.0
SECONDS_PER_CHARACTER = 0.05
"""Limit of a run: half of what saying the text aloud would take, and both programs are faster than that."""
CLOSE_SECONDS = 2.0
LIST_SECONDS = 20.0
"""PowerShell takes seconds to start on a cold machine."""


class SystemVoice:
    """A `TtsEngine`. `program` stands in for the one that PATH would give."""

    def __init__(self, *, platform: str = sys.platform, program: str = "") -> None:
        self._platform = platform
        self._program = program
        self._known: list[Voice] | None = None
        self._runs: set[_Run] = set()
        self._stopped: set[_Run] = set()

    @property
    def name(self) -> str:
        return NAME

    @property
    def running(self) -> int:
        """Programs at work."""
        return len(self._runs)

    async def check(self) -> None:
        """Raises `EngineUnavailable` where this machine has none. Starts nothing."""
        await asyncio.to_thread(self._found)

    async def voices(self) -> list[Voice]:
        if self._known is None:
            dialect, program = self._found()
            listing = await self._run([program, *dialect.list_voices()], LIST_SECONDS)
            self._known = dialect.read_voices(listing)
        return self._known

    async def close(self) -> None:
        """Kills every run, and returns when the system has let go of them."""
        for run in (*self._runs, *self._stopped):
            run.stop()
        async with asyncio.timeout(CLOSE_SECONDS):
            for run in (*self._runs, *self._stopped):
                await run.ended()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        dialect, program = self._found()
        text = "".join(c if c >= " " or c == "\n" else " " for c in dialect.clean(request.text))
        if not text.strip():
            raise InvalidRequest(
                "There is nothing to say: the text is empty.", hint="Give at least one word.", about="text"
            )
        if not 0.25 <= request.speed <= 4.0:
            raise InvalidRequest(
                f"The speed {request.speed} is not between 0.25 and 4.0.",
                hint="1.0 is normal speech.",
                about="speed",
            )
        voice = await self._resolve(request)
        with tempfile.TemporaryDirectory(prefix="voicemode-say-", ignore_cleanup_errors=True) as folder:
            order = Order(
                text=Path(folder, "text.txt"),
                sound=Path(folder, "sound.wav"),
                voice=voice,
                speed=request.speed,
            )
            await asyncio.to_thread(order.text.write_bytes, text.encode("utf-8", "replace"))
            await self._run(
                [program, *dialect.speak(order)], SECONDS_AT_LEAST + SECONDS_PER_CHARACTER * len(text)
            )
            sound = await asyncio.to_thread(_read, order.sound)
            yield EncodedAudio(
                chunks=_cut(sound), format=AudioFormat.WAV, engine=NAME, voice=voice, pcm=PcmFormat(rate=RATE)
            )

    def _found(self) -> tuple[Dialect, str]:
        dialect = DIALECTS.get(self._platform)
        program = self._program or (shutil.which(dialect.program) if dialect else None)
        if dialect is None or program is None:
            missing = (
                f"the program {dialect.program!r} is not there"
                if dialect
                else "only macOS and Windows have one"
            )
            raise EngineUnavailable(
                f"There is no system voice on this machine ({self._platform}): {missing}.",
                engine=NAME,
                hint="Leave the engine out for the embedded voice, or set VOICEMODE_TTS_BASE_URLS.",
            )
        return dialect, program

    async def _resolve(self, request: SpeechRequest) -> str:
        """The voice by name, whatever the case; else one of the language; else "", the system's choice."""
        if not request.voice and not request.language:
            return ""
        known = await self.voices()
        if request.voice:
            wanted = request.voice.strip().casefold()
            for voice in known:
                if voice.id.casefold() == wanted:
                    return voice.id
            ids = [voice.id for voice in known]
            near = similar(request.voice, ids, most=4, cutoff=0.5) or ids[:4]
            raise UnknownVoice(
                f"The system has no voice {request.voice!r}.",
                hint=f"Near: {', '.join(near)}. Leave the voice out for the system's own choice.",
            )
        tag = (request.language or "").casefold().replace("_", "-")
        exact = [voice.id for voice in known if voice.language.casefold() == tag]
        related = [v.id for v in known if v.language.casefold().split("-")[0] == tag.split("-")[0]]
        return next(iter([*exact, *related]), "")

    async def _run(self, command: Sequence[str], seconds: float) -> str:
        """What the program printed. Leaving early, by a limit or a cancel, kills it."""
        run: _Run | None = None
        try:
            async with asyncio.timeout(seconds):
                _, run = await asyncio.get_running_loop().subprocess_exec(
                    _Run, *command, stdin=asyncio.subprocess.DEVNULL
                )
                self._runs.add(run)
                code = await run.ended()
        except OSError as error:
            raise EngineUnavailable(f"{command[0]} cannot be started: {error}.", engine=NAME) from error
        except TimeoutError:
            raise EngineError(
                f"{command[0]} was not done after {seconds:g} s.", engine=NAME, retryable=True
            ) from None
        finally:
            if run is not None:
                run.stop()
                self._runs.discard(run)
                self._stopped = {stopped for stopped in (*self._stopped, run) if not stopped.is_over}
        if code:
            reason = run.text(2).strip()[-300:] or "without a reason"
            raise EngineError(f"{command[0]} failed with exit status {code}: {reason}", engine=NAME)
        return run.text(1)


class _Run(asyncio.SubprocessProtocol):
    """One run of a program, with what it prints."""

    def __init__(self) -> None:
        self._transport: asyncio.SubprocessTransport | None = None
        self._printed = {1: bytearray(), 2: bytearray()}
        self._over = asyncio.Event()

    async def ended(self) -> int:
        """The exit status, once everything printed has been read."""
        await self._over.wait()
        return (self._transport.get_returncode() if self._transport else None) or 0

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def text(self, fd: int) -> str:
        return self._printed[fd].decode("utf-8", "replace")

    def stop(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            asyncio.SubprocessTransport, transport
        )  # uvloop's is like it without being one.

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._printed[fd] += data[: max(0, 1_000_000 - len(self._printed[fd]))]

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()


def _read(sound: Path) -> bytes:
    data = sound.read_bytes() if sound.exists() else b""
    if len(data) <= 44 or data[:4] != b"RIFF":
        raise BadContent(f"The system's voice wrote no sound ({len(data)} bytes).", engine=NAME)
    return data


async def _cut(sound: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(sound), PIECE_BYTES):
        yield sound[start : start + PIECE_BYTES]
