"""Turns: speaking, listening and both, one at a time, over fakes of the ports."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.flows.world import ANSWER, REQUEST, RULES, SlowEar, World, over
from tests.support.fakes import (
    DEAD,
    ROOM,
    SPOKEN,
    WORD,
    FakeEar,
    FakeLoudspeaker,
    FakeVoice,
    until,
)
from voicemode.errors import (
    Busy,
    EndpointUnreachable,
    EngineUnavailable,
    InvalidRequest,
    MicrophoneSilent,
    StreamBroken,
)
from voicemode.events import (
    AudioSaved,
    ControlAsked,
    FloorTaken,
    MicrophoneMoved,
    PlaybackEnded,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    VoiceStarted,
)
from voicemode.flows.calls import Call
from voicemode.flows.conversation import LONGEST_QUEUE, REMEMBERED, Conversation
from voicemode.pcm import PcmFormat
from voicemode.ports import Lost, Pull, Sink, Vad
from voicemode.sound.chimes import ChimeRules
from voicemode.speech import EncodedAudio, Moved, Outcome, SpeechRequest, Timings

pytestmark = pytest.mark.anyio

LONG = " ".join(["word"] * 60) + "."
LIMIT_SECONDS = 20.0


def starved(words: int = 20) -> FakeVoice:
    """A voice that gives some words and then keeps one waiting: a call that speaks for as long as the test wants."""
    return FakeVoice(gate=asyncio.Semaphore(words), chunk_bytes=2 * WORD)


ENDLESS = replace(RULES, no_speech=100_000, maximum=100_000)


def at(state: str, call: Call) -> Callable[[], bool]:
    return lambda: call.status().state == state


class LateVoice(FakeVoice):
    """Gives its first sound when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_begin = asyncio.Event()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with super().synthesize(request) as audio:
            await self.may_begin.wait()
            yield audio


class CountingLoudspeaker(FakeLoudspeaker):
    """Knows how many sounds there ever were at once."""

    most = 0

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        async with super().__call__(format, pull, lost) as sink:
            self.most = max(self.most, self.open)
            yield sink


async def assert_usable(world: World, conversation: Conversation) -> None:
    """Nothing is open, nothing is remembered of what is over, and the next call works."""
    assert world.quiet
    assert conversation._turns == {}
    conversation._mouth = replace(conversation._mouth, engine=FakeVoice())
    spoken = await over(conversation.speak("all well.", REQUEST))
    assert (spoken.outcome, spoken.spoken.heard) == (Outcome.FINISHED, "all well.")
    assert world.quiet


# In order.


@pytest.mark.spec("CNV-1")
async def test_two_hundred_calls_at_once_are_heard_in_order_or_refused_with_a_reason() -> None:
    world = World(speaker=CountingLoudspeaker())
    conversation = world.conversation()
    taken: list[Call] = []
    refused: list[Busy] = []
    for number in range(200):
        try:
            taken.append(conversation.speak(f"call {number}.", REQUEST))
        except Busy as error:
            refused.append(error)
    assert (len(taken), len(refused)) == (LONGEST_QUEUE, 200 - LONGEST_QUEUE)
    assert all(error.retryable and "Wait until some have been heard" in str(error) for error in refused)
    for call in taken:
        assert (await over(call)).outcome is Outcome.FINISHED
    assert [request.text for request in world.voice.asked] == [f"call {n}." for n in range(LONGEST_QUEUE)]
    assert isinstance(world.speaker, CountingLoudspeaker)
    assert world.speaker.most == 1
    assert {event.turn for event in world.watched.events} == {call.handle for call in taken}
    holding = [event for event in world.watched.events if isinstance(event, FloorTaken | PlaybackEnded)]
    expected = [(kind, call.handle) for call in taken for kind in (FloorTaken, PlaybackEnded)]
    assert [(type(event), event.turn) for event in holding] == expected
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-2")
async def test_speaking_and_listening_are_told_as_events_in_order_with_timings_that_add_up() -> None:
    world = World()
    call = world.conversation().converse("are you there?", REQUEST, language="en")
    exchange = await over(call)
    assert exchange.outcome is Outcome.ANSWERED
    assert exchange.transcript is not None
    assert (exchange.spoken.heard, exchange.transcript.text) == ("are you there?", "yes")
    names = world.watched.names()
    order = [
        "TurnStarted",
        "FloorTaken",
        "SpeechRequested",
        "FirstByte",
        "SpeechReceived",
        "MicrophoneOpened",
        "PlaybackEnded",
        "TranscriptionRequested",
        "Transcribed",
        "TurnFinished",
    ]
    assert [name for name in names if name in order] == order
    assert names.index("VoiceStarted") < names.index("TranscriptionRequested") < names.index("TurnEnded")
    assert names.index("TurnEnded") < names.index("Transcribed")
    times = exchange.timings
    assert times.playback is not None
    parts = [times.ttfa, times.generation, times.listening, times.transcription]
    assert all(part is not None and part >= 0 for part in parts)
    assert times.total is not None
    assert times.generation is not None
    assert times.transcription is not None
    assert times.total >= times.generation + times.transcription
    assert call.timings() == times


