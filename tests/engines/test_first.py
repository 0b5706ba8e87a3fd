"""Failover: who is asked, in which order, what is remembered, and what is said when nobody is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.engines.http import HELLO, IMPATIENT, RECORDING, TEXT, said
from tests.support.speech_server import Accept, Behaviour, Content, SpeechServer
from tests.support.voice import speak
from voicemode import clock
from voicemode.engines.first import FirstSpeech, FirstTranscription
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.errors import (
    EndpointRefused,
    EndpointUnreachable,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    StreamBroken,
    UnknownVoice,
    VoiceModeError,
)
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import (
    AudioFormat,
    EncodedAudio,
    SpeechRequest,
    Tell,
    Transcript,
    TranscriptionRequest,
    Trouble,
    Voice,
)

pytestmark = pytest.mark.anyio


@dataclass(kw_only=True)
class FakeSpeech:
    """A `TtsEngine` that fails with `error`, or speaks its own name and breaks off with `breaks`."""

    name: str
    error: VoiceModeError | None = None
    breaks: EngineError | None = None
    known: tuple[str, ...] = ()
    asked: int = 0
    left: int = 0
    closed: bool = False

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        self.asked += 1
        if self.error:
            raise self.error
        if request.voice and request.voice not in self.known:
            raise UnknownVoice(f"{self.name} has no voice {request.voice!r}.", hint="own choices")
        try:
            yield EncodedAudio(chunks=self._chunks(), format=AudioFormat.PCM, engine=self.name, voice="")
        finally:
            self.left += 1

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield self.name.encode()
        if self.breaks:
            raise self.breaks

    async def voices(self) -> list[Voice]:
        if self.error:
            raise self.error
        return [Voice(id=voice, engine=self.name) for voice in self.known]

    async def close(self) -> None:
        self.closed = True


@dataclass(kw_only=True)
class FakeEar:
    name: str
    error: EngineError | None = None
    asked: int = 0

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        self.asked += 1
        if self.error:
            raise self.error
        return Transcript(text="yes", engine=self.name)

    async def close(self) -> None:
        pass


class Overheard(FirstSpeech):
    """Whose troubles are told to somebody whoever asks."""

    def __init__(self, engines: Sequence[TtsEngine], tell: Tell, *, now: Callable[[], float]) -> None:
        super().__init__(engines, now=now)
        self._tell = tell

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with super().synthesize(replace(request, tell=self._tell)) as audio:
            yield audio


class OverheardEars(FirstTranscription):
    def __init__(self, engines: Sequence[SttEngine], tell: Tell, *, now: Callable[[], float]) -> None:
        super().__init__(engines, now=now)
        self._tell = tell

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        return await super().transcribe(replace(request, tell=self._tell))


@dataclass(kw_only=True)
class World:
    """A clock that stands still and a list of the failures told."""

    now: float = 1_000.0
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def speech(self, *engines: TtsEngine) -> FirstSpeech:
        return Overheard(engines, self.tell, now=lambda: self.now)

    def ears(self, *engines: SttEngine) -> FirstTranscription:
        return OverheardEars(engines, self.tell, now=lambda: self.now)

    def tell(self, trouble: Trouble) -> None:
        self.told.append((trouble.engine, trouble.code, trouble.following))


@pytest.fixture
def world() -> World:
    return World()


def dead(name: str) -> EndpointUnreachable:
    return EndpointUnreachable(
        f"{name} cannot be reached.", engine=name, hint=f"Start {name}.", retryable=True
    )


async def test_the_first_engine_speaks_and_the_others_are_left_alone(world: World) -> None:
    one, two = FakeSpeech(name="one"), FakeSpeech(name="two")
    assert await said(world.speech(one, two)) == b"one"
    assert (one.asked, one.left, two.asked) == (1, 1, 0)
    assert world.told == []


async def test_a_failure_before_sound_moves_on_and_is_told(world: World) -> None:
    one, two = FakeSpeech(name="one", error=dead("one")), FakeSpeech(name="two")
    assert await said(world.speech(one, two)) == b"two"
    assert world.told == [("one", "unreachable", "two")]


async def test_a_dead_engine_rests_30_seconds_then_longer_up_to_5_minutes(world: World) -> None:
    one, two = FakeSpeech(name="one", error=dead("one")), FakeSpeech(name="two")
    chain = world.speech(one, two)
    for rest in (30.0, 60.0, 120.0, 240.0, 300.0, 300.0):
        asked = one.asked
        assert await said(chain) == b"two"
        assert one.asked == asked + 1
        world.now += rest - 0.01
        assert await said(chain) == b"two"
        assert one.asked == asked + 1
        world.now += 0.01


async def test_an_engine_that_works_again_is_forgiven_everything(world: World) -> None:
    one, two = FakeSpeech(name="one", error=dead("one")), FakeSpeech(name="two")
    chain = world.speech(one, two)
    await said(chain)
    world.now += 30.0
    await said(chain)
    one.error = None
    world.now += 60.0
    assert await said(chain) == b"one"
    one.error = dead("one")
    assert await said(chain) == b"two"
    world.now += 30.0
    one.error = None
    assert await said(chain) == b"one"


async def test_resting_engines_are_asked_last_rather_than_never(world: World) -> None:
    one, two = FakeSpeech(name="one", error=dead("one")), FakeSpeech(name="two", error=dead("two"))
    chain = world.speech(one, two)
    with pytest.raises(EngineError):
        await said(chain)
    one.error = None
    assert await said(chain) == b"one"
    two.error = None
    world.now += 1.0
    one.error = dead("one")
    assert await said(chain) == b"two"


async def test_a_refusal_of_one_text_does_not_put_an_engine_to_rest(world: World) -> None:
    refusal = EndpointRefused("one refuses.", engine="one", status=400)
    one, two = FakeSpeech(name="one", error=refusal), FakeSpeech(name="two")
    chain = world.speech(one, two)
    assert await said(chain) == b"two"
    one.error = None
    assert await said(chain) == b"one"


GONE_MODELS = {
    "OpenAI's code": (404, "one refuses (HTTP 404, model_not_found): no"),
    "OpenAI's text": (
        400,
        "one refuses (HTTP 400): The model `tts-1` does not exist or you do not have access to it.",
    ),
    "deprecated": (400, "one refuses (HTTP 400): The model `tts-1` has been deprecated, learn more here"),
    "a version with dots": (422, "one refuses (HTTP 422): Model 'kokoro-v1.1' not found"),
    "unsupported": (400, "one refuses (HTTP 400): Unsupported model: tts-1"),
}


@pytest.mark.spec("BAT-22")
@pytest.mark.parametrize("name", GONE_MODELS)
async def test_an_engine_whose_model_has_ended_rests_like_a_dead_one(world: World, name: str) -> None:
    status, message = GONE_MODELS[name]
    one = FakeSpeech(name="one", error=EndpointRefused(message, engine="one", status=status))
    two = FakeSpeech(name="two")
    chain = world.speech(one, two)
    for rest in (30.0, 60.0):
        asked = one.asked
        assert await said(chain) == b"two"
        world.now += rest - 0.01
        assert await said(chain) == b"two"
        assert one.asked == asked + 1
        world.now += 0.01
    one.error = None
    assert await said(chain) == b"one"


ABOUT_ONE_REQUEST = {
    "a voice": "one refuses (HTTP 400): The voice bob does not exist.",
    "a voice of a model": "one refuses (HTTP 400): Model tts-1: voice bob not found",
    "a long text": "one refuses (HTTP 400): The input is too long: the model tts-1 takes at most 4096 characters.",
    "a format": "one refuses (HTTP 400): The model tts-1 does not have this format: opus is not available.",
    "nothing": "one refuses (HTTP 400).",
    "an engine of that name": "no-such-model refuses (HTTP 400): busy",
}


@pytest.mark.spec("BAT-22")
@pytest.mark.parametrize("name", ABOUT_ONE_REQUEST)
async def test_a_refusal_that_is_not_about_the_model_itself_earns_no_rest(world: World, name: str) -> None:
    refusal = EndpointRefused(ABOUT_ONE_REQUEST[name], engine="one", status=400)
    one, two = FakeSpeech(name="one", error=refusal), FakeSpeech(name="two")
    chain = world.speech(one, two)
    assert await said(chain) == b"two"
    assert await said(chain) == b"two"
    assert one.asked == 2


async def noted(engine: TtsEngine) -> str:
    async with engine.synthesize(HELLO) as audio:
        return audio.note


@pytest.mark.spec("BAT-22")
async def test_a_refusal_is_told_once_in_the_result_until_that_engine_has_answered(world: World) -> None:
    refusal = EndpointRefused("one refuses (HTTP 401).", engine="one", status=401, hint="Check the key.")
    one, two = FakeSpeech(name="one", error=refusal), FakeSpeech(name="two")
    chain = world.speech(one, two)
    told = "one refuses (HTTP 401). Check the key. two answers instead."
    assert [await noted(chain) for _ in range(2)] == [told, ""]
    world.now += 30.0
    assert await noted(chain) == ""
    world.now += 60.0
    one.error = None
    assert await noted(chain) == ""
    one.error = refusal
    assert await noted(chain) == told


@pytest.mark.spec("BAT-22")
async def test_what_passes_by_itself_is_not_told_in_the_result(world: World) -> None:
    busy = EndpointRefused("one refuses (HTTP 503).", engine="one", status=503, retryable=True)
    for error in (busy, dead("one")):
        assert await noted(world.speech(FakeSpeech(name="one", error=error), FakeSpeech(name="two"))) == ""


@pytest.mark.spec("BAT-22")
async def test_an_ear_that_is_refused_is_told_beside_the_transcript(world: World) -> None:
    status, message = GONE_MODELS["OpenAI's code"]
    one = FakeEar(name="one", error=EndpointRefused(message, engine="one", status=status))
    chain = world.ears(one, FakeEar(name="two"))
    notes = [(await chain.transcribe(RECORDING)).note for _ in range(2)]
    assert notes == [f"{message} two answers instead.", ""]
    assert one.asked == 1


@pytest.mark.spec("BAT-22")
async def test_over_real_http_a_model_that_is_not_known_is_asked_for_once(world: World) -> None:
    with SpeechServer(models=("other",)) as bare, SpeechServer() as good:
        for body in ("", '{"error": {"message": "gone", "code": "model_not_found"}}'):
            bare.behave(Behaviour(status=400, body=body) if body else Behaviour())
            chain = world.speech(
                *(OpenAiSpeech(Endpoint(base_url=each.base_url, voices=("alloy",))) for each in (bare, good))
            )
            before = len(bare.requests)
            assert [await said(chain) for _ in range(2)] == [speak(TEXT)] * 2
            assert len(bare.requests) == before + 1
            await chain.close()


async def test_when_all_fail_the_error_names_each_with_its_reason_and_the_ways_out(world: World) -> None:
    chain = world.speech(*(FakeSpeech(name=name, error=dead(name)) for name in ("one", "two")))
    with pytest.raises(EngineError) as caught:
        await said(chain)
    assert caught.value.message == (
        "No speech engine works: (1) one cannot be reached. (2) two cannot be reached."
    )
    assert caught.value.hint == "Start one. Start two."
    assert caught.value.retryable
    assert world.told == [("one", "unreachable", "two"), ("two", "unreachable", "")]


async def test_a_chain_of_one_gives_that_ones_own_error(world: World) -> None:
    with pytest.raises(EndpointUnreachable, match="one cannot"):
        await said(world.speech(FakeSpeech(name="one", error=dead("one"))))


async def test_an_empty_chain_says_that_nothing_is_set_up(world: World) -> None:
    with pytest.raises(EngineUnavailable, match="No speech engine is set up"):
        await said(world.speech())
    with pytest.raises(EngineUnavailable, match="No transcription engine is set up"):
        await world.ears().transcribe(RECORDING)


async def test_sound_that_breaks_off_is_not_begun_again_elsewhere(world: World) -> None:
    broken = StreamBroken("one broke off after 3 bytes.", engine="one")
    one, two = FakeSpeech(name="one", breaks=broken), FakeSpeech(name="two")
    with pytest.raises(StreamBroken):
        await said(world.speech(one, two))
    assert (one.left, two.asked) == (1, 0)


async def test_two_broken_streams_in_a_row_put_an_engine_to_rest(world: World) -> None:
    broken = StreamBroken("one broke off after 3 bytes.", engine="one")
    one, two = FakeSpeech(name="one", breaks=broken), FakeSpeech(name="two")
    chain = world.speech(one, two)
    for _ in range(2):
        with pytest.raises(StreamBroken):
            await said(chain)
    assert await said(chain) == b"two"
    one.breaks = None
    world.now += 30.0
    assert await said(chain) == b"one"
    one.breaks = broken
    with pytest.raises(StreamBroken):
        await said(chain)
    one.breaks = None
    assert await said(chain) == b"one"


async def test_a_voice_that_only_a_later_engine_has_is_spoken_by_it(world: World) -> None:
    one, two = FakeSpeech(name="one", known=("ann",)), FakeSpeech(name="two", known=("bob",))
    chain = world.speech(one, two)
    assert await said(chain, replace(HELLO, voice="bob")) == b"two"
    assert await said(chain) == b"one"
    assert world.told == [("one", "unknown_voice", "two")]


async def test_a_voice_that_nobody_has_is_refused_with_the_near_choices_of_all(world: World) -> None:
    chain = world.speech(
        FakeSpeech(name="one", known=("alba",)), FakeSpeech(name="two", known=("albert", "zoe"))
    )
    with pytest.raises(UnknownVoice) as caught:
        await said(chain, replace(HELLO, voice="albe"))
    assert "alba" in caught.value.hint
    assert "albert" in caught.value.hint
    assert "zoe" not in caught.value.hint


async def test_a_missing_voice_says_which_engine_could_not_be_asked(world: World) -> None:
    chain = world.speech(FakeSpeech(name="one", error=dead("one")), FakeSpeech(name="two", known=("zoe",)))
    with pytest.raises(UnknownVoice, match="one could not be asked"):
        await said(chain, replace(HELLO, voice="ann"))


async def test_a_wrong_argument_is_nobodys_failure(world: World) -> None:
    one = FakeSpeech(name="one", error=InvalidRequest("The speed 9 is not between 0.25 and 4.0."))
    two = FakeSpeech(name="two")
    with pytest.raises(InvalidRequest, match="speed"):
        await said(world.speech(one, two))
    assert (two.asked, world.told) == (0, [])


async def test_voices_are_those_of_all_engines_that_answer(world: World) -> None:
    chain = world.speech(
        FakeSpeech(name="one", known=("ann",)),
        FakeSpeech(name="two", error=dead("two")),
        FakeSpeech(name="three", known=("bob",)),
    )
    assert [(voice.id, voice.engine) for voice in await chain.voices()] == [("ann", "one"), ("bob", "three")]


async def test_closing_closes_every_engine(world: World) -> None:
    engines = [FakeSpeech(name="one"), FakeSpeech(name="two")]
    await world.speech(*engines).close()
    assert all(engine.closed for engine in engines)


async def test_ears_fail_over_and_are_remembered_in_the_same_way(world: World) -> None:
    one, two = FakeEar(name="one", error=dead("one")), FakeEar(name="two")
    chain = world.ears(one, two)
    assert (await chain.transcribe(RECORDING)).engine == "two"
    assert (await chain.transcribe(RECORDING)).engine == "two"
    assert one.asked == 1
    world.now += 30.0
    one.error = None
    assert (await chain.transcribe(RECORDING)).engine == "one"
    assert world.told == [("one", "unreachable", "two")]


async def test_when_no_ear_works_the_error_names_each(world: World) -> None:
    chain = world.ears(*(FakeEar(name=name, error=dead(name)) for name in ("one", "two")))
    with pytest.raises(EngineError, match=r"No transcription engine works: \(1\) one .* \(2\) two"):
        await chain.transcribe(RECORDING)


@pytest.mark.parametrize(
    "fault",
    [
        Behaviour(accept=Accept.NEVER),
        Behaviour(accept=Accept.RESET),
        Behaviour(status=401),
        Behaviour(content=Content.HTML),
        Behaviour(cut_after_bytes=10),
    ],
    ids=["never answers", "reset", "refuses", "html", "cut before it is sound"],
)
async def test_over_real_http_every_fault_before_sound_ends_with_the_next_endpoint_speaking(
    fault: Behaviour,
) -> None:
    told: list[str] = []
    with SpeechServer(fault) as bad, SpeechServer() as good:
        endpoints = [
            Endpoint(base_url=server.base_url, voices=("alloy",), limits=IMPATIENT) for server in (bad, good)
        ]
        chain = Overheard(
            [OpenAiSpeech(endpoint) for endpoint in endpoints],
            lambda trouble: told.append(trouble.engine),
            now=clock.monotonic,
        )
        assert await said(chain) == speak(TEXT)
        assert await said(chain) == speak(TEXT)
        await chain.close()
        assert len(bad.requests) == 1
    assert told == [endpoints[0].name]


async def test_an_endpoint_that_has_gone_costs_less_than_a_second_and_a_half(world: World) -> None:
    with SpeechServer() as gone:
        pass
    with SpeechServer(Behaviour(transcript="yes")) as good:
        urls = [gone.base_url, good.base_url]
        chain = world.speech(*(OpenAiSpeech(Endpoint(base_url=url)) for url in urls))
        ears = world.ears(*(OpenAiTranscription(Endpoint(base_url=url)) for url in urls))
        async with asyncio.timeout(2 * 1.5):
            assert await said(chain) == speak(TEXT)
            assert (await ears.transcribe(RECORDING)).text == "yes"
        await chain.close()
        await ears.close()
