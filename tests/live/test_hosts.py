"""The ways in which real hosts end a server, in mid-speech and in mid-recording."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.battery.wire import events
from tests.live.host import COMMAND, environment
from tests.support import voice
from tests.support.encoding import decode
from tests.support.looking import look_for, looked_for
from tests.support.sound_card import VirtualSoundCard
from tests.support.speech_server import Accept, Behaviour, Route, SpeechServer
from voicemode.clock import monotonic
from voicemode.machine.floor import MachineFloor

pytestmark = [pytest.mark.anyio, pytest.mark.live]

LIMIT = 60
ANSWER = "yes please delete it now"
LONG = "one two three four five six seven eight nine ten " * 6

WAYS = {
    "Claude Code": [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.1)],
    "SIGTERM": [(signal.SIGTERM, 0.0)],
    "SIGINT": [(signal.SIGINT, 0.0)],
    "SIGHUP": [(signal.SIGHUP, 0.0)],
    "stdin closed": [],
}


class Host:
    """Speaks MCP on the pipes of a child process, line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._number = 0

    async def send(self, method: str, params: dict[str, object], *, notify: bool = False) -> None:
        message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
        if not notify:
            self._number += 1
            message["id"] = self._number
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def answer(self) -> dict[str, object]:
        assert self.process.stdout is not None
        while True:
            line = json.loads(await self.process.stdout.readline())
            if "id" in line:
                return dict(line)

    async def shake_hands(self) -> None:
        client = {"name": "host", "version": "1"}
        await self.send(
            "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        )
        await self.answer()
        await self.send("notifications/initialized", {}, notify=True)

    async def call(self, tool: str, **arguments: object) -> None:
        await self.send("tools/call", {"name": tool, "arguments": arguments})

    async def end(self, way: list[tuple[signal.Signals, float]]) -> float:
        """Ends the server this way; gives the seconds until it was gone."""
        began = monotonic()
        if not way:
            assert self.process.stdin is not None
            self.process.stdin.close()
        loop = asyncio.get_running_loop()
        for number, after in way:
            if after:
                loop.call_later(after, self._signal, number)
            else:
                self._signal(number)
        async with asyncio.timeout(5):
            await self.process.wait()
        return monotonic() - began

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)


@asynccontextmanager
async def serving(variables: dict[str, str]) -> AsyncIterator[Host]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=variables, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(LIMIT):
            host = Host(process)
            await host.shake_hands()
            yield host
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("recordings/*/*/*.wav") if "_tts" in path.name)


