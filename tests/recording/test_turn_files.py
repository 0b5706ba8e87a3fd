"""What is left of a turn on disk after its process was killed, and retention of turns as units."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from voicemode.recording.recordings import Recordings

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0

TALKING = """
import asyncio, itertools, os, pathlib, sys
from voicemode.events import FloorTaken, TurnStarted
from voicemode.pcm import LISTENING, SPEECH, Frame
from voicemode.recording.recordings import Recordings
from voicemode.speech import AudioFormat, EncodedAudio
from voicemode.recording.turns import KeptTurns

async def nothing():
    yield b""

os.umask(0)
with Recordings(pathlib.Path(sys.argv[1])) as recordings:
    turns = KeptTurns(recordings, conversation="talk")
    turns.watch(TurnStarted(at=1.0, turn="t", kind="converse", text="how are you?"))
    turns.watch(FloorTaken(at=1.0, turn="t", waited=0.0))
    tracks = [turns.track("sink", SPEECH), turns.track("mic", LISTENING)]
    for track in tracks:
        track.opened()
    audio = EncodedAudio(chunks=nothing(), format=AudioFormat.FLAC, engine="e", voice="v")
    stream = turns.stream("t", 0, audio)
    said = turns.begin(kind="tts", turn="t", format=SPEECH)
    for number in itertools.count():
        for track in tracks:
            size = track.format.samples(0.1)
            track.put([((number + 1).to_bytes(2, "little") * size, 50.0 + number * 0.1)])
        stream.put(b"fLaC\\0\\0\\0\\x22" + bytes(30) if number == 0 else bytes([number % 256]) * 50)
        said.write(Frame(data=SPEECH.silence(2400), format=SPEECH))
        recordings.flush(10)
        print(number, flush=True)
"""


@pytest.mark.spec("REC-14", "REC-4")
def test_of_a_killed_turn_everything_is_adopted_and_its_json_is_made(tmp_path: Path) -> None:
    chance = random.Random(19)
    for _ in range(3):
        folder = tmp_path / str(chance.random())
        command = [sys.executable, "-c", TALKING, str(folder)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            known = [int(child.stdout.readline()) for _ in range(chance.randint(1, 40))][-1]
            child.send_signal(signal.SIGKILL)
            child.wait(LIMIT_S)
        with Recordings(folder) as recordings:
            assert recordings.flush(LIMIT_S)
        left = [path for path in folder.rglob("*") if path.is_file()]
        assert not [path for path in left if "part" in path.name or path.suffix == ".new"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in left} == {0o600}
        (path,) = folder.rglob("*_t_turn.json")
        told = json.loads(path.read_text())
        assert (told["turn"], told["conversation"], told["text"]) == ("t", "talk", "how are you?")
        assert told["outcome"] == "killed"
        files = {file["kind"]: file for file in told["files"]}
        assert set(files) == {"sink", "mic", "tts", "stream-0"}
        assert not any(file["complete"] for file in told["files"])
        for kind in ("sink", "mic"):
            with wave.open(str(path.with_name(files[kind]["name"]))) as sound:
                assert sound.getnframes() >= (known + 1) * sound.getframerate() // 10
                assert sound.readframes(1) == (1).to_bytes(2, "little")
                assert files[kind]["seconds"] == pytest.approx(
                    sound.getnframes() / sound.getframerate(), abs=0.001
                )
            assert files[kind]["position"] == pytest.approx(50.0, abs=0.001)
        assert path.with_name(files["stream-0"]["name"]).suffix == ".flac"
        assert path.with_name(files["stream-0"]["name"]).read_bytes().startswith(b"fLaC")


@pytest.mark.spec("REC-3")
def test_the_turn_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TALKING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with Recordings(tmp_path) as recordings:
            assert recordings.flush(LIMIT_S)
        assert len([path for path in tmp_path.rglob("*") if "part" in path.name]) == 5
        child.kill()
        child.wait(LIMIT_S)


@pytest.mark.spec("REC-8")
def test_retention_never_leaves_half_a_turn(tmp_path: Path) -> None:
    month = tmp_path / "2026" / "11"
    month.mkdir(parents=True)
    for turn, when in (("old", 1_000), ("new", 2_000)):
        for kind in ("turn.json", "sink.wav", "mic.wav", "stream-0.mp3", "tts.json", "tts.wav"):
            path = month / f"20261121-120000-00{len(kind) % 10}_{turn}_{kind}"
            path.write_bytes(bytes(10_000))
            os.utime(path, (when, when))
    # The newest file of a turn is what its age is told by.
    with Recordings(tmp_path, max_days=10**6, max_bytes=100_000) as recordings:
        assert recordings.flush(LIMIT_S)
    left = [path.name.split("_")[1] for path in month.iterdir()]
    assert left == ["new"] * 6
