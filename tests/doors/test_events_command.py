"""`voicemode events` as a person or a script meets it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from scripts import log_queries
from tests.live.host import ROOT, environment
from tests.support.command import ran
from voicemode.cli.exits import DONE, FAILED, INTERRUPTED, USAGE
from voicemode.clock import wall
from voicemode.events import (
    EndpointFailed,
    Event,
    FirstAudio,
    FloorTaken,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Underrun,
    Warned,
)
from voicemode.logs.eventlog import EventLog
from voicemode.logs.logbook import Logbook

LIMIT = 30
HOUR = timedelta(hours=1)
COMMAND = (sys.executable, "-m", "voicemode", "events")


def turn(name: str, *, ttfa: float = 0.25, text: str = "all is well.") -> list[Event]:
    return [
        TurnStarted(at=1.0, turn=name, kind="speak", text=text),
        FloorTaken(at=1.1, turn=name, waited=0.0),
        FirstAudio(at=1.0 + ttfa, turn=name),
        TurnFinished(at=3.0, turn=name, outcome="finished", heard=text, unheard=""),
    ]


def write(folder: Path, *events: Event, ago: timedelta = timedelta(), conversation: str = "c0ffee") -> None:
    with EventLog(folder / "events", conversation=conversation, wall=lambda: wall() - ago) as log:
        for event in events:
            log.emit(event)
        assert log.close(LIMIT)


def run(folder: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return ran(
        *options,
        variables=environment(None, folder, **settings),
        folder=folder,
        limit_s=LIMIT,
        program=COMMAND,
    )


@contextmanager
def following(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it follows; it has begun to when the block is entered."""
    with subprocess.Popen(
        [*COMMAND, "--follow", *options],
        env=environment(None, folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logs of two days and two processes."""
    write(tmp_path, *turn("aa11", text="the first."), ago=26 * HOUR, conversation="old123")
    failing = EndpointFailed(at=1.2, turn="bb22", engine="one", code="timeout", reason="Silence.", next="two")
    write(tmp_path, *turn("bb22", ttfa=1.5)[:2], failing, *turn("bb22", ttfa=1.5)[2:], ago=2 * HOUR)
    broken = TurnFailed(at=2.0, turn="ab33", code="no_device", reason="There is no loudspeaker.")
    write(tmp_path, *turn("ab33")[:2], broken, Warned(at=9.0, turn="", what="The disk is full."))
    return tmp_path


def shown_turns(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == DONE, done.stderr
    return [line.split()[2] for line in done.stdout.splitlines()[1:]]


@pytest.mark.spec("EVT-17")
def test_without_options_it_shows_the_last_turns_the_newest_at_the_end(folder: Path) -> None:
    done = run(folder)
    assert shown_turns(done) == ["aa11", "bb22", "ab33"]
    assert "“the first.”" in done.stdout
    assert done.stdout.splitlines()[2].split()[3:7] == ["speak", "finished", "1.50", "s"]
    assert "\x1b" not in done.stdout
    assert shown_turns(run(folder, "--last", "1")) == ["ab33"]


@pytest.mark.spec("EVT-17")
@pytest.mark.parametrize(
    ("options", "turns"),
    [
        (["--since", "3h"], ["bb22", "ab33"]),
        (["--since", "30m"], ["ab33"]),
        (["--conversation", "old"], ["aa11"]),
        (["--failed"], ["ab33"]),
        (["--slow"], ["bb22"]),
        (["--slow", "2"], []),
        (["--slow", "0.1", "--since", "3h"], ["bb22"]),
    ],
)
def test_turns_are_chosen_by_what_became_of_them(folder: Path, options: list[str], turns: list[str]) -> None:
    done = run(folder, *options)
    assert shown_turns(done) == turns
    assert ("nothing of that" in done.stderr) == (not turns)
    asked_for_json = run(folder, *options, "--json").stdout.splitlines()
    assert list(dict.fromkeys(json.loads(line)["turn"] for line in asked_for_json)) == turns


@pytest.mark.spec("EVT-17")
@pytest.mark.parametrize(
    ("options", "code"), [([], DONE), (["--last", "0", "--json"], DONE), (["--turn", "last"], FAILED)]
)
def test_before_the_first_turn_it_says_so_and_how_to_have_one(
    tmp_path: Path, options: list[str], code: int
) -> None:
    done = run(tmp_path, *options)
    assert done.returncode == code
    assert "There were no turns yet" in done.stderr
    assert "voicemode speak hello" in done.stderr


@pytest.mark.spec("EVT-17")
def test_events_are_shown_line_by_line_where_they_are_asked_for(folder: Path) -> None:
    done = run(folder, "--event", "endpoint_failed,warned", "--event", "turn_failed")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["bb22", "ab33", "-"]
    assert "one gives no answer" in done.stdout
    assert "Silence. → two is asked instead." in done.stdout
    only = run(folder, "--event", "turn_started", "--failed", "--json")
    assert [json.loads(line)["turn"] for line in only.stdout.splitlines()] == ["ab33"]


@pytest.mark.spec("EVT-18")
@pytest.mark.parametrize("which", ["bb22", "bb"])
def test_a_turn_is_told_as_a_timeline_with_where_the_time_went(folder: Path, which: str) -> None:
    done = run(folder, "--turn", which)
    assert done.returncode == DONE
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["Turn", "bb22", "speak", "finished"]
    assert "conversation c0ffee" in lines[1]
    times = [int(line.split()[0]) for line in lines if " ms  " in line and line.split()[0].isdigit()]
    assert times == [0, 100, 200, 1500, 2000]
    waiting = next(line for line in lines if "waiting for the floor" in line)
    assert waiting.split()[-3:-1] == ["0.000", "0.100"]


@pytest.mark.spec("EVT-18")
def test_the_last_turn_is_the_one_that_began_last(folder: Path) -> None:
    assert run(folder, "--turn", "last").stdout.splitlines()[0].split()[1] == "ab33"
    raw = (folder / "events").iterdir()
    written = {line for path in raw for line in path.read_text().splitlines()}
    asked_for_json = run(folder, "--turn", "last", "--json").stdout.splitlines()
    assert len(asked_for_json) == 3
    assert set(asked_for_json) <= written


@pytest.mark.spec("EVT-17")
@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--turn", "zz"], FAILED, "There is no turn 'zz'"),
        (["--turn", "a"], FAILED, "More than one turn begins with 'a': ab33, aa11"),
        (["--event", "nonsense"], USAGE, "There is no event 'nonsense'. There are: audio_saved"),
        (["--since", "tomorrow"], USAGE, "'tomorrow' is no time"),
        (["--last", "-1"], USAGE, "--last"),
        (["--slow", "nan"], USAGE, "'nan' is not a number of seconds"),
        (["--follow", "--failed"], USAGE, "leave out"),
        (["--follow", "--turn", "last"], USAGE, "leave out"),
    ],
)
def test_what_cannot_be_shown_is_told_with_the_way_out(
    folder: Path, options: list[str], code: int, told: str
) -> None:
    done = run(folder, *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.spec("EVT-17")
def test_where_there_is_nothing_it_says_so_and_why(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (DONE, "")
    assert str(tmp_path / "events") in done.stderr
    assert "VOICEMODE_EVENT_LOG_ENABLED" not in done.stderr
    assert "VOICEMODE_EVENT_LOG_ENABLED" in run(tmp_path, EVENT_LOG_ENABLED="false").stderr
    assert not (tmp_path / "events").exists()
    last = run(tmp_path, "--turn", "last", "--json")
    assert (last.returncode, json.loads(last.stdout)["error"]["code"]) == (FAILED, "invalid_request")


@pytest.mark.spec("EVT-17")
def test_what_a_log_holds_cannot_talk_to_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, *turn("aa11", text="clear \x1b[2J the \x07 screen\r\nnow \u202e"))
    for options in ([], ["--turn", "last"], ["--event", "turn_started"]):
        shown = run(tmp_path, *options).stdout
        assert "screen now" in shown
        assert not {character for character in shown if not character.isprintable() and character != "\n"}


@pytest.mark.spec("EVT-17")
@pytest.mark.parametrize("wanted", [True, False])
def test_colours_are_for_terminals_that_want_them(folder: Path, wanted: bool) -> None:
    ours, theirs = pty.openpty()
    variables = environment(None, folder) | ({} if wanted else {"NO_COLOR": "1"})
    with subprocess.Popen([*COMMAND], env=variables, cwd=folder, stdout=theirs) as process:
        os.close(theirs)
        shown = bytearray()
        try:
            while block := os.read(ours, 65_536):
                shown += block
        except OSError:  # The other end is closed.
            pass
        assert process.wait(LIMIT) == DONE
    os.close(ours)
    assert (b"\x1b[" in shown) == wanted
    assert b"ab33" in shown


@pytest.mark.spec("EVT-17")
def test_it_opens_neither_engines_nor_devices(folder: Path) -> None:
    program = (
        "import sys; from voicemode.cli import main; sys.exit(main(['events']) or "
        "bool({'voicemode.app', 'voicemode.flows.speaking', 'mcp', 'numpy', 'httpx2', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(None, folder) | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == DONE, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["events"]


def first_line(process: subprocess.Popen[str], folder: Path) -> str:
    """Writes until something is seen: only what comes after its beginning is followed."""
    assert process.stdout is not None
    for _ in range(100):
        write(folder, Underrun(at=1.0, turn="probe", position=1, refill=0.1))
        if select.select([process.stdout], [], [], 0.3)[0]:
            return process.stdout.readline()
    raise TimeoutError("nothing was followed")


@pytest.mark.spec("EVT-12", "EVT-17")
def test_it_follows_from_a_folder_that_is_not_there_yet_and_across_midnight(tmp_path: Path) -> None:
    with following(tmp_path) as process:
        assert process.stdout is not None
        assert "probe" in first_line(process, tmp_path)
        write(tmp_path, *turn("aa11"))
        write(tmp_path, *turn("bb22"), ago=-24 * HOUR)
        seen: list[str] = []
        while seen[-1:] != ["bb22 The turn is over: finished."]:
            seen.append(" ".join(process.stdout.readline().split()[1:]))
        assert sum("A call comes in" in line for line in seen) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == INTERRUPTED
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.spec("EVT-12", "EVT-17")
def test_what_is_followed_is_chosen_too_and_comes_as_it_was_written(tmp_path: Path) -> None:
    with following(tmp_path, "--json", "--event", "underrun,turn_started") as process:
        assert process.stdout is not None
        first_line(process, tmp_path)
        write(tmp_path, *turn("aa11"))
        while (line := json.loads(process.stdout.readline()))["turn"] == "probe":
            pass
        assert (line["event"], line["text"]) == ("turn_started", "all is well.")
    assert any(each.turn == "aa11" for each in Logbook(tmp_path / "events").lines())


@pytest.mark.spec("EVT-17")
def test_a_reader_that_leaves_ends_it_without_a_word_though_nothing_happens(tmp_path: Path) -> None:
    with following(tmp_path) as process:
        first_line(process, tmp_path)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(LIMIT) == DONE
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.spec("EVT-17")
def test_a_reader_that_has_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    for thousand in range(3):  # All at once would be more than the writer holds.
        numbers = range(thousand * 1_000, (thousand + 1) * 1_000)
        write(tmp_path, *(event for number in numbers for event in turn(f"{number:08x}")))
    with subprocess.Popen(
        [*COMMAND, "--last", "0", "--json"],
        env=environment(None, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "turn_started"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.timed
@pytest.mark.spec("EVT-19")
def test_from_logs_of_a_thousand_turns_every_query_is_answered_within_a_second(tmp_path: Path) -> None:
    turn, conversation, lines = log_queries.write_logs(tmp_path / "events", turns=1_000, days=3)
    assert lines > 20_000
    variables = environment(None, tmp_path)
    for query in log_queries.QUERIES:
        words = [word.format(turn=turn, conversation=conversation) for word in query]
        # What else runs on the machine is not counted, but for what it takes from a processor's speed.
        assert any(log_queries.answered(words, variables)[1] < 1.0 for _ in range(3)), words
