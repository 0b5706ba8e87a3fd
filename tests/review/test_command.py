"""`voicemode review` as a person or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
import wave
from pathlib import Path

import pytest

from tests.live.host import environment
from tests.review.material import record, write
from tests.support import voice
from tests.support.command import ran
from tests.support.many_turns import write as write_many
from tests.test_architecture import HEAVY
from tests.turn_story.test_turn_story import GOOD
from voicemode.cli.exits import DONE, FAILED, USAGE
from voicemode.pcm import LISTENING

LIMIT = 60
PROGRAM = """
import sys
from voicemode.cli import main
code = main(sys.argv[1:])
print("loaded:", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(
        *arguments,
        variables=environment(None, folder),
        folder=folder,
        limit_s=LIMIT,
        program=(sys.executable, "-c", PROGRAM, "review"),
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.spec("REV-14", "REV-17")
def test_the_page_in_a_file_is_for_its_owner_and_starts_nothing(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    done = run(tmp_path, "--html", "page.html")
    assert (done.returncode, done.stdout.strip()) == (DONE, "page.html: 1 turns, 0 sounds.")
    assert mode(tmp_path / "page.html") == 0o600
    loaded = {name.split(".")[0] for name in done.stderr.rpartition("loaded:")[2].split()}
    assert loaded & (HEAVY | {"mcp", "starlette"}) == set()
    assert "voicemode.app" not in done.stderr


@pytest.mark.spec("REV-15", "REV-17")
def test_a_turn_is_exported_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="stt", turn="t1", data=voice.speak("yes", LISTENING.rate), at=103.0)
    done = run(tmp_path, "--json", "--export", "t")
    assert done.returncode == DONE, done.stderr
    told = json.loads(done.stdout)
    assert told["right"].endswith("_t1_stt.wav")
    with wave.open(str(tmp_path / told["file"])) as file:
        assert file.getnchannels() == 2
    assert mode(tmp_path / "t1.wav") == 0o600
    assert run(tmp_path, "--export", "last", "last.wav").returncode == DONE
    assert (tmp_path / "last.wav").read_bytes() == (tmp_path / "t1.wav").read_bytes()


@pytest.mark.spec("REV-17")
def test_what_cannot_be_done_is_said_with_the_way_out(tmp_path: Path) -> None:
    write_many(tmp_path, 40, days=1)
    for arguments, code, words in (
        (["--export", "zzz"], FAILED, "The logs have no turn 'zzz'"),
        (["--replay", ""], FAILED, "The logs have no turn ''"),
        (["--set", "VOICEMODE_VAD=webrtc"], FAILED, "--set is for --replay"),
        (["--html", "no/such/folder/page.html"], FAILED, "cannot be read or written"),
        (["--html", "a.html", "--export", "b"], USAGE, "not allowed with argument"),
        (["--export", "a", "b", "c"], FAILED, "--export takes a turn and a file"),
        (["--port", "70000"], USAGE, "is not a port number"),
    ):
        done = run(tmp_path, *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    ids = {
        json.loads(line)["turn"]
        for path in (tmp_path / "events").iterdir()
        for line in path.read_text().splitlines()
    }
    first = next(
        letter for letter in "0123456789abcdef" if sum(each.startswith(letter) for each in ids if each) > 1
    )
    done = run(tmp_path, "--export", first)
    assert done.returncode == FAILED
    assert f"turns begin with {first!r}" in done.stderr


@pytest.mark.spec("REV-16")
def test_settings_of_a_replay_are_checked(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    for setting, words in (
        ("VOICEMODE_SILENCE_THRESHOLD_MS=soon", "allowed: a whole number from 100 to 10000"),
        ("VOICEMODE_SILENCE_TRESHOLD_MS=700", "Did you mean VOICEMODE_SILENCE_THRESHOLD_MS?"),
        ("700", "is not NAME=VALUE"),
    ):
        done = run(tmp_path, "--replay", "t1", "--set", setting)
        assert (done.returncode, words in done.stderr) == (FAILED, True), done.stderr


@pytest.mark.spec("REV-7")
def test_it_is_served_until_it_is_told_to_end(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with subprocess.Popen(
        [sys.executable, "-m", "voicemode", "review", "--no-browser", "--json"],
        env={**environment(None, tmp_path), "BROWSER": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert url.startswith("http://127.0.0.1:")
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with opener.open(url, timeout=LIMIT) as page:
                assert page.geturl().endswith("/")
                assert b"voicemode review" in page.read()
            with opener.open(url.partition("?")[0] + "data/rows", timeout=LIMIT) as rows:
                assert [row["id"] for row in json.load(rows)["rows"]] == ["t1"]
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
            assert process.wait(LIMIT) == DONE
        finally:
            process.kill()
