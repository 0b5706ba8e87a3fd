"""The ledger under fire: a word-coded voice read back from the loudspeaker, whatever breaks, wherever it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.battery.at_the_sink import IMPATIENT, LIMIT_S, Heard, new_links, say
from tests.battery.reading_back import clauses_in, walk, words_of
from tests.support import voice
from tests.support.encoding import WavKind, WavSizes
from tests.support.fakes import FakeVoice, Watched, open_passing, until
from tests.support.speech_server import Behaviour, Cut, Length, SpeechServer, closed_port
from tests.support.speech_service import sound_of
from voicemode.flows.rendering import Rendering, RenderingPorts
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playout.ledger import Ledger, Measured, Reach, clauses_said, reach
from voicemode.playout.links import Links
from voicemode.sound.joins import Contour, Pause, Voiced
from voicemode.speech import AudioFormat, Outcome, SpeechRequest
from voicemode.text.pieces import Splitter, split

HEAD_BYTES = 64
"""Less is no answer: where nobody gives one to the first request, the call fails."""

KNOWN_TEXT = " ".join(f"{word}{'.' if at % 7 == 6 else ''}" for at, word in enumerate(words_of(70))) * 3
"""After this much of a voice it is known whether it hesitates."""

BREAKS = {
    "closed": Behaviour(cut=Cut.CLOSE),
    "reset": Behaviour(cut=Cut.RESET),
    "short Content-Length": Behaviour(length=Length.STATED),
    "last chunk missing": Behaviour(last_chunk=False),
    "silent for ever": Behaviour(),
}
UNSEALED = Behaviour(cut=Cut.CLOSE, length=Length.CLOSE)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A message, and a stream of it that breaks after this share of its bytes. `known`: the voice has spoken before;
    `dead`: the first endpoint refuses."""

    text: str
    how: str
    share: float
    piece: int
    format: AudioFormat = AudioFormat.PCM
    speed: float = 1.0
    known: bool = True
    dead: bool = False


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SpeechServer, str]]:
    """A server, and an address at which nobody answers."""
    with ExitStack() as stack:
        yield stack.enter_context(SpeechServer()), stack.enter_context(closed_port())


def behaviour_of(broken: Broken, pieces: list[str]) -> tuple[int, Behaviour]:
    """(streams that go well before, the one that does not)."""
    number = broken.piece % len(pieces)
    body = sound_of(
        pieces[number], broken.speed, broken.format, SPEECH, WavKind.S16, WavSizes.STREAMING, 0
    ).body
    at = max(int(len(body) * broken.share), 0 if number else HEAD_BYTES)
    behaviour = BREAKS.get(broken.how, UNSEALED)
    if broken.how == "last chunk missing":
        return number, behaviour
    place = {"stall_after_bytes": at} if broken.how == "silent for ever" else {"cut_after_bytes": at}
    kept = {"cut": behaviour.cut, "length": behaviour.length}
    return number, Behaviour(**kept, **place)  # type: ignore[arg-type]


def request_of(broken: Broken) -> SpeechRequest:
    return SpeechRequest(text="", format=broken.format, speed=broken.speed)


LINKS: dict[tuple[int, float], Links] = {}


def links_of(server: SpeechServer, broken: Broken) -> Links:
    if not broken.known:
        return new_links()
    key = (server.port, broken.speed)
    if key not in LINKS:
        LINKS[key] = new_links()
        server.behave(Behaviour())
        before = SpeechRequest(text="", speed=broken.speed)
        asyncio.run(say(KNOWN_TEXT, [server.base_url], request=before, links=LINKS[key]))
    return LINKS[key]


def hear(servers: tuple[SpeechServer, str], broken: Broken) -> Heard:
    server, nobody = servers
    links = links_of(server, broken)
    pieces = split(broken.text)
    well, breaking = behaviour_of(broken, pieces)
    server.behave(Behaviour())
    server.then(*[Behaviour()] * well, breaking)
    urls = [nobody, server.base_url] if broken.dead else [server.base_url]
    return asyncio.run(say(broken.text, urls, request=request_of(broken), links=links, limits=IMPATIENT))