@pytest.mark.spec("CNV-3")
async def test_the_microphone_is_open_before_the_last_sound_has_died_away() -> None:
    world = World(blocks=[*[SPOKEN] * 60, *[ROOM] * 90])
    exchange = await over(world.conversation().converse("are you there?", REQUEST))
    names = world.watched.names()
    assert names.index("MicrophoneOpened") < names.index("PlaybackEnded")
    assert exchange.outcome is Outcome.ANSWERED


@pytest.mark.spec("LSN-96")
@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(ROOM, DEAD, True), (ROOM, ROOM, False), (DEAD, DEAD, False)],
    ids=["unplugged", "silent", "a microphone that gives zeros wherever nobody speaks"],
)
async def test_a_microphone_that_gives_nothing_any_more_in_mid_answer_is_told(
    before: bytes, after: bytes, told: bool
) -> None:
    world = World(blocks=[*[before] * 30, *[SPOKEN] * 60, *[after] * 200], ear=FakeEar("and then we"))
    exchange = await over(world.conversation().listen())
    assert exchange.outcome is Outcome.ANSWERED
    assert ("unplugged" in exchange.note) is told


class Elsewhere:
    """A `Whereabouts` that knows since the look number `after` that the microphone is another."""

    def __init__(self, after: int) -> None:
        self.looks = 0
        self.waited = 0
        self._after = after

    @property
    def moved(self) -> Moved | None:
        known = self.looks >= self._after
        return Moved(before="Yeti", after="Webcam", hint="Connect it again.") if known else None

    def look(self) -> None:
        self.looks += 1

    async def looked(self) -> None:
        self.waited += 1
        self.looks += 1


@pytest.mark.spec("LSN-98")
@pytest.mark.parametrize(
    ("blocks", "ear", "outcome", "waited"),
    [
        ([*[ROOM] * 30, *[SPOKEN] * 60, *[ROOM] * 200], FakeEar("and then we"), Outcome.ANSWERED, 0),
        ([*[ROOM] * 30, *[SPOKEN] * 60, *[ROOM] * 200], FakeEar(""), Outcome.NO_SPEECH, 0),
        (
            [*[ROOM] * 30, *[SPOKEN] * 60, *[ROOM] * 200],
            FakeEar(error=EndpointUnreachable("It is down.", engine="ear")),
            Outcome.NOT_TRANSCRIBED,
            0,
        ),
        ([ROOM] * 400, FakeEar(), Outcome.NO_SPEECH, 1),
    ],
    ids=["an answer", "no words", "no recogniser", "nobody"],
)
async def test_a_microphone_that_became_another_is_told_however_the_turn_ends(
    blocks: list[bytes], ear: FakeEar, outcome: Outcome, waited: int
) -> None:
    world, where = World(blocks=blocks, ear=ear), Elsewhere(after=1)
    world.ear_ports = replace(world.ear_ports, whereabouts=where)
    exchange = await over(world.conversation().listen())
    assert exchange.outcome is outcome
    assert "from 'Yeti' to 'Webcam'" in exchange.note
    assert exchange.note.endswith("Connect it again.")
    assert (where.looks, where.waited) == (1, waited)
    told = [event for event in world.watched.events if isinstance(event, MicrophoneMoved)]
    assert [(event.before, event.after) for event in told] == [("Yeti", "Webcam")]


