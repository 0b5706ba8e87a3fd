"""Recordings: playable at every moment, private, kept within bounds, and never in the way."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voicemode
from voicemode.events import FirstAudio, Transcribed, TurnFinished
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.ports import BeginRecording
from voicemode.recording.recordings import Recording, Recordings, safe_name
from voicemode.recording.wav_file import HEADER_BYTES, PART, PATCHED_EVERY_S, WavFile, adopt, wav_header
from voicemode.speech import Metrics, RecordingNote

ROOT = Path(voicemode.__file__).parents[1]
LIMIT_S = 20.0
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STEREO = PcmFormat(rate=48_000, channels=2)


def noon() -> datetime:
    return NOON


def ramp(seconds: float, fmt: PcmFormat = SPEECH) -> Frame:
    """Sound in which every place is different."""
    values = fmt.samples(seconds) * fmt.channels
    return Frame(data=b"".join((n % 32_768).to_bytes(2, "little") for n in range(values)), format=fmt)


def sound(path: Path) -> bytes:
    """What any player finds in the file."""
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


def note(text: str = "hello", *, kind: str = "tts", turn: str = "t1") -> RecordingNote:
    return RecordingNote(
        kind=kind, turn=turn, text=text, engine="e", voice="v", position=2.5, metrics=Metrics(ttfa=0.1)
    )


def kept(recordings: Recordings, frame: Frame, *, turn: str = "t1", kind: str = "tts") -> Recording:
    begin: BeginRecording = recordings.begin
    recording = begin(kind=kind, turn=turn, format=frame.format)
    recording.write(frame)
    recording.finish(note(kind=kind, turn=turn))
    assert recordings.flush(LIMIT_S)
    assert isinstance(recording, Recording)
    return recording


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.spec("REC-1")
def test_a_recording_is_a_wav_with_a_json_beside_it(tmp_path: Path) -> None:
    frame = ramp(0.5)
    with Recordings(tmp_path, wall=noon) as recordings:
        recording = kept(recordings, frame)
    assert recording.path == tmp_path / "2026" / "11" / "20261121-120000-000_t1_tts.wav"
    assert sound(recording.path) == frame.data
    about = json.loads(recording.path.with_suffix(".json").read_text())
    assert (about["text"], about["engine"], about["voice"], about["position"]) == ("hello", "e", "v", 2.5)
    assert (about["kind"], about["turn"], about["started"]) == ("tts", "t1", "2026-11-21T12:00:00.000+00:00")
    assert (about["sound"], about["rate"], about["seconds"]) == (recording.path.name, 24_000, 0.5)
    assert (about["metrics"]["ttfa"], about["complete"]) == (0.1, True)
    assert len(files(tmp_path)) == 2


@pytest.mark.spec("REC-1")
@given(cuts=st.lists(st.integers(0, 3000), max_size=20), fmt=st.sampled_from([SPEECH, LISTENING, STEREO]))
def test_the_sound_is_the_same_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], fmt: PcmFormat
) -> None:
    stem = tmp_path_factory.mktemp("cut") / "a"
    file, written = WavFile(stem, fmt), b""
    for samples in cuts:
        data = os.urandom(samples * fmt.bytes_per_sample)
        file.write(data)
        written += data
    assert sound(file.finish()) == written


@pytest.mark.spec("REC-2")
def test_a_growing_file_can_be_played_at_any_moment(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "a", SPEECH)
    part = tmp_path / f"a{PART}"
    frame, written = ramp(0.02), b""
    for _ in range(100):
        file.write(frame.data)
        written += frame.data
        played = sound(part)
        assert written.startswith(played)
        assert len(written) - len(played) < PATCHED_EVERY_S * 48_000 <= 0.25 * 48_000
    assert file.finish() == tmp_path / "a.wav"
    assert not part.exists()


@pytest.mark.spec("REC-2")
def test_a_disk_that_fills_up_during_one_large_piece_leaves_a_header_that_is_right(tmp_path: Path) -> None:
    script = f"""
import pathlib, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from voicemode.pcm import SPEECH
from voicemode.recording.wav_file import WavFile
try:
    WavFile(pathlib.Path({str(tmp_path)!r}) / "a", SPEECH).write(bytes(480_000))
