"""Rude hosts and bare surroundings: the process answers, explains, keeps its secrets and leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.battery.wire import events, everything, sounds, wire
from tests.live.host import COMMAND, ROOT, environment
from tests.support import voice
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import Behaviour, Content, SpeechServer
from voicemode.clock import wall

pytestmark = pytest.mark.anyio

TOOLS = ["converse", "playback", "speak", "voice_status"]
CLIENT = {"name": "battery", "version": "1"}
KEY = "sk-battery-0123456789abcdef"

JUNK = {
    "no JSON": b"this is not JSON\n",
    "an empty line": b"\n",
    "bad UTF-8": b'{"jsonrpc": "2.0", "id": "\xff\xfe\x80", "method": "tools/list"}\n',
    "zeros": b"\0" * 1000 + b"\n",
    "no object": b'[]\n17\nnull\n"text"\n',
    "half an object": b'{"jsonrpc": "2.0", "id": 9\n',
    "deep": b"[" * 100_000 + b"\n",
    "a wrong version": b'{"jsonrpc": "1.0", "id": 99, "method": "tools/list"}\n',
    "an answer to nothing": b'{"jsonrpc": "2.0", "id": 98, "result": {}}\n',
    "5 MB": b"x" * 5_000_000 + b"\n",
    "5 MB of JSON": b'{"jsonrpc": "2.0", "id": 97, "method": "' + b"y" * 5_000_000 + b'"}\n',
    "an end of line of another system": b"\r\n",
}


@pytest.mark.spec("BAT-7")
async def test_junk_on_standard_input_is_survived(tmp_path: Path) -> None:
    async with wire(environment(None, tmp_path)) as host:
        for name, junk in JUNK.items():
            host.put(junk)
            assert await host.tools() == TOOLS, name
        host.tell("notifications/cancelled", requestId=12345)
        host.tell("notifications/cancelled", requestId="no such call")
        host.tell("notifications/nobody_knows_this")
        assert await host.tools() == TOOLS


@pytest.mark.spec("BAT-8")
async def test_a_host_that_does_not_read_holds_the_server_back_and_loses_no_answer(tmp_path: Path) -> None:
    async with wire(environment(None, tmp_path), reading=False) as host:
        number = host.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=CLIENT)
        host.tell("notifications/initialized")
        asked = [number, *(host.ask("tools/list") for _ in range(200))]
        host.read_answers()
        for each in asked:
            assert "result" in await host.message(each)


@pytest.mark.spec("BAT-9")
@pytest.mark.parametrize("pipe", ["stdout", "stderr"])
async def test_a_host_that_closes_a_pipe_early_leaves_no_process_behind(tmp_path: Path, pipe: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    other = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(None, tmp_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=theirs if pipe == "stdout" else other,
        stderr=theirs if pipe == "stderr" else other,
    )
    os.close(theirs)
    try:
        assert process.stdin is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}\n' * 20)
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


WORLDS: dict[str, dict[str, str]] = {
    "nothing but the way to the package": {},
    "a home that is not there": {"HOME": "/nonexistent/home"},
    "an empty home": {"HOME": ""},
    "folders that cannot be made": {"HOME": "/dev/null", "VOICEMODE_BASE_DIR": "/dev/null/voicemode"},
    "values that make no sense": {
        "VOICEMODE_TTS_SPEED": "fast",
        "VOICEMODE_TTS_BASE_URLS": f"ftp://x,http://user:{KEY}@host/v1,http://[::1",
        "VOICEMODE_STREAM_MAX_BUFFER": "nan",
        "VOICEMODE_SAVE_AUDIO": "perhaps",
        "VOICEMODE_KOKORO_PORT": "99999999",
        "VOICEMODE_BASE_DIR": "relative/folder",
        "VOICEMODE_NO_SUCH_SETTING": "1",
        "OPENAI_BASE_URL": "nonsense",
        "OPENAI_API_KEY": f"{KEY}\\n",
    },
}


@pytest.mark.spec("BAT-16")
@pytest.mark.parametrize("world", WORLDS)
async def test_in_bare_and_broken_surroundings_it_starts_lists_and_explains(
    tmp_path: Path, world: str
) -> None:
    variables = {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path), **WORLDS[world]}
    async with wire(variables, folder=tmp_path) as host:
        assert await host.tools() == TOOLS
        found = await host.call("voice_status")
        config = await host.message(host.ask("resources/read", uri="voicemode://config"))
    assert not found.failed
    assert "embedded voice" in found.text
    problems = str(found.fields["problems"])
    for name in WORLDS[world]:
        if world == "values that make no sense" and name != "OPENAI_API_KEY":
            assert name in problems
    assert "result" in config
    assert KEY not in everything(host, tmp_path)


@pytest.mark.spec("BAT-16")
async def test_a_settings_file_of_junk_is_named_and_harmless(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "voicemode"
    folder.mkdir(parents=True)
    (folder / "voicemode.env").write_bytes(
        b"\xff\xfe\0\n=\nVOICEMODE_TTS_SPEED=9\nNO EQUALS SIGN\n" + b"x" * 100_000
    )
    (tmp_path / ".voicemode.env").mkdir()
    variables = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    async with wire(variables, folder=tmp_path) as host:
        found = await host.call("voice_status")
    assert not found.failed
    assert str(folder / "voicemode.env") in str(found.fields["problems"])


@pytest.mark.spec("BAT-17")
async def test_a_key_is_never_shown_whatever_fails_and_whoever_repeats_it(tmp_path: Path) -> None:
    said_back = Behaviour(status=401, body=f"The key {KEY} is wrong. Authorization: Bearer {KEY}")
    with SpeechServer(said_back) as server:
        variables = environment(None, tmp_path, DEBUG="trace", KOKORO_PORT="1", WHISPER_PORT="1")
        variables |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
        shown: list[str] = []
        async with wire(variables) as host:
            for behaviour in (said_back, Behaviour(content=Content.HTML), Behaviour(body=f'{{"{KEY}": 1}}')):
                server.behave(behaviour)
                await host.call("speak", message=f"Say {KEY} aloud.", wait="finished")
                await host.call("voice_status", check=True)
            for uri in ("config", "turns", "voices"):
                shown.append(str(await host.message(host.ask("resources/read", uri=f"voicemode://{uri}"))))
        for command in (
            ["config"],
            ["config", "--json"],
            ["doctor"],
            ["doctor", "--json"],
            ["voices"],
            ["events"],
            ["events", "--json"],
            ["events", "--turn", "last"],
            ["speak", "One."],
        ):
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                *command,
                env=variables,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(20):
                output, _ = await process.communicate()
            shown.append(output.decode())
        assert [request for request in server.requests if KEY in request.header("authorization")]
    kept = everything(host, tmp_path).replace(f"Say {KEY} aloud", "")
    assert KEY not in kept
    assert KEY not in "".join(shown).replace(f"Say {KEY} aloud", "")


@pytest.mark.spec("BAT-18")
async def test_folders_that_cannot_be_used_cost_one_warning_and_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with SpeechServer() as server:
        variables = environment(
            None, tmp_path / "file" / "voicemode", TTS_BASE_URLS=server.base_url, SAVE_ALL="true"
        )
        variables |= {"XDG_RUNTIME_DIR": str(tmp_path)}
        async with wire(variables) as host:
            for _ in range(3):
                said = await host.call("speak", limit=5.0, message="One two.", wait="finished")
                assert "loudspeaker" in said.text
            assert await host.tools() == TOOLS
    assert bytes(host.errors).count(b"The event log") == 1
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that has room for 192 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, timeout=10).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


@pytest.mark.spec("BAT-18")
async def test_a_full_disk_costs_one_warning_and_what_is_on_it_stays_valid(small_disk: Path) -> None:
    text = "One two three four five six."
    with SpeechServer() as server:
        variables = environment(None, small_disk, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
        async with wire(variables) as host:
            said = [await host.call("speak", limit=5.0, message=text, wait="finished") for _ in range(4)]
            assert await host.tools() == TOOLS
    assert all("loudspeaker" in each.text for each in said)
    kept = await asyncio.to_thread(sounds, small_disk)
    assert voice.hear(kept[0].data, kept[0].format.rate)[:3] == ["one", "two", "three"]
    assert [event.name for event in events(small_disk)[:2]] == ["conversation_opened", "turn_started"]
    assert bytes(host.errors).count(b"The event log") <= 1
    assert b"cannot be" in host.errors
    assert b"Traceback" not in host.errors


@pytest.mark.live
@pytest.mark.spec("BAT-18")
async def test_with_a_full_disk_or_no_folder_every_word_is_heard(
    small_disk: Path, sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    text = "One two three four five six seven."
    (tmp_path / "file").write_text("in the way")
    (small_disk / "other").write_bytes(bytes(120_000))  # The first recording fills what is left.
    with SpeechServer() as server:
        for folder, calls in ((small_disk, 2), (tmp_path / "file" / "voicemode", 1)):
            variables = environment(sound_card, folder, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
            async with wire(variables | {"HOME": str(tmp_path)}) as host:
                with sound_card.recording() as heard:
                    said = [await host.call("speak", message=text, wait="finished") for _ in range(calls)]
                    words = voice.hear(heard.samples().tobytes(), RATE)
            assert words == voice.words(text) * calls
            assert {each.word("heard") for each in said} == {text}
            assert b"cannot" in host.errors


@pytest.mark.spec("BAT-19")
async def test_whatever_the_umask_everything_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "voicemode"
    with SpeechServer() as server:
        variables = environment(None, folder, TTS_BASE_URLS=server.base_url, SAVE_ALL="true")
        async with wire(variables, umask=0) as host:
            await host.call("speak", message="One two.", wait="finished")
    modes = await asyncio.to_thread(_modes, folder)
    assert {name for name in modes if name.endswith((".wav", ".jsonl", ".json", ".lock"))}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def _modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.spec("BAT-19")
async def test_links_in_its_folder_lead_nowhere(tmp_path: Path) -> None:
    folder, victim = tmp_path / "voicemode", tmp_path / "victim"
    (folder / "events").mkdir(parents=True, mode=0o700)
    victim.write_text("precious")
    for name in ("floor", f"events/voicemode-{wall().date().isoformat()}.jsonl"):
        (folder / name).symlink_to(victim)
    with SpeechServer() as server:
        async with wire(environment(None, folder, TTS_BASE_URLS=server.base_url)) as host:
            said = await host.call("speak", message="One two.", wait="finished")
            outside = await host.message(
                host.ask("resources/read", uri="voicemode://recordings/..%2F..%2Fvictim")
            )
    assert "loudspeaker" in said.text
    assert "error" in outside
    assert victim.read_text() == "precious"