@pytest.mark.spec("LSN-98")
async def test_it_is_asked_at_each_short_silence_and_never_waited_for_behind_an_answer() -> None:
    blocks = [*[ROOM] * 30, *[SPOKEN] * 60, *[ROOM] * 30, *[SPOKEN] * 60, *[ROOM] * 200]
    world, where = World(blocks=blocks, ear=FakeEar("and then we")), Elsewhere(after=9)
    world.ear_ports = replace(world.ear_ports, whereabouts=where)
    exchange = await over(world.conversation().listen())
    assert (where.looks, where.waited) == (2, 0)
    assert "microphone" not in exchange.note


@pytest.mark.spec("LSN-96")
@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([*[ROOM] * 30, *[DEAD] * 400], True),
        ([ROOM] * 400, False),
        ([*[DEAD] * 30, *[ROOM] * 10, *[DEAD] * 400], False),
    ],
    ids=["muted", "silent", "a microphone that gives zeros wherever nobody speaks"],
)
async def test_a_microphone_that_gives_nothing_any_more_before_anybody_has_spoken_is_told(
    blocks: list[bytes], *, told: bool
) -> None:
    exchange = await over(World(blocks=blocks).conversation().converse("are you there?", REQUEST))
    assert exchange.outcome is Outcome.NO_SPEECH
    assert ("they may have spoken" in exchange.note) is told


@pytest.mark.spec("CNV-4")
async def test_speaking_alone_never_opens_the_microphone() -> None:
    world = World()
    exchange = await over(world.conversation().speak("no answer needed.", REQUEST))
    assert (exchange.outcome, exchange.transcript) == (Outcome.FINISHED, None)
    assert world.microphone.opened == 0


# How a turn can end.


@pytest.mark.spec("CNV-5")
@pytest.mark.parametrize(
    ("world", "outcome"),
    [
        (lambda: World(), Outcome.ANSWERED),
        (lambda: World(blocks=[]), Outcome.NO_SPEECH),
        (lambda: World(blocks=[*[ROOM] * 40, *[SPOKEN] * 900]), Outcome.TIMED_OUT),
        (lambda: World(ear=FakeEar(" ")), Outcome.NO_SPEECH),
        (lambda: World(ear=FakeEar(error=_unreachable())), Outcome.NOT_TRANSCRIBED),
    ],
    ids=["answered", "nobody", "maximum", "no words", "no recogniser"],
)
@pytest.mark.parametrize("message", ["are you there?", ""], ids=["converse", "listen"])
async def test_every_end_of_a_turn_has_an_outcome_of_its_own(
    world: Callable[[], World], outcome: Outcome, message: str
) -> None:
    made = world()
    conversation = made.conversation()
    call = conversation.converse(message, REQUEST) if message else conversation.listen()
    exchange = await over(call)
    assert exchange.outcome is outcome
    assert exchange.spoken.heard == message
    assert call.status().state == outcome
    finished = [event for event in made.of(call.handle) if isinstance(event, TurnFinished)]
    assert [(event.outcome, event.heard, event.unheard) for event in finished] == [(outcome, message, "")]
    await assert_usable(made, conversation)


def _unreachable() -> EndpointUnreachable:
    return EndpointUnreachable("Nobody answers at ear:1.", engine="ear:1", hint="Start it.")


@pytest.mark.spec("CNV-5", "LSN-24")
async def test_without_speech_no_recogniser_is_asked() -> None:
    world = World(blocks=[])
    await over(world.conversation().listen())
    assert world.ear.asked == []


