"""How each operating system is asked to speak: `say` on macOS, System.Speech through PowerShell on Windows."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voicemode.speech import Voice

NAME = "system"
RATE = 22_050
WORDS_PER_MINUTE = 175


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
