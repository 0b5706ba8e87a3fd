"""What happens in a turn is told as events of that turn: trouble with its reason, and who acted on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from tests.flows.world import REQUEST, SlowEar, World, over
from tests.support.fakes import ROOM, SPOKEN, WORD, FakeEar, FakeLoudspeaker, FakeVoice, until
from voicemode.engines.first import FirstSpeech, FirstTranscription
from voicemode.errors import EndpointUnreachable, EngineError, EngineUnavailable
from voicemode.events import (
    AudioSaved,
    ControlAsked,
    EndpointFailed,
    EndpointRetried,
    Event,
    FirstByte,
    FloorAwaited,
    MicrophoneClosed,
    MicrophoneOpened,
    SinkMissing,
    Transcribed,
    TranscriptionDropped,
    TranscriptionRequested,
    TurnEnded,
    TurnFailed,
    TurnFinished,
    Warned,
)
from voicemode.flows.calls import Call
from voicemode.flows.conversation import Conversation
from voicemode.flows.telling import telling
from voicemode.flows.transcribing import guessing
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import SttEngine, TtsEngine
from voicemode.sound.chimes import ChimeRules
from voicemode.speech import EncodedAudio, Outcome, SpeechRequest, Transcript, TranscriptionRequest, Trouble

pytestmark = pytest.mark.anyio

TEXT = "one two three four five six."


def dead(name: str) -> EngineError:
    return EndpointUnreachable(f"{name} cannot be reached.", engine=name, hint=f"Start {name}.")


class OneBadPiece(FakeVoice):
    """Cannot be reached for what begins with a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def synthesize(self, request: SpeechRequest) -> AbstractAsyncContextManager[EncodedAudio]:  # type: ignore[override]
        bad = FakeVoice(error=dead("first"))
        return bad.synthesize(request) if request.text.startswith(self._word) else super().synthesize(request)


def told(world: World, kind: type[Event]) -> list[Event]:
    return [event for event in world.watched.events if isinstance(event, kind)]


def speaking_with(world: World, *voices: TtsEngine) -> Conversation:
    world.mouth_ports = replace(world.mouth_ports, engine=FirstSpeech(voices))
    return world.conversation()


def hearing_with(world: World, *ears: SttEngine) -> Conversation:
    world.ear_ports = replace(world.ear_ports, engine=FirstTranscription(ears))
    return world.conversation()


def controls(world: World, call: Call) -> list[tuple[str, str]]:
    return [(each.action, each.other) for each in world.of(call.handle) if isinstance(each, ControlAsked)]


@pytest.mark.spec("EVT-13")
async def test_an_engine_that_gives_up_is_told_with_the_turn_and_the_piece_that_it_failed() -> None:
    world = World()
    conversation = speaking_with(world, OneBadPiece("Three"), FakeVoice())
    call = conversation.speak(f"{'One two ' * 20}end.\n\nThree four.", REQUEST)
    await over(call)
    failed = [event for event in world.watched.events if isinstance(event, EndpointFailed)]
    assert [(event.turn, event.piece) for event in failed] == [(call.handle, 1)]
    assert (failed[0].code, failed[0].next) == ("unreachable", "fake voice")
    assert "Start first" in failed[0].reason


@pytest.mark.spec("EVT-13")
async def test_a_recogniser_that_gives_up_is_told_with_its_turn() -> None:
    world = World(speculative=False)
    conversation = hearing_with(world, FakeEar(error=dead("ear")), FakeEar())
    call = conversation.listen()
    assert (await over(call)).transcript is not None
    assert [(event.turn, event.piece, event.next) for event in told(world, EndpointFailed)] == [  # type: ignore[attr-defined]
        (call.handle, None, "fake ear")
    ]