@pytest.mark.spec("LSN-25")
async def test_what_was_said_up_to_the_maximum_is_transcribed_all_the_same() -> None:
    world = World(blocks=[*[ROOM] * 40, *[SPOKEN] * 900])
    exchange = await over(world.conversation().listen(max_listen=1.0))
    assert exchange.outcome is Outcome.TIMED_OUT
    assert exchange.transcript is not None
    (asked,) = world.ear.asked
    assert asked.audio.seconds == pytest.approx(1.0 - 0.4 + 0.3)


@pytest.mark.spec("LSN-25", "CNV-5")
async def test_who_had_ended_long_before_the_maximum_was_not_still_speaking_there() -> None:
    world = World(blocks=ANSWER + [ROOM] * 400, rules=replace(RULES, silence=None))
    exchange = await over(world.conversation().listen())
    assert exchange.outcome is Outcome.ANSWERED


@pytest.mark.spec("LSN-28")
async def test_an_answer_that_could_not_be_transcribed_names_the_recording_and_the_reason() -> None:
    world = World(ear=FakeEar(error=_unreachable()))
    exchange = await over(world.conversation().listen())
    (recording,) = world.shelf.recordings
    assert exchange.recording == recording.path
    assert exchange.note == "Nobody answers at ear:1. Start it."


@pytest.mark.spec("CNV-6", "LSN-65")
async def test_a_detector_that_cannot_be_loaded_is_told_with_the_message_that_was_heard() -> None:
    def missing() -> Vad:
        raise EngineUnavailable("There is no detector.", engine="silero", hint="Install it.")

    world = World()
    world.ear_ports = replace(world.ear_ports, open_vad=missing)
    with pytest.raises(EngineUnavailable, match=r"Install it\. The message itself was heard\."):
        await over(world.conversation().converse("are you there?", REQUEST))
    assert world.quiet


@pytest.mark.spec("CNV-6")
async def test_a_failure_is_raised_told_as_an_event_and_the_next_call_works() -> None:
    world = World(blocks=[DEAD] * 400)
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    with pytest.raises(MicrophoneSilent):
        await over(call)
    assert call.status().state == "failed"
    failed = [event for event in world.of(call.handle) if isinstance(event, TurnFailed)]
    assert [event.code for event in failed] == ["microphone_silent"]
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-7")
async def test_a_message_that_broke_off_asks_for_no_answer() -> None:
    broken = StreamBroken("server:1 broke off.", engine="server:1")
    world = World(voice=FakeVoice(error=broken, fail_after=4, chunk_bytes=2 * WORD))
    conversation = world.conversation()
    exchange = await over(conversation.converse("one two three four five six seven.", REQUEST))
    assert exchange.outcome is Outcome.BROKEN
    assert world.microphone.opened == 0
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-7")
async def test_a_message_that_nobody_could_hear_asks_for_no_answer() -> None:
    world = World(speaker=FakeLoudspeaker(missing=True))
    exchange = await over(world.conversation().converse("are you there?", REQUEST))
    assert exchange.outcome is Outcome.NOT_PLAYED
    assert exchange.spoken.unheard == "are you there?"
    assert world.microphone.opened == 0


# Stopping.


@pytest.mark.spec("CNV-8")
async def test_stopping_what_sounds_tells_what_was_heard_and_the_next_one_moves_up() -> None:
    world = World(voice=starved(40))
    conversation = world.conversation()
    first, second = conversation.speak(LONG, REQUEST), conversation.speak("and then.", REQUEST)
    await until(lambda: len(first.status().heard.split()) >= 5)
    conversation._mouth = replace(conversation._mouth, engine=FakeVoice())
    assert await conversation.stop(first.handle) == [first]
    exchange = await over(first)
    assert exchange.outcome is Outcome.CANCELLED
    assert len(exchange.spoken.heard.split()) >= 5
    assert f"{exchange.spoken.heard} {exchange.spoken.unheard}" == LONG
    assert not second.over
    await second.end()
    assert world.quiet