@st.composite
def messages(draw: st.DrawFn) -> str:
    """Words that are all different, with stops where the draw puts them."""
    words = list(words_of(draw(st.integers(2, 26))))
    marks = draw(st.lists(st.sampled_from(["", "", "", ",", ";", ":", ".", "?"]), min_size=26, max_size=26))
    return "".join(f"{word}{mark} " for word, mark in zip(words, marks, strict=False)).strip() + "."


@pytest.mark.spec("PLY-20")
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    broken=st.builds(
        Broken,
        text=messages(),
        how=st.sampled_from(list(BREAKS)),
        share=st.floats(0.0, 1.0),
        piece=st.integers(0, 9),
        format=st.sampled_from(list(AudioFormat)),
        speed=st.sampled_from([1.0, 1.0, 0.6, 1.3]),
        known=st.booleans(),
        dead=st.booleans(),
    )
)
def test_wherever_a_stream_breaks_every_word_is_heard_in_order(
    servers: tuple[SpeechServer, str], broken: Broken
) -> None:
    heard = hear(servers, broken)
    words = voice.words(broken.text)
    found = walk(heard.words, words)
    assert not found.lost
    assert len(found.again) <= 1
    assert heard.spoken.outcome is Outcome.FINISHED
    assert (heard.spoken.heard, heard.spoken.unheard) == (" ".join(split(broken.text)), "")
    ends = frozenset(voice.words(part)[-1] for part in broken.text.split() if not part[-1].isalnum())
    if broken.speed == 1.0:
        # By the pace of a known voice, a break close behind the end of a clause may lie before it.
        assert all(clauses_in(run, ends) <= (2 if broken.known else 1) for run in found.again)


@pytest.mark.spec("PLY-32")
@settings(max_examples=12, deadline=None, database=None)
@given(
    share=st.floats(0.0, 0.3),
    format_=st.sampled_from([AudioFormat.PCM, AudioFormat.MP3]),
    known=st.booleans(),
)
def test_a_body_without_a_length_that_ends_far_too_early_loses_no_word(
    servers: tuple[SpeechServer, str], share: float, format_: AudioFormat, known: bool
) -> None:
    text = " ".join(words_of(24)) + "."
    broken = Broken(text=text, how="unsealed", share=share, piece=0, format=format_, known=known)
    assert not walk(hear(servers, broken).words, voice.words(text)).lost


@pytest.mark.spec("PLY-7")
def test_where_the_first_piece_came_slower_than_it_sounds_the_second_is_asked_for_small(
    servers: tuple[SpeechServer, str],
) -> None:
    server, _ = servers
    server.behave(Behaviour())
    server.then(Behaviour(pace=0.7))
    text = "Harbour quiet tonight. Seven boats wait there, nobody sails; the wind is north and very cold."
    before = len(server.requests)
    heard = asyncio.run(say(text, [server.base_url], request=SpeechRequest(text=""), links=new_links()))
    assert [asked.format for asked in server.requests[before:]] == ["pcm", "mp3"]
    assert heard.words == voice.words(text)


@pytest.mark.spec("PLY-22")
@pytest.mark.anyio
async def test_pieces_that_arrive_before_the_first_is_written_are_all_said_in_order() -> None:
    engine = FakeVoice()
    said: list[int] = []

    async def write(piece: int, frame: Frame) -> None:
        if not said:
            await until(lambda: len(engine.asked) > 1 and not engine.open)
        said.append(piece)

    ports = RenderingPorts(
        engine=engine,
        open_decoder=open_passing,
        format=SPEECH,
        chunk_bytes=4096,
        links=Links(fill_seconds=0.1, limit_seconds=2.0),
        new_splitter=lambda request: Splitter(),
    )
    text = (
        "The first one is said. " + "This one is long enough to be a piece of its own, and it is said. " * 3
    )
    rendering = Rendering(ports, text, SpeechRequest(text=""), turn="t", emit=Watched())
    async with asyncio.timeout(LIMIT_S):
        await rendering.run(write)
    assert list(dict.fromkeys(said)) == [0, 1, 2, 3]
    assert [asked.text for asked in engine.asked] == rendering.ledger.pieces


