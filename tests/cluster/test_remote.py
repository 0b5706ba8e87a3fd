"""Engines whose work is done by replicas: what arrives, what is stopped, and what a lost replica costs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.cluster.replicas import Gone, cluster, hearing_cluster
from tests.serve.house import WordEar, WordVoice, words_in
from tests.support.contract import (
    assert_cancel_stops_speech,
    assert_each_gets_its_own,
    assert_leaving_stops_it,
    assert_refuses_nonsense,
    assert_streams,
    said,
)
from tests.support.fakes import until
from voicemode import errors
from voicemode.cluster.remote import MOST_TRIES, RemoteEar, RemoteVoice
from voicemode.cluster.wire import error_of, failed
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.errors import (
    EndpointRefused,
    EngineError,
    EngineUnavailable,
    StreamBroken,
    UnknownVoice,
    VoiceModeError,
)
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.speech import (
    AudioFormat,
    EncodedAudio,
    SpeechRequest,
    Transcript,
    TranscriptionRequest,
    Trouble,
)
from voicemode.speech_server.request_lines import REQUESTS

pytestmark = pytest.mark.anyio

TEXT = "alpha bravo charlie delta echo foxtrot golf hotel"


class Particular(WordVoice):
    """Fills everything that an engine can say about its sound."""

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        request.tell(Trouble(engine="first", code="timeout", reason="It is slow.", following=self.name))

        async def chunks() -> AsyncIterator[bytes]:
            yield b"\1\2"

        yield EncodedAudio(
            chunks=chunks(),
            format=AudioFormat.WAV,
            engine=self.name,
            voice="ann",
            model="m-1",
            pcm=PcmFormat(rate=16_000),
            kept=True,
            note="A note.",
            unsealed=True,
            reworded=lambda: "other words",
        )


@pytest.mark.spec("CLU-3")
async def test_an_engine_behind_replicas_keeps_every_promise_of_an_engine() -> None:
    """The embedded voice: its own process behind each of two replicas."""
    engines = EmbeddedVoice(), EmbeddedVoice()
    made = cluster(*engines, name="embedded", voices=0)
    voice = RemoteVoice(made.behind)
    try:
        _, sound = await assert_streams(voice, SpeechRequest(text="There is more than a pipe can hold. " * 5))
        assert len(sound) > 200_000
        await assert_each_gets_its_own(voice, ["One.", "Two and three.", "Four, five and six."])
        await assert_refuses_nonsense(voice)
        long_text = " ".join(f"Sentence number {number}." for number in range(500))
        await assert_leaving_stops_it(voice, long_text, lambda: made.replicas.open)
        await assert_cancel_stops_speech(voice, long_text, lambda: made.replicas.open)
        assert {each.id for each in await voice.voices()} >= {"de", "en-us"}
    finally:
        for engine in engines:
            await engine.close()


@pytest.mark.spec("CLU-11")
def test_the_embedded_voice_speaks_on_the_loop_that_replicas_have() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def speak() -> bytes:
        voice = EmbeddedVoice()
        try:
            _, sound = await said(voice, SpeechRequest(text="Hello there. " * 100))
            return sound
        finally:
            await voice.close()

    assert len(uvloop.run(speak())) > 4_000_000


@pytest.mark.spec("CLU-3")
async def test_everything_an_engine_says_of_its_sound_arrives() -> None:
    told: list[Trouble] = []
    voice = RemoteVoice(cluster(Particular()).behind)
    async with voice.synthesize(SpeechRequest(text=TEXT, tell=told.append)) as audio:
        assert audio.reworded() is None
        assert [chunk async for chunk in audio.chunks] == [b"\1\2"]
    assert audio.reworded() == "other words"
    assert (audio.format, audio.engine, audio.voice, audio.model) == ("wav", "words", "ann", "m-1")
    assert (audio.pcm.rate, audio.kept, audio.note, audio.unsealed) == (16_000, True, "A note.", True)
    assert [(each.engine, each.following) for each in told] == [("first", "words")]


@pytest.mark.spec("CLU-3")
async def test_sound_is_handed_on_while_the_engine_still_speaks() -> None:
    gate = asyncio.Semaphore(2)
    engine = WordVoice(gate=gate)
    sound = b""
    async with RemoteVoice(cluster(engine).behind).synthesize(SpeechRequest(text=TEXT)) as audio:
        chunks = aiter(audio.chunks)
        while len(sound) < 2 * 4_800:
            sound += await anext(chunks)
        assert engine.open == 1
        for _ in range(1_000):
            gate.release()
        rest = [chunk async for chunk in chunks]
    assert words_in(sound + b"".join(rest)) == TEXT.split()
    assert len(rest) == 1, "what is there at once goes at once"


def every_error() -> list[VoiceModeError]:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, VoiceModeError) and kind is not EndpointRefused
    ]
    made: list[VoiceModeError] = [
        EndpointRefused("No.", engine="a", status=429, retry_after_seconds=7.0, hint="Wait.", retryable=True)
    ]
    for kind in kinds:
        with_engine = {"engine": "a"} if issubclass(kind, EngineError) else {}
        made.append(kind("It failed.", hint="Do this.", retryable=True, **with_engine))
    return made


@pytest.mark.spec("CLU-3")
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_error_on_the_other_side(error: VoiceModeError) -> None:
    again = error_of(failed(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@pytest.mark.spec("CLU-3")
async def test_an_error_before_sound_is_raised_before_the_block_is_entered() -> None:
    voice = RemoteVoice(cluster(WordVoice(breaks=[0])).behind)
    with pytest.raises(EngineError, match="hoarse") as caught:
        await said(voice, SpeechRequest(text=TEXT))
    assert caught.value.retryable
    with pytest.raises(UnknownVoice, match="nobody"):
        await said(voice, SpeechRequest(text=TEXT, voice="nobody"))


@pytest.mark.spec("CLU-3")
async def test_a_stream_that_breaks_in_the_engine_breaks_here() -> None:
    voice = RemoteVoice(cluster(WordVoice(breaks=[2])).behind)
    async with voice.synthesize(SpeechRequest(text=TEXT)) as audio:
        chunks = aiter(audio.chunks)
        sound = b""
        while len(sound) < 2 * 4_800:
            sound += await anext(chunks)
        with pytest.raises(StreamBroken, match="The voice broke"):
            await anext(chunks)


@pytest.mark.spec("CLU-4")
async def test_a_replica_lost_before_sound_is_followed_by_another() -> None:
    made = cluster(WordVoice(), WordVoice(), WordVoice())
    made.replicas.kills_next = MOST_TRIES - 1
    _, sound = await said(RemoteVoice(made.behind), SpeechRequest(text=TEXT))
    assert words_in(sound) == TEXT.split()
    assert [each.alive for each in made.replicas.replicas].count(True) == 1


@pytest.mark.spec("CLU-4")
async def test_replicas_lost_one_after_the_other_end_in_an_error_that_says_so() -> None:
    made = cluster(*(WordVoice() for _ in range(MOST_TRIES + 1)))
    made.replicas.kills_next = MOST_TRIES
    with pytest.raises(EngineUnavailable, match="lost 3 replicas") as caught:
        await said(RemoteVoice(made.behind), SpeechRequest(text=TEXT))
    assert caught.value.retryable
    await until(lambda: made.replicas.open == 0)


@pytest.mark.spec("CLU-4")
async def test_a_replica_lost_in_the_middle_breaks_the_stream_so_that_the_rest_is_asked_for_again() -> None:
    made = cluster(WordVoice(gate=asyncio.Semaphore(1)))
    async with RemoteVoice(made.behind).synthesize(SpeechRequest(text=TEXT)) as audio:
        chunks = aiter(audio.chunks)
        assert await anext(chunks)
        made[0].die()
        with pytest.raises(StreamBroken, match="went away") as caught:
            await anext(chunks)
    assert caught.value.retryable


@pytest.mark.spec("CLU-5")
async def test_leaving_the_stream_stops_the_engine_in_its_replica() -> None:
    engine = WordVoice(gate=asyncio.Semaphore(1))
    async with RemoteVoice(cluster(engine).behind).synthesize(SpeechRequest(text=TEXT)) as audio:
        assert await anext(aiter(audio.chunks))
        assert engine.open == 1
    await until(lambda: engine.open == 0)


@pytest.mark.spec("CLU-5")
async def test_a_request_cancelled_before_sound_stops_the_engine_too() -> None:
    gate = asyncio.Event()

    class Slow(WordVoice):
        @asynccontextmanager
        async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
            self.open += 1
            try:
                await gate.wait()
                raise AssertionError("nobody opens it")
                yield
            finally:
                self.open -= 1

    engine = Slow()
    made = cluster(engine)
    asking = asyncio.create_task(said(RemoteVoice(made.behind), SpeechRequest(text=TEXT)))
    await until(lambda: engine.open == 1)
    asking.cancel()
    await until(lambda: engine.open == 0 and asking.done())
    await until(lambda: made.replicas.open == 0)


@pytest.mark.spec("CLU-6")
async def test_a_voice_is_asked_of_the_replica_that_holds_it() -> None:
    made = cluster(WordVoice(), WordVoice())
    voice = RemoteVoice(made.behind)
    for name in ("ann", "bob", "ann", "bob", "ann", "ann"):
        await said(voice, SpeechRequest(text="alpha", voice=name))
    assert sorted(each.held.loaded for each in made.replicas.replicas) == [["ann"], ["bob"]]


@pytest.mark.spec("CLU-6")
async def test_a_preloaded_voice_is_warm_where_it_will_be_asked_for() -> None:
    made = cluster(WordVoice(), WordVoice())
    voice = RemoteVoice(made.behind)
    assert (await voice.preload("bob")).level == "engine"
    (holder,) = [each for each in made.replicas.replicas if each.held.loaded]
    before = holder.asked
    await said(voice, SpeechRequest(text="alpha", voice="bob"))
    assert holder.asked == before + 1
    with pytest.raises(UnknownVoice, match="nobody"):
        await voice.preload("nobody")


@pytest.mark.spec("CLU-6")
async def test_where_loading_a_voice_is_no_work_any_replica_is_asked() -> None:
    made = cluster(WordVoice(), WordVoice(), voices=0)
    for _ in range(4):
        await said(RemoteVoice(made.behind), SpeechRequest(text="alpha", voice="ann"))
    assert [each.asked for each in made.replicas.replicas] == [2, 2]


@pytest.mark.spec("CLU-12")
async def test_a_recogniser_behind_replicas_hears_and_outlives_one_of_them() -> None:
    made = hearing_cluster(WordEar(), WordEar())
    made.replicas.kills_next = 1
    _, sound = await said(WordVoice(), SpeechRequest(text=TEXT))
    request = TranscriptionRequest(audio=Frame(data=sound, format=SPEECH))
    assert (await RemoteEar(made.behind).transcribe(request)).text.split() == TEXT.split()
    made[0].die()
    made[1].die()
    silence = TranscriptionRequest(audio=Frame(data=b"", format=LISTENING))
    with pytest.raises(EngineUnavailable, match="no replica"):
        await RemoteEar(made.behind).transcribe(silence)


@pytest.mark.spec("CLU-3")
async def test_what_goes_wrong_in_the_cluster_itself_is_said_in_one_line() -> None:
    class Unlucky(WordVoice):
        @asynccontextmanager
        async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
            yield await super().synthesize(request).__aenter__()

    class Confused(Exception):
        def __str__(self) -> str:
            return "Traceback:\n  File somewhere\nMemoryError: no more"

    made = cluster(Unlucky())

    async def call(method: str, *arguments: object, voice: str = "") -> None:
        raise Confused

    made.replicas.call = call  # type: ignore[method-assign]
    with pytest.raises(EngineError, match=r"^words failed on the cluster: MemoryError: no more\.$"):
        await RemoteVoice(made.behind).voices()
    assert not made.behind.gone(Confused())
    assert made.behind.gone(Gone())


class Mistaken(WordVoice):
    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        if request.text.startswith("alpha"):
            raise ValueError(f"cannot say {request.text}")
        async with super().synthesize(request) as audio:
            yield audio


class MistakenEar(WordEar):
    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        raise ValueError(f"cannot hear {TEXT}")


@pytest.mark.spec("SRV-54")
@pytest.mark.spec("SRV-38")
async def test_a_mistake_in_a_replica_is_found_in_its_log_and_tells_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sound = Frame(data=LISTENING.silence(1_600), format=LISTENING)
    with caplog.at_level(logging.INFO):
        with pytest.raises(EngineError, match="ValueError") as spoken:
            await said(RemoteVoice(cluster(Mistaken()).behind), SpeechRequest(text=TEXT))
        ear = RemoteEar(hearing_cluster(MistakenEar()).behind)
        with pytest.raises(EngineError, match="ValueError") as heard:
            await ear.transcribe(TranscriptionRequest(audio=sound))
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == REQUESTS]
    assert [line["event"] for line in lines] == ["request_failed"] * 2
    assert "test_remote.py" in lines[0]["frames"]
    assert lines[0]["place"].startswith("voicemode/cluster/replica.py:")
    assert "alpha" not in f"{caplog.text} {spoken.value} {heard.value}"
