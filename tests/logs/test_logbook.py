"""The event logs read back: what is asked for is found, whatever else stands there, and no more is read than needed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.events import (
    Event,
    FirstAudio,
    FloorTaken,
    TranscriptionRequested,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Underrun,
    Warned,
)
from voicemode.logs import logbook
from voicemode.logs.eventlog import EventLog
from voicemode.logs.logbook import ALL, Logbook, LoggedTurn, Wanted, read_events

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LIMIT_S = 20.0


class Clock:
    """The wall clock of the logs that are written here."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def writing(folder: Path, wall: Clock | None = None, *, conversation: str = "c0ffee") -> Iterator[EventLog]:
    with EventLog(folder, conversation=conversation, wall=wall or Clock()) as log:
        yield log
        assert log.close(LIMIT_S)


def turn(name: str, *, at: float = 1.0, outcome: str = "finished") -> list[Event]:
    return [
        TurnStarted(at=at, turn=name, kind="speak", text=f"words of {name}"),
        FloorTaken(at=at + 0.1, turn=name, waited=0.0),
        FirstAudio(at=at + 0.25, turn=name),
        TurnFinished(at=at + 2.0, turn=name, outcome=outcome, heard=f"words of {name}", unheard=""),
    ]


def write(
    folder: Path, events: list[Event], wall: Clock | None = None, *, conversation: str = "c0ffee"
) -> None:
    with writing(folder, wall, conversation=conversation) as log:
        for event in events:
            log.emit(event)


def ids(turns: Iterator[LoggedTurn]) -> list[str]:
    return [each.id for each in turns]


@pytest.mark.spec("EVT-11")
@pytest.mark.parametrize(
    ("heard", "unheard", "whole"),
    [("All is green.", "", "All is green."), ("All is", "green.", "All is green."), ("", "", "")],
)
def test_a_text_that_was_written_while_it_was_said_is_what_there_was_of_it_at_the_end(
    tmp_path: Path, heard: str, unheard: str, whole: str
) -> None:
    begun = TurnStarted(at=1.0, turn="a", kind="speak", text="")
    ended = TurnFinished(at=2.0, turn="a", outcome="finished", heard=heard, unheard=unheard)
    write(tmp_path, [begun, ended])
    (found,) = Logbook(tmp_path).turns()
    assert found.text == whole


@pytest.mark.spec("EVT-10")
def test_a_folder_that_does_not_exist_is_an_empty_log(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "events")
    assert (book.files(), list(book.lines()), list(book.turns()), book.follow().read()) == ([], [], [], [])


@pytest.mark.spec("EVT-10")
def test_days_are_one_log_in_either_direction(tmp_path: Path) -> None:
    wall = Clock(NOON - timedelta(days=3))
    with writing(tmp_path, wall) as log:
        for number in range(9):
            log.emit(Underrun(at=float(number), turn="t", position=number, refill=0.1))
            wall.now += timedelta(hours=10)
    book = Logbook(tmp_path)
    assert len(book.files()) == 4
    forward = [line.fields["position"] for line in book.lines()]
    assert forward == list(range(9))
    assert [line.fields["position"] for line in book.backwards()] == forward[::-1]