@dataclass(frozen=True, kw_only=True)
class Voice:
    """`letters` per second; pauses at commas and at the ends of sentences; `uneven`: how far a word strays from its
    length; `hesitations`: words, one in so many, after which it pauses without reason (0: none)."""

    letters: float
    comma: float
    sentence: float
    uneven: float
    hesitations: int

    def say(self, words: list[str], noise: list[float]) -> list[tuple[float, float]]:
        """(seconds of voice, of pause) for each word."""
        said = []
        for place, word in enumerate(words):
            seconds = (reach(word).most + 1) / self.letters * (1 + self.uneven * noise[place % len(noise)])
            pause = self.comma if word[-1] in ",;:" else self.sentence if word[-1] in ".?" else 0.0
            if not pause and self.hesitations and place % self.hesitations == self.hesitations - 1:
                pause = 0.2
            said.append((seconds, pause))
        return said


def heard_until(cut: float, said: list[tuple[float, float]]) -> tuple[int, Voiced]:
    """(words said whole, what is known of the sound) when it breaks off after `cut` seconds."""
    voiced = at = 0.0
    pauses: list[Pause] = []
    for place, (seconds, pause) in enumerate(said):
        if at + seconds > cut:
            return place, Voiced(seconds=voiced + cut - at, pauses=tuple(pauses))
        at, voiced = at + seconds, voiced + seconds
        heard = min(pause, cut - at)
        if heard >= 0.1:
            pauses.append(Pause(after=voiced, seconds=heard))
        else:
            voiced += heard
        at += heard
    return len(said), Voiced(seconds=voiced, pauses=tuple(pauses))


VOICES = st.builds(
    Voice,
    letters=st.floats(7.5, 26.0),
    comma=st.sampled_from([0.0, 0.11, 0.15, 0.25]),
    sentence=st.sampled_from([0.0, 0.2, 0.4, 0.6]),
    uneven=st.floats(0.0, 0.2),
    hesitations=st.sampled_from([0, 3, 5, 8]),
)
TEXTS = st.lists(
    st.tuples(
        st.sampled_from(["build", "is", "green", "a", "internationally", "harbour", "tests"]),
        st.sampled_from(["", "", "", ",", ";", ".", "?"]),
    ),
    min_size=2,
    max_size=30,
).map(lambda words: [f"{word}{mark}" for word, mark in words])
NOISE = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=12)


@pytest.mark.spec("PLY-21")
@settings(max_examples=150, deadline=None, database=None)
@given(VOICES, TEXTS, NOISE, st.floats(0.0, 1.0), st.booleans())
def test_no_voice_is_believed_to_have_said_more_than_it_has(
    voice_: Voice, words: list[str], noise: list[float], share: float, before: bool
) -> None:
    text = " ".join(words)
    said = voice_.say(words, noise)
    place, voiced = heard_until(sum(map(sum, said)) * share, said)
    ledger = Ledger(1_000)
    if before:
        known = [f"{word}{',' if at % 6 == 5 else ''}" for at, word in enumerate(words_of(65))] * 4
        _, whole = heard_until(1e9, voice_.say(known, noise))
        ledger.complete(ledger.add(" ".join(known)), voiced=whole)
    number = ledger.add(text)
    ledger.sound(number, at=0, samples=round(voiced.seconds * 1_000))
    following = ledger.break_off(number, voiced=voiced)
    rest = ledger.pieces[following].split()
    assert len(words) - len(rest) <= place
    assert " ".join(ledger.pieces[number:]) == text


