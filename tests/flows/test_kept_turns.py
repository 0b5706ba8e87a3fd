"""With recordings on, each turn leaves its sounds on one clock and a JSON that says which file begins when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.flows.kept_world import (
    AWAY_SECONDS,
    BEGAN,
    KeptWorld,
    kept_turn,
    names,
    of_kind,
    sound,
    the_turn,
)
from tests.flows.world import ANSWER, REQUEST, World, over
from tests.support.fakes import SPOKEN, WORD, FakeEar, FakeLoudspeaker, FakeVoice, until, words_as_sound
from voicemode.errors import EndpointUnreachable, StreamBroken
from voicemode.events import FirstAudio, ListeningStarted, TurnEnded, VoiceStarted
from voicemode.pcm import LISTENING, SPEECH
from voicemode.recording.recordings import Recordings
from voicemode.sound.chimes import ChimeRules

pytestmark = pytest.mark.anyio

LATENCY = 0.02
"""Of the fake loudspeaker, from a block's pull to its last sample."""
LIMIT_S = 10.0
BLOCK = SPEECH.samples(0.01)


def without_last(data: bytes, speaker: FakeLoudspeaker, *, missing: int = 0) -> bytes:
    """The fake is closed while it may be pulling a block, which it then does not count as heard."""
    extra = len(data) - len(speaker.heard) - 2 * missing
    assert extra in (0, 2 * BLOCK)
    return data[: len(data) - extra]


@pytest.mark.spec("REC-11", "REC-12", "REC-13", "REC-15")
async def test_a_turn_leaves_all_its_sounds_and_a_json_that_lists_them(tmp_path: Path) -> None:
    world = World()
    with Recordings(tmp_path) as recordings:
        kept = KeptWorld(world, recordings)
        conversation = kept.conversation()
        call = conversation.converse("how are you?", REQUEST)
        exchange = await over(call)
        status = call.status()
        await conversation.close()
        path, told = the_turn(tmp_path)
    assert exchange.files["turn"] == path
    assert status.record == str(path)
    assert {kind: each.name for kind, each in exchange.files.items() if kind != "turn"} == {
        kind: of_kind(told, kind)[0]["name"] for kind in ("sink", "mic")
    }
    assert (told["turn"], told["conversation"], told["kind"]) == (call.handle, "talk", "converse")
    assert (told["text"], told["heard"], told["unheard"]) == ("how are you?", "how are you?", "")
    assert (told["transcript"], told["recogniser"], told["confidence"]) == ("yes", "fake ear", 0.9)
    assert (told["outcome"], told["voice"], told["engine"]) == ("answered", "default", "fake voice")
    assert told["metrics"]["chunks_received"] == exchange.spoken.metrics.chunks_received
    assert told["timings"]["playback"] == exchange.timings.playback
    assert [file["kind"] for file in told["files"] if file["complete"]] == [
        file["kind"] for file in told["files"]
    ]
    files = {file["kind"]: file for file in told["files"]}
    assert set(files) == {"sink", "mic", "tts", "stt", "stream-0"}
    heard = {kind: sound(path.with_name(file["name"])) for kind, file in files.items()}
    assert without_last(heard["sink"], world.speaker) == bytes(world.speaker.heard)
    assert heard["mic"] == b"".join(kept.microphones[0].read)
    assert heard["tts"].startswith(words_as_sound("how are you?"))
    assert heard["stream-0"] == words_as_sound("how are you?")
    assert heard["stt"] in heard["mic"]
    for kind, file in files.items():
        fmt = LISTENING if kind in ("mic", "stt") else SPEECH
        assert (file["rate"], file["channels"]) == (fmt.rate, 1)
        assert file["seconds"] == pytest.approx(len(heard[kind]) / 2 / fmt.rate, abs=0.001)


@pytest.mark.spec("REC-11")
async def test_every_file_says_when_its_first_sample_was(tmp_path: Path) -> None:
    world = World()
    turn = await kept_turn(tmp_path, world)
    position = {file["kind"]: file["position"] for file in turn.told["files"]}
    audible = next(event.at for event in world.of(turn.call.handle) if isinstance(event, FirstAudio))
    assert position["sink"] == pytest.approx(BEGAN + LATENCY - 0.01, abs=1e-3)
    assert position["tts"] == pytest.approx(audible, abs=1e-3)
    assert position["mic"] == pytest.approx(BEGAN + 7.0, abs=1e-3)
    into = turn.sound("mic").index(turn.sound("stt")) / 2 / LISTENING.rate
    assert position["stt"] == pytest.approx(position["mic"] + into, abs=1e-3)


@pytest.mark.spec("EVT-20")
async def test_the_users_voice_is_in_the_microphones_file_where_the_log_says(tmp_path: Path) -> None:
    world = World()
    turn = await kept_turn(tmp_path, world)
    file = turn.file("mic")
    blocks = turn.kept.microphones[0].read
    spoken = [number for number, block in enumerate(blocks) if block == SPOKEN]
    seen = world.of(turn.call.handle)
    (started,) = (event for event in seen if isinstance(event, VoiceStarted))
    (ended,) = (event for event in seen if isinstance(event, TurnEnded))
    (listening,) = (event for event in seen if isinstance(event, ListeningStarted))
    assert started.at - file["position"] == pytest.approx(spoken[0] * 0.01, abs=1e-3)
    assert ended.at - file["position"] == pytest.approx(len(blocks) * 0.01, abs=1e-3)
    assert ended.silence is not None
    last = ended.at - ended.silence - file["position"]
    assert last == pytest.approx((spoken[-1] + 1) * 0.01, abs=1e-3)
    assert (listening.at - file["position"]) * 100 == pytest.approx(round((listening.at - BEGAN) * 100) - 700)


