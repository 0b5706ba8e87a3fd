"""The operating system's own voice: `say` on macOS, System.Speech through PowerShell on Windows.

Each text is one run of a program that writes a WAV into a folder of its own; leaving the request kills the run.
"""

from __future__ import annotations

import asyncio
import base64
import difflib
import math
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from voicemode.errors import BadContent, EngineError, EngineUnavailable, InvalidRequest, UnknownVoice
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice

NAME = "system"
RATE = 22_050
PIECE_BYTES = 8_192
WORDS_PER_MINUTE = 175
SECONDS_AT_LEAST = 30.0
SECONDS_PER_CHARACTER = 0.05
"""Limit of a run: half of what saying the text aloud would take, and both programs are faster than that."""
CLOSE_SECONDS = 2.0
LIST_SECONDS = 20.0
"""PowerShell takes seconds to start on a cold machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """`voice` "" is the system's choice; `text` is a UTF-8 file, `sound` the WAV to be written."""

    text: Path
    sound: Path
    voice: str
    speed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How one system is asked. `clean` takes out what its voice would read as a command."""

    program: str
    speak: Callable[[Order], list[str]]
    list_voices: Callable[[], list[str]]
    read_voices: Callable[[str], list[Voice]]
    clean: Callable[[str], str]


def _say(order: Order) -> list[str]:
    voice = ["-v", order.voice] if order.voice else []
    rate = str(round(WORDS_PER_MINUTE * order.speed))
    return [*voice, "-r", rate, f"--data-format=LEI16@{RATE}", "-o", str(order.sound), "-f", str(order.text)]


def _say_voices(listing: str) -> list[Voice]:
    """Lines such as `Bad News            en_US    # Hello!`: a name may hold blanks and brackets."""
    found = re.finditer(r"^(\S.*?)\s+([a-z]{2,3}[_-]\w+)\s+#", listing, re.MULTILINE)
    return [
        Voice(id=line[1], engine=NAME, name=line[1], language=line[2].replace("_", "-")) for line in found
    ]


def _say_clean(text: str) -> str:
    """`say` obeys [[rate 300]] and its like."""
    return text.replace("[[", "[ [").replace("]]", "] ]")


def _quoted(text: str) -> str:
    """A PowerShell string in which nothing is expanded; it takes the typographic quotes for quotes, too."""
    return "'" + re.sub("(['‘’‚‛])", r"\1\1", text) + "'"


def _powershell(script: str) -> list[str]:
    """The script as the base64 of UTF-16 that PowerShell takes, which no shell quoting can break."""
    encoded = base64.b64encode(script.encode("utf-16-le")).decode()
    return ["-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded]


_SYNTHESIZER = (
    "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; "
    "[Console]::OutputEncoding = [Text.Encoding]::UTF8; Add-Type -AssemblyName System.Speech; "
    "$speaker = New-Object System.Speech.Synthesis.SpeechSynthesizer; "
)


def _windows(order: Order) -> list[str]:
    """Its rate goes from -10 to 10, and 10 is three times as fast as 0."""
    rate = max(-10, min(10, round(10 * math.log(order.speed, 3))))
    select = f"$speaker.SelectVoice({_quoted(order.voice)}); " if order.voice else ""
    return _powershell(
        f"{_SYNTHESIZER}{select}$speaker.Rate = {rate}; "
        f"$form = New-Object System.Speech.AudioFormat.SpeechAudioFormatInfo({RATE}, 'Sixteen', 'Mono'); "
        f"$speaker.SetOutputToWaveFile({_quoted(str(order.sound))}, $form); "
        f"$speaker.Speak([IO.File]::ReadAllText({_quoted(str(order.text))})); $speaker.Dispose()"
    )


def _windows_list() -> list[str]:
    return _powershell(
        f"{_SYNTHESIZER}$speaker.GetInstalledVoices() | Where-Object Enabled | ForEach-Object "
        "{ $_.VoiceInfo.Name + [char]9 + $_.VoiceInfo.Culture.Name }"
    )


def _windows_voices(listing: str) -> list[Voice]:
    pairs = (line.strip().split("\t") for line in listing.splitlines() if "\t" in line)
    return [Voice(id=pair[0], engine=NAME, name=pair[0], language=pair[1]) for pair in pairs]


DIALECTS = {
    "darwin": Dialect(
        program="say",
        speak=_say,
        list_voices=lambda: ["-v", "?"],
        read_voices=_say_voices,
        clean=_say_clean,
    ),
    "win32": Dialect(
        program="powershell.exe",
        speak=_windows,
        list_voices=_windows_list,
        read_voices=_windows_voices,
        clean=lambda text: text,
    ),
}


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
                "There is nothing to say: the text is empty.", hint="Give at least one word."
            )
        if not 0.25 <= request.speed <= 4.0:
            raise InvalidRequest(
                f"The speed {request.speed} is not between 0.25 and 4.0.", hint="1.0 is normal speech."
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
            near = difflib.get_close_matches(request.voice, ids, n=4, cutoff=0.5) or ids[:4]
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
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

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
