"""The event log: every event is a line, nobody waits for it, and nothing that happens to it stops a conversation."""

from __future__ import annotations

import json
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voicemode
from voicemode import events
from voicemode.events import (
    Event,
    FirstAudio,
    SpeechBroken,
    SpeechReworded,
    TurnFinished,
    TurnStarted,
    Underrun,
)
from voicemode.logs.eventlog import LONGEST_TEXT, EventLog, event_name
from voicemode.logs.logbook import LoggedEvent, read_events
from voicemode.machine.background import Background

ROOT = Path(voicemode.__file__).parents[1]
LIMIT_S = 20.0
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]


def noon() -> datetime:
    return NOON


def sample(kind: type[Event]) -> Event:
    """An event with a value of the right type in every field."""
    values = {"str": "words", "int": 3, "int | None": 3, "float": 1.5, "float | None": None, "bool": True}
    make: Callable[..., Event] = kind
    return make(**{each.name: values[str(each.type)] for each in fields(kind)})


def started(text: str, *, at: float = 1.0, turn: str = "t1") -> TurnStarted:
    return TurnStarted(at=at, turn=turn, kind="speak", text=text)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def logged(log: EventLog) -> list[LoggedEvent]:
    assert log.flush(LIMIT_S)
    return read_events(only_file(log.folder))


@pytest.mark.spec("EVT-1")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_is_a_line_with_all_its_fields(kind: type[Event], tmp_path: Path) -> None:
    event = sample(kind)
    with EventLog(tmp_path / "events", wall=noon) as log:
        log.emit(event)
        (line,) = logged(log)
    assert only_file(log.folder).name == "voicemode-2026-11-21.jsonl"
    assert (line.name, line.turn, line.monotonic, line.sequence) == (event_name(kind), "words", 1.5, 1)
    assert (line.time, line.pid > 0) == (NOON, True)
    assert dict(line.fields) == {
        each.name: getattr(event, each.name) for each in fields(event) if each.name not in ("at", "turn")
    }


@pytest.mark.spec("EVT-2")
def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    script = f"""
import os, pathlib
os.umask(0)
from voicemode.logs.eventlog import EventLog
from voicemode.events import FirstAudio
with EventLog(pathlib.Path({str(tmp_path)!r}) / "a" / "events") as log:
    log.emit(FirstAudio(at=1.0, turn="t"))
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S)
    folder = tmp_path / "a" / "events"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, only_file(folder))]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.spec("EVT-3")
def test_what_was_emitted_before_the_end_is_in_the_file_in_order(tmp_path: Path) -> None:
    with EventLog(tmp_path, wall=noon) as log:
        for number in range(2000):
            log.emit(Underrun(at=float(number), turn="t", position=number, refill=0.1))
        assert log.close(LIMIT_S)
    assert [line.fields["position"] for line in read_events(only_file(tmp_path))] == list(range(2000))
    log.emit(FirstAudio(at=1.0, turn="late"))
    assert log.flush(LIMIT_S)
    assert len(read_events(only_file(tmp_path))) == 2000


@pytest.mark.spec("EVT-3")
def test_a_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    times = [NOON, NOON, NOON + timedelta(days=1)]
    with EventLog(tmp_path, wall=lambda: times.pop(0)) as log:
        log.emit(FirstAudio(at=1.0, turn="today"))
        log.emit(FirstAudio(at=2.0, turn="tomorrow"))
        assert log.flush(LIMIT_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "voicemode-2026-11-21.jsonl",
        "voicemode-2026-11-22.jsonl",
    ]


@pytest.mark.spec("EVT-4")
def test_nobody_waits_when_the_log_is_slow_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    held, asked = threading.Event(), threading.Event()

    def slow() -> datetime:
        if threading.current_thread().name == "event-log":
            asked.set()
            held.wait(LIMIT_S)
        return NOON

    with EventLog(tmp_path, capacity=5, wall=slow) as log:
        assert asked.wait(LIMIT_S)
        for number in range(12):
            log.emit(FirstAudio(at=float(number), turn="t"))
        held.set()
        assert log.close(LIMIT_S)
    lines = read_events(only_file(tmp_path))
    assert [line.sequence for line in lines if line.name == "first_audio"] == [1, 2, 3, 4, 5]
    assert sum(int(line.fields["lost"] or 0) for line in lines if line.name == "events_lost") == 7


@pytest.mark.spec("EVT-4")
def test_a_job_that_fails_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    background = Background("test")
    done = threading.Event()
    background.submit(lambda: [][0])
    background.submit(done.set)
    background.start()
    assert done.wait(LIMIT_S)
    assert background.close(LIMIT_S)
    assert not background.submit(done.set)
    assert "a job of test failed" in caplog.text


@pytest.mark.spec("EVT-5")
def test_a_log_that_is_switched_off_makes_nothing(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events", enabled=False) as log:
        log.emit(FirstAudio(at=1.0, turn="t"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("EVT-6")
def test_secrets_do_not_reach_the_file(tmp_path: Path) -> None:
    with EventLog(tmp_path, secrets=["open sesame"], wall=noon) as log:
        log.emit(started("say open sesame and sk-abcdef123456", turn="open sesame"))
        # A secret that straddles the cut is masked before the text is cut.
        log.emit(started("x" * (LONGEST_TEXT - 4) + "open sesame"))
        assert log.flush(LIMIT_S)
    text = only_file(tmp_path).read_text()
    assert "say [secret] and [secret]" in text
    assert "open" not in text
    assert "sk-" not in text


@pytest.mark.spec("EVT-6")
def test_the_words_can_be_left_out(tmp_path: Path) -> None:
    with EventLog(tmp_path, keep_text=False, wall=noon) as log:
        log.emit(started("private words"))
        log.emit(TurnFinished(at=2.0, turn="t", outcome="finished", heard="private", unheard="words"))
        log.emit(SpeechReworded(at=3.0, turn="t", piece=0, engine="e", how="left out “private”"))
        log.emit(SpeechBroken(at=4.0, turn="t", piece=0, code="c", reason="r", again="private"))
        lines = logged(log)
    assert "private" not in only_file(tmp_path).read_text()
    assert lines[0].fields["text"] == "(13 characters)"
    assert lines[1].fields["outcome"] == "finished"


@pytest.mark.spec("EVT-7")
@given(st.binary(max_size=200))
def test_a_reader_takes_any_bytes_and_passes_over_what_is_no_event(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    good = json.dumps(
        {"time": NOON.isoformat(), "monotonic": 1, "seq": 1, "pid": 2, "event": "e", "turn": "t"}
    )
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(good.encode() + b"\n" + data.replace(b"\n", b" ") + b"\n" + good.encode()[:-5])
    assert [line.name for line in read_events(path)] == ["e"]


@pytest.mark.spec("EVT-7")
def test_the_line_after_a_torn_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "voicemode-2026-11-21.jsonl"
    path.write_bytes(b'{"time": "2026-11')
    with EventLog(tmp_path, wall=noon) as log:
        log.emit(started("after"))
        (line,) = logged(log)
    assert line.fields["text"] == "after"


@pytest.mark.spec("EVT-7")
def test_killed_at_any_moment_the_log_can_be_read_and_gone_on_with(tmp_path: Path) -> None:
    script = f"""
