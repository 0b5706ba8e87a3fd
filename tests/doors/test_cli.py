"""The command line as a person or a script meets it: a process, its output and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

import voicemode
from tests.battery.wire import events
from tests.live.host import environment
from tests.support import voice
from tests.support.command import VOICEMODE, ran
from tests.support.looking import look_for
from tests.support.sound_card import VirtualSoundCard
from tests.support.speech_server import Accept, Behaviour, Route, SpeechServer
from tests.support.terminal import at_terminal
from voicemode import __main__, __version__
from voicemode.cli.exits import FAILED, INTERRUPTED, NO_SPEECH, NOT_PLAYED, USAGE
from voicemode.machine.floor import MachineFloor

COMMANDS = (
    *("mcp", "serve", "speak", "converse", "listen", "voices"),
    *("models", "bench", "review", "config", "events", "doctor"),
)
LIMIT = 30


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command on a machine without any sound."""
    variables = {**environment(None, folder), **settings}
    return ran(*arguments, variables=variables, folder=folder, limit_s=LIMIT)


@pytest.mark.spec("CLI-4")
def test_a_server_whose_engine_does_not_exist_says_so_as_every_command_does(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", "0", "--engine", "nobody")
    assert done.returncode == FAILED
    assert done.stderr.startswith("voicemode: There is no engine 'nobody'; there are ")


@pytest.mark.spec("CLI-1")
def test_help_names_every_command_and_each_has_its_own(tmp_path: Path) -> None:
    whole = run(tmp_path, "--help")
    assert whole.returncode == 0
    for command in COMMANDS:
        assert f"    {command} " in whole.stdout
        own = run(tmp_path, command, "--help")
        assert own.returncode == 0
        assert f"voicemode {command}" in own.stdout
    assert run(tmp_path, "--version").stdout.strip() == f"voicemode {__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["speak"],
        ["speak", "hello", "--speed", "9"],
        ["speak", "hello", "--speed", "fast"],
        ["listen", "--max-listen", "0"],
        ["converse", "Well?", "--max-listen", "nan"],
        ["mcp", "--http", "--host", "0.0.0.0"],
        ["mcp", "--port", "5"],
        ["mcp", "--host", "127.0.0.1"],
    ],
)
@pytest.mark.spec("CLI-2")
def test_wrong_arguments_are_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == USAGE
    assert done.stderr.startswith(("usage:", "voicemode:"))
    assert not done.stdout


@pytest.mark.spec("CLI-2")
def test_help_names_the_exit_codes(tmp_path: Path) -> None:
    shown = " ".join(run(tmp_path, "--help").stdout.split())
    for code in ("0 done", "1 failed", "2 wrong arguments", "3 no loudspeaker", "4 nobody spoke", "130"):
        assert code in shown


@pytest.mark.spec("CLI-2", "CLI-3")
def test_without_a_loudspeaker_it_is_3_and_the_file_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "speak", "Nobody hears this.", "--json")
    assert done.returncode == NOT_PLAYED, done.stderr
    told = json.loads(done.stdout)
    assert told["outcome"] == "not_played"
    assert Path(told["spoken"]["recording"]).stat().st_size > 10_000
    assert told["spoken"]["recording"] in done.stderr