@pytest.mark.spec("CNV-8")
async def test_a_call_stopped_while_it_waits_never_sounds() -> None:
    world = World(voice=starved(2))
    conversation = world.conversation()
    calls = [conversation.speak(f"call {number} of these.", REQUEST) for number in range(3)]
    await until(at("speaking", calls[0]))
    await conversation.stop(calls[1].handle)
    assert (await over(calls[1])).outcome is Outcome.CANCELLED
    assert [call.over for call in calls] == [False, True, False]
    await conversation.stop()
    assert [request.text for request in world.voice.asked] == ["call 0 of these."]
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-9")
async def test_stopping_all_lets_none_move_up() -> None:
    world = World(voice=starved(2))
    conversation = world.conversation()
    calls = [conversation.speak(f"call {number} of these.", REQUEST) for number in range(10)]
    await until(at("speaking", calls[0]))
    assert await conversation.stop() == calls
    taken = [event.turn for event in world.watched.events if isinstance(event, FloorTaken)]
    assert taken == [calls[0].handle]
    assert {call.status().state for call in calls} == {Outcome.CANCELLED}
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-10")
@pytest.mark.parametrize("state", ["waiting", "starting", "speaking", "paused", "listening", "transcribing"])
@pytest.mark.parametrize("how", ["end", "stop", "close", "leave"])
async def test_whatever_a_call_is_doing_its_end_leaves_everything_closed(state: str, how: str) -> None:
    voice = {"starting": starved(0), "speaking": starved(), "paused": starved()}.get(state)
    ear = SlowEar() if state == "transcribing" else None
    blocks = [ROOM] * 10 if state == "listening" else ANSWER
    rules = ENDLESS if state == "listening" else RULES
    world = World(voice=voice, ear=ear, blocks=blocks, rules=rules)
    conversation = world.conversation(chimes=ChimeRules())
    if state == "waiting":
        conversation._mouth = replace(conversation._mouth, engine=starved())
        before = conversation.speak(LONG, REQUEST)
        await until(at("speaking", before))
    # Before it is listened to, all of a message has to be pulled, block by block.
    message = "are you there?" if state in ("listening", "transcribing") else LONG
    call = conversation.converse(message, REQUEST)
    if state == "paused":
        await until(lambda: bool(call.status().heard))
        conversation.pause()
    await until(at(state, call))
    await until(lambda: state != "speaking" or bool(call.status().heard))
    async with asyncio.timeout(LIMIT_SECONDS):
        if how == "end":
            await call.end()
        elif how == "stop":
            await conversation.stop(call.handle)
        elif how == "close":
            await conversation.close()
        else:
            async with call:
                pass
    assert call.over
    assert (await over(call)).outcome is Outcome.CANCELLED
    ends = [event for event in world.of(call.handle) if isinstance(event, TurnFinished)]
    assert [event.outcome for event in ends] == [Outcome.CANCELLED]
    assert f"{ends[0].heard} {ends[0].unheard}".strip() == message
    assert bool(ends[0].heard) == (state in ("speaking", "paused", "listening", "transcribing"))
    assert [recording.kind for recording in world.shelf.recordings] == ["stt"] * (state == "transcribing")
    if state in ("waiting", "starting", "speaking", "paused"):
        assert world.microphone.opened == 0
    await conversation.close()
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-10")
async def test_a_chime_that_still_sounds_ends_with_its_call() -> None:
    ear = SlowEar()
    world = World(ear=ear)
    call = world.conversation(chimes=ChimeRules()).converse("are you there?", REQUEST)
    await until(lambda: ear.listening == 1 and world.speaker.open == 1)
    await call.end()
    assert world.quiet


