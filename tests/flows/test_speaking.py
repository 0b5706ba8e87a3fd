"""From text to heard sound, over fakes of the ports."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.support.fakes import WORD, FakeLoudspeaker, FakeVoice, Shelf, Watched, open_passing, until
from voicemode import clock
from voicemode.errors import EndpointUnreachable, InvalidRequest, NoDevice, StreamBroken
from voicemode.events import FirstAudio, PlaybackEnded, SpeechBroken, TurnStarted
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playout.links import Links
from voicemode.playout.playback import State
from voicemode.ports import Lost, Pull, Sink
from voicemode.speech import EncodedAudio, Outcome, SpeechRequest, Spoken, WordBegins

pytestmark = pytest.mark.anyio

REQUEST = SpeechRequest(text="")
SENTENCES = (
    "One two three four. Five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
)


class World:
    """Everything that an utterance touches."""

    def __init__(self, voice: FakeVoice | None = None, speaker: FakeLoudspeaker | None = None) -> None:
        self.voice = voice or FakeVoice()
        self.speaker = speaker or FakeLoudspeaker()
        self.shelf = Shelf()
        self.watched = Watched()
        self.fill = 0.15

    def ports(self, **changes: object) -> SpeakingPorts:
        values: dict[str, object] = {
            "engine": self.voice,
            "open_decoder": open_passing,
            "open_sink": self.speaker,
            "begin_recording": self.shelf,
            "emit": self.watched,
            "links": Links(fill_seconds=self.fill, limit_seconds=2.0),
        }
        return SpeakingPorts(**{**values, **changes})  # type: ignore[arg-type]

    def say(self, text: str | AsyncIterator[str], **changes: object) -> Utterance:
        return Utterance(self.ports(**changes), text, REQUEST, turn="t1")


async def finished(utterance: Utterance) -> Spoken:
    async with asyncio.timeout(20):
        return await utterance.run()


class Ending(FakeVoice):
    """Half a second of voice and half a second of silence."""

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with super().synthesize(request) as audio:
            sound = bytes((0, 32)) * 12_000 + bytes(24_000)

            async def chunks() -> AsyncIterator[bytes]:
                yield sound

            yield replace(audio, chunks=chunks())


@pytest.mark.spec("LSN-42")
async def test_a_message_is_silent_once_its_last_audible_sample_is_heard_whatever_follows() -> None:
    world = World(Ending())
    chime = Frame(data=bytes((0, 32)) * 2_400, format=SPEECH)
    utterance = Utterance(world.ports(), "Yes.", REQUEST, turn="t1", chime=chime)
    speaking = asyncio.create_task(finished(utterance))
    seen: list[tuple[float, bool]] = []

    def silent() -> bool:
        seen.append((SPEECH.seconds(utterance.playback.heard), utterance.silent))
        return utterance.silent

    await until(silent)
    assert not utterance.said
    assert 0.5 <= seen[-1][0] <= 0.9
    assert all(heard < 0.52 for heard, quiet in seen if not quiet)
    await speaking
    assert utterance.said


@pytest.mark.spec("SPK-1")
async def test_every_sample_is_heard_once_and_in_order() -> None:
    world = World()
    spoken = await finished(world.say("alpha beta gamma."))
    assert spoken.outcome is Outcome.FINISHED
    assert (spoken.heard, spoken.unheard) == ("alpha beta gamma.", "")
    assert world.speaker.words == [1, 2, 3]
    assert world.speaker.speech_samples == 3 * WORD


@pytest.mark.spec("SPK-2")
async def test_sentences_are_asked_for_one_after_another_and_the_first_is_short() -> None:
    world = World()
    spoken = await finished(world.say(SENTENCES))
    assert [request.text for request in world.voice.asked] == [
        "One two three four.",
        "Five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen.",
    ]
    assert spoken.heard == SENTENCES


@pytest.mark.spec("SPK-3")
async def test_text_that_is_still_being_written_is_spoken_from_its_first_sentence_on() -> None:
    world = World()
    more = asyncio.Event()

    async def writing() -> AsyncIterator[str]:
        yield "This is the first sentence. And the sec"
        await more.wait()
        yield "ond one is late."

    utterance = world.say(writing())
    running = asyncio.create_task(finished(utterance))
    async with asyncio.timeout(10):
        await utterance.started.wait()
    assert [request.text for request in world.voice.asked] == ["This is the first sentence."]
    more.set()
    spoken = await running
    assert spoken.heard == "This is the first sentence. And the second one is late."


@pytest.mark.spec("SPK-4")
async def test_decoded_sound_held_never_exceeds_the_limit() -> None:
    world = World(voice=FakeVoice(chunk_bytes=100_000))
    most = 0

    utterance = world.say(" ".join(["word"] * 40) + ".", limit_seconds=0.5)
    write = utterance.playback.write

    def measured(frame: Frame) -> None:
        nonlocal most
        write(frame)
        most = max(most, utterance.playback.buffered)

    utterance.playback.write = measured  # type: ignore[method-assign]
    await finished(utterance)
    assert 0 < most <= SPEECH.samples(0.5) + SPEECH.samples(0.1)


@pytest.mark.spec("SPK-5")
async def test_cancelling_is_silence_and_closes_what_was_open() -> None:
    world = World()
    utterance = world.say(" ".join(["word"] * 60) + ".")
    running = asyncio.create_task(utterance.run())
    async with asyncio.timeout(10):
        await utterance.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.speaker.open == 0
    assert world.voice.open == 0
    assert all(sink.aborted for sink in world.speaker.sinks)
    ended = [event for event in world.watched.events if isinstance(event, PlaybackEnded)]
    assert [event.outcome for event in ended] == ["cut"]


@pytest.mark.spec("SPK-6")
async def test_stopping_tells_what_was_heard_and_what_was_not() -> None:
    world = World()
    utterance = world.say(" ".join(f"w{number}" for number in range(60)) + ".")
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.heard >= 5 * WORD)
    utterance.stop()
    spoken = await running
    assert spoken.outcome is Outcome.CANCELLED
    heard, unheard = spoken.heard.split(), spoken.unheard.split()
    assert heard + unheard == [f"w{number}" for number in range(59)] + ["w59."]
    assert heard
    assert len(heard) <= len(set(world.speaker.words)) + 1


class TimedVoice(FakeVoice):
    """Tells when its words begin."""

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        begins = [match.start() for match in re.finditer(r"\S+", request.text)]
        words = [WordBegins(at=SPEECH.seconds(at * WORD), character=place) for at, place in enumerate(begins)]
        async with super().synthesize(request) as audio:
            yield replace(audio, words=lambda: words)


@pytest.mark.spec("SPK-34")
async def test_of_a_voice_that_tells_when_words_begin_exactly_those_that_have_ended_were_heard() -> None:
    text = "a b c d e f incomprehensibilities g h i j extraordinarily k l m n o p q r s t u v w x y z."
    world = World(voice=TimedVoice())
    utterance = world.say(text)
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.heard >= 9 * WORD)
    utterance.stop()
    spoken = await running
    assert spoken.heard.split() == text.split()[: utterance.playback.heard // WORD]


@pytest.mark.spec("SPK-6")
@pytest.mark.parametrize("let_through", [0, 2])
async def test_a_message_that_is_stopped_while_its_stream_is_stuck_is_not_told_as_finished(
    let_through: int,
) -> None:
    world = World(voice=FakeVoice(gate=asyncio.Semaphore(let_through), chunk_bytes=2 * WORD))
    world.fill = 0.0
    utterance = world.say("alpha beta gamma delta.")
    running = asyncio.create_task(finished(utterance))
    awaited, playback = State.REBUFFERING if let_through else State.FILLING, utterance.playback
    await until(
        lambda: world.voice.open > 0 and playback.state is awaited and playback.heard == playback.written
    )
    utterance.stop()
    spoken = await running
    assert spoken.outcome is Outcome.CANCELLED
    assert spoken.unheard.endswith("delta.")


class SlowToClose(FakeLoudspeaker):
    """Is not closed before `may_close`."""

    may_close: Callable[[], bool]

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        async with super().__call__(format, pull, lost) as sink:
            try:
                yield sink
            finally:
                await until(self.may_close)


@pytest.mark.spec("SPK-6")
async def test_what_comes_while_a_stopped_loudspeaker_closes_was_not_heard() -> None:
    speaker = SlowToClose()
    world = World(speaker=speaker)
    utterance = world.say(" ".join(f"w{number:02}" for number in range(60)) + ".", limit_seconds=0.5)
    speaker.may_close = utterance.ending.is_set
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.heard >= 5 * WORD)
    utterance.stop()
    spoken = await running
    assert 0 < len(spoken.heard.split()) <= len(set(speaker.words)) + 1
    assert spoken.outcome is Outcome.CANCELLED


@pytest.mark.spec("SPK-6")
async def test_the_rest_that_comes_while_a_stopped_loudspeaker_closes_finishes_no_message() -> None:
    speaker, gate = SlowToClose(), asyncio.Semaphore(2)
    world = World(speaker=speaker, voice=FakeVoice(gate=gate, chunk_bytes=2 * WORD))
    world.fill = 0.0
    utterance = world.say("alpha beta gamma delta.")
    speaker.may_close = utterance.ending.is_set
    running = asyncio.create_task(finished(utterance))
    playback = utterance.playback
    await until(lambda: playback.state is State.REBUFFERING and playback.heard == playback.written)
    utterance.stop()
    for _ in range(4):
        gate.release()
    assert (await running).outcome is Outcome.CANCELLED


@pytest.mark.spec("SPK-7")
async def test_an_engine_that_fails_before_any_sound_is_an_error_and_nothing_is_left_open() -> None:
    error = EndpointUnreachable("Nobody answers at server:1.", engine="server:1", hint="Start it.")
    world = World(voice=FakeVoice(error=error))
    with pytest.raises(EndpointUnreachable, match="Start it"):
        await finished(world.say("alpha beta gamma."))
    assert world.speaker.open == 0
    assert world.speaker.speech_samples == 0


@pytest.mark.spec("SPK-8")
async def test_a_stream_that_breaks_off_is_played_out_and_the_rest_is_named() -> None:
    error = StreamBroken("server:1 broke off.", engine="server:1")
    world = World(voice=FakeVoice(error=error, fail_after=10, chunk_bytes=1_200))
    spoken = await finished(world.say("alpha beta gamma delta epsilon zeta eta theta iota."))
    assert spoken.outcome is Outcome.BROKEN
    assert "broke off" in spoken.note
    assert [event.written for event in world.watched.events if isinstance(event, PlaybackEnded)] == [0.25]
    assert f"{spoken.heard} {spoken.unheard}".split() == [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota.",
    ]
    assert any(isinstance(event, SpeechBroken) for event in world.watched.events)


@pytest.mark.spec("SPK-9")
async def test_an_underrun_is_silence_and_then_goes_on_at_the_next_sample() -> None:
    gate = asyncio.Semaphore(2)
    world = World(voice=FakeVoice(gate=gate, chunk_bytes=2 * WORD))
    world.fill = 0.0
    utterance = world.say("alpha beta gamma delta.")
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.state is State.REBUFFERING)
    gate.release()
    gate.release()
    spoken = await running
    names = world.watched.names()
    assert names.count("Underrun") == names.count("PlaybackResumed") == spoken.metrics.underruns >= 1
    assert world.speaker.words == [1, 2, 3, 4]
    assert world.speaker.speech_samples == 4 * WORD


class LateEnd(FakeVoice):
    """All sound comes at once, and only later the word that this was all."""

    def __init__(self) -> None:
        super().__init__()
        self.end = asyncio.Event()

    async def _chunks(self, sound: bytes) -> AsyncIterator[bytes]:
        async for chunk in super()._chunks(sound):
            yield chunk
        await self.end.wait()


@pytest.mark.spec("PLY-28")
async def test_waiting_for_the_end_behind_the_last_sample_is_no_underrun() -> None:
    voice = LateEnd()
    world = World(voice=voice)
    utterance = world.say("alpha beta gamma delta.")
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.state is State.REBUFFERING)
    voice.end.set()
    spoken = await running
    assert spoken.outcome is Outcome.FINISHED
    assert spoken.metrics.underruns == 0
    assert not {"Underrun", "PlaybackResumed"} & set(world.watched.names())


@pytest.mark.spec("PLY-28")
async def test_waiting_for_text_is_no_underrun_and_gathers_no_more_sound_afterwards() -> None:
    world = World()
    more = asyncio.Semaphore(0)
    sentences = [
        "This is the first sentence.",
        "The second one is written later, and it is so long that nobody has to wait for the third.",
        "Over.",
    ]

    async def writing() -> AsyncIterator[str]:
        yield f"{sentences[0]} {sentences[1][:1]}"
        await more.acquire()
        yield f"{sentences[1][1:]} {sentences[2][:1]}"
        await more.acquire()
        yield sentences[2][1:]

    utterance = world.say(writing())
    running = asyncio.create_task(finished(utterance))
    gathered = []
    words = 0
    for sentence in sentences[:2]:
        words += len(sentence.split())
        await until(lambda: utterance.playback.written == words * WORD)  # noqa: B023  (awaited at once)
        await until(lambda: utterance.playback.state is State.REBUFFERING)
        gathered.append(utterance.playback.refill_seconds)
        more.release()
    spoken = await running
    assert spoken.heard == " ".join(sentences)
    assert [request.text for request in world.voice.asked] == sentences
    assert spoken.metrics.underruns == 0
    assert "Underrun" not in world.watched.names()
    assert gathered[0] == gathered[1]


@pytest.mark.spec("SPK-10")
async def test_without_a_loudspeaker_the_whole_sound_is_in_a_file_and_nobody_is_said_to_have_heard_it() -> (
    None
):
    world = World(speaker=FakeLoudspeaker(missing=True))
    spoken = await finished(world.say(" ".join(["word"] * 40) + ".", limit_seconds=0.3))
    assert spoken.outcome is Outcome.NOT_PLAYED
    assert spoken.heard == ""
    assert spoken.unheard == " ".join(["word"] * 40) + "."
    assert "Plug one in" in spoken.note
    (recording,) = world.shelf.recordings
    assert spoken.recording == recording.path
    assert len(recording.data) == 2 * 40 * WORD


@pytest.mark.spec("SPK-10")
async def test_without_a_loudspeaker_and_with_a_full_disk_it_is_an_error_and_no_file_is_named() -> None:
    world = World(speaker=FakeLoudspeaker(missing=True))
    world.shelf.full = True
    with pytest.raises(NoDevice, match="Plug one in"):
        await finished(world.say("alpha beta gamma."))


@pytest.mark.spec("SPK-11")
async def test_a_device_that_goes_away_is_told_with_what_was_heard() -> None:
    world = World(speaker=FakeLoudspeaker(lost_after=3 * WORD))
    spoken = await finished(world.say("alpha beta gamma delta epsilon zeta eta theta iota kappa."))
    assert spoken.outcome is Outcome.BROKEN
    assert "went away" in spoken.note
    assert spoken.unheard.endswith("kappa.")
    assert world.voice.open == 0


@pytest.mark.spec("REC-1")
async def test_a_kept_recording_holds_exactly_what_was_given_to_the_loudspeaker() -> None:
    world = World()
    await finished(world.say("alpha beta gamma.", keep_recording=True))
    (recording,) = world.shelf.recordings
    assert recording.kind == "tts"
    assert len(recording.data) == 2 * 3 * WORD
    assert recording.note is not None
    assert recording.note.heard == "alpha beta gamma."


@pytest.mark.spec("SPK-12")
async def test_the_chime_follows_the_last_word_and_belongs_to_no_text() -> None:
    world = World()
    chime = Frame(data=(999).to_bytes(2, "little") * WORD, format=SPEECH)
    utterance = Utterance(world.ports(), "alpha beta.", REQUEST, turn="t1", chime=chime)
    spoken = await finished(utterance)
    assert world.speaker.words == [1, 2, 999]
    assert spoken.heard == "alpha beta."


@pytest.mark.spec("SPK-13")
async def test_without_streaming_nothing_sounds_before_everything_is_there() -> None:
    world = World()
    utterance = world.say(SENTENCES, streaming=False)
    running = asyncio.create_task(finished(utterance))
    await until(lambda: utterance.playback.written > 0)
    await until(utterance.ending.is_set)
    assert not utterance.started.is_set()
    spoken = await running
    assert spoken.outcome is Outcome.FINISHED
    assert world.speaker.speech_samples == len(SENTENCES.split()) * WORD


@pytest.mark.parametrize("text", ["", "   \n ", "🎉🎉", "---"])
@pytest.mark.spec("SPK-14")
async def test_a_message_without_words_is_refused_before_anything_happens(text: str) -> None:
    world = World()
    with pytest.raises(InvalidRequest, match=r"nothing to say|empty"):
        world.say(text)
    assert world.watched.events == []


@pytest.mark.spec("SPK-14")
async def test_a_message_that_is_too_long_is_refused_with_the_limit() -> None:
    with pytest.raises(InvalidRequest, match="100,000"):
        World().say("word " * 30_000)


@pytest.mark.spec("SPK-15")
async def test_the_timings_come_from_the_events() -> None:
    world = World()
    spoken = await finished(world.say("alpha beta gamma."))
    began = next(event for event in world.watched.events if isinstance(event, TurnStarted))
    first = next(event for event in world.watched.events if isinstance(event, FirstAudio))
    assert spoken.timings.ttfa == pytest.approx(first.at - began.at, abs=1e-3)
    assert world.watched.names()[0] == "TurnStarted"
    assert world.watched.names()[-1] == "PlaybackEnded"


@pytest.mark.spec("SPK-15")
async def test_the_first_sound_is_when_the_first_sample_is_audible_and_not_its_blocks_last() -> None:
    world = World()
    pulled: list[float] = []

    @asynccontextmanager
    async def noting(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        def noted(samples: int) -> bytes:
            data = pull(samples)
            if any(data):
                pulled.append(clock.monotonic())
            return data

        async with world.speaker(format, noted, lost) as sink:
            yield sink

    await finished(world.say("alpha beta gamma.", open_sink=noting))
    first = next(event for event in world.watched.events if isinstance(event, FirstAudio))
    latency, block = 0.02, 0.01
    assert first.at <= pulled[0] + latency - block


@pytest.mark.spec("PLY-1")
async def test_a_stream_that_breaks_is_asked_again_from_the_clause_in_which_it_broke() -> None:
    text = "alpha beta gamma, delta epsilon zeta, eta theta iota, kappa lambda mu."
    voice = BreakingVoice(after_words=5)
    world = World(voice=voice)
    spoken = await finished(world.say(text))
    assert spoken.outcome is Outcome.FINISHED
    assert (spoken.heard, spoken.unheard) == (text, "")
    first, *again = [request.text for request in voice.asked]
    assert text.startswith(first)
    assert any(rest in first for rest in again)
    for rest in again:
        assert rest in text
        assert rest.split()[0] in ("alpha", "delta", "eta", "kappa")


@pytest.mark.spec("PLY-2")
async def test_a_stream_that_keeps_breaking_is_given_up_with_what_was_heard() -> None:
    error = StreamBroken("server:1 broke off.", engine="server:1", retryable=True)
    world = World(voice=FakeVoice(error=error, fail_after=4, chunk_bytes=1_200))
    spoken = await finished(world.say("alpha beta gamma delta epsilon zeta eta theta iota."))
    assert spoken.outcome is Outcome.BROKEN
    assert 1 < len(world.voice.asked) <= 8
    assert "broke off" in spoken.note


@pytest.mark.spec("PLY-3")
async def test_the_next_piece_is_asked_for_while_the_last_one_is_played() -> None:
    world = World()
    utterance = world.say(SENTENCES)
    running = asyncio.create_task(finished(utterance))
    await until(lambda: len(world.voice.asked) == 2)
    assert utterance.playback.heard < 4 * WORD
    await running


@pytest.mark.spec("PLY-4")
async def test_a_loudspeaker_that_goes_away_is_followed_by_the_next_at_the_unplayed_sample() -> None:
    speaker = FakeLoudspeaker(lost_after=3 * WORD, back=True)
    world = World(speaker=speaker)
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa."
    spoken = await finished(world.say(text))
    assert spoken.outcome is Outcome.FINISHED
    assert spoken.heard == text
    assert speaker.opened == 2
    assert "SinkLost" in world.watched.names()
    # What the lost device held and nobody heard is played again: at most its latency, nothing missing.
    again = speaker.speech_samples - 10 * WORD
    assert 0 <= again <= SPEECH.samples(0.05)
    assert list(dict.fromkeys(speaker.words)) == list(range(1, 11))


@pytest.mark.spec("PLY-5")
async def test_a_fast_and_steady_endpoint_needs_hardly_any_store_the_next_time() -> None:
    world = World()
    world.fill = 0.5
    links = Links(fill_seconds=0.5, limit_seconds=2.0)
    marks: list[float] = []
    for _ in range(2):
        utterance = world.say("alpha beta gamma delta epsilon zeta eta theta.", links=links)
        await finished(utterance)
        marks.append(utterance.playback.refill_seconds)
    assert marks[0] == 0.5
    assert marks[1] < 0.1


class BreakingVoice(FakeVoice):
    """Breaks off after so many words, once."""

    def __init__(self, *, after_words: int) -> None:
        error = StreamBroken("server:1 broke off.", engine="server:1", retryable=True)
        super().__init__(chunk_bytes=2 * WORD, error=error, fail_after=after_words)

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        try:
            async with super().synthesize(request) as audio:
                yield audio
        finally:
            self._error = None
