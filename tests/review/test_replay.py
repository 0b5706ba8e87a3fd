"""A recorded microphone, listened to again with other settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.world import RULES
from tests.review.material import archive, record, write
from tests.support.fakes import ECHO, ROOM, SPOKEN, FakeEar, FakeMicrophone, LoudVad, Shelf
from tests.turn_story.test_turn_story import GOOD
from voicemode.errors import EngineUnavailable, InvalidRequest
from voicemode.events import Event, ListeningStarted, TurnEnded, VoiceStarted, nowhere
from voicemode.flows.listening import ListeningPorts
from voicemode.pcm import LISTENING, PcmFormat
from voicemode.review.replay import Replayed, differences, replay, shown, told

pytestmark = [pytest.mark.anyio, pytest.mark.spec("REV-16")]

SAID = [*[ROOM] * 40, *[SPOKEN] * 50, *[ROOM] * 70, *[SPOKEN] * 40, *[ROOM] * 150]
"""0.4 s of room, a voice of 0.5 s, a pause of 0.7 s, 0.4 s of voice, and silence."""
ENDED = 0.4 + 0.5 + 0.5
"""Where 0.5 s of silence ended the turn, when it was recorded from 102.3 on."""


def ear(*, silence: float = 0.5, engine: FakeEar | None = None) -> tuple[ListeningPorts, Shelf]:
    shelf = Shelf()
    ports = ListeningPorts(
        open_source=FakeMicrophone([]),
        open_vad=LoudVad,
        engine=engine or FakeEar("yes please"),
        begin_recording=shelf,
        emit=nowhere,
        rules=replace(RULES, silence=silence, silence_least=silence, silence_most=silence),
        keep_recording=True,
    )
    return ports, shelf


def logged(*, recorded: float = 1.09) -> list[Event]:
    """What the log has of the turn: it ended in the pause."""
    return [
        replace(event, at=102.3 + ENDED, silence=0.5, seconds=recorded)
        if isinstance(event, TurnEnded)
        else replace(event, at=102.3 + 0.4)
        if isinstance(event, VoiceStarted)
        else event
        for event in GOOD
    ]


async def replayed(folder: Path, ports: ListeningPorts) -> Replayed:
    reader = archive(folder)
    turn = reader.turn("t1")
    assert turn is not None
    return await replay(turn, reader.sounds.of("t1"), ports, language=None)


async def test_with_the_same_settings_the_same_comes_out(tmp_path: Path) -> None:
    write(tmp_path, logged())
    record(tmp_path, kind="mic", turn="t1", data=b"".join(SAID), at=102.3)
    ports, shelf = ear(engine=FakeEar("Yes."))
    found = await replayed(tmp_path, ports)
    assert differences(found) == []
    assert (found.now.why, found.now.words) == ("silence", "Yes.")
    assert found.now.ended == pytest.approx(ENDED, abs=0.03)
    assert found.now.last == pytest.approx(0.9, abs=0.03)
    assert shelf.recordings == []
    assert "Nothing is different." in shown(found, {})


async def test_more_patience_hears_what_came_after_the_pause(tmp_path: Path) -> None:
    write(tmp_path, logged())
    record(tmp_path, kind="mic", turn="t1", data=b"".join(SAID), at=102.3)
    ports, _ = ear(silence=1.0)
    found = await replayed(tmp_path, ports)
    assert found.now.last == pytest.approx(2.0, abs=0.03)
    assert found.now.ended == pytest.approx(3.0, abs=0.03)
    assert differences(found) == ["last", "ended", "recorded", "words"]
    settings = {"VOICEMODE_SILENCE_THRESHOLD_MS": "1000"}
    text = shown(found, settings)
    assert "With: VOICEMODE_SILENCE_THRESHOLD_MS=1000" in text
    assert "+1.60 s" in text
    assert "Words now:  yes please" in text
    assert told(found, settings)["differs"] == ["last", "ended", "recorded", "words"]


async def test_what_came_while_the_assistant_spoke_is_not_listened_to(tmp_path: Path) -> None:
    write(tmp_path, logged(recorded=1.19))
    before = [ECHO] * 200
    record(tmp_path, kind="mic", turn="t1", data=b"".join([*before, *SAID]), at=100.3)
    ports, _ = ear(engine=FakeEar("Yes."))
    found = await replayed(tmp_path, ports)
    assert found.began == pytest.approx(2.0)
    assert found.now.voice == pytest.approx(2.0 + 0.4, abs=0.03)
    assert differences(found) == []


async def test_what_the_canceller_left_is_what_is_listened_to(tmp_path: Path) -> None:
    write(tmp_path, logged(recorded=0.99))
    before = [ROOM] * 200
    record(tmp_path, kind="mic", turn="t1", data=b"".join([*[ECHO] * 200, *[SPOKEN] * 350]), at=100.3)
    record(tmp_path, kind="clean", turn="t1", data=b"".join([*before, *SAID]), at=100.3)
    ports, _ = ear(engine=FakeEar("Yes."))
    found = await replayed(tmp_path, ports)
    assert found.sound.kind == "clean"
    assert differences(found) == []


async def test_a_recording_that_ends_with_the_voice_ends_in_silence(tmp_path: Path) -> None:
    """What was sent to the recogniser has no silence behind it."""
    write(tmp_path, [event for event in GOOD if not isinstance(event, ListeningStarted)])
    stereo = PcmFormat(rate=48_000, channels=1)
    sound = b"".join(bytes(pair) * 3 for block in [*[ROOM] * 30, *[SPOKEN] * 50] for pair in _pairs(block))
    record(tmp_path, kind="stt", turn="t1", data=sound, at=102.7, fmt=stereo)
    ports, _ = ear()
    found = await replayed(tmp_path, ports)
    assert found.now.why == "silence"
    assert found.now.last == pytest.approx(0.8, abs=0.04)


def _pairs(block: bytes) -> list[bytes]:
    return [block[at : at + 2] for at in range(0, len(block), 2)]


async def test_without_an_engine_the_turn_is_shown_and_why_there_are_no_words(tmp_path: Path) -> None:
    write(tmp_path, logged())
    record(tmp_path, kind="mic", turn="t1", data=b"".join(SAID), at=102.3)
    ports, _ = ear(
        engine=FakeEar(error=EngineUnavailable("No ear is installed.", engine="x", hint="Install one."))
    )
    found = await replayed(tmp_path, ports)
    assert found.now.words is None
    assert "No ear is installed." in found.now.problem
    assert "No ear is installed." in shown(found, {})


async def test_nobody_spoke(tmp_path: Path) -> None:
    write(tmp_path, logged())
    record(tmp_path, kind="mic", turn="t1", data=b"".join([ROOM] * 400), at=102.3)
    ports, _ = ear()
    found = await replayed(tmp_path, ports)
    assert (found.now.why, found.now.words, found.now.problem) == ("no_speech", None, "Nobody spoke.")


async def test_without_a_recorded_microphone_the_way_to_one_is_told(tmp_path: Path) -> None:
    write(tmp_path, logged())
    record(tmp_path, kind="tts", turn="t1", data=LISTENING.silence(100), at=100.3)
    ports, _ = ear()
    with pytest.raises(InvalidRequest, match=r"microphone of turn t1 was not recorded.*VOICEMODE_SAVE_AUDIO"):
        await replayed(tmp_path, ports)
