"""Where nothing can be kept, or only a part, the conversation is as whole as ever, and what is kept is valid."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.kept_world import KeptWorld, names, sound
from tests.flows.world import REQUEST, World, over
from tests.support.fakes import words_as_sound
from voicemode.recording.recordings import Recordings

ROOT = Path(__file__).parents[2]
LIMIT_S = 40.0

QUESTION = "one two three four five six seven eight nine ten?"


@pytest.mark.anyio
@pytest.mark.spec("REC-7", "REC-15")
async def test_without_a_folder_every_word_is_said_and_heard_and_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    world = World()
    warnings: list[str] = []
    with Recordings(tmp_path / "file" / "recordings", on_warning=warnings.append) as recordings:
        call = KeptWorld(world, recordings).conversation().converse(QUESTION, REQUEST)
        exchange = await over(call)
    assert exchange.spoken.heard == QUESTION
    assert exchange.transcript is not None
    assert exchange.transcript.text == "yes"
    assert words_as_sound(QUESTION) in bytes(world.speaker.heard)
    assert exchange.files == {}
    assert call.status().record == ""
    assert len(warnings) == 1
    assert names(tmp_path) == ["file"]


FULL = """
import asyncio, json, pathlib, resource, sys
from tests.flows.kept_world import KeptWorld
from tests.flows.world import REQUEST, World, over
from tests.support.fakes import words_as_sound
from voicemode.recording.recordings import Recordings

async def main():
    world, warnings = World(), []
    with Recordings(pathlib.Path(sys.argv[1]), on_warning=warnings.append) as recordings:
        exchange = await over(KeptWorld(world, recordings).conversation().converse(sys.argv[2], REQUEST))
        print(json.dumps({
            "heard": exchange.spoken.heard,
            "transcript": exchange.transcript.text if exchange.transcript else "",
            "sounded": words_as_sound(sys.argv[2]) in bytes(world.speaker.heard),
            "files": sorted(exchange.files),
            "warnings": len(warnings),
        }))

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
asyncio.run(main())
"""


@pytest.mark.spec("REC-7", "REC-13")
def test_a_disk_that_fills_up_cuts_the_sounds_short_and_the_json_says_which(tmp_path: Path) -> None:
    most = 12_001
    told = conversed(tmp_path, most)
    assert told == {
        "heard": QUESTION,
        "transcript": "yes",
        "sounded": True,
        "files": ["mic", "sink", "turn"],
        "warnings": 1,
    }
    (path,) = tmp_path.rglob("*_turn.json")
    files = {file["kind"]: file for file in json.loads(path.read_text())["files"]}
    assert {"sink", "mic", "tts", "stream-0"} <= set(files)
    for file in files.values():
        found = path.with_name(file["name"])
        assert file["seconds"] == pytest.approx(len(sound(found)) / 2 / file["rate"], abs=0.001)
        assert file["complete"] == (found.stat().st_size < most - 1)
    assert not files["sink"]["complete"]
    assert not [name for name in names(tmp_path) if "part" in name]


@pytest.mark.spec("REC-7", "REC-15")
def test_a_disk_with_room_for_some_sound_and_not_for_the_json_is_told_without_it(tmp_path: Path) -> None:
    told = conversed(tmp_path, 900)
    assert told == {
        "heard": QUESTION,
        "transcript": "yes",
        "sounded": True,
        "files": ["mic", "sink"],
        "warnings": 1,
    }
    assert not [name for name in names(tmp_path) if name.endswith("_turn.json")]
    sounds = list(tmp_path.rglob("*.wav"))
    assert sounds
    assert [path.name for path in sounds if len(sound(path)) != path.stat().st_size - 44] == []


@pytest.mark.spec("REC-7", "REC-15")
def test_a_disk_without_room_for_anything_leaves_the_conversation_whole(tmp_path: Path) -> None:
    told = conversed(tmp_path, 0)
    assert told == {"heard": QUESTION, "transcript": "yes", "sounded": True, "files": [], "warnings": 1}
    assert names(tmp_path) == []


def conversed(folder: Path, most: int) -> object:
    """What came of a conversation on a disk that takes so many bytes of each file."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder), QUESTION, str(most)],
        cwd=ROOT,
        check=False,
        timeout=LIMIT_S,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
