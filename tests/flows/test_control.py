"""What can be done to calls while they go on: pause, resume, skip, and say again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.flows.world import LIMIT_SECONDS, REQUEST, World, over
from tests.support.fakes import ROOM, WORD, FakeVoice, until
from voicemode.errors import InvalidRequest, StreamBroken
from voicemode.events import FloorTaken, PlaybackPaused, PlaybackResumed
from voicemode.flows.calls import Call
from voicemode.flows.conversation import REMEMBERED, Conversation
from voicemode.flows.exchanges import LISTENER
from voicemode.speech import Outcome, SpeechRequest

pytestmark = pytest.mark.anyio

WORDS = 30
TEXT = " ".join(["word"] * WORDS) + "."


def starved(words: int = 20) -> FakeVoice:
    """A voice that gives some words and then keeps one waiting."""
    return FakeVoice(gate=asyncio.Semaphore(words), chunk_bytes=2 * WORD)


async def speaking(conversation: Conversation, text: str = TEXT) -> Call:
    call = conversation.speak(text, REQUEST)
    await until(lambda: len(call.status().heard.split()) >= 3)
    return call


async def paused(conversation: Conversation) -> Call:
    call = await speaking(conversation)
    assert conversation.pause() is call
    return call


def pulled(world: World, blocks: int = 20) -> asyncio.Task[None]:
    """Done when the loudspeaker has taken so many blocks more."""
    enough = len(world.speaker.heard) + blocks * 480
    return asyncio.create_task(until(lambda: len(world.speaker.heard) >= enough))


@pytest.mark.spec("CNV-18")
async def test_a_paused_message_is_silent_and_goes_on_at_the_next_sample() -> None:
    world = World()
    conversation = world.conversation()
    call = await paused(conversation)
    await pulled(world, 2)
    before = world.speaker.speech_samples
    await pulled(world)
    assert world.speaker.speech_samples == before
    assert call.status().state == "paused"
    assert conversation.resume() is call
    assert (await over(call)).outcome is Outcome.FINISHED
    assert world.speaker.words == list(range(1, WORDS + 1))
    assert world.speaker.speech_samples == WORDS * WORD
    told = [type(event) for event in world.of(call.handle)]
    assert told.index(PlaybackPaused) < told.index(PlaybackResumed)


@pytest.mark.spec("CNV-18")
async def test_a_message_can_be_paused_twice_and_before_its_first_sound() -> None:
    world = World(voice=starved(0))
    conversation = world.conversation()
    call = conversation.speak(TEXT, REQUEST)
    await until(lambda: call.status().state == "starting")
    for _ in range(2):
        conversation.pause(call.handle)
    world.voice.allow(WORDS)
    await pulled(world)
    assert world.speaker.speech_samples == 0
    conversation.resume(call.handle)
    assert (await over(call)).spoken.heard == TEXT


@pytest.mark.spec("CNV-18")
async def test_what_waits_behind_a_paused_message_stays_silent() -> None:
    world = World()
    conversation = world.conversation()
    call = await paused(conversation)
    behind = conversation.speak("and then.", REQUEST)
    await pulled(world)
    assert behind.status().state == "waiting"
    conversation.resume()
    assert (await over(behind)).outcome is Outcome.FINISHED
    assert call.over


@pytest.mark.spec("CNV-18")
async def test_a_question_that_was_paused_is_answered_all_the_same() -> None:
    world = World()
    conversation = world.conversation()
    call = conversation.converse(TEXT, REQUEST)
    await until(lambda: call.status().state == "speaking")
    conversation.pause()
    await pulled(world)
    assert call.status().state == "paused"
    conversation.resume()
    exchange = await over(call)
    assert (exchange.outcome, exchange.spoken.heard) == (Outcome.ANSWERED, TEXT)


@pytest.mark.spec("CNV-18")
async def test_a_voice_that_was_none_does_not_resume_what_the_caller_has_paused() -> None:
    world = World()
    conversation = world.conversation()
    call = await paused(conversation)
    assert call.utterance is not None
    call.utterance.playback.pause(LISTENER)
    call.utterance.playback.resume(LISTENER)
    await pulled(world)
    assert call.status().state == "paused"
    conversation.resume()
    assert (await over(call)).spoken.heard == TEXT


@pytest.mark.spec("CNV-19")
async def test_only_what_sounds_can_be_paused_and_only_what_is_paused_resumed() -> None:
    world = World(blocks=[ROOM] * 10)
    conversation = world.conversation()
    with pytest.raises(InvalidRequest, match="nothing is sounding"):
        conversation.pause()
    call = conversation.converse("are you there?", REQUEST)
    waiting = conversation.speak(TEXT, REQUEST)
    await until(lambda: call.status().state == "listening")
    for each, state in ((call, "listening"), (waiting, "waiting")):
        with pytest.raises(
            InvalidRequest, match=f"{each.handle} is {state}; only a message that is sounding"
        ):
            conversation.pause(each.handle)
        with pytest.raises(InvalidRequest, match=f"{each.handle} is {state}, not paused") as refused:
            conversation.resume(each.handle)
        assert "replay" not in str(refused.value)
    await conversation.stop()
    with pytest.raises(InvalidRequest, match=r"is cancelled, not paused.*Action replay"):
        conversation.resume(call.handle)
    with pytest.raises(InvalidRequest, match=f"{call.handle} is cancelled"):
        conversation.pause(call.handle)
    only = conversation.listen()
    await until(lambda: only.status().state == "listening")
    with pytest.raises(InvalidRequest, match="is listening"):
        conversation.pause()
    await conversation.close()


class TailedVoice(FakeVoice):
    """As loud as real voices are, and ends like them in a quarter of a second of silence."""

    async def _chunks(self, sound: bytes) -> AsyncIterator[bytes]:
        async for chunk in super()._chunks(b"\x00\x20" * (len(sound) // 2) + bytes(5 * WORD)):
            yield chunk


@pytest.mark.spec("CNV-19")
async def test_a_question_whose_last_word_has_been_heard_is_not_paused_and_keeps_no_answer_waiting() -> None:
    world = World(voice=TailedVoice())
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    assert call.utterance is not None
    playback = call.utterance.playback
    await until(lambda: call.utterance is not None and call.utterance.given_out)
    assert not playback.over
    with pytest.raises(InvalidRequest, match=r"has just been said; only|is listening; only"):
        conversation.pause()
    assert (await over(call)).outcome is Outcome.ANSWERED


@pytest.mark.spec("CNV-19")
async def test_a_pause_that_comes_when_only_silence_is_left_ends_by_itself() -> None:
    voice = TailedVoice(gate=asyncio.Semaphore(4), chunk_bytes=2 * WORD)
    world = World(voice=voice)
    conversation = world.conversation()
    call = conversation.converse("are you there?", REQUEST)
    await until(lambda: call.utterance is not None and call.utterance.playback.given > 3 * WORD)
    conversation.pause()
    assert call.status().state == "paused"
    voice.allow(10)
    assert (await over(call)).outcome is Outcome.ANSWERED


@pytest.mark.spec("CNV-20")
async def test_a_message_that_is_paused_for_too_long_is_stopped_with_the_reason_and_the_next_begins() -> None:
    world = World()
    conversation = world.conversation()
    conversation._longest_pause = 0.1
    call = await paused(conversation)
    behind = conversation.speak("and then.", REQUEST)
    exchange = await over(call)
    assert exchange.outcome is Outcome.CANCELLED
    assert "paused for 0.1 s and then stopped" in exchange.note
    assert exchange.spoken.heard
    assert f"{exchange.spoken.heard} {exchange.spoken.unheard}" == TEXT
    assert (await over(behind)).outcome is Outcome.FINISHED


@pytest.mark.spec("CNV-20")
async def test_a_pause_that_is_over_stops_nothing() -> None:
    conversation, other = World().conversation(), World().conversation()
    conversation._longest_pause = other._longest_pause = 0.1
    call = await paused(conversation)
    conversation.resume()
    conversation._longest_pause = LIMIT_SECONDS
    conversation.pause()
    assert (
        await over(await paused(other))
    ).outcome is Outcome.CANCELLED  # A limit that began later has passed.
    assert call.status().state == "paused"
    conversation.resume()
    exchange = await over(call)
    assert (exchange.outcome, exchange.note) == (Outcome.FINISHED, "")


@pytest.mark.spec("CNV-24")
async def test_a_call_that_failed_or_broke_off_says_why_for_as_long_as_it_is_remembered() -> None:
    error = StreamBroken("The sound broke off.", engine="fake voice", hint="Look at its log.")
    for fail_after in (0, 5):
        world = World(voice=FakeVoice(error=error, fail_after=fail_after, chunk_bytes=2 * WORD))
        call = world.conversation().speak(TEXT, REQUEST)
        await until(lambda: call.over)  # noqa: B023  (awaited at once)
        now = call.status()
        assert now.state == ("broken" if fail_after else "failed")
        assert str(error) in now.note
        assert bool(now.heard) == bool(fail_after)


@pytest.mark.spec("CNV-21")
@pytest.mark.parametrize("first_pause", [False, True])
async def test_skipping_ends_what_sounds_and_the_next_begins(first_pause: bool) -> None:
    world = World(voice=starved(45))
    conversation = world.conversation()
    call = await (paused if first_pause else speaking)(conversation)
    second, third = conversation.speak("and then.", REQUEST), conversation.speak("the end.", REQUEST)
    assert await conversation.skip() is call
    assert (await over(call)).outcome is Outcome.CANCELLED
    assert (await over(third)).outcome is Outcome.FINISHED
    assert (await over(second)).outcome is Outcome.FINISHED
    taken = [event.turn for event in world.watched.events if isinstance(event, FloorTaken)]
    assert taken == [call.handle, second.handle, third.handle]
    with pytest.raises(InvalidRequest, match="nothing is sounding"):
        await conversation.skip()


@pytest.mark.spec("CNV-21")
async def test_what_waits_can_be_skipped_by_its_handle() -> None:
    world = World()
    conversation = world.conversation()
    call = await speaking(conversation)
    waiting = conversation.speak("never mind.", REQUEST)
    assert await conversation.skip(waiting.handle) is waiting
    assert (await over(call)).outcome is Outcome.FINISHED
    assert "never mind." not in [request.text for request in world.voice.asked]


@pytest.mark.spec("CNV-22")
async def test_a_message_is_said_again_as_it_was_and_nobody_is_asked_to_answer() -> None:
    world = World()
    conversation = world.conversation()
    request = SpeechRequest(text="", voice="nova", speed=1.5, instructions="gently")
    first = conversation.converse("are you *there*?", request)
    await over(first)
    await over(conversation.speak("something else.", REQUEST))
    opened = world.microphone.opened
    again = conversation.replay(first.handle)
    exchange = await over(again)
    assert again.handle != first.handle
    assert (exchange.outcome, exchange.spoken.heard) == (Outcome.FINISHED, "are you there?")
    assert world.voice.asked[-1] == world.voice.asked[0]
    assert world.microphone.opened == opened


@pytest.mark.spec("CNV-22")
async def test_without_a_handle_the_last_message_that_was_begun_is_said_again() -> None:
    world = World(voice=starved(45))
    conversation = world.conversation()
    await over(conversation.speak("all well.", REQUEST))
    await over(conversation.listen())
    assert (await over(conversation.replay())).spoken.heard == "all well."
    call = await speaking(conversation)
    conversation.speak("not yet begun.", REQUEST)
    again = conversation.replay()
    assert again.message == call.message
    await conversation.close()


@pytest.mark.spec("CNV-22")
async def test_a_message_that_was_written_while_it_was_spoken_is_said_again() -> None:
    async def written() -> AsyncIterator[str]:
        yield "One two. "
        yield "Three four."

    conversation = World().conversation()
    await over(conversation.speak(written(), REQUEST))
    assert (await over(conversation.replay())).spoken.heard == "One two. Three four."


@pytest.mark.spec("CNV-22")
async def test_where_nothing_was_said_nothing_can_be_said_again() -> None:
    conversation = World().conversation()
    with pytest.raises(InvalidRequest, match="Nothing has been said yet"):
        conversation.replay()
    call = conversation.listen()
    await over(call)
    with pytest.raises(InvalidRequest, match=f"{call.handle} only listened"):
        conversation.replay(call.handle)


@pytest.mark.spec("CNV-15")
async def test_an_answer_that_nobody_has_fetched_is_remembered_longer_than_what_came_later() -> None:
    conversation = World().conversation()
    kept = conversation.converse("are you there?", REQUEST)
    kept.pending = True
    await over(kept)
    for number in range(REMEMBERED + 5):
        await over(conversation.speak(f"call {number}.", REQUEST))
    assert conversation.call(kept.handle) is kept
    assert len(conversation.calls()) <= REMEMBERED + 1
    assert "converse with this handle" in kept.status().note


@pytest.mark.spec("CNV-23")
@pytest.mark.parametrize("pending", [False, True])
async def test_what_is_said_while_nobody_waits_for_the_answer_is_kept_as_a_recording_too(
    pending: bool,
) -> None:
    world = World()
    call = world.conversation().converse("are you there?", REQUEST)
    call.pending = pending
    exchange = await over(call)
    assert exchange.outcome is Outcome.ANSWERED
    assert [recording.kind for recording in world.shelf.recordings] == ["stt"] * pending
    assert bool(exchange.recording) == pending
