"""Talking over a message: it pauses, ends or goes on; over fakes of the ports."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from tests.flows.world import REQUEST, LateEar, SlowEar, SteadyMicrophone, World, over
from tests.support.fakes import (
    ECHO,
    FOUND_OUT,
    MICROPHONE_BLOCK,
    ROOM,
    SPOKEN,
    WORD,
    FakeEar,
    FakeEcho,
    FakeLoudspeaker,
    FakeVoice,
    until,
)
from voicemode.errors import DeviceLost, EndpointUnreachable, VoiceModeError
from voicemode.events import InterruptionJudged, PlaybackPaused, PlaybackResumed, TurnFinished
from voicemode.flows.calls import Call
from voicemode.pcm import LISTENING, SPEECH
from voicemode.speech import Exchange, Outcome, Transcript, TranscriptionRequest
from voicemode.turn_taking.interruption import Verdict

pytestmark = pytest.mark.anyio

WORDS = 60
MESSAGE = " ".join(["word"] * WORDS) + "."
"""Six seconds."""
FRAME = 0.01
LIMIT_SECONDS = 20.0


def heard_by_the_microphone(*spans: tuple[float, bytes]) -> list[bytes]:
    return [block for seconds, kind in spans for block in [kind] * round(seconds / FRAME)]


def conversing(
    *spans: tuple[float, bytes],
    ear: FakeEar | None = None,
    error: VoiceModeError | None = None,
    barge_in: bool = True,
    echo: FakeEcho | None = None,
    speculative: bool = True,
    stop_ear: FakeEar | None = None,
) -> tuple[World, Call]:
    speaker = FakeLoudspeaker()
    microphone = SteadyMicrophone(heard_by_the_microphone(*spans), speaker, error=error)
    world = World(
        speaker=speaker,
        microphone=microphone,
        ear=ear or FakeEar("and another thing"),
        echo=echo or FakeEcho(),
        barge_in=barge_in,
        speculative=speculative,
    )
    world.ear_ports = replace(world.ear_ports, stop_ear=stop_ear)
    return world, world.conversation().converse(MESSAGE, REQUEST)


def verdicts(world: World) -> list[str]:
    return [event.verdict for event in world.watched.events if isinstance(event, InterruptionJudged)]


def assert_heard_in_full(world: World, exchange: Exchange) -> None:
    assert exchange.spoken.heard == MESSAGE
    assert world.speaker.words == list(range(1, WORDS + 1))
    assert world.speaker.speech_samples == WORDS * WORD


@pytest.mark.spec("LSN-55")
async def test_who_talks_over_us_silences_us_and_one_answer_tells_what_was_heard_and_what_they_said() -> None:
    world, call = conversing((2.0, ECHO), (1.0, SPOKEN), (9.0, ROOM))
    exchange = await over(call)
    assert exchange.outcome is Outcome.INTERRUPTED
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.CONFIRMED]
    assert exchange.transcript is not None
    assert exchange.transcript.text == "and another thing"
    assert f"{exchange.spoken.heard} {exchange.spoken.unheard}" == MESSAGE
    assert 0 < len(exchange.spoken.heard.split()) <= len(world.speaker.words) <= 27
    (asked,) = world.ear.asked
    lead, voice, tail = ROOM * 50, SPOKEN * 100, ROOM * 19
    assert asked.audio.data == lead + voice + tail
    finished = [event for event in world.watched.events if isinstance(event, TurnFinished)]
    assert [(event.outcome, event.heard) for event in finished] == [("interrupted", exchange.spoken.heard)]
    assert world.quiet


@pytest.mark.spec("LSN-51")
async def test_we_are_silent_within_350_milliseconds_of_the_first_voiced_sample() -> None:
    world, call = conversing((2.0, ECHO), (1.0, SPOKEN), (9.0, ROOM))
    await until(lambda: world.microphone.delivered >= 200)
    before = world.speaker.speech_samples
    await over(call)
    assert SPEECH.seconds(world.speaker.speech_samples - before) <= 0.35


@pytest.mark.spec("LSN-56")
@pytest.mark.parametrize("speculative", [True, False])
async def test_after_a_cough_we_go_on_with_the_next_sample(speculative: bool) -> None:
    world, call = conversing(
        (2.0, ECHO), (0.3, SPOKEN), (9.0, ECHO), ear=FakeEar(""), speculative=speculative
    )
    exchange = await over(call)
    assert exchange.outcome is Outcome.NO_SPEECH
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.FALSE]
    names = world.watched.names()
    assert names.count("PlaybackPaused") == names.count("PlaybackResumed") == 1
    paused = next(event for event in world.watched.events if isinstance(event, PlaybackPaused))
    resumed = next(event for event in world.watched.events if isinstance(event, PlaybackResumed))
    assert paused.position == resumed.position
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-53")
@pytest.mark.parametrize("text", ["Mhm.", "Yeah.", "Thank you.", "[Music]"])
async def test_assents_and_captions_of_a_cough_cost_a_pause_and_nothing_else(text: str) -> None:
    world, call = conversing((2.0, ECHO), (0.25, SPOKEN), (9.0, ECHO), ear=FakeEar(text))
    exchange = await over(call)
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.FALSE]
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-52")
async def test_a_short_word_that_is_no_assent_is_an_interruption_and_the_recogniser_is_asked_once() -> None:
    world, call = conversing((2.0, ECHO), (0.3, SPOKEN), (9.0, ROOM), ear=FakeEar("What?"))
    exchange = await over(call)
    assert exchange.outcome is Outcome.INTERRUPTED
    assert exchange.transcript is not None
    assert exchange.transcript.text == "What?"
    assert len(world.ear.asked) == 1


@pytest.mark.spec("LSN-52")
async def test_a_recogniser_that_finds_no_words_in_a_beginning_decides_nothing() -> None:
    world, call = conversing(
        (2.0, ECHO), (0.2, SPOKEN), (0.3, ROOM), (1.2, SPOKEN), (9.0, ROOM), ear=FakeEar("")
    )
    await over(call)
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.CONFIRMED]


@pytest.mark.spec("LSN-54", "LSN-48")
@pytest.mark.parametrize("speculative", [True, False])
async def test_a_stop_word_ends_the_turn_at_once(speculative: bool) -> None:
    """Also where nothing is transcribed ahead of time: it has to be known whether the user means us."""
    world, call = conversing(
        (2.0, ECHO), (0.3, SPOKEN), (9.0, ROOM), ear=FakeEar("Stop!"), speculative=speculative
    )
    exchange = await over(call)
    assert exchange.outcome is Outcome.INTERRUPTED
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.STOPPED]
    assert exchange.transcript is not None
    assert exchange.transcript.text == "Stop!"
    assert world.microphone.delivered <= 200 + 30 + 20 + 5
    assert world.quiet


class CommandEar(FakeEar):
    """Hears one text and is so sure of it."""

    def __init__(self, text: str, confidence: float) -> None:
        super().__init__(text)
        self.confidence = confidence

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        return replace(await super().transcribe(request), confidence=self.confidence, engine="command ear")


@pytest.mark.spec("LSN-54")
async def test_a_stop_word_acts_before_a_slow_recogniser_has_heard_it_and_the_result_says_so() -> None:
    slow = SlowEar()
    world, call = conversing(
        (2.0, ECHO), (0.3, SPOKEN), (9.0, ROOM), ear=slow, stop_ear=CommandEar("stop", 0.95)
    )
    exchange = await over(call)
    assert exchange.outcome is Outcome.INTERRUPTED
    assert exchange.transcript is not None
    assert (exchange.transcript.text, exchange.transcript.engine) == ("stop", "command ear")
    assert "asked for silence" in exchange.note
    assert slow.listening == 0
    assert world.quiet


@pytest.mark.spec("LSN-54")
@pytest.mark.parametrize(
    "stop_ear",
    [
        CommandEar("stop", 0.6),
        CommandEar("what", 0.95),
        CommandEar("", 0.95),
        FakeEar(error=EndpointUnreachable("No such thing.", engine="command ear")),
    ],
    ids=["unsure", "another word", "nothing", "failing"],
)
async def test_whoever_listens_for_stop_words_decides_nothing_else(stop_ear: FakeEar) -> None:
    _, call = conversing((2.0, ECHO), (0.3, SPOKEN), (9.0, ROOM), ear=FakeEar("What?"), stop_ear=stop_ear)
    exchange = await over(call)
    assert exchange.transcript is not None
    assert (exchange.transcript.text, exchange.transcript.engine) == ("What?", "fake ear")
    assert exchange.note == ""


async def answered_late(text: str) -> tuple[World, Exchange, int]:
    """Somebody says a word over us that the recogniser takes more than three seconds for; and how many of our words
    had sounded when it was known."""
    ear = LateEar(text)
    world, call = conversing((2.0, ECHO), (0.3, SPOKEN), (12.0, ECHO), ear=ear)
    await until(lambda: "PlaybackResumed" in world.watched.names())
    await until(lambda: len(world.speaker.words) >= 35)
    sounded = len(world.speaker.words)
    ear.answering.set()
    return world, await over(call), sounded


@pytest.mark.spec("LSN-94")
async def test_a_stop_word_that_is_understood_late_stops_us_and_the_result_says_so() -> None:
    world, exchange, sounded = await answered_late("Stop!")
    assert exchange.outcome is Outcome.INTERRUPTED
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.POSTPONED, Verdict.STOPPED]
    assert exchange.transcript is not None
    assert exchange.transcript.text == "Stop!"
    assert "asked for silence" in exchange.note
    assert "took long to understand" in exchange.note
    assert len(world.speaker.words) <= sounded + 3
    assert world.quiet


@pytest.mark.spec("LSN-94")
async def test_other_words_that_are_understood_late_are_the_answer() -> None:
    world, exchange, _ = await answered_late("What?")
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.POSTPONED, Verdict.CONFIRMED]
    assert exchange.transcript is not None
    assert exchange.transcript.text == "What?"
    assert exchange.note.startswith("What they said over the message took long")


@pytest.mark.spec("LSN-94")
async def test_an_assent_that_is_understood_late_changes_nothing() -> None:
    world, exchange, _ = await answered_late("Mhm.")
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.POSTPONED, Verdict.FALSE]
    assert exchange.note == ""
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-94")
async def test_what_is_not_understood_by_the_end_of_the_message_is_let_go() -> None:
    world, call = conversing((2.0, ECHO), (0.3, SPOKEN), (15.0, ECHO), ear=SlowEar())
    exchange = await over(call)
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.POSTPONED]
    assert exchange.outcome is Outcome.NO_SPEECH
    assert_heard_in_full(world, exchange)
    assert world.quiet


@pytest.mark.spec("LSN-57")
@pytest.mark.parametrize("case", ["not wanted", "no echo side"])
async def test_where_we_cannot_tell_a_voice_from_ours_nothing_interrupts_us(case: str) -> None:
    world, call = conversing((2.0, ECHO), (1.0, SPOKEN), (9.0, ROOM), barge_in=case != "not wanted")
    if case == "no echo side":
        await call.end()
        world, call = conversing((2.0, ECHO), (1.0, SPOKEN), (9.0, ROOM))
        await call.end()
        world.ear_ports = replace(world.ear_ports, open_echo=lambda: None)
        call = world.conversation().converse(MESSAGE, REQUEST)
        world.speaker.heard.clear()
    exchange = await over(call)
    assert verdicts(world) == []
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-57")
async def test_our_own_echo_interrupts_nothing() -> None:
    world, call = conversing((9.0, ECHO))
    exchange = await over(call)
    assert exchange.outcome is Outcome.NO_SPEECH
    assert verdicts(world) == []
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-99")
async def test_what_is_found_out_to_have_been_ours_pauses_nothing_and_is_not_the_users_word() -> None:
    early, late = (0.1, SPOKEN), (0.3, SPOKEN)
    world, call = conversing(
        (2.0, ECHO), early, (FRAME, FOUND_OUT), early, (1.0, ECHO), late, (FRAME, FOUND_OUT), (9.0, ECHO)
    )
    exchange = await over(call)
    assert exchange.outcome is Outcome.NO_SPEECH
    assert verdicts(world) == [Verdict.SUSPECTED, Verdict.FALSE]
    assert_heard_in_full(world, exchange)


@pytest.mark.spec("LSN-49")
async def test_the_echo_side_is_loaded_while_the_first_sound_is_on_its_way() -> None:
    voice = FakeVoice(gate=asyncio.Semaphore(0))
    world = World(voice=voice, barge_in=True)
    opened: list[FakeEcho] = []

    def open_echo() -> FakeEcho:
        opened.append(FakeEcho())
        return opened[-1]

    world.ear_ports = replace(world.ear_ports, open_echo=open_echo)
    call = world.conversation().converse("word.", REQUEST)
    await until(lambda: len(opened) == 1)
    assert not world.microphone.open
    assert world.speaker.speech_samples == 0
    voice.allow(1_000)
    await over(call)
    assert [echo.open for echo in opened] == [False]


@pytest.mark.spec("LSN-49")
async def test_cancelled_while_the_echo_side_is_loaded_nothing_stays_open() -> None:
    echo, loaded = FakeEcho(), threading.Event()

    def open_echo() -> FakeEcho:
        assert loaded.wait(LIMIT_SECONDS)
        return echo

    world = World(barge_in=True)
    world.ear_ports = replace(world.ear_ports, open_echo=open_echo)
    call = world.conversation().converse(MESSAGE, REQUEST)
    await until(lambda: world.speaker.open > 0)
    async with asyncio.timeout(LIMIT_SECONDS):
        await call.end()
    loaded.set()
    await until(lambda: not echo.open)
    assert world.quiet


@pytest.mark.spec("LSN-58")
async def test_who_begins_with_our_last_word_is_heard_from_their_first() -> None:
    world, call = conversing((5.85, ECHO), (1.0, SPOKEN), (9.0, ROOM))
    exchange = await over(call)
    assert exchange.outcome is Outcome.ANSWERED
    assert exchange.spoken.heard == MESSAGE
    assert world.ear.asked[-1].audio.data.count(SPOKEN[:2]) == 100 * MICROPHONE_BLOCK


@pytest.mark.spec("LSN-58")
async def test_a_microphone_that_goes_away_while_we_are_paused_leaves_us_speaking() -> None:
    lost = DeviceLost("The microphone went away.", hint="Plug it in again.")
    world, call = conversing((2.0, ECHO), (0.3, SPOKEN), error=lost)
    with pytest.raises(DeviceLost, match="The message itself was heard"):
        await over(call)
    assert verdicts(world) == [Verdict.SUSPECTED]
    assert world.speaker.words == list(range(1, WORDS + 1))
    assert world.quiet


@pytest.mark.spec("LSN-58", "LSN-29")
@pytest.mark.parametrize("verdict", [Verdict.SUSPECTED, Verdict.CONFIRMED])
async def test_cancelled_while_somebody_talks_over_us_everything_closes(verdict: Verdict) -> None:
    echo = FakeEcho()
    world, call = conversing((2.0, ECHO), (90.0, SPOKEN), echo=echo)
    await until(lambda: verdict in verdicts(world))
    async with asyncio.timeout(LIMIT_SECONDS):
        await call.end()
    assert world.quiet
    assert not echo.open
    kept = [recording for recording in world.shelf.recordings if recording.kind == "stt"]
    assert len(kept) == 1 or (verdict is Verdict.SUSPECTED and not kept)


@pytest.mark.spec("LSN-55")
async def test_words_that_could_not_be_transcribed_after_an_interruption_are_kept() -> None:
    failing = FakeEar(error=EndpointUnreachable("Nobody answers.", engine="ear:1"))
    world, call = conversing((2.0, ECHO), (1.0, SPOKEN), (9.0, ROOM), ear=failing)
    exchange = await over(call)
    assert exchange.outcome is Outcome.NOT_TRANSCRIBED
    assert exchange.spoken.unheard
    (recording,) = world.shelf.recordings
    assert recording.format == LISTENING
    assert exchange.recording == recording.path
