from __future__ import annotations

import asyncio
import io
import os
import re
import sys
import tempfile
import textwrap
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import contract
from tests.support.contract import comes_true, said
from voicemode.engines.system import SystemVoice
from voicemode.errors import BadContent, EngineError, EngineUnavailable, UnknownVoice
from voicemode.speech import AudioFormat, SpeechRequest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line"),
]

SENTENCE = "The tests are green, and I have pushed the branch."
LONG = "HANG"
"""The stand-in, asked to say this, never ends."""

SAY = r"""
import argparse, os, sys, time, wave
if sys.argv[1:] == ["-v", "?"]:
    print("Alex                en_US    # Most people recognize me by my voice.")
    print("Anna                de_DE    # Hallo! Ich heiße Anna.")
    print("Bad News            en_US    # Hello! My name is Bad News.")
    print("Eddy (English (UK)) en_GB    # Hello! My name is Eddy.")
    print("Majed               ar_001   # مرحبًا! اسمي ماجد.")
    sys.exit(0)
parser = argparse.ArgumentParser()
parser.add_argument("-v"), parser.add_argument("-r", type=int), parser.add_argument("-o"), parser.add_argument("-f")
parser.add_argument("--data-format", choices=["LEI16@22050"], required=True)
asked = parser.parse_args()
text = open(asked.f, encoding="utf-8").read()
with open(LOG, "a", encoding="utf-8") as log:
    log.write(repr((asked.v, asked.r, text)) + "\n")
if "HANG" in text:
    time.sleep(600)
if "FAIL" in text:
    sys.exit("the audio toolbox is on fire")
if "MUTE" in text:
    sys.exit(0)
with wave.open(asked.o, "wb") as out:
    out.setnchannels(1), out.setsampwidth(2), out.setframerate(22050)
    out.writeframes(b"\x10\x20" * (len(text) * 1200))
"""

POWERSHELL = r"""
import base64, re, sys, wave
assert sys.argv[1:-1] == ["-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand"]
script = base64.b64decode(sys.argv[-1]).decode("utf-16-le")
with open(LOG, "a", encoding="utf-8") as log:
    log.write(script + "\n")
if "GetInstalledVoices" in script:
    print("Microsoft David Desktop\ten-US\r\nMicrosoft Hedda Desktop\tde-DE\r")
    sys.exit(0)
with wave.open(re.search(r"SetOutputToWaveFile\('([^']+)'", script)[1], "wb") as out:
    out.setnchannels(1), out.setsampwidth(2), out.setframerate(22050)
    text = open(re.search(r"ReadAllText\('([^']+)'", script)[1], encoding="utf-8").read()
    out.writeframes(b"\x10\x20" * (len(text) * 1200))
"""


def stand_in(folder: Path, name: str, source: str) -> Path:
    """A program that behaves as the real one does, and writes what it was asked into `asked.txt` beside it."""
    program = folder / name
    program.write_text(f"#!{sys.executable}\nLOG = {str(folder / 'asked.txt')!r}\n{textwrap.dedent(source)}")
    program.chmod(0o700)
    return program


def asked(folder: Path) -> str:
    return (folder / "asked.txt").read_text(encoding="utf-8")


def left_over(folder: Path) -> list[Path]:
    return list(folder.glob("voicemode-say-*"))


@pytest.fixture
async def mac(tmp_path: Path) -> AsyncIterator[SystemVoice]:
    voice = SystemVoice(platform="darwin", program=str(stand_in(tmp_path, "say", SAY)))
    yield voice
    await voice.close()


@pytest.fixture
async def windows(tmp_path: Path) -> AsyncIterator[SystemVoice]:
    voice = SystemVoice(platform="win32", program=str(stand_in(tmp_path, "powershell.exe", POWERSHELL)))
    yield voice
    await voice.close()


async def test_say_gives_a_whole_wav(mac: SystemVoice) -> None:
    audio, sound = await contract.assert_streams(mac, SpeechRequest(text=SENTENCE))
    assert audio.format is AudioFormat.WAV
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnframes()) == (22_050, 1200 * len(SENTENCE))


async def test_powershell_gives_a_whole_wav(windows: SystemVoice) -> None:
    _, sound = await contract.assert_streams(windows, SpeechRequest(text=SENTENCE))
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() == 1200 * len(SENTENCE)


async def test_requests_at_the_same_time_each_get_their_own_sound(mac: SystemVoice) -> None:
    await contract.assert_each_gets_its_own(mac, ["One.", "A longer sentence.", SENTENCE])