@pytest.mark.live
@pytest.mark.spec("CLI-2", "CLI-20")
def test_nobody_spoke_is_4(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    done = run(tmp_path, "listen", "--max-listen", "1", **sound_card.environment)
    assert done.returncode == NO_SPEECH, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("voicemode: nobody spoke. `voicemode doctor --sound` ")


@pytest.mark.anyio
@pytest.mark.spec("CLI-21")
async def test_who_waits_for_the_floor_is_told_who_has_it(tmp_path: Path) -> None:
    async with asyncio.timeout(LIMIT):
        async with MachineFloor(tmp_path).hold("converse"):
            process = await asyncio.create_subprocess_exec(
                *VOICEMODE, "speak", "hello", env=environment(None, tmp_path), stderr=asyncio.subprocess.PIPE
            )
            assert process.stderr is not None
            told = await process.stderr.readline()
        await process.communicate()
    assert told.decode() == f"voicemode: waiting: converse (process {os.getpid()}) has the floor.\n"
    assert process.returncode == NOT_PLAYED


@pytest.mark.spec("CLI-20")
def test_at_a_terminal_the_mcp_server_says_what_it_waits_for(tmp_path: Path) -> None:
    with at_terminal(env=environment(None, tmp_path), cwd=tmp_path) as program:
        look_for(lambda: "voicemode speak hello" in program.screen, LIMIT, lambda: repr(program.screen))
        program.process.send_signal(signal.SIGINT)
        _, out = program.ended()
    assert out == ""
    assert "this is the MCP server" not in run(tmp_path, "mcp").stderr


@pytest.mark.parametrize("text", ["", "   ", "🎉"])
@pytest.mark.spec("CLI-2", "CLI-3", "CLI-4")
def test_a_failure_is_one_sentence_and_json_where_it_was_asked_for(tmp_path: Path, text: str) -> None:
    plain = run(tmp_path, "speak", text)
    assert plain.returncode == FAILED
    assert plain.stdout == ""
    assert len(plain.stderr.splitlines()) == 1
    assert plain.stderr.startswith("voicemode: ")
    for_programs = run(tmp_path, "speak", text, "--json")
    assert json.loads(for_programs.stdout)["error"]["code"] == "invalid_request"


@pytest.mark.spec("CLI-4")
def test_an_unknown_voice_is_told_with_near_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "speak", "hello", "--voice", "en-uz")
    assert done.returncode == FAILED
    assert "en-uz" in done.stderr
    assert "en-us" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.spec("CLI-5")
def test_voices_lists_the_embedded_ones(tmp_path: Path) -> None:
    # A server that happens to run on this machine has voices of its own.
    listed = json.loads(run(tmp_path, "voices", "--json", VOICEMODE_KOKORO_PORT="1").stdout)
    assert {"id": "en-us", "engine": "embedded"}.items() <= next(
        v for v in listed if v["id"] == "en-us"
    ).items()
    assert "en-us" in run(tmp_path, "voices").stdout


@pytest.mark.spec("CLI-6")
def test_config_shows_values_and_their_sources_and_no_secret(tmp_path: Path) -> None:
    key = "sk-do-not-show-this-to-anybody"
    (tmp_path / ".voicemode.env").write_text("VOICEMODE_TTS_SPEED=1.5\n")
    done = run(tmp_path, "config", "--json", OPENAI_API_KEY=key, VOICEMODE_STREAM_BUFFER_MS="200")
    assert key not in done.stdout + done.stderr
    shown = {row["name"]: row for row in json.loads(done.stdout)["variables"]}
    assert shown["VOICEMODE_STREAM_BUFFER_MS"]["value"] == "200"
    assert "environment" in shown["VOICEMODE_STREAM_BUFFER_MS"]["source"]
    assert shown["VOICEMODE_TTS_SPEED"]["value"] == "1.5"
    assert [name for name, row in shown.items() if row["secret"] is True] == [
        "OPENAI_API_KEY",
        "VOICEMODE_HTTP_TOKEN",
    ]
    plain = run(tmp_path, "config", OPENAI_API_KEY=key)
    assert key not in plain.stdout + plain.stderr
    assert "OPENAI_API_KEY=" in plain.stdout


