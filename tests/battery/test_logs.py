"""What is on the disk however a process ends: logs that parse, recordings that open, a floor that is free."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.battery.wire import ANSWER_SECONDS, Wire, events, sounds, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.looking import looked_for
from tests.support.speech_server import Behaviour, SpeechServer
from voicemode.logs.logbook import Logbook, LoggedEvent
from voicemode.pcm import Frame

pytestmark = pytest.mark.anyio

TEXT = "One two three four five six seven eight."
KILLS = 5
MOST_BYTES = 100_000
"""Of log and recording together, at which a process is killed: two seconds of sound, anywhere between the call's coming
in and its end."""


async def killed(host: Wire) -> None:
    host.process.kill()
    async with asyncio.timeout(10):
        await host.process.wait()


def of(lines: list[LoggedEvent], turn: str) -> list[str]:
    return [line.name for line in lines if line.turn == turn]


@pytest.mark.spec("EVT-16")
@pytest.mark.parametrize("tool", ["speak", "converse"])
async def test_a_host_that_kills_with_the_answer_in_hand_finds_the_last_line_of_the_call(
    tmp_path: Path, tool: str
) -> None:
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            wait = {"wait": "finished"} if tool == "speak" else {}
            answer = await host.answer(host.begin(tool, message=TEXT, **wait))
            await killed(host)
    lines = events(tmp_path)
    turn = next(line.turn for line in lines if line.name == "turn_started")
    assert of(lines, turn)[-1] in ("turn_finished", "turn_failed"), answer.text


@pytest.mark.spec("EVT-15")
async def test_a_process_tells_what_it_is_what_it_turned_away_and_that_it_ended_in_order(
    tmp_path: Path,
) -> None:
    async with wire(environment(None, tmp_path)) as host:
        assert not events(tmp_path)
        refused = await host.call("speak", message="Hello.", speed=99)
        assert refused.failed
        await host.call("playback", action="resume")
    lines = events(tmp_path)
    assert [line.name for line in lines] == [
        "conversation_opened",
        "call_refused",
        "call_refused",
        "conversation_closed",
    ]
    assert [line.sequence for line in lines] == [1, 2, 3, 4]
    assert {(line.pid, line.turn) for line in lines} == {(host.process.pid, "")}
    (conversation,) = {line.conversation for line in lines}
    assert conversation
    assert "99" in str(lines[1].fields["reason"])


@pytest.mark.spec("BAT-29")
async def test_killed_at_random_moments_it_leaves_logs_that_parse_recordings_that_open_and_a_free_floor(
    tmp_path: Path,
) -> None:
    chance = random.Random(19)
    with SpeechServer(Behaviour(pace=3.0)) as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
        for _ in range(KILLS):
            async with wire(variables) as host:
                before = await asyncio.to_thread(_bytes_kept, tmp_path)
                host.begin("speak", message=TEXT, wait="finished")
                await _until_kept(tmp_path, before + chance.randrange(MOST_BYTES))
                await killed(host)
        async with wire(variables) as host:
            said = await host.call("speak", limit=10.0, message=TEXT, wait="finished")
    assert "loudspeaker" in said.text
    for path in Logbook(tmp_path / "events").files():
        *whole, torn = path.read_bytes().split(b"\n")
        assert torn == b""
        assert len([line for line in whole if not _parses(line)]) <= KILLS
    for lines in _by_process(events(tmp_path)).values():
        assert [line.sequence for line in lines] == list(range(1, len(lines) + 1))
    kept = [_words(sound) for sound in await asyncio.to_thread(sounds, tmp_path)]
    assert all(words == voice.words(TEXT)[: len(words)] for words in kept)
    assert voice.words(TEXT) in kept
    assert list((tmp_path / "recordings").rglob("*.part.wav")) == []
    assert list((tmp_path / "floor").glob("*.ticket")) == []


def _bytes_kept(folder: Path) -> int:
    """Of logs and recordings."""
    files = [*folder.glob("events/*"), *folder.glob("recordings/**/*.wav")]
    return sum(path.stat().st_size for path in files)


async def _until_kept(folder: Path, size: int) -> None:
    async def there() -> bool:
        return await asyncio.to_thread(_bytes_kept, folder) >= size

    await looked_for(there, ANSWER_SECONDS)


def _words(sound: Frame) -> list[str]:
    """Those that are whole."""
    return [word for word in voice.hear(sound.data, sound.format.rate) if not word.endswith("…")]


def _parses(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _by_process(lines: list[LoggedEvent]) -> dict[str, list[LoggedEvent]]:
    found: dict[str, list[LoggedEvent]] = {}
    for line in lines:
        found.setdefault(line.conversation, []).append(line)
    return found


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, timeout=10).returncode:
        pytest.skip("only root can mount a disk")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, timeout=10, capture_output=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


@pytest.mark.spec("BAT-18")
async def test_on_a_read_only_disk_it_starts_speaks_and_says_so_once(
    read_only_disk: Path, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(None, read_only_disk, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
        async with wire(variables | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}) as host:
            for _ in range(2):
                said = await host.call("speak", limit=10.0, message=TEXT, wait="finished")
                assert "loudspeaker" in said.text
    assert bytes(host.errors).count(b"The event log") == 1
    assert b"Traceback" not in host.errors


@pytest.mark.spec("BAT-18")
@pytest.mark.parametrize("left", ["nothing", "a file in the way"])
async def test_a_folder_that_goes_away_in_mid_call_costs_no_call_and_is_made_again_or_told_once(
    tmp_path: Path, left: str
) -> None:
    with SpeechServer(Behaviour(pace=3.0)) as server:
        async with wire(environment(None, tmp_path, TTS_BASE_URLS=server.base_url)) as host:
            number = host.begin("speak", message=TEXT, wait="finished")
            await looked_for(lambda: _has(tmp_path, "first_byte"), ANSWER_SECONDS)
            await asyncio.to_thread(shutil.rmtree, tmp_path / "events")
            if left != "nothing":
                (tmp_path / "events").write_text("precious")
            said = await host.answer(number)
            await host.call("speak", message=TEXT, wait="finished")
    assert "loudspeaker" in said.text
    told = bytes(host.errors).count(b"The event log")
    if left == "nothing":
        assert "turn_finished" in [line.name for line in events(tmp_path)]
        assert told == 0
    else:
        assert (tmp_path / "events").read_text() == "precious"
        assert told == 1


async def _has(folder: Path, name: str) -> bool:
    return name in [line.name for line in events(folder)]


HOSTILE = [
    "../../victim",
    "/etc/passwd",
    "..\\..\\victim",
    "\u202eevil",
    "a\0b",
    "x" * 100_000,
    "%2e%2e%2fvictim",
    "\n{}\n",
]


@pytest.mark.spec("BAT-19")
async def test_handles_and_names_that_a_host_sends_lead_nowhere(tmp_path: Path) -> None:
    folder, victim = tmp_path / "voicemode", tmp_path / "victim"
    victim.write_text("precious")
    with SpeechServer() as server:
        variables = environment(None, folder, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
        async with wire(variables | {"HOME": str(folder)}, umask=0) as host:
            for name in HOSTILE:
                for tool, more in (("playback", {"action": "stop"}), ("playback", {}), ("converse", {})):
                    answer = await host.answer(host.begin(tool, handle=name, **more))
                    assert answer.failed
                    assert "precious" not in answer.text
                    assert len(answer.text) < 1_000
                await host.message(host.ask("resources/read", uri=f"voicemode://recordings/{name[:200]}"))
            said = await host.call("speak", message=TEXT, wait="finished")
    assert "loudspeaker" in said.text
    assert victim.read_text() == "precious"
    assert set(await asyncio.to_thread(os.listdir, tmp_path)) == {"victim", "voicemode"}
    (log,) = Logbook(folder / "events").files()
    assert all(_parses(line) for line in log.read_bytes().splitlines())