async def test_nonsense_is_refused_with_a_way_out(mac: SystemVoice) -> None:
    await contract.assert_refuses_nonsense(mac, unknown_voice="nova")


async def test_a_cancelled_task_leaves_no_program_and_no_file(
    mac: SystemVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task = asyncio.create_task(said(mac, SpeechRequest(text=LONG)))
    await comes_true(lambda: (tmp_path / "asked.txt").exists())
    assert left_over(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes_true(lambda: mac.running == 0, contract.STOP_SECONDS)
    assert not left_over(tmp_path)


async def test_the_voice_and_the_rate_are_handed_on(mac: SystemVoice, tmp_path: Path) -> None:
    audio, _ = await said(mac, SpeechRequest(text="Hello.", voice="bad news", speed=2.0))
    assert audio.voice == "Bad News"
    assert asked(tmp_path) == repr(("Bad News", 350, "Hello.")) + "\n"


async def test_the_language_chooses_a_voice(mac: SystemVoice) -> None:
    for language, voice in (("de", "Anna"), ("en-GB", "Eddy (English (UK))"), ("ar-EG", "Majed"), ("fr", "")):
        audio, _ = await said(mac, SpeechRequest(text="1", language=language))
        assert audio.voice == voice


async def test_closing_ends_a_run_with_an_error(mac: SystemVoice, tmp_path: Path) -> None:
    task = asyncio.create_task(said(mac, SpeechRequest(text=LONG)))
    await comes_true(lambda: (tmp_path / "asked.txt").exists())
    await mac.close()
    with pytest.raises(EngineError, match="status"):
        await task
    assert mac.running == 0


async def test_commands_in_the_text_of_say_are_broken_up(mac: SystemVoice, tmp_path: Path) -> None:
    await said(mac, SpeechRequest(text="-o x [[rate 300]] hello\x00"))
    assert asked(tmp_path) == repr((None, 175, "-o x [ [rate 300] ] hello ")) + "\n"


async def test_the_voices_of_say_are_read_with_their_languages(mac: SystemVoice) -> None:
    assert [(voice.id, voice.language) for voice in await mac.voices()] == [
        ("Alex", "en-US"),
        ("Anna", "de-DE"),
        ("Bad News", "en-US"),
        ("Eddy (English (UK))", "en-GB"),
        ("Majed", "ar-001"),
    ]


async def test_the_voices_of_windows_are_read_with_their_languages(windows: SystemVoice) -> None:
    voices = {voice.id: voice.language for voice in await windows.voices()}
    assert voices == {"Microsoft David Desktop": "en-US", "Microsoft Hedda Desktop": "de-DE"}


async def test_windows_gets_a_rate_between_minus_ten_and_ten(windows: SystemVoice, tmp_path: Path) -> None:
    for speed in (0.25, 1.0, 3.0, 4.0):
        await said(windows, SpeechRequest(text="Hello.", speed=speed))
    assert re.findall(r"Rate = (-?\d+)", asked(tmp_path)) == ["-10", "0", "10", "10"]


async def test_no_text_reaches_the_script_of_windows(windows: SystemVoice, tmp_path: Path) -> None:
    await said(windows, SpeechRequest(text="'; Remove-Item C:\\ # ’ $(calc)"))
    assert "Remove-Item" not in asked(tmp_path)
    with pytest.raises(UnknownVoice):
        await said(windows, SpeechRequest(text="Hello.", voice="x'); Remove-Item C:\\"))
    assert "Remove-Item" not in asked(tmp_path)


async def test_a_program_that_fails_is_quoted(mac: SystemVoice) -> None:
    with pytest.raises(EngineError, match="status 1: the audio toolbox is on fire"):
        await said(mac, SpeechRequest(text="FAIL"))


async def test_a_program_that_writes_nothing_is_not_success(mac: SystemVoice) -> None:
    with pytest.raises(BadContent, match="no sound"):
        await said(mac, SpeechRequest(text="MUTE"))


async def test_a_program_that_is_not_there_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cannot be started"):
        await said(
            SystemVoice(platform="darwin", program=str(tmp_path / "none")), SpeechRequest(text="Hello.")
        )


async def test_other_systems_have_no_system_voice() -> None:
    voice = SystemVoice(platform="linux")
    with pytest.raises(EngineUnavailable, match="linux") as caught:
        await said(voice, SpeechRequest(text="Hello."))
    assert caught.value.hint
    with pytest.raises(EngineUnavailable):
        await voice.voices()


async def test_the_program_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "say", SAY)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    assert (await said(SystemVoice(platform="darwin"), SpeechRequest(text="Hello.")))[1]