async def floor_is_free(variables: dict[str, str]) -> None:
    """The next call of another process speaks at once."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "speak", "free", env=variables, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(15):
        _, errors = await process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.timed
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.spec("LIV-12")
async def test_ended_in_mid_speech(sound_card: VirtualSoundCard, tmp_path: Path, way: str) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, SAVE_AUDIO="true")
        with sound_card.recording() as heard:
            heard.wait_until_running()
            async with serving(variables) as host:
                await host.call("speak", message=LONG, wait="finished")
                await asyncio.to_thread(heard.wait_for_sound, 10.0)
                asked = monotonic()
                gone = await host.end(WAYS[way])
            last = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
            assert heard.time_of(last) - asked < 0.2
            assert gone < 0.6
        (kept,) = await asyncio.to_thread(recordings, tmp_path)
        assert not kept.name.endswith(".part.wav")
        assert decode(await asyncio.to_thread(kept.read_bytes)).seconds > 0.2
        await floor_is_free(variables)


@pytest.mark.timed
@pytest.mark.parametrize("way", ["Claude Code", "stdin closed"])
@pytest.mark.spec("LIV-12")
async def test_ended_in_mid_recording(sound_card: VirtualSoundCard, tmp_path: Path, way: str) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card, tmp_path, TTS_BASE_URLS=server.base_url, STT_BASE_URLS=server.base_url
        )
        async with serving(variables) as host:
            before = await asyncio.to_thread(sound_card.microphone_users)
            await host.call("converse", message="")
            await asyncio.to_thread(sound_card.wait_for_microphone_users, before + 1)
            gone = await host.end(WAYS[way])
        assert gone < 0.6
        await asyncio.to_thread(sound_card.wait_for_microphone_users, before)
        await floor_is_free(variables)


@pytest.mark.timed
@pytest.mark.parametrize("way", ["Claude Code", "stdin closed", "SIGKILL"])
@pytest.mark.spec("LIV-12", "LIV-13", "LSN-91")
async def test_ended_in_mid_transcription(sound_card: VirtualSoundCard, tmp_path: Path, way: str) -> None:
    """No recordings are kept here: this one is until it has been transcribed."""
    with SpeechServer() as server:
        server.behave(Behaviour(accept=Accept.NEVER), Route.TRANSCRIPTIONS)
        variables = environment(
            sound_card, tmp_path, TTS_BASE_URLS=server.base_url, STT_BASE_URLS=server.base_url
        )
        async with serving(variables) as host:
            before = await asyncio.to_thread(sound_card.microphone_users)
            await host.call("converse", message="")
            await asyncio.to_thread(sound_card.wait_for_microphone_users, before + 1)
            sound_card.say(voice.speak(ANSWER), 24_000)
            await asyncio.to_thread(turn_ended, tmp_path)
            gone = await host.end(WAYS.get(way, [(signal.SIGKILL, 0.0)]))
        assert gone < 0.6
        await asyncio.to_thread(sound_card.wait_for_microphone_users, before)
        await floor_is_free(variables)
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("recordings/*/*/*_stt.wav")))
    sound = decode(await asyncio.to_thread(kept.read_bytes))
    assert voice.hear_text(sound.data, sound.format.rate) == ANSWER


def said_on_disk(folder: Path, size: int) -> None:
    def there() -> bool:
        parts = folder.glob("recordings/*/*/*_stt.part.wav")
        return any(part.stat().st_size > size for part in parts)

    look_for(there, LIMIT, lambda: "what was said is not on disk")


def turn_ended(folder: Path) -> None:
    def ended() -> bool:
        return any(event.name == "turn_ended" for event in events(folder))

    look_for(ended, LIMIT, lambda: "the turn did not end")


@pytest.mark.spec("LIV-13", "LSN-91", "TOOL-22")
async def test_what_was_said_before_a_kill_in_mid_recording_is_brought_by_the_next_process(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    """No recordings are kept here."""
    variables = environment(sound_card, tmp_path, NO_SPEECH_TIMEOUT="60")
    async with serving(variables) as host:
        before = await asyncio.to_thread(sound_card.microphone_users)
        await host.call("converse", message="")
        await asyncio.to_thread(sound_card.wait_for_microphone_users, before + 1)
        words = voice.speak(ANSWER)
        sound_card.say(words + words, 24_000)
        await asyncio.to_thread(said_on_disk, tmp_path, 44 + 32_000 * len(words) // 48_000)
        turns = {event.turn for event in events(tmp_path) if event.name == "turn_started"}
        ended = {event.turn for event in events(tmp_path) if event.name == "turn_ended"}
        await host.end([(signal.SIGKILL, 0.0)])
    assert ended == set()
    (handle,) = turns
    async with serving(variables) as next_one:
        await next_one.call("converse", handle=handle)
        answer = json.dumps(await next_one.answer())
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("recordings/*/*/*")))
    assert kept.name in answer
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    sound = decode(await asyncio.to_thread(kept.read_bytes))
    assert str(voice.hear_text(sound.data, sound.format.rate)).startswith(ANSWER)


@pytest.mark.timed
@pytest.mark.parametrize("way", ["Claude Code", "stdin closed"])
@pytest.mark.spec("LIV-12")
async def test_ended_while_paused(sound_card: VirtualSoundCard, tmp_path: Path, way: str) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, SAVE_AUDIO="true")
        with sound_card.recording() as heard:
            heard.wait_until_running()
            async with serving(variables) as host:
                await host.call("speak", message=LONG)
                await host.answer()
                await asyncio.to_thread(heard.wait_for_sound, 10.0)
                await host.call("playback", action="pause")
                await host.answer()
                quiet = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
                gone = await host.end(WAYS[way])
            assert gone < 0.6
            assert await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0) == quiet
        (kept,) = await asyncio.to_thread(recordings, tmp_path)
        assert not kept.name.endswith(".part.wav")
        assert MachineFloor(tmp_path).line() == []
        await floor_is_free(variables)


@pytest.mark.timed
@pytest.mark.parametrize("way", ["Claude Code", "stdin closed"])
@pytest.mark.spec("LIV-12")
async def test_ended_while_an_answer_is_pending(
    sound_card: VirtualSoundCard, tmp_path: Path, way: str
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card, tmp_path, STT_BASE_URLS=server.base_url, CLIENT_LIMIT_S="1.5", NO_SPEECH_TIMEOUT="60"
        )
        async with serving(variables) as host:
            before = await asyncio.to_thread(sound_card.microphone_users)
            await host.call("converse", message="")
            assert "pending" in json.dumps(await host.answer())
            await asyncio.to_thread(sound_card.wait_for_microphone_users, before + 1)
            gone = await host.end(WAYS[way])
        assert gone < 0.6
        await asyncio.to_thread(sound_card.wait_for_microphone_users, before)
        assert MachineFloor(tmp_path).line() == []


@pytest.mark.timed
@pytest.mark.parametrize("way", ["Claude Code", "stdin closed", "SIGKILL"])
@pytest.mark.spec("LIV-12", "LIV-13")
async def test_ended_while_it_waits_for_the_floor(
    sound_card: VirtualSoundCard, tmp_path: Path, way: str
) -> None:
    floor = MachineFloor(tmp_path)

    async def one_waits() -> bool:
        return len(floor.line()) == 2

    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with serving(variables) as first, serving(variables) as host:
            await first.call("speak", message=LONG)
            await first.answer()
            await host.call("speak", message="never heard", wait="finished")
            await looked_for(one_waits, LIMIT)
            gone = await host.end(WAYS.get(way, [(signal.SIGKILL, 0.0)]))
            assert gone < 0.6
            assert [ticket.pid for ticket in floor.line()] == [first.process.pid]
            await first.call("playback")
            assert '"speaking"' in json.dumps(await first.answer())
        assert {request.text for request in server.requests if "never" in request.text} == set()


@pytest.mark.spec("LIV-13")
async def test_killed_in_mid_speech(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, SAVE_AUDIO="true")
        with sound_card.recording() as heard:
            heard.wait_until_running()
            async with serving(variables) as host:
                await host.call("speak", message=LONG, wait="finished")
                await asyncio.to_thread(heard.wait_for_sound, 10.0)
                await host.end([(signal.SIGKILL, 0.0)])
        (left,) = await asyncio.to_thread(recordings, tmp_path)
        assert decode(await asyncio.to_thread(left.read_bytes)).seconds > 0.2
        await floor_is_free(variables)
        kept = await asyncio.to_thread(recordings, tmp_path)
        assert not any(path.name.endswith(".part.wav") for path in kept)