@pytest.mark.spec("CNV-10")
async def test_closing_lets_none_of_the_waiting_calls_begin() -> None:
    world = World(voice=starved())
    conversation = world.conversation()
    calls = [conversation.speak(LONG, REQUEST) for _ in range(10)]
    await until(at("speaking", calls[0]))
    async with asyncio.timeout(LIMIT_SECONDS):
        await conversation.close()
    taken = [event.turn for event in world.watched.events if isinstance(event, FloorTaken)]
    assert taken == [calls[0].handle]
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-10")
async def test_a_call_that_is_ended_before_it_could_begin_has_an_end_in_the_log() -> None:
    world = World()
    conversation = world.conversation()
    call = conversation.speak("never mind.", REQUEST)
    await call.end()
    assert [type(event) for event in world.of(call.handle)] == [TurnStarted, ControlAsked, TurnFinished]
    assert (await over(call)).outcome is Outcome.CANCELLED
    await assert_usable(world, conversation)


@pytest.mark.spec("CNV-11")
async def test_who_waits_for_a_call_that_another_ended_gets_an_answer() -> None:
    world = World(blocks=[], rules=ENDLESS)
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    waiting = [asyncio.create_task(over(call)), asyncio.create_task(over(call))]
    await until(at("listening", call))
    await conversation.stop()
    for waiter in waiting:
        exchange = await waiter
        assert (exchange.outcome, exchange.spoken.heard) == (Outcome.CANCELLED, "are you there?")


@pytest.mark.spec("CNV-25")
@pytest.mark.parametrize("state", ["listening", "transcribing"])
async def test_a_call_that_is_ended_in_mid_answer_names_what_was_said_until_then(state: str) -> None:
    ear = SlowEar()
    blocks = ANSWER if state == "transcribing" else [*[ROOM] * 40, *[SPOKEN] * 100_000]
    world = World(blocks=blocks, ear=ear, rules=RULES if state == "transcribing" else ENDLESS)
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    waiting = asyncio.create_task(over(call))
    await until(at(state, call))
    await until(lambda: any(isinstance(event, VoiceStarted) for event in world.of(call.handle)))
    await conversation.stop()
    exchange = await waiting
    (recording,) = world.shelf.recordings
    assert (exchange.outcome, exchange.recording) == (Outcome.CANCELLED, recording.path)
    assert str(recording.path) in exchange.note
    assert str(recording.path) in call.status().note
    saved = [event.path for event in world.watched.events if isinstance(event, AudioSaved)]
    assert saved == [str(recording.path)]


@pytest.mark.spec("CNV-25")
async def test_a_process_that_ends_in_mid_answer_tells_the_log_where_that_is() -> None:
    world = World(blocks=[*[ROOM] * 40, *[SPOKEN] * 100_000], rules=ENDLESS)
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    await until(lambda: any(isinstance(event, VoiceStarted) for event in world.of(call.handle)))
    await conversation.close()
    (saved,) = [event for event in world.watched.events if isinstance(event, AudioSaved)]
    assert saved.path == str(world.shelf.recordings[0].path)


@pytest.mark.spec("CNV-11")
async def test_who_waits_for_the_start_of_a_call_that_another_ended_is_told_that_it_is_over() -> None:
    world = World(voice=starved(0))
    conversation = world.conversation()
    call = conversation.speak("are you there?", REQUEST)
    waiting = asyncio.create_task(call.until_started())
    await until(at("starting", call))
    await conversation.stop()
    async with asyncio.timeout(LIMIT_SECONDS):
        await waiting
    assert call.over


@pytest.mark.spec("CNV-12")
async def test_giving_up_the_wait_does_not_end_the_call() -> None:
    world = World(voice=starved())
    conversation = world.conversation()
    call = conversation.speak(LONG, REQUEST)
    waiting = asyncio.create_task(call.result())
    await until(at("speaking", call))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not call.over
    await conversation.close()
    assert world.quiet