@pytest.mark.spec("EVT-10")
@given(
    lines=st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), max_size=20),
    block=st.integers(min_value=1, max_value=40),
    end=st.sampled_from([b"", b"\n"]),
)
def test_read_from_the_end_a_file_has_the_lines_it_has_from_the_start(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int, end: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "backwards"
    path.write_bytes(b"\n".join(lines) + end)
    with path.open("rb") as file:
        found = list(logbook.from_the_end(file, block=block))
    assert found[::-1] == path.read_bytes().split(b"\n")


@pytest.mark.spec("EVT-10")
def test_torn_lines_junk_and_what_is_no_log_cost_nothing_but_themselves(tmp_path: Path) -> None:
    write(tmp_path, turn("aa"))
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(b'\xff\xfe{"time\n' + good + b'[1, 2]\n{"event": "x"}\n\n' + good.splitlines()[0][:40])
    (tmp_path / "voicemode-2026-11-22.jsonl").symlink_to(path)
    os.mkfifo(tmp_path / "voicemode-2026-11-23.jsonl")
    (tmp_path / "voicemode-2026-99-99.jsonl").write_bytes(good)
    (tmp_path / "notes.jsonl").write_bytes(good)
    book = Logbook(tmp_path)
    assert book.files() == [path]
    assert [line.name for line in book.lines()] == [
        "turn_started",
        "floor_taken",
        "first_audio",
        "turn_finished",
    ]
    assert ids(book.turns()) == ["aa"]


@pytest.mark.spec("EVT-10")
def test_lines_written_before_there_were_conversations_are_read(tmp_path: Path) -> None:
    old = {"time": NOON.isoformat(), "monotonic": 1, "seq": 1, "pid": 2, "event": "first_audio", "turn": "t"}
    (tmp_path / "voicemode-2026-11-21.jsonl").write_text(json.dumps(old) + "\n")
    (line,) = Logbook(tmp_path).lines()
    assert (line.conversation, line.event()) == ("", FirstAudio(at=1.0, turn="t"))


@pytest.mark.spec("EVT-11")
def test_lines_are_found_by_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, turn("aa11"), conversation="one111")
    write(
        tmp_path, [*turn("bb22"), Warned(at=9.0, turn="", what="a disk")], Clock(NOON + timedelta(minutes=5))
    )
    book = Logbook(tmp_path)

    def found(wanted: Wanted) -> list[tuple[str, str]]:
        return [(line.turn, line.name) for line in book.lines(wanted)]

    assert {each for each, _ in found(Wanted(turn="aa"))} == {"aa11"}
    assert {each for each, _ in found(Wanted(conversation="one"))} == {"aa11"}
    assert found(Wanted(names=frozenset({"warned"}))) == [("", "warned")]
    assert found(Wanted(names=frozenset({"first_audio", "warned"}))) == [
        ("aa11", "first_audio"),
        ("bb22", "first_audio"),
        ("", "warned"),
    ]
    assert {each for each, _ in found(Wanted(until=NOON + timedelta(minutes=1)))} == {"aa11"}
    assert {each for each, _ in found(Wanted(since=NOON + timedelta(minutes=1)))} == {"bb22", ""}
    assert len(found(ALL)) == 9


@pytest.mark.spec("EVT-11")
def test_a_line_is_found_by_time_however_its_time_is_written(tmp_path: Path) -> None:
    written = {"monotonic": 1, "seq": 1, "pid": 2, "event": "e", "turn": "t"}
    times = ["2026-11-21T13:30:00+02:00", "2026-11-21T11:30:00", "2026-11-21T12:30:00.000+00:00"]
    (tmp_path / "voicemode-2026-11-21.jsonl").write_text(
        "".join(json.dumps({"time": time, **written}) + "\n" for time in times)
    )
    lines = Logbook(tmp_path).lines(Wanted(since=NOON))
    assert [line.time for line in lines] == [NOON + timedelta(minutes=30)]


@pytest.mark.spec("EVT-11")
def test_turns_come_whole_and_the_last_begun_first_however_they_overlap(tmp_path: Path) -> None:
    first, second = turn("aa"), turn("bb", at=1.5)
    write(tmp_path, [first[0], second[0], *first[1:3], *second[1:], first[3]])
    found = list(Logbook(tmp_path).turns())
    assert [each.id for each in found] == ["bb", "aa"]
    assert [each.events for each in found] == [tuple(second), tuple(first)]


@pytest.mark.spec("EVT-11")
def test_a_turn_across_midnight_is_whole(tmp_path: Path) -> None:
    wall = Clock(datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC))
    events = turn("aa")
    with writing(tmp_path, wall) as log:
        for event in events:
            log.emit(event)
            wall.now += timedelta(seconds=0.7)
    (found,) = Logbook(tmp_path).turns()
    assert found.events == tuple(events)
    assert len(Logbook(tmp_path).files()) == 2


@pytest.mark.spec("EVT-11")
def test_the_last_turns_are_read_without_what_is_older(tmp_path: Path) -> None:
    write(tmp_path, [event for number in range(30) for event in turn(f"{number:04}")])
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        block = path.stat().st_size // 10
        lines = logbook.from_the_end(file, block=block)
        for _ in range(4):
            next(lines)
        assert file.tell() > path.stat().st_size - 2 * block
    turns = Logbook(tmp_path).turns()
    assert [each.id for each in islice(turns, 3)] == ["0029", "0028", "0027"]