@pytest.mark.spec("REC-11")
async def test_while_a_loudspeaker_is_away_the_clock_goes_on(tmp_path: Path) -> None:
    world = World(speaker=FakeLoudspeaker(lost_after=3 * WORD, back=True))
    turn = await kept_turn(tmp_path, world, "one two three four five.", kind="speak")
    data, heard = turn.sound("sink"), bytes(world.speaker.heard)
    data = without_last(data, world.speaker, missing=SPEECH.samples(AWAY_SECONDS))
    away = len(data) - len(heard)
    assert away / 2 / SPEECH.rate == pytest.approx(AWAY_SECONDS, abs=0.001)
    before = 2 * 3 * WORD
    assert data[:before] == heard[:before]
    assert data[before : before + away] == bytes(away)
    assert data[before + away :] == heard[before:]


@pytest.mark.spec("REC-11")
async def test_the_chime_that_follows_the_answer_is_in_the_loudspeakers_file(tmp_path: Path) -> None:
    world = World()
    with Recordings(tmp_path) as recordings:
        kept = KeptWorld(world, recordings)
        conversation = kept.conversation(chimes=ChimeRules(lead=0.0, trail=0.0))
        exchange = await over(conversation.converse("how are you?", REQUEST))
        await until(lambda: world.speaker.opened == 2 and not world.speaker.open)
        await conversation.close()
        assert await asyncio.to_thread(recordings.flush, LIMIT_S)
        path, told = the_turn(tmp_path)
    (file,) = of_kind(told, "sink")
    heard = bytes(world.speaker.heard)
    data = sound(path.with_name(file["name"]))
    assert file["complete"]
    assert exchange.files["sink"].name == file["name"]
    chime = heard.rstrip(b"\0")[-2 * SPEECH.samples(0.05) :]
    assert len(chime) == 2 * SPEECH.samples(0.05)
    assert chime in data
    assert (len(data) - len(heard)) / 2 / SPEECH.rate == pytest.approx(AWAY_SECONDS, abs=0.021)
    assert not [name for name in names(tmp_path) if "part" in name]


@pytest.mark.spec("REC-12")
async def test_a_stream_that_broke_off_is_kept_and_not_complete(tmp_path: Path) -> None:
    broken = StreamBroken("It broke off.", engine="fake voice")
    world = World(voice=FakeVoice(error=broken, fail_after=5, chunk_bytes=2 * WORD))
    text = "one two three four five six seven."
    turn = await kept_turn(tmp_path, world, text, kind="speak")
    stream = of_kind(turn.told, "stream-0")[0]
    assert not stream["complete"]
    assert sound(turn.path.with_name(stream["name"])) == words_as_sound(text)[: 5 * 2 * WORD]


@pytest.mark.spec("REC-13")
async def test_a_turn_that_fails_says_why(tmp_path: Path) -> None:
    world = World(
        voice=FakeVoice(error=EndpointUnreachable("Nobody answers at v:1.", engine="v", hint="Go."))
    )
    with Recordings(tmp_path) as recordings:
        call = KeptWorld(world, recordings).conversation().speak("hello", REQUEST)
        with pytest.raises(EndpointUnreachable):
            await over(call)
        assert await asyncio.to_thread(recordings.flush, LIMIT_S)
        _, told = the_turn(tmp_path)
    assert told["outcome"] == "failed"
    assert told["error"]["code"] == EndpointUnreachable.code
    assert "Nobody answers at v:1." in told["error"]["reason"]


@pytest.mark.spec("REC-13")
async def test_a_turn_that_was_not_transcribed_is_told_with_its_outcome_and_its_reason(
    tmp_path: Path,
) -> None:
    world = World(ear=FakeEar(error=EndpointUnreachable("Nobody listens.", engine="e", hint="Go.")))
    turn = await kept_turn(tmp_path, world, "are you there?")
    assert turn.told["outcome"] == turn.exchange.outcome == "not_transcribed"
    assert "Nobody listens." in turn.told["error"]["reason"]
    assert turn.file("stt")["complete"]


@pytest.mark.spec("REC-13")
async def test_a_call_that_never_had_the_floor_leaves_nothing(tmp_path: Path) -> None:
    world = World(voice=FakeVoice(gate=asyncio.Semaphore(0)))
    with Recordings(tmp_path) as recordings:
        conversation = KeptWorld(world, recordings).conversation()
        first = conversation.speak("one", REQUEST)
        second = conversation.speak("two", REQUEST)
        await until(lambda: world.voice.open == 1)
        await second.stop()
        assert (await second.result()).files == {}
        await conversation.close()
        assert await asyncio.to_thread(recordings.flush, LIMIT_S)
        _, told = the_turn(tmp_path)
    assert told["turn"] == first.handle
    assert told["outcome"] == "cancelled"


@pytest.mark.spec("REC-9")
async def test_secrets_do_not_reach_a_turns_json_either(tmp_path: Path) -> None:
    world = World(ear=FakeEar("it is open sesame"), blocks=ANSWER)
    turn = await kept_turn(tmp_path, world, "say sk-abcdef123456", secrets=["open sesame"])
    assert (turn.told["text"], turn.told["transcript"]) == ("say [secret].", "it is [secret]")
    assert "sesame" not in turn.path.read_text()