@pytest.mark.spec("CNV-13")
async def test_replacing_silences_all_that_sounds_or_waits_and_then_speaks() -> None:
    world = World(voice=starved(8))
    conversation = world.conversation()
    before = [conversation.speak(LONG, REQUEST) for _ in range(LONGEST_QUEUE)]
    await until(at("speaking", before[0]))
    conversation._mouth = replace(conversation._mouth, engine=FakeVoice())
    async with asyncio.timeout(LIMIT_SECONDS):
        call = conversation.replace("something else.", REQUEST)
        await over(call)
    assert {each.status().state for each in before} == {Outcome.CANCELLED}
    assert (await over(call)).spoken.heard == "something else."
    taken = [event.turn for event in world.watched.events if isinstance(event, FloorTaken)]
    assert taken == [before[0].handle, call.handle]
    assert conversation._turns == {}


@pytest.mark.spec("CNV-13")
async def test_a_message_that_cannot_be_said_replaces_nothing() -> None:
    world = World(voice=starved())
    conversation = world.conversation()
    call = conversation.speak(LONG, REQUEST)
    await until(at("speaking", call))
    with pytest.raises(InvalidRequest, match="empty"):
        conversation.replace("", REQUEST)
    assert call.status().state == "speaking"
    await conversation.close()


@pytest.mark.spec("CNV-13")
async def test_a_message_that_no_engine_can_say_replaces_nothing_and_fails_at_once() -> None:
    world = World(voice=starved())
    conversation = world.conversation()
    speaking, waiting = conversation.speak(LONG, REQUEST), conversation.speak("and then.", REQUEST)
    await until(at("speaking", speaking))
    unknown = EndpointUnreachable("Nobody answers at server:1.", engine="fake voice", hint="Start it.")
    conversation._mouth = replace(conversation._mouth, engine=FakeVoice(error=unknown))
    call = conversation.replace("something else.", REQUEST)
    with pytest.raises(EndpointUnreachable):
        await over(call)
    assert (speaking.status().state, waiting.status().state) == ("speaking", "waiting")
    (end,) = [event for event in world.of(call.handle) if isinstance(event, TurnFailed | TurnFinished)]
    assert isinstance(end, TurnFailed)
    assert call.status().note == str(unknown)
    world.voice.allow(80)
    assert (await over(waiting)).outcome is Outcome.FINISHED
    assert world.quiet


@pytest.mark.spec("CNV-13")
@pytest.mark.parametrize("stop_all", [False, True])
async def test_a_replacing_message_that_is_stopped_before_its_first_sound_replaces_nothing(
    stop_all: bool,
) -> None:
    world = World(voice=starved())
    conversation = world.conversation()
    speaking = conversation.speak(LONG, REQUEST)
    await until(at("speaking", speaking))
    late = LateVoice()
    conversation._mouth = replace(conversation._mouth, engine=late)
    call = conversation.replace("something else.", REQUEST)
    await until(lambda: bool(late.asked))
    assert (speaking.status().state, call.status().state) == ("speaking", "waiting")
    await conversation.stop(None if stop_all else call.handle)
    assert (await over(call)).outcome is Outcome.CANCELLED
    assert speaking.over == stop_all
    await conversation.close()
    assert world.quiet


@pytest.mark.spec("CNV-13")
async def test_what_is_replaced_sounds_until_the_first_sound_is_there_and_no_piece_is_asked_for_twice() -> (
    None
):
    world = World()
    conversation = world.conversation()
    speaking = conversation.speak(" ".join([LONG] * 50), REQUEST)
    await until(at("speaking", speaking))
    late = LateVoice()
    conversation._mouth = replace(conversation._mouth, engine=late)
    call = conversation.replace("something else.", REQUEST)
    later = conversation.speak("and then.", REQUEST)
    await until(lambda: bool(late.asked))
    heard = world.speaker.speech_samples
    await until(lambda: world.speaker.speech_samples > heard + WORD)
    late.may_begin.set()
    assert (await over(call)).outcome is Outcome.FINISHED
    assert (await over(later)).outcome is Outcome.FINISHED
    assert [request.text for request in late.asked] == ["something else.", "and then."]
    assert (await over(speaking)).outcome is Outcome.CANCELLED


# What is refused.


