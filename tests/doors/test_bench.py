"""`voicemode bench`, as a user types it: against real servers on this machine, and without any sound."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.host import COMMAND, environment
from tests.support.command import ran
from tests.support.looking import look_for
from tests.support.sound_card import Recording, VirtualSoundCard
from tests.support.speech_server import Behaviour, Route, SpeechServer
from tests.support.terminal import at_terminal
from voicemode.cli.exits import DONE, FAILED, INTERRUPTED, USAGE

LIMIT = 50.0
KEY = "sk-do-not-show-this-to-anybody"
CLOUD = "https://speech.invalid/v1"
QUICK = ("--runs", "2", "--text", "One two three.")


def run(
    folder: Path, *arguments: str, server: SpeechServer | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    return ran(
        "bench", *arguments, variables=variables(folder, server, **settings), folder=folder, limit_s=LIMIT
    )


def variables(folder: Path, server: SpeechServer | None, **settings: str) -> dict[str, str]:
    asked = {"TTS_BASE_URLS": server.base_url, "STT_BASE_URLS": server.base_url} if server else {}
    return {**environment(None, folder, **asked), **settings}


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "bench").glob("*.json"))


@pytest.mark.spec("BEN-6", "BEN-7", "BEN-9", "BEN-10")
def test_it_measures_shows_draws_keeps_and_compares(tmp_path: Path) -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=0.05)) as server:
        first = run(
            tmp_path,
            *(*QUICK, "--formats", "pcm,mp3", "--plot", "wait.svg", "--json", "run.json"),
            server=server,
            OPENAI_API_KEY=KEY,
        )
        assert first.returncode == DONE, first.stderr
        for word in (
            "mp3 yours",
            "embedded yours",
            "your settings",
            "Transcription",
            "first byte, ms",
            "load",
            "▒",
        ):
            assert word in first.stdout
        assert (tmp_path / "wait.svg").read_text(encoding="utf-8").startswith("<svg")
        told = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
        rows = {(row["kind"], row["engine"], row["format"]): row["figures"] for row in told["rows"]}
        name = server.origin.removeprefix("http://")
        assert all(value >= 0.05 for value in rows["speech", name, "pcm"]["first_byte"]["values"])
        assert rows["transcription", name, ""]["word_errors"]["values"] == [0, 0]
        assert rows["speech", "embedded", ""]["underruns"]["most"] == 0

        (file,) = kept(tmp_path)
        if os.name != "nt":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY not in file.read_text(encoding="utf-8") + first.stdout + first.stderr
        assert not (tmp_path / "recordings").exists()

        again = run(
            tmp_path,
            *QUICK,
            "--parts",
            "speech",
            "--engines",
            name,
            "--formats",
            "pcm",
            "--compare",
            "--json",
            server=server,
        )
        assert again.returncode == DONE, again.stderr
        changed = json.loads(again.stdout)
        assert changed["compared_with"] == told["circumstances"]["date"]
        assert {each["figure"] for each in changed["changes"]} >= {"audible", "factor"}
        # Two runs each prove nothing.
        assert not any(each["real"] for each in changed["changes"])


@pytest.mark.live
@pytest.mark.spec("BEN-1")
def test_with_sound_it_is_heard_quietly_and_only_then(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    arguments = ("--runs", "1", "--parts", "speech", "--engines", "embedded", "--json")
    with sound_card.recording() as recording:
        silent = run(tmp_path, *arguments, server=None, **sound_card.environment)
        assert "not played" in json.loads(silent.stdout)["circumstances"]["played"]
        assert loudest(recording) == 0
        heard = run(tmp_path, *arguments, "--sound", server=None, **sound_card.environment)
        assert json.loads(heard.stdout)["circumstances"]["played"].startswith("played quietly on ")
        look_for(lambda: loudest(recording) > 0, LIMIT, lambda: "nothing was heard")
        assert 100 < loudest(recording) < 3_300  # 20 dB below full scale.


def loudest(recording: Recording) -> int:
    return int(abs(recording.samples().astype(int)).max(initial=0))


@pytest.mark.spec("BEN-5")
def test_a_service_that_costs_money_is_asked_only_by_consent(tmp_path: Path) -> None:
    """No such host exists: what would be asked of it is seen in what is told."""
    refused = run(tmp_path, *QUICK, "--parts", "speech", "--json", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=CLOUD)
    assert "speech.invalid costs money: at most" in refused.stderr
    assert "--yes" in refused.stderr
    assert "speech.invalid" not in {row["engine"] for row in json.loads(refused.stdout)["rows"]}
    agreed = run(
        tmp_path, *QUICK, "--parts", "speech", "--json", "--yes", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=CLOUD
    )
    assert "costs money" not in agreed.stderr
    failures = {row["engine"]: row["failure"] for row in json.loads(agreed.stdout)["rows"]}
    assert "speech.invalid" in failures["speech.invalid"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.spec("BEN-5", "BEN-8")
def test_at_a_terminal_it_asks_and_shows_how_far_it_is(tmp_path: Path) -> None:
    arguments = ("bench", *QUICK, "--parts", "speech")
    with at_terminal(
        *arguments, env=variables(tmp_path, None, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=CLOUD), cwd=tmp_path
    ) as terminal:
        look_for(lambda: "[y/N]" in terminal.screen, LIMIT, lambda: terminal.screen)
        terminal.type("n\n")
        code, out = terminal.ended(LIMIT)
        assert code == DONE
        assert "left out" in terminal.screen
        assert "\rSpeech: embedded yours 2/2" in terminal.screen
        assert "speech.invalid" not in out


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.spec("BEN-8")
def test_interrupted_it_tells_what_was_measured_so_far(tmp_path: Path) -> None:
    with SpeechServer() as server:
        slow = Behaviour(time_to_first_byte_s=60)
        server.then(*[Behaviour()] * 3)
        server.behave(slow, Route.TRANSCRIPTIONS)
        with subprocess.Popen(
            [*COMMAND, "bench", *QUICK, "--formats", "pcm"],
            env=variables(tmp_path, server),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            look_for(
                lambda: any(seen.path.endswith("transcriptions") for seen in server.requests),
                LIMIT,
                lambda: "never asked",
            )
            process.send_signal(signal.SIGINT)
            told, said = process.communicate(timeout=LIMIT)
    assert process.returncode == INTERRUPTED
    assert "pcm yours" in told
    assert "interrupted: this was measured until then" in said
    assert "Traceback" not in said
    assert kept(tmp_path) == []


@pytest.mark.spec("BEN-8")
def test_its_limit_of_time_ends_it_with_what_was_measured(tmp_path: Path) -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=60)) as server:
        done = run(tmp_path, *QUICK, "--limit", "1", "--json", server=server)
    assert done.returncode == FAILED
    assert "limit of 1 s is reached" in done.stderr
    assert json.loads(done.stdout)["complete"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--runs", "0"], USAGE, "whole number from 1 to 100"),
        (["--formats", "pcm,ogg"], USAGE, "'ogg' is not one of"),
        (["--limit", "nan"], USAGE, "number of seconds"),
        (["--text", "..."], FAILED, "nothing to say in '...'"),
        (["--engines", "nobody"], FAILED, "There are: 127.0.0.1:1"),
        (["--compare"], FAILED, "no earlier run"),
        (["--plot", "nowhere/wait.svg"], FAILED, "wait.svg cannot be written"),
        (["--compare", "not-there.json"], FAILED, "not-there.json cannot be read"),
    ],
)
@pytest.mark.spec("BEN-10", "CLI-2", "CLI-4")
def test_what_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert kept(tmp_path) == []
