"""Transcription ahead of time, over fakes of the ports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.flows.world import RULES, World
from tests.support.fakes import ROOM, SPOKEN, FakeEar, until
from voicemode.errors import EndpointTimeout, EndpointUnreachable, EngineError
from voicemode.events import MicrophoneClosed, Transcribed, TranscriptionRequested, TurnEnded
from voicemode.flows.capturing import capture
from voicemode.flows.guessing import BETWEEN_SECONDS, EARLY_SILENCE, MOST_REQUESTS, Guess
from voicemode.flows.listening import Captured
from voicemode.flows.transcribing import Heard, guessing, transcribe
from voicemode.pcm import LISTENING, Frame
from voicemode.speech import Transcript, TranscriptionRequest
from voicemode.turn_taking.turn import TurnRules, Why

pytestmark = pytest.mark.anyio

LIMIT_SECONDS = 20.0
FRAME = 0.01


def spans(*seconds: float) -> list[bytes]:
    """Room and voice in turn, beginning with room."""
    kinds = (ROOM, SPOKEN)
    return [
        block for number, each in enumerate(seconds) for block in [kinds[number % 2]] * round(each / FRAME)
    ]


class ScriptedEar(FakeEar):
    """Answers each request as the script says, by its number; `slow` ones once they are let."""

    def __init__(self, answers: Sequence[str | EngineError], *, slow: bool = False, note: str = "") -> None:
        super().__init__()
        self.under_way = 0
        self.most_at_once = 0
        self.cancelled = 0
        self.let = asyncio.Event()
        self._answers = list(answers)
        self._slow = slow
        self._note = note

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        number = len(self.asked)
        self.asked.append(request)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await (self.let.wait() if self._slow else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        answer = self._answers[min(number, len(self._answers) - 1)]
        if isinstance(answer, EngineError):
            raise answer
        return Transcript(text=answer, engine=self.name, confidence=0.9, note=self._note)


async def turn(world: World, rules: TurnRules = RULES) -> tuple[Captured, Heard]:
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        guessing(world.ear_ports, turn="t1", language="en") as guess,
    ):
        captured = await capture(world.ear_ports, turn="t1", rules=rules, guess=guess)
        return captured, await transcribe(world.ear_ports, captured, turn="t1", language="en", guess=guess)


def text_of(heard: Heard) -> str:
    assert heard.transcript is not None
    return heard.transcript.text


@pytest.mark.spec("LSN-43")
async def test_at_a_short_silence_the_words_are_asked_for_and_are_there_when_the_turn_ends() -> None:
    ear = ScriptedEar(["all of it"])
    world = World(blocks=spans(0.4, 0.5, 2.0), ear=ear)
    captured, heard = await turn(world)
    assert text_of(heard) == "all of it"
    assert [request.audio for request in ear.asked] == [captured.audio]
    assert ear.asked[0].language == "en"
    names = [type(event) for event in world.watched.events]
    assert names[-4:] == [TranscriptionRequested, MicrophoneClosed, TurnEnded, Transcribed]
    requested = next(event for event in world.watched.events if isinstance(event, TranscriptionRequested))
    assert requested.speculative


@pytest.mark.spec("LSN-43")
async def test_the_request_leaves_with_the_first_frame_that_makes_the_short_silence() -> None:
    ear = ScriptedEar([""], slow=True)
    world = World(blocks=spans(0.4, 0.5, 9.0), ear=ear)
    turning = asyncio.create_task(turn(world))
    await until(lambda: bool(ear.asked))
    # One more block may be on its way when the recogniser's task begins.
    assert round((0.4 + 0.5 + EARLY_SILENCE) / FRAME) <= world.microphone.delivered <= 112
    ear.let.set()
    await turning


@pytest.mark.spec("LSN-44")
async def test_when_the_voice_goes_on_the_request_is_dropped_and_the_whole_is_asked_for() -> None:
    ear = ScriptedEar(["half", "all of it"], slow=True)
    world = World(blocks=spans(0.4, 0.5, 0.4, 0.5, 2.0), ear=ear)
    turning = asyncio.create_task(turn(world))
    await until(lambda: len(ear.asked) == 2)
    ear.let.set()
    captured, heard = await turning
    assert text_of(heard) == "all of it"
    assert (ear.cancelled, ear.most_at_once, len(ear.asked)) == (1, 1, 2)
    assert ear.asked[1].audio == captured.audio
    assert ear.asked[0].audio.seconds < ear.asked[1].audio.seconds


@pytest.mark.spec("LSN-44")
async def test_an_answer_to_half_of_it_is_not_taken_for_the_whole() -> None:
    ear = ScriptedEar(["half", "all of it"])
    _, heard = await turn(World(blocks=spans(0.4, 0.5, 0.4, 0.5, 2.0), ear=ear))
    assert text_of(heard) == "all of it"


@pytest.mark.spec("LSN-44")
async def test_a_blip_that_continues_no_turn_leaves_the_answer_as_it_is() -> None:
    ear = ScriptedEar(["all of it"])
    _, heard = await turn(World(blocks=spans(0.4, 0.5, 0.3, 0.02, 2.0), ear=ear))
    assert text_of(heard) == "all of it"
    assert len(ear.asked) == 1


def sound(number: int) -> Frame:
    return Frame(data=number.to_bytes(2, "little"), format=LISTENING)


@pytest.mark.spec("LSN-44")
async def test_requests_are_half_a_second_apart_and_so_many_at_most() -> None:
    began: list[float] = []
    now = 0.0

    async def ask(audio: Frame) -> Transcript:
        began.append(now)
        return Transcript(text="", engine="fake ear")

    async with asyncio.timeout(LIMIT_SECONDS), Guess(ask) as guess:
        for number in range(4_000):
            now = number * FRAME
            talking = number % 30 < 8
            guess.consider(
                lambda: sound(1), seconds=FRAME, silent=0.0 if talking else (number % 30 - 7) * FRAME
            )
            await asyncio.sleep(0)
    assert len(began) == MOST_REQUESTS
    apart = [later - earlier for earlier, later in pairwise(began)]
    assert min(apart) >= BETWEEN_SECONDS - FRAME


@pytest.mark.spec("LSN-44")
async def test_leaving_the_block_leaves_nothing_under_way() -> None:
    ear = ScriptedEar([""], slow=True)
    world = World(ear=ear)
    async with asyncio.timeout(LIMIT_SECONDS):
        async with guessing(world.ear_ports, turn="t1", language=None) as guess:
            guess.consider(lambda: sound(1), seconds=FRAME, silent=EARLY_SILENCE)
            await until(lambda: ear.under_way == 1)
            assert guess.asking
        assert (ear.under_way, ear.cancelled) == (0, 1)


@pytest.mark.spec("LSN-45")
async def test_a_recogniser_that_failed_ahead_of_time_is_asked_again_at_the_end() -> None:
    ear = ScriptedEar([EndpointUnreachable("Nobody answers.", engine="ear:1"), "all of it"])
    world = World(blocks=spans(0.4, 0.5, 2.0), ear=ear)
    captured, heard = await turn(world)
    assert (text_of(heard), heard.failure) == ("all of it", None)
    assert [request.audio for request in ear.asked] == [captured.audio] * 2
    asked = [event.speculative for event in world.watched.events if isinstance(event, TranscriptionRequested)]
    assert asked == [True, False]


@pytest.mark.spec("LSN-45")
async def test_a_slow_recogniser_is_waited_for_and_not_asked_twice() -> None:
    ear = ScriptedEar(["all of it"], slow=True)
    world = World(blocks=spans(0.4, 0.5, 2.0), ear=ear)
    turning = asyncio.create_task(turn(world))
    await until(lambda: TurnEnded in {type(event) for event in world.watched.events})
    ear.let.set()
    _, heard = await turning
    assert text_of(heard) == "all of it"
    assert len(ear.asked) == 1


@pytest.mark.spec("LSN-45", "LSN-28")
async def test_who_waited_in_vain_does_not_wait_for_a_second_request() -> None:
    late = EndpointTimeout("It sent no transcript within 14 s.", engine="ear:1")
    ear = ScriptedEar([late, "too late"], slow=True)
    world = World(blocks=spans(0.4, 0.5, 2.0), ear=ear)
    turning = asyncio.create_task(turn(world))
    await until(lambda: TurnEnded in {type(event) for event in world.watched.events})
    ear.let.set()
    captured, heard = await turning
    assert heard.failure is late
    assert len(ear.asked) == 1
    (recording,) = world.shelf.recordings
    assert captured.audio is not None
    assert bytes(recording.data) == captured.audio.data


@pytest.mark.spec("LSN-45", "LSN-29")
async def test_cancelled_while_it_waits_for_an_early_request_the_recording_is_kept() -> None:
    ear = ScriptedEar([""], slow=True)
    world = World(blocks=spans(0.4, 0.5, 2.0), ear=ear)
    turning = asyncio.create_task(turn(world))
    await until(lambda: TurnEnded in {type(event) for event in world.watched.events})
    turning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turning
    (recording,) = world.shelf.recordings
    assert bytes(recording.data) == ear.asked[0].audio.data
    assert (ear.under_way, ear.cancelled) == (0, 1)


PATIENT = TurnRules(silence=1.0, silence_least=0.6, silence_most=3.0, no_speech=2.0, maximum=20.0)


@pytest.mark.spec("LSN-46")
@pytest.mark.parametrize(
    ("text", "note", "silence"),
    [
        ("Run the tests.", "", 0.6),
        ("Run the tests and", "", 2.0),
        ("run the tests", "", 1.0),
        ("and.", "I am poor at dictation.", 1.0),
    ],
)
async def test_the_words_so_far_say_how_long_a_silence_ends_the_turn(
    text: str, note: str, silence: float
) -> None:
    world = World(blocks=spans(0.4, 0.5, 9.0), ear=ScriptedEar([text], note=note))
    captured, _ = await turn(world, PATIENT)
    assert captured.why is Why.SILENCE
    assert world.microphone.delivered == pytest.approx((0.4 + 0.5 + silence) / FRAME, abs=2)


@pytest.mark.spec("LSN-46")
async def test_a_pause_in_mid_thought_costs_no_word() -> None:
    world = World(
        blocks=spans(0.4, 0.5, 1.5, 0.5, 9.0), ear=ScriptedEar(["Run the tests and", "Run them, and stop."])
    )
    _, heard = await turn(world, PATIENT)
    assert text_of(heard) == "Run them, and stop."


@pytest.mark.spec("LSN-47")
async def test_a_caption_of_silence_is_no_answer_and_is_told() -> None:
    world = World(blocks=spans(0.4, 0.12, 2.0), ear=ScriptedEar(["Thank you for watching!"]))
    _, heard = await turn(world)
    assert heard.transcript is not None
    assert heard.transcript.text == ""
    assert "Thank you for watching!" in heard.transcript.note
    assert "0.1 s of voice" in heard.transcript.note


@pytest.mark.spec("LSN-47")
async def test_thanks_that_were_really_said_are_an_answer() -> None:
    _, heard = await turn(World(blocks=spans(0.4, 0.6, 2.0), ear=ScriptedEar(["Thank you."])))
    assert text_of(heard) == "Thank you."


@pytest.mark.spec("LSN-48")
async def test_where_it_is_not_wanted_nobody_is_asked_before_the_turn_ends() -> None:
    world = World(blocks=spans(0.4, 0.5, 0.3, 0.5, 2.0), ear=ScriptedEar(["all"]), speculative=False)
    _, heard = await turn(world)
    assert text_of(heard) == "all"
    names = [type(event) for event in world.watched.events]
    assert names[-3:] == [TurnEnded, TranscriptionRequested, Transcribed]