@pytest.mark.spec("EVT-13")
def test_an_engine_that_is_asked_again_and_one_that_gives_up_are_told_from_each_other() -> None:
    events: list[Event] = []
    tell = telling(events.append, turn="t", piece=2)
    tell(Trouble(engine="e", code="refused", reason="busy", after=0.25))
    tell(Trouble(engine="e", code="refused", reason="busy", following="e"))
    again, failed = events
    assert isinstance(again, EndpointRetried)
    assert (again.turn, again.piece, again.engine, again.after) == ("t", 2, "e", 0.25)
    assert isinstance(failed, EndpointFailed)
    assert (failed.turn, failed.piece, failed.next) == ("t", 2, "e")


@pytest.mark.spec("EVT-13")
async def test_the_listener_for_stop_words_fails_aloud() -> None:
    world = World(ear=FakeEar("wait."), barge_in=True)
    broken = FakeEar(error=EngineUnavailable("No model.", engine="ear", hint="Install one."))
    world.ear_ports = replace(world.ear_ports, stop_ear=broken)
    sound = Frame(data=SPOKEN * 50, format=LISTENING)
    async with guessing(world.ear_ports, turn="t", language=None) as guess:
        guess.consider(lambda: sound, seconds=1.0, silent=0.5, needed=True)
        await until(lambda: guess.transcript is not None)
    (failed,) = told(world, EndpointFailed)
    assert isinstance(failed, EndpointFailed)
    assert (failed.turn, failed.code, failed.piece) == ("t", "engine_unavailable", None)


@pytest.mark.spec("EVT-13")
async def test_the_microphone_closes_before_the_turn_ends_and_what_is_kept_is_told() -> None:
    world = World(keep_recording=True)
    world.mouth_ports = replace(world.mouth_ports, keep_recording=True)
    call = world.conversation().converse("well?", REQUEST)
    await over(call)
    kinds = [type(event) for event in world.of(call.handle)]
    assert kinds.index(MicrophoneOpened) < kinds.index(MicrophoneClosed) < kinds.index(TurnEnded)
    saved = [event for event in world.of(call.handle) if isinstance(event, AudioSaved)]
    assert [(event.kind, event.path) for event in saved] == [
        (kind, f"/recordings/{call.handle}_{kind}.wav") for kind in ("tts", "stt")
    ]


@pytest.mark.spec("EVT-13")
async def test_a_loudspeaker_that_is_missing_is_told_with_the_way_out() -> None:
    world = World(speaker=FakeLoudspeaker(missing=True))
    call = world.conversation().speak(TEXT, REQUEST)
    await over(call)
    (missing,) = told(world, SinkMissing)
    assert isinstance(missing, SinkMissing)
    assert (missing.turn, missing.code) == (call.handle, "no_device")
    assert "Plug one in" in missing.reason


@pytest.mark.spec("EVT-13")
async def test_what_a_recogniser_makes_of_silence_is_told_with_the_reason_why_it_is_no_answer() -> None:
    blocks = [*[ROOM] * 40, *[SPOKEN] * 30, *[ROOM] * 80]
    world = World(blocks=blocks, ear=FakeEar("Thanks for watching!"), speculative=False)
    await over(world.conversation().listen())
    (words,) = told(world, Transcribed)
    assert isinstance(words, Transcribed)
    assert (words.text, "Thanks for watching!" in words.note) == ("", True)


@pytest.mark.spec("EVT-13")
async def test_a_transcription_that_is_of_no_use_any_more_is_told() -> None:
    world = World(ear=SlowEar())
    call = world.conversation().listen()
    await until(lambda: bool(told(world, TranscriptionRequested)))
    await call.end()
    assert len(told(world, TranscriptionDropped)) == len(told(world, TranscriptionRequested))


@pytest.mark.spec("EVT-14")
async def test_who_has_the_floor_is_told_to_whoever_waits_and_to_nobody_else() -> None:
    world = World()
    conversation = world.conversation()
    first, second = (conversation.speak(TEXT, REQUEST) for _ in range(2))
    await over(second)
    (waited,) = told(world, FloorAwaited)
    assert isinstance(waited, FloorAwaited)
    assert (waited.turn, waited.holder) == (second.handle, "speak")
    assert first.over