except OSError:
    print("full")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S, capture_output=True, text=True
    )
    assert done.stdout.strip() == "full"
    assert len(sound(tmp_path / f"a{PART}")) > 100_000 - HEADER_BYTES - 0.25 * 48_000


@pytest.mark.spec("REC-2")
def test_killed_at_any_moment_the_sound_is_adopted_at_the_next_start(tmp_path: Path) -> None:
    script = f"""
import itertools, pathlib, sys
from voicemode.pcm import SPEECH, Frame
from voicemode.recording.recordings import Recordings
with Recordings(pathlib.Path({str(tmp_path)!r})) as recordings:
    recording = recordings.begin(kind="tts", turn=sys.argv[1], format=SPEECH)
    for number in itertools.count():
        recording.write(Frame(data=number.to_bytes(2, "little") * 480, format=SPEECH))
        if number % 20 == 0:
            recordings.flush(10)
            print(number, flush=True)
"""
    chance = random.Random(19)
    for turn in ("one", "two", "three", "four"):
        command = [sys.executable, "-c", script, turn]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            known = [int(child.stdout.readline()) for _ in range(chance.randint(1, 30))][-1]
            child.send_signal(signal.SIGKILL)
            child.wait(LIMIT_S)
        (part,) = tmp_path.rglob(f"*{PART}")
        assert len(sound(part)) > (known + 1) * 960 - 0.25 * 48_000
        with Recordings(tmp_path) as recordings:
            assert recordings.flush(LIMIT_S)
        (whole,) = tmp_path.rglob(f"*_{turn}_tts.wav")
        data = sound(whole)
        assert len(data) >= (known + 1) * 960
        expected = b"".join(n.to_bytes(2, "little") * 480 for n in range(len(data) // 960 + 1))
        assert data == expected[: len(data)]
        assert list(tmp_path.rglob(f"*{PART}")) == []


@pytest.mark.spec("REC-2")
@pytest.mark.parametrize("size", [0, 10, HEADER_BYTES])
def test_a_leftover_without_sound_is_deleted(size: int, tmp_path: Path) -> None:
    part = tmp_path / f"a{PART}"
    part.write_bytes(wav_header(SPEECH, 0)[:size])
    assert adopt(part) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("REC-2")
def test_half_a_sample_at_the_end_of_a_leftover_is_dropped(tmp_path: Path) -> None:
    part = tmp_path / f"a{PART}"
    part.write_bytes(wav_header(STEREO, 4) + bytes(range(11)))
    (tmp_path / "a.wav").write_bytes(b"an older one")
    path = adopt(part)
    assert path == tmp_path / "a-2.wav"
    assert sound(path) == bytes(range(8))
    assert path.stat().st_size == HEADER_BYTES + 8


@pytest.mark.spec("REC-3")
def test_what_a_living_process_writes_and_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "a", SPEECH)
    file.write(ramp(0.1).data)
    stranger = tmp_path / f"b{PART}"
    stranger.write_bytes(b"not a recording of ours" * 10)
    assert adopt(tmp_path / f"a{PART}") is None
    assert adopt(stranger) is None
    assert stranger.read_bytes() == b"not a recording of ours" * 10
    assert sound(file.finish()) == ramp(0.1).data


@pytest.mark.spec("REC-4")
def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    script = f"""
import os, pathlib
os.umask(0)
from voicemode.pcm import SPEECH, Frame
from voicemode.recording.recordings import Recordings
from voicemode.speech import RecordingNote
with Recordings(pathlib.Path({str(tmp_path)!r}) / "recordings") as recordings:
    for turn in ("done", "open"):
        recording = recordings.begin(kind="stt", turn=turn, format=SPEECH)
        recording.write(Frame(data=bytes(960), format=SPEECH))
        if turn == "done":
            recording.finish(RecordingNote(kind="stt", turn=turn, text=""))
    assert recordings.flush(10)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S)
    found = list((tmp_path / "recordings").rglob("*"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()}
    assert (len(found), modes, folders) == (5, {0o600}, {0o700})


@pytest.mark.spec("REC-5")
@given(turn=st.text(max_size=80), other=st.text(max_size=80))
def test_no_turn_id_leads_out_of_the_folder_or_to_the_file_of_another(turn: str, other: str) -> None:
    name = safe_name(turn)
    assert name
    assert len(name) <= 49
    assert all(char.isascii() and (char.isalnum() or char == "-") for char in name)
    assert (name == safe_name(other)) == (turn == other)


@pytest.mark.spec("REC-5")
@pytest.mark.parametrize("turn", ["../../../out", "/abs", "a\0b", "x" * 5000, "..", "", "CON\\..\\x", "ünï"])
def test_hostile_ids_stay_inside_and_apart(turn: str, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    with Recordings(folder, wall=noon) as recordings:
        first, second = (kept(recordings, ramp(0.01), turn=each) for each in (turn, f"{turn}'"))
    assert first.path.parent == second.path.parent == folder / "2026" / "11"
    assert first.path != second.path
    assert not first.failed
    assert files(tmp_path) == [f"recordings/{name}" for name in files(folder)]


@pytest.mark.spec("REC-5")
def test_a_folder_that_is_a_link_to_elsewhere_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "11").mkdir(parents=True)
    (tmp_path / "elsewhere" / "11" / f"x{PART}").write_bytes(b"")
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "2026").symlink_to(tmp_path / "elsewhere")
    warnings: list[str] = []
    with Recordings(tmp_path / "recordings", wall=noon, on_warning=warnings.append, max_days=0) as recordings:
        assert kept(recordings, ramp(0.01)).failed
    assert files(tmp_path / "elsewhere") == [f"11/x{PART}"]
    assert len(warnings) == 1


@pytest.mark.spec("REC-6")
def test_two_recordings_of_one_name_do_not_touch_each_other(tmp_path: Path) -> None:
    with Recordings(tmp_path, wall=noon) as recordings, Recordings(tmp_path, wall=noon) as other:
        paths = [kept(each, ramp(0.1)).path for each in (recordings, recordings, other)]
    assert [path.name.removeprefix("20261121-120000-000_") for path in paths] == [
        "t1_tts.wav",
        "t1_tts-2.wav",
        "t1_tts-3.wav",
    ]
    assert [sound(path) for path in paths] == [ramp(0.1).data] * 3


@pytest.mark.spec("REC-7")
def test_a_folder_that_cannot_be_made_gives_one_warning_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    warnings: list[str] = []
    with Recordings(tmp_path / "file" / "recordings", on_warning=warnings.append) as recordings:
        assert kept(recordings, ramp(0.1)).failed
        assert kept(recordings, ramp(0.1)).failed
    assert len(warnings) == 1
    assert str(tmp_path / "file" / "recordings") in warnings[0]


@pytest.mark.spec("REC-7")
def test_a_disk_that_fills_up_leaves_what_was_recorded_playable(tmp_path: Path) -> None:
    script = f"""
import pathlib, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, 50_001))
from voicemode.pcm import SPEECH, Frame
from voicemode.recording.recordings import Recordings
from voicemode.speech import RecordingNote
warnings = []
with Recordings(pathlib.Path({str(tmp_path)!r}), on_warning=warnings.append) as recordings:
    for turn in ("a", "b"):
        recording = recordings.begin(kind="tts", turn=turn, format=SPEECH)
        for number in range(100):
            recording.write(Frame(data=bytes([number, 1]) * 480, format=SPEECH))
        recording.finish(RecordingNote(kind="tts", turn=turn, text="t"))
    assert recordings.flush(10)
