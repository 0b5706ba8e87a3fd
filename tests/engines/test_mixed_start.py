"""Who says the first words: measured, matched by voice, and followed by the others when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.engines.http import TEXT
from tests.support import contract
from tests.support.speech_server import Behaviour, SpeechServer
from voicemode.codecs import open_decoder
from voicemode.configuration.voices_alike import VoicesAlike
from voicemode.engines.first import FirstSpeech
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.mixed_start import FRESH_S, LATER_S, MixedStart
from voicemode.engines.openai_http import OpenAiSpeech
from voicemode.engines.phrases import PhraseCache
from voicemode.errors import EndpointUnreachable, EngineError, StreamBroken, UnknownVoice, VoiceModeError
from voicemode.ports import TtsEngine
from voicemode.speech import AudioFormat, EncodedAudio, Speaker, SpeechRequest, Trouble, Voice

pytestmark = pytest.mark.anyio

LIMIT_SECONDS = 20.0
FIRST = SpeechRequest(text="Good morning.", opening=True)
LATER = SpeechRequest(text="It is seven o'clock.")
SAME = VoicesAlike()


@dataclass
class Clock:
    now: float = 1_000.0


@dataclass(kw_only=True)
class Timed:
    """A `TtsEngine` whose first sound comes after `first` seconds of the clock; `hangs`: it never does. The voice that
    it takes by itself is the first that it has; `lists` False: it does not say which they are."""

    name: str
    clock: Clock
    first: float
    voices_there: tuple[str, ...] = ("ann",)
    usual: bool = False
    lists: bool = True
    hangs: bool = False
    error: VoiceModeError | None = None
    breaks: EngineError | None = None
    asked: list[SpeechRequest] = field(default_factory=list)
    listed: int = 0
    open: int = 0
    closed: bool = False

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        self.asked.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        if request.voice is not None and request.voice not in self.voices_there:
            raise UnknownVoice(f"{self.name} has no voice {request.voice!r}.", hint="Leave it out.")
        self.clock.now += self.first
        self.open += 1
        try:
            yield EncodedAudio(
                chunks=self._chunks(),
                format=AudioFormat.PCM,
                engine=self.name,
                voice=request.voice or self.voices_there[0],
            )
        finally:
            self.open -= 1

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield self.name.encode()
        if self.breaks is not None:
            raise self.breaks

    async def voices(self) -> list[Voice]:
        self.listed += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if not self.lists:
            return []
        return [Voice(id=each, engine=self.name, usual=self.usual) for each in self.voices_there]

    async def close(self) -> None:
        self.closed = True


@dataclass(kw_only=True)
class House:
    """A good voice, asked first, and a quick one behind it."""

    clock: Clock = field(default_factory=Clock)
    alike: VoicesAlike = SAME
    told: list[Trouble] = field(default_factory=list)
    good: Timed = field(init=False)
    quick: Timed = field(init=False)
    mixed: MixedStart = field(init=False)

    def __post_init__(self) -> None:
        self.good = Timed(name="good", clock=self.clock, first=1.0)
        self.quick = Timed(name="quick", clock=self.clock, first=0.1)
        self.mixed = self.built(self.good, self.quick)

    def built(self, *engines: TtsEngine) -> MixedStart:
        now = lambda: self.clock.now  # noqa: E731
        return MixedStart(FirstSpeech(engines, now=now), engines, self.alike, now=now)

    async def said(self, request: SpeechRequest = FIRST) -> EncodedAudio:
        """Who said it; nobody is left being measured."""
        async with asyncio.timeout(LIMIT_SECONDS):
            async with self.mixed.synthesize(replace(request, tell=self.told.append)) as audio:
                heard = b"".join([chunk async for chunk in audio.chunks])
                assert heard == audio.engine.encode()
            await self.mixed.settled()
        return audio

    async def speakers(self, messages: int, request: SpeechRequest = FIRST) -> list[str]:
        return [(await self.said(request)).engine for _ in range(messages)]

    async def measured(self) -> None:
        assert await self.speakers(2) == ["good", "good"]


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.spec("MIX-1", "MIX-3")
async def test_once_both_are_measured_the_quicker_one_begins_and_the_preferred_one_says_the_rest(
    house: House,
) -> None:
    assert await house.speakers(4) == ["good", "good", "quick", "quick"]
    began, rest = await house.said(), await house.said(LATER)
    assert (began.engine, began.voice, began.rest) == ("quick", "ann", Speaker(engine="good", voice="ann"))
    assert (rest.engine, rest.rest) == ("good", None)
    assert house.mixed.first_sound("good") == pytest.approx(1.0)
    assert house.mixed.first_sound("quick") == pytest.approx(0.1)


@pytest.mark.spec("MIX-3")
async def test_the_other_is_measured_with_the_same_words_beside_the_second_message(
    house: House,
) -> None:
    assert await house.speakers(1) == ["good"]
    assert (house.quick.listed, house.quick.asked) == (0, [])
    second = replace(FIRST, text="Good evening.")
    assert await house.speakers(1, second) == ["good"]
    assert [request.text for request in house.quick.asked] == [second.text] * 2
    assert house.quick.open == 0
    assert await house.speakers(1) == ["quick"]
    assert len(house.quick.asked) == 3


@pytest.mark.spec("MIX-3")
async def test_an_engine_that_is_no_sooner_never_begins_and_is_measured_again_after_ten_minutes(
    house: House,
) -> None:
    house.quick.first = 0.97
    assert await house.speakers(6) == ["good"] * 6
    assert len(house.quick.asked) == 2
    house.quick.first = 0.1
    house.clock.now += FRESH_S
    assert await house.speakers(2) == ["good", "quick"]


@pytest.mark.spec("MIX-3")
async def test_one_slow_answer_of_the_preferred_engine_is_no_reason_to_mix(house: House) -> None:
    house.good.first, house.quick.first = 0.1, 0.1
    house.good.first = 3.0  # It loads its model.
    assert await house.speakers(1) == ["good"]
    house.good.first = 0.1
    assert await house.speakers(4) == ["good"] * 4


@pytest.mark.spec("MIX-3")
async def test_a_preferred_engine_that_has_become_as_quick_says_all_again(house: House) -> None:
    await house.measured()
    assert await house.speakers(1) == ["quick"]
    house.good.first = 0.1
    for _ in range(2):
        await house.said(LATER)
    assert await house.speakers(3) == ["good"] * 3


@pytest.mark.spec("MIX-3")
async def test_a_beginner_that_has_become_slow_begins_no_more(house: House) -> None:
    await house.measured()
    house.quick.first = 2.0
    assert await house.speakers(4) == ["quick", "quick", "good", "good"]


@pytest.mark.spec("MIX-3")
async def test_later_pieces_take_longer_and_say_nothing_of_how_soon_an_engine_begins(house: House) -> None:
    await house.measured()
    house.good.first = 5.0
    for _ in range(3):
        await house.said(LATER)
    assert house.mixed.first_sound("good") == pytest.approx(1.0)


@pytest.mark.spec("MIX-3")
async def test_an_engine_that_cannot_be_measured_costs_nothing_and_is_tried_again_later(house: House) -> None:
    house.quick.error = EndpointUnreachable("quick cannot be reached.", engine="quick")
    assert await house.speakers(3) == ["good"] * 3
    assert (house.quick.listed, house.told) == (1, [])
    house.quick.error = None
    house.clock.now += LATER_S
    assert await house.speakers(2) == ["good", "quick"]


@pytest.mark.spec("MIX-2")
async def test_an_engine_without_the_voice_is_not_asked_for_a_word(house: House) -> None:
    house.quick.voices_there = ("bob", "sky")
    assert await house.speakers(4) == ["good"] * 4
    assert house.quick.asked == []


@pytest.mark.spec("MIX-2")
async def test_another_voice_that_both_have_mixes_by_itself(house: House) -> None:
    house.good.voices_there, house.quick.voices_there = ("ann", "bob"), ("bob",)
    assert await house.speakers(3) == ["good"] * 3
    bob = replace(FIRST, voice="bob")
    assert await house.speakers(2, bob) == ["good", "quick"]
    assert house.quick.asked[-1].voice == "bob"
    assert await house.speakers(1) == ["good"]


@pytest.mark.spec("MIX-2")
async def test_names_that_the_user_calls_one_voice_match() -> None:
    house = House(alike=VoicesAlike(groups=(("ann", "sky"),)))
    house.quick.voices_there = ("bob", "sky")
    assert await house.speakers(3) == ["good", "good", "quick"]
    assert house.quick.asked[-1].voice == "sky"


@pytest.mark.spec("MIX-2")
async def test_a_name_for_the_usual_voice_is_one_voice_with_another_only_where_the_user_says_so(
    house: House,
) -> None:
    house.quick.usual = True
    assert await house.speakers(3) == ["good"] * 3
    assert house.quick.asked == []
    told = House(alike=VoicesAlike(groups=(("ann", "ann"),)))
    told.quick.usual = True
    assert await told.speakers(3) == ["good", "good", "quick"]


@pytest.mark.spec("MIX-2")
async def test_who_lists_no_voices_is_believed_what_the_user_names_and_nothing_else(house: House) -> None:
    house.quick.lists = False
    assert await house.speakers(3) == ["good"] * 3
    assert house.quick.asked == []
    for names, voice in ((("ann", "sky"), "sky"), (("ann", "ann"), "ann")):
        told = House(alike=VoicesAlike(groups=(names,)))
        told.quick.lists, told.quick.voices_there = False, (voice,)
        assert await told.speakers(3) == ["good", "good", "quick"]


@pytest.mark.spec("MIX-2")
async def test_instructions_are_for_the_preferred_engine_alone(house: House) -> None:
    whispered = replace(FIRST, instructions="Whisper.")
    assert await house.speakers(3, whispered) == ["good"] * 3
    assert house.quick.asked == []
    assert await house.speakers(2) == ["good", "quick"]
    assert await house.speakers(1, whispered) == ["good"]


@pytest.mark.spec("MIX-4")
async def test_a_beginner_that_fails_is_followed_and_rests_and_both_are_told(house: House) -> None:
    await house.measured()
    house.quick.error = EndpointUnreachable("quick cannot be reached.", engine="quick")
    assert await house.speakers(2) == ["good", "good"]
    assert [(each.engine, each.code, each.following) for each in house.told] == [
        ("quick", "unreachable", "good")
    ]
    house.quick.error = None
    house.clock.now += 30.0
    assert await house.speakers(1) == ["quick"]


@pytest.mark.spec("MIX-4")
async def test_a_beginner_that_hangs_is_waited_for_no_longer_than_the_preferred_one_takes(
    house: House,
) -> None:
    house.good.first = 0.2
    await house.measured()
    house.quick.hangs = True
    assert await house.speakers(3) == ["good"] * 3
    assert [(each.engine, each.code, each.following) for each in house.told] == [
        ("quick", "timeout", "good")
    ] * 2
    assert house.quick.open == 0
    house.quick.hangs = False
    house.clock.now += FRESH_S
    assert await house.speakers(2) == ["good", "quick"]


@pytest.mark.spec("MIX-4")
async def test_a_beginner_that_has_lost_the_voice_is_followed(house: House) -> None:
    await house.measured()
    house.quick.voices_there = ("bob",)
    assert await house.speakers(3) == ["good"] * 3
    assert [each.code for each in house.told] == ["unknown_voice"]


@pytest.mark.spec("MIX-4")
async def test_a_beginner_that_keeps_breaking_off_rests_like_any_engine(house: House) -> None:
    await house.measured()
    house.quick.breaks = StreamBroken("quick broke off.", engine="quick", retryable=True)
    for _ in range(2):
        with pytest.raises(StreamBroken):
            await house.said()
    assert await house.speakers(1) == ["good"]


@pytest.mark.spec("MIX-4")
async def test_while_the_preferred_engine_rests_the_next_one_says_all(house: House) -> None:
    await house.measured()
    house.good.error = EndpointUnreachable("good cannot be reached.", engine="good")
    assert (await house.said(LATER)).engine == "quick"
    audio = await house.said()
    assert (audio.engine, audio.rest) == ("quick", None)


async def test_of_several_the_soonest_begins(house: House) -> None:
    quickest = Timed(name="quickest", clock=house.clock, first=0.02)
    house.mixed = house.built(house.good, house.quick, quickest)
    assert await house.speakers(3) == ["good", "good", "quickest"]
    quickest.error = EndpointUnreachable("quickest cannot be reached.", engine="quickest")
    assert await house.speakers(2) == ["good", "quick"]


async def test_closing_ends_what_is_being_measured_and_closes_all(house: House) -> None:
    await house.said()
    house.quick.hangs = True
    async with house.mixed.synthesize(FIRST):
        await contract.comes_true(lambda: bool(house.quick.asked))
    await house.mixed.close()
    assert (house.good.closed, house.quick.closed, house.quick.open) == (True, True, 0)


@pytest.mark.spec("MIX-6")
async def test_a_kept_phrase_of_the_beginner_is_played_for_first_words_and_never_in_the_middle(
    house: House, tmp_path: Path
) -> None:
    await house.measured()
    cache = PhraseCache(
        house.mixed,
        tmp_path,
        max_bytes=1_000_000,
        open_decoder=open_decoder,
        asked_of="both",
        worth_keeping=("good", "quick"),
    )

    async def said(request: SpeechRequest) -> tuple[str, bool, Speaker | None]:
        async with asyncio.timeout(LIMIT_SECONDS), cache.synthesize(request) as audio:
            assert b"".join([chunk async for chunk in audio.chunks]) == audio.engine.encode()
        assert await cache.settled()
        return audio.engine, audio.kept, audio.rest

    rest = Speaker(engine="good", voice="ann")
    assert await said(LATER) == ("good", False, None)
    assert [await said(FIRST) for _ in range(3)] == [("quick", kept, rest) for kept in (False, False, True)]
    assert await said(LATER) == ("good", False, None)
    assert await said(replace(FIRST, opening=False)) == ("good", False, None)
    house.good.error = EndpointUnreachable("good cannot be reached.", engine="good")
    assert await said(replace(LATER, text="Half past.")) == ("quick", False, None)
    assert await said(replace(FIRST, opening=False)) == ("quick", True, None)
    await cache.close()


class Openings:
    """Asks for everything as for the first words of a message; the engine that begins is expected."""

    def __init__(self, mixed: MixedStart, name: str) -> None:
        self.name = name
        self._mixed = mixed

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with self._mixed.synthesize(replace(request, opening=True)) as audio:
            yield audio

    async def voices(self) -> list[Voice]:
        return await self._mixed.voices()

    async def close(self) -> None:
        await self._mixed.close()


@pytest.mark.spec("MIX-1", "MIX-4")
async def test_the_promises_of_an_engine_hold_over_real_http_whoever_begins() -> None:
    late = Behaviour(time_to_first_byte_s=1.0, pace=8.0)
    with SpeechServer(late) as good, SpeechServer(Behaviour(pace=8.0)) as quick:
        engines = [
            OpenAiSpeech(Endpoint(base_url=each.base_url, voices=("alloy",))) for each in (good, quick)
        ]
        mixed = MixedStart(FirstSpeech(engines), engines, SAME)
        engine = Openings(mixed, engines[1].name)

        def at_work() -> int:
            return sum(not request.over for each in (good, quick) for request in each.requests)

        for _ in range(2):
            async with mixed.synthesize(replace(FIRST, text=TEXT)) as audio:
                assert audio.engine == engines[0].name
            await mixed.settled()
        long = " ".join([TEXT] * 20)
        await contract.assert_streams(engine, SpeechRequest(text=TEXT))
        await contract.assert_each_gets_its_own(engine, [TEXT, "something else"])
        await contract.assert_refuses_nonsense(engine)
        await contract.assert_leaving_stops_it(engine, long, at_work)
        await contract.assert_cancel_stops_speech(engine, long, at_work)
        await engine.close()