@pytest.mark.spec("EVT-11")
def test_turns_are_those_that_began_in_the_time_asked_for(tmp_path: Path) -> None:
    wall = Clock(NOON)
    early, late = turn("aa"), turn("bb")
    with writing(tmp_path, wall) as log:
        log.emit(early[0])
        wall.now += timedelta(minutes=10)
        for event in [*early[1:], *late]:
            log.emit(event)
    book = Logbook(tmp_path)
    assert ids(book.turns(Wanted(since=NOON + timedelta(minutes=5)))) == ["bb"]
    (before,) = book.turns(Wanted(until=NOON + timedelta(minutes=5)))
    assert before.events == tuple(early)


@pytest.mark.spec("EVT-11")
def test_turns_in_which_something_happened_are_found_by_its_name(tmp_path: Path) -> None:
    dry = Underrun(at=2.0, turn="bb", position=5, refill=0.2)
    write(tmp_path, [*turn("aa"), *turn("bb"), dry])
    (found,) = Logbook(tmp_path).turns(Wanted(names=frozenset({"underrun"})))
    assert found.events == (*turn("bb"), dry)


@pytest.mark.spec("EVT-11")
def test_a_turn_whose_beginning_is_lost_comes_last(tmp_path: Path) -> None:
    write(tmp_path, [*turn("aa")[1:], *turn("bb")])
    assert [(each.id, each.kind) for each in Logbook(tmp_path).turns()] == [("bb", "speak"), ("aa", "")]


@pytest.mark.spec("EVT-11")
def test_a_turn_tells_how_it_went(tmp_path: Path) -> None:
    failed = TurnFailed(at=3.0, turn="cc", code="timeout", reason="nobody answered")
    write(tmp_path, [*turn("aa"), *turn("bb", outcome="cancelled"), *turn("cc")[:2], failed, *turn("dd")[:2]])
    found = {each.id: each for each in Logbook(tmp_path).turns()}
    assert {name: each.outcome for name, each in found.items()} == {
        "aa": "finished",
        "bb": "cancelled",
        "cc": "failed",
        "dd": "unfinished",
    }
    assert (found["aa"].kind, found["aa"].text, found["aa"].conversation) == (
        "speak",
        "words of aa",
        "c0ffee",
    )
    assert (found["aa"].timings.ttfa, found["aa"].began) == (0.25, NOON)
    assert [line.fields["code"] for line in found["cc"].failures] == ["timeout"]


def test_a_line_becomes_the_event_again_and_one_that_is_none_of_ours_does_not(tmp_path: Path) -> None:
    events = [*turn("aa"), TranscriptionRequested(at=1.0, turn="aa", engine="e", seconds=1.0)]
    write(tmp_path, events)
    (path,) = tmp_path.iterdir()
    lines = read_events(path)
    assert [line.event() for line in lines] == events
    wrong: list[dict[str, object]] = [{"event": "elsewhere"}, {"waited": "long"}, {"monotonic": None}]
    stamp = json.loads(path.read_text().splitlines()[1])
    path.write_text("".join(json.dumps(stamp | each) + "\n" for each in wrong))
    assert [line.event() for line in read_events(path)] == [None, None, None]
    short = {name: value for name, value in json.loads(json.dumps(stamp)).items() if name != "waited"}
    path.write_text(json.dumps(short) + "\n")
    assert read_events(path)[0].event() is None


@pytest.mark.spec("EVT-12")
def test_what_is_followed_comes_from_a_folder_that_did_not_exist_and_across_midnight(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "events")
    follower = book.follow()
    assert follower.read() == []
    wall = Clock(datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC))
    with writing(book.folder, wall) as log:
        seen = []
        for event in turn("aa"):
            log.emit(event)
            assert log.flush(LIMIT_S)
            seen.append([line.event() for line in follower.read()])
            wall.now += timedelta(seconds=0.7)
    assert seen == [[event] for event in turn("aa")]
    assert follower.read() == []
    assert len(book.files()) == 2


@pytest.mark.spec("EVT-12")
def test_only_what_is_written_from_now_on_is_followed_and_a_begun_line_waits_for_its_end(
    tmp_path: Path,
) -> None:
    write(tmp_path, turn("aa"))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    follower = Logbook(tmp_path).follow()
    with path.open("ab") as file:
        file.write(whole[:50])
        file.flush()
        assert follower.read() == []
        file.write(whole[50:])
    assert [line.turn for line in follower.read()] == ["aa"] * 4
    path.write_bytes(whole[: len(whole.splitlines()[0]) + 1])
    assert [line.name for line in follower.read()] == ["turn_started"]
