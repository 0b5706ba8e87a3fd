"""The first words of a message from one engine and the rest from another: what is asked of whom, and what is heard."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.battery.reading_back import QuickSpeaker, walk, whole_words
from tests.doors.door import World, door, fields
from tests.support.fakes import FakeVoice, Shelf, Watched, open_passing
from tests.support.speech_server import Behaviour, Length, SpeechServer
from tests.support.voice import words
from voicemode.codecs import open_decoder
from voicemode.configuration.config import Config
from voicemode.events import FirstByte, SpeechBroken, SpeechRequested
from voicemode.flows.rendering import Rendering, RenderingPorts
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.machine.settings_files import folders
from voicemode.pcm import SPEECH, Frame
from voicemode.playout.links import Links
from voicemode.speech import EncodedAudio, Speaker, SpeechRequest, Spoken
from voicemode.text.pieces import Splitter
from voicemode.turn_story.timeline import sentence
from voicemode.wiring.line_up import LineUp

pytestmark = pytest.mark.anyio

LIMIT_SECONDS = 60.0
REQUEST = SpeechRequest(text="")
FIRST = "Good morning to you."
SECOND = "The harbour is quiet tonight and seven boats go out on an open sea."
THIRD = "Nothing else has happened since those bells rang for noon."
TEXT = f"{FIRST} {SECOND} {THIRD}"
LATE = Behaviour(time_to_first_byte_s=1.0)
"""So late that whatever was heard before cannot have come from there."""


@dataclass(kw_only=True)
class House:
    """A good server, asked first, and a quick one, behind the line-up of a configuration that mixes them."""

    good: SpeechServer
    quick: SpeechServer
    line_up: LineUp
    links: Links = field(default_factory=lambda: Links(fill_seconds=0.1, limit_seconds=2.0))
    watched: Watched = field(default_factory=Watched)
    speaker: QuickSpeaker = field(default_factory=QuickSpeaker)

    async def say(self, text: str) -> Spoken:
        self.watched, self.speaker = Watched(), QuickSpeaker()
        ports = SpeakingPorts(
            engine=self.line_up.speech,
            open_decoder=open_decoder,
            open_sink=self.speaker,
            begin_recording=Shelf(),
            emit=self.watched,
            links=self.links,
        )
        async with asyncio.timeout(LIMIT_SECONDS):
            return await Utterance(ports, text, REQUEST, turn="t").run()

    @property
    def heard(self) -> list[str]:
        return whole_words(bytes(self.speaker.heard), SPEECH.rate)

    def who(self) -> list[tuple[int, str, bool]]:
        """(piece, server, only begins) for all that came."""
        names = {f"127.0.0.1:{self.good.port}": "good", f"127.0.0.1:{self.quick.port}": "quick"}
        came = [event for event in self.watched.events if isinstance(event, FirstByte)]
        return [(event.piece, names[event.engine], event.begins) for event in came]

    async def measured(self) -> None:
        """Two messages, and what is asked beside them."""
        for text in ("One moment.", "Another one."):
            await self.say(text)
            assert self.who() == [(0, "good", False)]
        texts = ["Another one.", "Another one."]
        await asyncio.to_thread(
            self.quick.wait_until,
            lambda seen: [each.text for each in seen if each.text and each.over] == texts,
        )


@contextmanager
def servers() -> Iterator[tuple[SpeechServer, SpeechServer]]:
    with SpeechServer(LATE) as good, SpeechServer(Behaviour(pace=2.0)) as quick:
        yield good, quick


@asynccontextmanager
async def mixing(folder: Path, mixed: str = "same") -> AsyncIterator[House]:
    with servers() as (good, quick):
        environment = {
            "HOME": str(folder),
            "VOICEMODE_BASE_DIR": str(folder / "data"),
            "VOICEMODE_TTS_BASE_URLS": f"{good.base_url},{quick.base_url}",
            "VOICEMODE_NEURAL_VOICE": "none",
            "VOICEMODE_MIXED_START": mixed,
        }
        config = Config.from_sources(environment)
        assert config.problems == ()
        line_up = LineUp(config, folders(config, environment))
        try:
            yield House(good=good, quick=quick, line_up=line_up)
        finally:
            await line_up.speech.close()


def texts(server: SpeechServer) -> list[str]:
    return [request.text for request in server.requests if request.text]


@pytest.mark.spec("MIX-1", "MIX-3", "MIX-5")
async def test_over_real_http_the_quick_server_says_the_first_piece_and_the_good_one_the_rest(
    tmp_path: Path,
) -> None:
    async with mixing(tmp_path) as house:
        await house.measured()
        spoken = await house.say(TEXT)
        assert texts(house.quick)[2:] == [FIRST]
        assert texts(house.good)[2:] == [SECOND, THIRD]
        assert house.who() == [(0, "quick", True), (1, "good", False), (2, "good", False)]
        assert [each.voice for each in spoken.speakers] == ["af_sky", "af_sky"]
        assert spoken.speakers[1].engine == spoken.engine == f"127.0.0.1:{house.good.port}"
        assert house.heard == words(TEXT)
        assert (spoken.heard, spoken.unheard) == (TEXT, "")
        states = (await house.line_up.states()).speech
        assert ["first sound" in each.detail for each in states] == [True, True, False]
        # Its first sound is the quick one's: the good one sends nothing in that time.
        assert spoken.timings.ttfa is not None
        assert spoken.timings.ttfa < LATE.time_to_first_byte_s
        # And it has begun its part while the first piece was still on its way.
        (begun,) = [each for each in house.quick.requests if each.text == FIRST]
        (second,) = [each for each in house.good.requests if each.text == SECOND]
        assert begun.finished_at is not None
        assert second.received_at < begun.finished_at


@pytest.mark.spec("MIX-4")
async def test_over_real_http_a_beginner_that_breaks_off_or_dies_costs_no_word(tmp_path: Path) -> None:
    async with mixing(tmp_path) as house:
        await house.measured()
        cut = Behaviour(cut_after_bytes=40_000)
        house.quick.then(cut)
        spoken = await house.say(TEXT)
        assert any(isinstance(event, SpeechBroken) for event in house.watched.events)
        # It is asked for its piece again, as any server would be.
        assert house.who() == [(0, "quick", True), (0, "quick", True), (1, "good", False), (2, "good", False)]
        found = walk(house.heard, words(TEXT))
        assert (list(found.lost), list(found.strange)) == ([], [])
        assert [set(run) <= set(words(FIRST)) for run in found.again] == [True]
        assert (spoken.heard, spoken.unheard) == (TEXT, "")
        # Twice in a row: it rests, and the good one says it all.
        house.quick.behave(cut)
        await house.say(f"Good evening to you. {SECOND}")
        assert house.who()[-2:] == [(0, "good", False), (1, "good", False)]
        assert walk(house.heard, words(f"Good evening to you. {SECOND}")).lost == []
        spoken = await house.say(f"Good night to you. {SECOND}")
        assert house.who() == [(0, "good", False), (1, "good", False)]
        assert len(spoken.speakers) == 1


@pytest.mark.spec("MIX-8")
@pytest.mark.parametrize("length", list(Length))
async def test_over_real_http_the_good_server_says_what_a_beginner_cuts_short(
    tmp_path: Path, length: Length
) -> None:
    """Of a second of sound an eighth comes, and nothing in the framing tells."""
    async with mixing(tmp_path) as house:
        await house.measured()
        house.quick.behave(Behaviour(over_after_bytes=6_000, length=length))
        spoken = await house.say(TEXT)
        (broken,) = [event for event in house.watched.events if isinstance(event, SpeechBroken)]
        assert "too little for its text" in broken.reason
        assert house.who() == [(0, "quick", True), (0, "good", False), (1, "good", False), (2, "good", False)]
        assert house.heard == words(TEXT)
        assert (spoken.heard, spoken.unheard) == (TEXT, "")
        # It begins nothing for a while.
        await house.say(f"Good evening to you. {SECOND}")
        assert house.who() == [(0, "good", False), (1, "good", False)]


@pytest.mark.spec("MIX-1")
async def test_without_the_variable_the_other_server_is_never_asked(tmp_path: Path) -> None:
    async with mixing(tmp_path, "") as house:
        house.good.behave(Behaviour(time_to_first_byte_s=0.2))
        for text in ("One moment.", "Another one.", TEXT):
            await house.say(text)
        assert house.quick.requests == []


class Begun(FakeVoice):
    """Begins for another voice, which is `louder` times as loud: an opening is said by "quick", the rest by "good"."""

    def __init__(self, louder: float = 1.0, *, gate: asyncio.Semaphore | None = None) -> None:
        super().__init__(gate=gate)
        self.louder = louder

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        level = 4_000 if request.opening else round(4_000 * self.louder)
        async with super().synthesize(request) as audio:
            if request.opening:
                rest = Speaker(engine="good", voice="ann")
                said = replace(audio, engine="quick", voice="ann", rest=rest)
            else:
                said = replace(audio, engine="good", voice="ann")
            yield replace(said, chunks=_at(level, audio.chunks))


async def _at(level: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    data = b"".join([chunk async for chunk in chunks])
    yield array("h", [level if at % 2 else -level for at in range(len(data) // 2)]).tobytes()


async def rendered(engine: FakeVoice, links: Links, text: str = TEXT) -> tuple[dict[int, int], Watched]:
    """The loudest sample of each piece."""
    watched, loudest = Watched(), dict[int, int]()

    async def write(piece: int, frame: Frame) -> None:
        loudest[piece] = max([loudest.get(piece, 0), *map(abs, array("h", frame.data))])

    ports = RenderingPorts(
        engine=engine,
        open_decoder=open_passing,
        format=SPEECH,
        chunk_bytes=4_096,
        links=links,
        new_splitter=lambda request: Splitter(),
    )
    rendering = Rendering(ports, text, REQUEST, turn="t", emit=watched)
    async with asyncio.timeout(LIMIT_SECONDS):
        await rendering.run(write)
    return loudest, watched


@pytest.mark.spec("MIX-5")
async def test_the_answer_names_all_who_spoke_in_order(tmp_path: Path) -> None:
    world = World()
    world.voice = Begun()
    async with door(world, tmp_path, "2026-07-28") as made:
        said = fields(await made.call("speak", message=TEXT, wait="finished"))
    assert said["voice"] == "ann (quick), then ann (good)"
    assert said["heard"] == TEXT


@pytest.mark.spec("MIX-5")
def test_the_turns_story_says_who_only_began() -> None:
    begun = FirstByte(at=1.0, turn="t", piece=0, engine="quick", voice="ann", format="pcm", begins=True)
    assert sentence(begun) == "First byte of piece 0 (quick, which only begins, voice ann, pcm)."


@pytest.mark.spec("MIX-7")
@pytest.mark.parametrize("louder", [0.5, 2.0, 3.5])
async def test_the_first_words_are_as_loud_as_the_rest_once_both_voices_are_known(louder: float) -> None:
    links, engine = Links(fill_seconds=0.1, limit_seconds=2.0), Begun(louder)
    there = round(4_000 * louder)
    assert (await rendered(engine, links))[0] == {0: 4_000, 1: there, 2: there}
    loudest, _ = await rendered(engine, links)
    assert loudest == {0: pytest.approx(there, rel=0.04), 1: there, 2: there}


@pytest.mark.spec("MIX-7")
async def test_first_words_that_nobody_would_call_softer_are_untouched() -> None:
    links, engine = Links(fill_seconds=0.1, limit_seconds=2.0), Begun(1.15)
    for _ in range(2):
        assert (await rendered(engine, links))[0] == {0: 4_000, 1: 4_600, 2: 4_600}


@pytest.mark.spec("MIX-1")
async def test_only_what_opens_a_message_is_asked_for_as_an_opening() -> None:
    engine = Begun()
    _, watched = await rendered(engine, Links(fill_seconds=0.1, limit_seconds=2.0))
    assert [(request.text, request.opening) for request in engine.asked] == [
        (FIRST, True),
        (SECOND, False),
        (THIRD, False),
    ]
    asked = [event.piece for event in watched.events if isinstance(event, SpeechRequested)]
    assert asked == [0, 1, 2]