@pytest.mark.spec("CNV-14")
@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0, 0.0, 0.4, 601.0, 1e308])
async def test_a_limit_that_makes_no_sense_is_refused_before_anything_happens(seconds: float) -> None:
    world = World()
    conversation = world.conversation()
    with pytest.raises(InvalidRequest, match=r"between 0\.5 and 600"):
        conversation.listen(max_listen=seconds)
    with pytest.raises(InvalidRequest, match=r"between 0\.5 and 600"):
        conversation.converse("are you there?", REQUEST, max_listen=seconds)
    assert world.watched.events == []
    assert conversation.calls() == []


@pytest.mark.spec("CNV-14")
async def test_a_handle_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    world = World()
    conversation = world.conversation()
    call = conversation.speak("hello there.", REQUEST)
    with pytest.raises(InvalidRequest, match=call.handle):
        await conversation.stop("nonsense")
    assert (await over(call)).outcome is Outcome.FINISHED


@pytest.mark.spec("CNV-15")
async def test_only_the_last_calls_are_remembered_and_nothing_else_of_them() -> None:
    world = World()
    conversation = world.conversation()
    for number in range(REMEMBERED + 10):
        last = conversation.speak(f"call {number}.", REQUEST)
        await over(last)
    assert len(conversation.calls()) <= REMEMBERED + 1
    assert conversation.calls()[-1] is last
    assert conversation._turns == {}


# Chimes.


@pytest.mark.spec("CNV-16")
async def test_chimes_say_your_turn_after_the_words_and_i_have_it_after_the_answer() -> None:
    silent, chiming = World(), World(speaker=CountingLoudspeaker())
    await over(silent.conversation().converse("are you there?", REQUEST))
    conversation = chiming.conversation(chimes=ChimeRules())
    exchange = await over(conversation.converse("are you there?", REQUEST))
    assert exchange.outcome is Outcome.ANSWERED
    assert exchange.spoken.heard == "are you there?"
    await until(lambda: chiming.speaker.open == 0)
    assert chiming.speaker.opened == silent.speaker.opened + 1
    assert chiming.speaker.speech_samples > silent.speaker.speech_samples
    await assert_usable(chiming, conversation)


@pytest.mark.spec("CNV-16")
async def test_the_last_chime_of_a_turn_never_sounds_into_the_next_one() -> None:
    speaker = CountingLoudspeaker()
    world = World(speaker=speaker)
    conversation = world.conversation(chimes=ChimeRules())
    calls = [conversation.converse("are you there?", REQUEST) for _ in range(4)]
    for call in calls:
        assert (await over(call)).outcome is Outcome.ANSWERED
    await until(lambda: speaker.open == 0)
    assert (speaker.most, speaker.opened) == (1, 8)


@pytest.mark.spec("CNV-16")
async def test_a_chime_that_cannot_be_played_is_left_out() -> None:
    world = World(speaker=FakeLoudspeaker(missing=True))
    exchange = await over(world.conversation(chimes=ChimeRules()).listen())
    assert exchange.outcome is Outcome.ANSWERED


@pytest.mark.spec("CNV-17")
async def test_what_a_call_is_doing_can_be_asked_at_any_time() -> None:
    ear = SlowEar()
    gate = asyncio.Semaphore(0)
    world = World(voice=FakeVoice(gate=gate, chunk_bytes=2 * WORD), ear=ear)
    conversation = world.conversation()
    first = conversation.converse("one two three four.", REQUEST)
    second = conversation.listen()
    assert first.timings() == Timings(total=0.0)
    seen = []
    for state in ("starting", "speaking", "listening", "transcribing"):
        await until(at(state, first))
        seen.append(second.status().state)
        for _ in range({"starting": 3, "speaking": 1}.get(state, 0)):
            gate.release()
    assert seen == ["waiting"] * 4
    await first.end()
    await until(at("transcribing", second))
    await conversation.close()
    assert [call.status().state for call in (first, second)] == [Outcome.CANCELLED] * 2
    assert world.quiet