print(len(warnings))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1"
    wavs = sorted(tmp_path.rglob("*.wav"))
    whole = b"".join(bytes([number, 1]) * 480 for number in range(100))
    assert [sound(path) for path in wavs] == [whole[: 50_001 - HEADER_BYTES - 1]] * 2
    for path in wavs:
        assert json.loads(path.with_suffix(".json").read_text())["complete"] is False


@pytest.mark.spec("REC-7", "REC-10")
def test_of_what_a_full_disk_took_in_part_and_nobody_wants_nothing_stays(tmp_path: Path) -> None:
    script = f"""
import pathlib, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, 50_001))
from voicemode.pcm import SPEECH, Frame
from voicemode.recording.recordings import Recordings
from voicemode.speech import RecordingNote
with Recordings(pathlib.Path({str(tmp_path)!r})) as recordings:
    recording = recordings.begin(kind="stt", turn="a", format=SPEECH)
    recording.write(Frame(data=bytes(96_000), format=SPEECH))
    assert recordings.flush(10) and recording.failed
    recording.finish(RecordingNote(kind="stt", turn="a", text="t"), wanted=False)
    assert recordings.flush(10)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=LIMIT_S)
    assert files(tmp_path) == []


@pytest.mark.spec("REC-7")
def test_what_finds_no_room_in_memory_ends_the_recording(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, capacity=3)
    recording = recordings.begin(kind="tts", turn="t", format=SPEECH)
    for _ in range(5):
        recording.write(ramp(0.01))
    assert recording.failed
    with recordings:
        assert recordings.flush(LIMIT_S)
    assert len(list(tmp_path.rglob(f"*{PART}"))) == 1


@pytest.mark.spec("REC-8")
def test_old_and_too_many_recordings_are_deleted_with_their_notes(tmp_path: Path) -> None:
    with Recordings(tmp_path, wall=noon) as recordings:
        paths = {
            turn: kept(recordings, ramp(0.5), turn=turn).path for turn in ("old", "third", "second", "first")
        }
    for age, path in zip((31.0, 3.0, 2.0, 1.0), paths.values(), strict=True):
        when = (NOON - timedelta(days=age)).timestamp()
        for each in (path, path.with_suffix(".json")):
            os.utime(each, (when, when))
    (tmp_path / "2026" / "11" / "mine.txt").write_text("not yours")
    with Recordings(tmp_path, wall=noon, max_days=30, max_bytes=60_000) as recordings:
        assert recordings.flush(LIMIT_S)
    left = [Path(name).name for name in files(tmp_path)]
    names = [
        paths[turn].with_suffix(suffix).name for turn in ("first", "second") for suffix in (".json", ".wav")
    ]
    assert left == [*names, "mine.txt"]


@pytest.mark.spec("REC-9")
def test_secrets_do_not_reach_the_note(tmp_path: Path) -> None:
    with Recordings(tmp_path, wall=noon, secrets=["open sesame"]) as recordings:
        recording = recordings.begin(kind="stt", turn="t", format=SPEECH)
        recording.finish(note("say open sesame or sk-abcdef123456"))
        assert recordings.flush(LIMIT_S)
    assert '"say [secret] or [secret]"' in recording.path.with_suffix(".json").read_text()


@pytest.mark.spec("REC-10")
def test_transcripts_can_be_kept_without_sound(tmp_path: Path) -> None:
    with Recordings(tmp_path, wall=noon) as recordings:
        recordings.keep_text(
            TurnFinished(at=1.0, turn="t", outcome="answered", heard="how are", unheard="you")
        )
        recordings.keep_text(Transcribed(at=2.0, turn="t", engine="ear", text="fine", confidence=None))
        recordings.keep_text(FirstAudio(at=3.0, turn="t"))
        assert recordings.flush(LIMIT_S)
    mine, yours = (json.loads((tmp_path / name).read_text()) for name in reversed(files(tmp_path)))
    assert (mine["kind"], mine["text"], mine["heard"]) == ("tts", "how are you", "how are")
    assert (yours["kind"], yours["text"], yours["engine"]) == ("stt", "fine", "ear")


@pytest.mark.anyio
@pytest.mark.spec("REC-10")
async def test_a_recording_that_is_not_wanted_any_more_leaves_nothing_and_is_nowhere(tmp_path: Path) -> None:
    with Recordings(tmp_path) as recordings:
        recording = recordings.begin(kind="stt", turn="t1", format=SPEECH)
        recording.write(ramp(0.3))
        assert recordings.flush(LIMIT_S)
        assert [name.endswith(PART) for name in files(tmp_path)] == [True]
        recording.finish(note(), wanted=False)
        assert await recording.saved() is None
        assert recordings.flush(LIMIT_S)
    assert files(tmp_path) == []


@pytest.mark.spec("REC-10")
def test_a_discarded_recording_leaves_nothing(tmp_path: Path) -> None:
    with Recordings(tmp_path, wall=noon) as recordings:
        recording = recordings.begin(kind="tts", turn="t", format=SPEECH)
        recording.write(ramp(0.3))
        recordings.discard(recording)
        recording.finish(note())
        assert recordings.flush(LIMIT_S)
    assert files(tmp_path) == []


@pytest.mark.spec("REC-1")
def test_sound_of_another_format_is_refused(tmp_path: Path) -> None:
    recording = Recordings(tmp_path).begin(kind="tts", turn="t", format=SPEECH)
    with pytest.raises(ValueError, match="does not belong"):
        recording.write(ramp(0.01, LISTENING))