@pytest.mark.spec("EVT-14")
@pytest.mark.parametrize("action", ["stop", "skip", "cancel", "close", "pause_limit"])
async def test_who_ends_a_call_is_told(action: str) -> None:
    world = World(voice=FakeVoice(gate=asyncio.Semaphore(3), chunk_bytes=2 * WORD))
    conversation = Conversation(
        mouth=world.mouth_ports,
        ear=world.ear_ports,
        floor=world.floor,
        emit=world.watched,
        longest_pause=0.01,
    )
    call = conversation.speak(TEXT, REQUEST)
    await until(lambda: bool(call.status().heard))
    ends: dict[str, Callable[[], object]] = {
        "stop": conversation.stop,
        "skip": conversation.skip,
        "cancel": call.end,
        "close": conversation.close,
        "pause_limit": conversation.pause,
    }
    ending = ends[action]()
    if asyncio.iscoroutine(ending):
        await ending
    await over(call)
    expected = [("pause", ""), ("pause_limit", "")] if action == "pause_limit" else [(action, "")]
    assert controls(world, call) == expected
    await call.end()
    await conversation.close()
    assert controls(world, call) == expected


@pytest.mark.spec("EVT-14")
async def test_pause_resume_replay_and_replace_are_told() -> None:
    world = World(voice=FakeVoice(gate=asyncio.Semaphore(3), chunk_bytes=2 * WORD))
    conversation = world.conversation()
    call = conversation.speak(TEXT, REQUEST)
    await until(lambda: bool(call.status().heard))
    conversation.pause()
    conversation.resume()
    world.voice.allow(100)
    await over(call)
    assert controls(world, call) == [("pause", ""), ("resume", "")]
    again = conversation.replay()
    instead = conversation.replace("something else.", REQUEST)
    await over(instead)
    assert controls(world, again) == [("replay", call.handle), ("replace", instead.handle)]
    assert controls(world, instead) == []


class Mistaken(FakeEar):
    """Fails as nobody foresaw."""

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        raise ZeroDivisionError("of nothing")


@pytest.mark.spec("EVT-13")
async def test_a_mistake_of_our_own_is_told_as_one_and_not_as_a_cancellation() -> None:
    world = World(ear=Mistaken(), speculative=False)
    call = world.conversation().listen()
    with pytest.raises(ZeroDivisionError):
        await over(call)
    ends = [event for event in world.of(call.handle) if isinstance(event, TurnFailed | TurnFinished)]
    assert [(type(event), getattr(event, "code", "")) for event in ends] == [(TurnFailed, "mistake")]
    assert isinstance(ends[0], TurnFailed)
    assert ends[0].reason == "ZeroDivisionError: of nothing"


@pytest.mark.spec("EVT-13")
async def test_a_chime_that_cannot_be_played_is_told_beside_the_turn() -> None:
    world = World(speaker=FakeLoudspeaker(missing=True))
    call = world.conversation(chimes=ChimeRules()).listen()
    assert (await over(call)).outcome is Outcome.ANSWERED
    warnings = [event.what for event in world.watched.events if isinstance(event, Warned)]
    assert len(warnings) == 2
    assert all("There is no loudspeaker" in warning for warning in warnings)


class FromDisk(FakeVoice):
    """What a store of phrases gives."""

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with super().synthesize(request) as audio:
            yield replace(audio, kept=True)


@pytest.mark.spec("EVT-13")
@pytest.mark.parametrize(("voice", "kept"), [(FromDisk(), True), (FakeVoice(), False)])
async def test_a_phrase_that_comes_from_this_machine_is_told_from_one_that_was_made(
    voice: FakeVoice, kept: bool
) -> None:
    world = World(voice=voice)
    await over(world.conversation().speak(TEXT, REQUEST))
    assert [event.kept for event in world.watched.events if isinstance(event, FirstByte)] == [kept]