@pytest.mark.spec("PLY-21")
def test_a_voice_that_never_hesitates_is_followed_to_the_clause() -> None:
    text = "One two three, four five six. Seven eight nine; ten eleven twelve, thirteen fourteen."
    words = text.split()
    for letters in (8.0, 14.0, 24.0):
        steady = Voice(letters=letters, comma=0.15, sentence=0.3, uneven=0.0, hesitations=0)
        said = steady.say(words, [0.0])
        known = ("Six words and then a stop, " * 40).split()
        for percent in range(2, 100, 3):
            place, voiced = heard_until(sum(map(sum, said)) * percent / 100, said)
            ledger = Ledger(1_000)
            ledger.complete(ledger.add(" ".join(known)), voiced=heard_until(1e9, steady.say(known, [0.0]))[1])
            number = ledger.add(text)
            following = ledger.break_off(number, voiced=voiced)
            begun = max((at for at in range(place + 1) if at == 0 or words[at - 1][-1] in ",.;"), default=0)
            rest = ledger.pieces[following].split()
            again = words[len(words) - len(rest) : place]
            assert len(again) <= max(place - begun, 3), (letters, percent, again)


@pytest.mark.spec("PLY-21")
def test_figures_and_scripts_without_spaces_take_longer_than_they_look() -> None:
    slowly = 30 / 14.0
    assert clauses_said([reach("你好，世界，")], Voiced(seconds=1.0), Ledger(1_000)._pace("")) == 0
    for text in ("In 1984 and 31415, ", "你好世界今天，"):
        ledger = Ledger(1_000)
        number = ledger.add(f"{text}那么 then.")
        assert ledger.break_off(number, voiced=Voiced(seconds=slowly)) == number


@pytest.mark.spec("PLY-21")
def test_a_text_without_spaces_is_given_back_without_spaces() -> None:
    ledger = Ledger(1_000)
    text = "你好，世界。再见。"
    number = ledger.add(text)
    ledger.sound(number, at=0, samples=90_000)
    following = ledger.break_off(number, voiced=Voiced(seconds=90.0))
    assert ledger.pieces[number:] == ["你好，世界。", "再见。"]
    ledger.sound(following, at=90_000, samples=1_000)
    ledger.complete(following)
    assert ledger.split(91_000) == (text, "")
    assert ledger.split(0) == ("", text)


@pytest.mark.spec("PLY-23")
@settings(max_examples=40, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 80)), min_size=1, max_size=6),
    st.integers(1, 999),
    st.sampled_from([1, 2]),
)
def test_the_pauses_of_a_sound_are_found_however_it_is_cut(
    parts: list[tuple[int, int]], size: int, channels: int
) -> None:
    fmt = PcmFormat(rate=2_000, channels=channels)
    unit = 10 * channels  # 5 ms
    loud, quiet = (8_000).to_bytes(2, "little"), (40).to_bytes(2, "little")
    sound = b"".join(loud * unit * voiced + quiet * unit * silent for voiced, silent in parts)
    contour = Contour(fmt)
    step = size * fmt.bytes_per_sample
    for start in range(0, len(sound), step):
        contour.feed(Frame(data=sound[start : start + step], format=fmt))
    found = contour.voiced()
    expected = [silent * 0.005 for _, silent in parts if silent >= 20]
    assert [pause.seconds for pause in found.pauses] == pytest.approx(expected)
    all_of_it = sum(voiced + silent for voiced, silent in parts) * 0.005
    assert found.seconds + sum(expected) == pytest.approx(all_of_it)


@pytest.mark.spec("PLY-21")
def test_a_hesitation_makes_a_voice_doubtful() -> None:
    text = "Six words and then a stop, " * 50
    words = text.split()
    for hesitations, sure in ((0, 0.0), (4, 0.3)):
        hasty = Voice(letters=14.0, comma=0.2, sentence=0.4, uneven=0.0, hesitations=hesitations)
        measured = Measured()
        measured.learn(text.strip(), heard_until(1e9, hasty.say(words, [0.0]))[1])
        assert measured.sure_pause == sure
    assert reach("abc") == Reach(least=3.0, most=3.0)