@pytest.mark.spec("CLI-7")
def test_doctor_fails_without_sound_and_says_how_to_mend_it(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--json")
    assert done.returncode == FAILED
    told = json.loads(done.stdout)
    assert (told["doctor"], told["ok"]) == (1, False)
    findings = {finding["what"]: finding for finding in told["findings"]}
    assert findings["loudspeaker"]["state"] == "fail"
    assert findings["loudspeaker"]["mend"]
    assert findings["Python"]["state"] == "ok"
    assert findings["speech: embedded voice"]["state"] == "ok"
    assert "→" in run(tmp_path, "doctor").stdout


@pytest.mark.spec("DOC-11")
def test_a_report_names_nobody_and_is_markdown(tmp_path: Path) -> None:
    key = "sk-do-not-show-this-to-anybody"
    done = run(tmp_path, "doctor", "--report", OPENAI_API_KEY=key, OPENAI_BASE_URL="http://192.0.2.9:1/v1")
    assert done.returncode == FAILED
    assert done.stderr == ""
    assert done.stdout.startswith("## voicemode doctor\n")
    assert "- FAIL loudspeaker: " in done.stdout
    assert "<server-1>" not in done.stdout.replace("&lt;server-1>", "")
    assert "&lt;server-1>" in done.stdout
    assert [word for word in (str(tmp_path), key, "192.0.2.9") if word in done.stdout] == []


@pytest.mark.spec("DOC-8")
def test_what_is_wrong_with_the_configuration_is_told_once(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", VOICEMODE_TTS_SPEED="fast")
    assert done.stderr == ""
    assert done.stdout.count("VOICEMODE_TTS_SPEED in the environment is 'fast'") == 1


@pytest.mark.live
@pytest.mark.spec("CLI-7")
def test_doctor_is_content_with_a_sound_card(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", **sound_card.environment)
    assert done.returncode == 0, done.stdout
    assert "ok    loudspeaker" in done.stdout
    assert "ok    microphone" in done.stdout


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.spec("CLI-8")
def test_a_command_that_is_told_to_stop_leaves_nothing_behind(
    sound_card: VirtualSoundCard, tmp_path: Path, number: signal.Signals
) -> None:
    variables = {**environment(sound_card, tmp_path, SAVE_AUDIO="true")}
    with sound_card.recording() as heard:
        heard.wait_until_running()
        process = subprocess.Popen(
            [sys.executable, "-m", "voicemode", "speak", "one two three four five six seven " * 5],
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        heard.wait_for_sound(10.0)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=5)
    assert process.returncode == INTERRUPTED
    assert errors == ""
    kept = list(tmp_path.glob("recordings/*/*/*.wav"))
    assert sorted(each.name.rsplit("_", 1)[1] for each in kept) == ["sink.wav", "stream-0.wav", "tts.wav"]


@pytest.mark.live
@pytest.mark.parametrize("words", [("listen",), ("converse", "Go on?")])
@pytest.mark.spec("CLI-22")
def test_who_ends_a_command_is_told_where_their_words_are_and_how_to_have_them(
    sound_card: VirtualSoundCard, tmp_path: Path, words: tuple[str, ...]
) -> None:
    with SpeechServer() as server:
        server.behave(Behaviour(accept=Accept.NEVER), Route.TRANSCRIPTIONS)
        urls = {"TTS_BASE_URLS": server.base_url, "STT_BASE_URLS": server.base_url}
        variables = environment(sound_card, tmp_path, AUDIO_FEEDBACK="false", **urls)
        process = subprocess.Popen(
            [sys.executable, "-m", "voicemode", *words], env=variables, stderr=subprocess.PIPE, text=True
        )
        heard = "listening_started" if len(words) > 1 else "microphone_opened"
        look_for(lambda: heard in happened(tmp_path), LIMIT, lambda: "nobody listens")
        sound_card.say(voice.speak("yes please delete it now"), 24_000)
        look_for(lambda: "turn_ended" in happened(tmp_path), LIMIT, lambda: "the turn did not end")
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=5)
        (kept,) = tmp_path.glob("recordings/*/*/*_stt.wav")
        handle = kept.name.split("_")[1]
        assert process.returncode == INTERRUPTED
        assert errors == (
            f"voicemode: what you said is kept in {kept}; `voicemode review --replay {handle}` transcribes it.\n"
        )
        server.behave(Behaviour(), Route.TRANSCRIPTIONS)
        again = ran("review", "--replay", handle, "--json", variables=variables, limit_s=LIMIT)
    assert json.loads(again.stdout)["now"]["words"] == "yes please delete it now"


def happened(folder: Path) -> set[str]:
    return {event.name for event in events(folder)}


class Interrupting(MetaPathFinder):
    """Ctrl-C at the moment when the command line is looked for."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "voicemode.cli":
            raise KeyboardInterrupt


@pytest.mark.spec("CLI-4", "CLI-8")
def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "voicemode.cli")
    monkeypatch.delattr(voicemode, "cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert __main__.outcome() == INTERRUPTED


def test_ctrl_c_while_a_class_is_made_is_no_traceback_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 raises it as the cause of a `RuntimeError` there."""

    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "voicemode.cli":
                raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.delitem(sys.modules, "voicemode.cli")
    monkeypatch.delattr(voicemode, "cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert __main__.outcome() == INTERRUPTED


HANGS = """
import atexit, sys, threading
from voicemode import __main__, cli

def command():
    threading.Thread(target=threading.Event().wait, name="voicemode opening", daemon=True).start()
    print("said")
    return 130

cli.main = command
atexit.register(print, "a library is taken down")
sys.exit(__main__.main())
"""


@pytest.mark.spec("CLI-19")
def test_a_device_that_hangs_is_left_behind_before_its_library_is_taken_down_around_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "said\n", "")