import itertools, pathlib
from voicemode.logs.eventlog import EventLog
from voicemode.events import TurnStarted
with EventLog(pathlib.Path({str(tmp_path)!r})) as log:
    for number in itertools.count():
        log.emit(TurnStarted(at=float(number), turn="t", kind="speak", text="x" * 3000))
        if number % 50 == 0:
            log.flush(10)
            print(number, flush=True)
"""
    chance = random.Random(7)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            known = [int(child.stdout.readline()) for _ in range(chance.randint(1, 12))][-1]
            child.send_signal(signal.SIGKILL)
            child.wait(LIMIT_S)
        lines = [line for path in tmp_path.iterdir() for line in read_events(path) if line.pid == child.pid]
        assert [line.sequence for line in lines] == list(range(1, len(lines) + 1))
        assert len(lines) > known
    with EventLog(tmp_path) as log:
        log.emit(started("after all"))
        assert log.flush(LIMIT_S)
    assert "after all" in [line.fields["text"] for path in tmp_path.iterdir() for line in read_events(path)]


@pytest.mark.spec("EVT-8")
def test_a_folder_that_cannot_be_made_gives_one_warning_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    warnings: list[str] = []
    with EventLog(tmp_path / "file" / "events", on_warning=warnings.append) as log:
        for _ in range(5):
            log.emit(FirstAudio(at=1.0, turn="t"))
        assert log.flush(LIMIT_S)
    (warning,) = warnings
    assert str(tmp_path / "file" / "events") in warning


@pytest.mark.spec("EVT-8")
def test_a_full_disk_gives_one_warning_and_leaves_whole_lines(tmp_path: Path) -> None:
    script = f"""
import pathlib, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
from voicemode.logs.eventlog import EventLog
from voicemode.events import TurnStarted
warnings = []
with EventLog(pathlib.Path({str(tmp_path)!r}), on_warning=warnings.append) as log:
    for number in range(30):
        log.emit(TurnStarted(at=float(number), turn="t", kind="speak", text="x" * 300))
    assert log.flush(10)
print(len(warnings))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1"
    path = only_file(tmp_path)
    assert len(read_events(path)) >= 10
    with EventLog(tmp_path) as log:
        log.emit(started("there is room again"))
        assert logged(log)[-1].fields["text"] == "there is room again"


@pytest.mark.spec("EVT-8")
def test_a_link_under_the_files_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "voicemode-2026-11-21.jsonl").symlink_to(tmp_path / "elsewhere")
    warnings: list[str] = []
    with EventLog(tmp_path / "events", on_warning=warnings.append, wall=noon) as log:
        log.emit(FirstAudio(at=1.0, turn="t"))
        assert log.flush(LIMIT_S)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert len(warnings) == 1


@pytest.mark.spec("EVT-9")
def test_old_and_too_many_logs_are_deleted_at_start_and_nothing_else(tmp_path: Path) -> None:
    for day, size in ((1, 300), (2, 300), (3, 300), (40, 10)):
        name = f"voicemode-{(NOON - timedelta(days=day)).date().isoformat()}.jsonl"
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "voicemode-2026-11-21.jsonl").write_bytes(b"\n" * 5000)
    (tmp_path / "notes.jsonl").write_bytes(b"x" * 5000)
    with EventLog(tmp_path, max_days=30, max_bytes=700, wall=noon) as log:
        assert log.flush(LIMIT_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes.jsonl",
        "voicemode-2026-11-19.jsonl",
        "voicemode-2026-11-20.jsonl",
        "voicemode-2026-11-21.jsonl",
    ]


@pytest.mark.spec("EVT-9")
def test_a_process_that_runs_for_weeks_deletes_old_logs_with_each_new_day(tmp_path: Path) -> None:
    now = [NOON]
    with EventLog(tmp_path, max_days=2, wall=lambda: now[0]) as log:
        for _ in range(6):
            log.emit(FirstAudio(at=1.0, turn="t"))
            assert log.flush(LIMIT_S)
            now[0] += timedelta(days=1)
        assert log.flush(LIMIT_S)
    days = [(NOON + timedelta(days=day)).date().isoformat() for day in (3, 4, 5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"voicemode-{day}.jsonl" for day in days]
