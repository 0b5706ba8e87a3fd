"""Rows, turns and days out of the logs, with the sounds that were kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.review.material import WRITING_S, archive, record, wall, write
from tests.support.many_turns import write as write_many
from tests.turn_story.test_turn_story import GOOD
from voicemode.events import Event, TurnFailed, TurnFinished, TurnStarted, Underrun
from voicemode.pcm import LISTENING, SPEECH
from voicemode.recording.recordings import Recordings
from voicemode.recording.sound_files import KeptSounds
from voicemode.recording.turns import KeptTurns
from voicemode.review.archive import placed, whole
from voicemode.review.both_sides import both_sides
from voicemode.speech import AudioFormat, EncodedAudio

SECOND = LISTENING.silence(LISTENING.rate)


def named(turn: str, later: float = 0.0) -> list[Event]:
    return [replace(event, turn=turn, at=event.at + later) for event in GOOD]


@pytest.mark.spec("REV-1")
def test_every_turn_is_a_row_the_newest_first(tmp_path: Path) -> None:
    lost = [event for event in named("lost", 20.0) if not isinstance(event, TurnStarted)]
    killed = [event for event in named("killed", 30.0) if not isinstance(event, TurnFinished)]
    write(tmp_path, [*named("old"), *named("new", 10.0), *lost, *killed])
    rows, last = archive(tmp_path).rows(0, 100)
    assert last
    assert [(row.id, row.outcome) for row in rows] == [
        ("killed", "unfinished"),
        ("new", "answered"),
        ("old", "answered"),
        ("lost", "answered"),
    ]
    assert rows[2].at == wall(100.0).timestamp() * 1000
    assert (rows[2].text, rows[2].words, rows[2].kind) == ("Deploy now?", "Yes.", "converse")
    assert rows[2].ttfa == pytest.approx(0.3)
    assert rows[2].turn_time == pytest.approx(1.1)


@pytest.mark.spec("REV-1")
def test_rows_come_in_parts_and_none_twice(tmp_path: Path) -> None:
    write_many(tmp_path, 60, days=3)
    reader = archive(tmp_path)
    ids: list[str] = []
    last = False
    while not last:
        rows, last = reader.rows(len(ids), 7)
        ids += [row.id for row in rows]
    assert len(ids) == len(set(ids)) == reader.count() == 60
    everything, _ = archive(tmp_path).rows(0, 1000)
    assert [row.id for row in everything] == ids
    assert [row.at for row in everything] == sorted((row.at for row in everything), reverse=True)


@pytest.mark.spec("REV-1")
def test_what_is_written_meanwhile_is_there_at_the_next_look(tmp_path: Path) -> None:
    begun = named("going on", 10.0)
    write(tmp_path, [*named("old"), *begun[:5]])
    reader = archive(tmp_path)
    rows, _ = reader.rows(0, 10)
    assert [(row.id, row.outcome) for row in rows] == [("going on", "unfinished"), ("old", "answered")]
    write(tmp_path, [*begun[5:], *named("new", 20.0)])
    again, _ = reader.rows(0, 10)
    assert [(row.id, row.outcome) for row in again] == [
        ("new", "answered"),
        ("going on", "answered"),
        ("old", "answered"),
    ]


@pytest.mark.spec("REV-4")
def test_slow_failed_and_interrupted_turns_are_marked(tmp_path: Path) -> None:
    def ended(turn: str, outcome: str) -> list[Event]:
        return [
            replace(event, outcome=outcome) if isinstance(event, TurnFinished) else event
            for event in named(turn)
        ]

    late = [*named("late")]
    late[4] = replace(late[4], at=102.0)
    write(
        tmp_path,
        [
            *named("good"),
            *named("dry"),
            Underrun(at=101.0, turn="dry", position=1, refill=0.3),
            *late,
            *named("error"),
            TurnFailed(at=106.0, turn="error", code="x", reason="no"),
            *(event for outcome in ("interrupted", "cancelled") for event in ended(outcome, outcome)),
            *(
                event
                for outcome in ("broken", "not_played", "not_transcribed")
                for event in ended(outcome, outcome)
            ),
        ],
    )
    rows, _ = archive(tmp_path).rows(0, 100)
    assert {row.id for row in rows if row.slow} == {"dry", "late"}
    assert {row.id for row in rows if row.failed} == {"error", "broken", "not_played", "not_transcribed"}
    assert {row.id for row in rows if row.interrupted} == {"interrupted", "cancelled"}


@pytest.mark.spec("REV-2")
def test_a_recording_stands_where_its_position_says_or_else_its_name(tmp_path: Path) -> None:
    write(tmp_path, named("t 1"))
    record(tmp_path, kind="tts", turn="t 1", data=SPEECH.silence(SPEECH.rate * 2), at=100.3, fmt=SPEECH)
    record(tmp_path, kind="stt", turn="t 1", data=SECOND, at=102.5, position=102.75)
    record(tmp_path, kind="mic", turn="t 1", data=SECOND, at=100.4)
    record(tmp_path, kind="stt", turn="another", data=SECOND, at=100.4)
    (note,) = (tmp_path / "recordings").rglob("*_mic.json")
    note.unlink()
    reader = archive(tmp_path)
    turn = reader.turn("t 1")
    assert turn is not None
    told = whole(turn, reader.sounds.of("t 1"))
    sounds = told["sounds"]
    assert isinstance(sounds, list)
    assert [(sound["kind"], sound["start"], sound["seconds"], sound["rate"]) for sound in sounds] == [
        ("tts", pytest.approx(0.3), 2.0, 24_000),
        ("mic", pytest.approx(0.4), 1.0, 16_000),
        ("stt", pytest.approx(2.75), 1.0, 16_000),
    ]


async def nothing() -> AsyncIterator[bytes]:
    return
    yield


@pytest.mark.spec("REV-2", "REC-11")
def test_the_json_of_a_turn_says_where_loudspeaker_microphone_and_streams_stand(tmp_path: Path) -> None:
    seen = named("t 1")
    write(tmp_path, seen)
    # By their names all would stand at two seconds.
    with Recordings(tmp_path / "recordings", wall=lambda: wall(102.0), max_days=10_000) as recordings:
        turns = KeptTurns(recordings)
        for event in seen[:-1]:
            turns.watch(event)
        sink, mic = turns.track("sink", SPEECH), turns.track("mic", LISTENING)
        audio = EncodedAudio(chunks=nothing(), format=AudioFormat.FLAC, engine="e", voice="v")
        stream = turns.stream("t 1", 0, audio)
        assert sink is not None
        assert mic is not None
        assert stream is not None
        sink.put([(SPEECH.silence(SPEECH.rate * 2), 100.3)])
        mic.put([(SECOND, 100.4)])
        stream.put(b"fLaC\0\0\0\x22" + bytes(60))
        stream.close()
        turns.watch(seen[-1])
        assert recordings.flush(WRITING_S)
    reader = archive(tmp_path)
    turn = reader.turn("t 1")
    assert turn is not None
    found = {sound.kind: sound for sound in reader.sounds.of("t 1")}
    assert {kind: placed(sound, turn, 100.0) for kind, sound in found.items() if sound.is_wav} == {
        "sink": 0.3,
        "mic": 0.4,
    }
    assert (found["stream-0"].path.suffix, found["stream-0"].complete) == (".flac", False)
    assert found["sink"].complete
    mixed = both_sides(list(found.values()), turn)
    assert (mixed.left, mixed.right) == (found["sink"].path.name, found["mic"].path.name)
    assert mixed.seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.spec("REV-2", "REV-8")
def test_what_is_no_sound_of_ours_is_passed_over(tmp_path: Path) -> None:
    record(tmp_path, kind="tts", turn="t1", data=SECOND, at=100.3)
    (sound,) = (tmp_path / "recordings").rglob("*.wav")
    stamp = sound.name.split("_")[0]
    secret = tmp_path / "secret.wav"
    secret.write_bytes(sound.read_bytes())
    (sound.parent / f"{stamp}_t1_mic.wav").symlink_to(secret)
    (sound.parent / f"{stamp}_t1_sink.wav").write_bytes(b"RIFF, or so it says")
    (sound.parent / f"{stamp}_t1_stt.part.wav").write_bytes(sound.read_bytes())
    (sound.parent / f"{stamp}_t1_stream-0.mp3").write_bytes(b"\xff\xfb")
    (sound.parent / "notes_t1_tts.wav").write_bytes(sound.read_bytes())
    (tmp_path / "recordings" / "2026" / "12").symlink_to(tmp_path)
    found = KeptSounds(tmp_path / "recordings").of("t1")
    assert [(each.kind, each.is_wav) for each in found] == [
        ("sink", False),
        ("stream-0", False),
        ("tts", True),
    ]


@pytest.mark.spec("REV-1")
def test_no_logs_and_no_recordings_are_no_turns(tmp_path: Path) -> None:
    reader = archive(tmp_path / "nothing")
    assert reader.rows(0, 10) == ([], True)
    assert reader.trends() == []
    assert reader.turn("x") is None
    assert reader.sounds.of("x") == []
    assert reader.sounds.turns() == frozenset()


@pytest.mark.spec("REV-5")
def test_days_are_those_of_the_user(tmp_path: Path) -> None:
    write(tmp_path, [*named("a"), *named("b", 15 * 3600.0)])
    days = archive(tmp_path).trends()
    here = [wall(100.0 + later).astimezone().date().isoformat() for later in (0.0, 15 * 3600.0)]
    assert [day["day"] for day in days] == sorted(set(here))
    assert sum(int(str(day["turns"])) for day in days) == 2
