"""Where one sound follows another: pauses between pieces, breaks that are gone on from, ends that are doubted."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakes import Watched, open_passing
from voicemode.errors import StreamBroken
from voicemode.events import SpeechBroken, SpeechReworded
from voicemode.flows.rendering import Rendering, RenderingPorts
from voicemode.pcm import SPEECH, Frame
from voicemode.playout.links import Links
from voicemode.sound.joins import CLAUSE_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice
from voicemode.text.pieces import Splitter
from voicemode.text.sentences import SplitRules

LIMIT_SECONDS = 20.0
WORD = SPEECH.samples(0.3)
COMMA = SPEECH.samples(0.15)
SENTENCES = (
    "One two three four. Five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen. Last."
)
CLAUSES = "Alpha beta, gamma delta, epsilon zeta eta, theta iota."


@dataclass(frozen=True, kw_only=True)
class Take:
    """How one request is answered: only so much of the sound (`share`), `broken` or not."""

    share: float = 1.0
    broken: bool = False
    voice: str = "one"
    reworded: str | None = None
    unsealed: bool = False


@dataclass(kw_only=True)
class LoudVoice:
    """A `TtsEngine` whose words are 0.3 s of one value (`value_of`), with 0.15 s of silence at a comma and `tail`
    samples of it at the end. Requests are answered by `takes` in turn, then by the last one."""

    takes: Sequence[Take] = (Take(),)
    tail: int = 0
    chunk_bytes: int = 4_001
    tempo: float = 1.0
    """How much longer each answer is than the one before."""
    asked: list[SpeechRequest] = field(default_factory=list)
    name: str = "loud"

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        take = self.takes[min(len(self.asked), len(self.takes) - 1)]
        sound = sound_of(request.text, tail=self.tail, stretch=self.tempo ** len(self.asked))
        self.asked.append(request)
        sound = sound[: int(len(sound) / 2 * take.share) * 2]
        yield EncodedAudio(
            chunks=self._chunks(sound, take),
            format=AudioFormat.PCM,
            engine=self.name,
            voice=take.voice,
            unsealed=take.unsealed,
            reworded=lambda: take.reworded,
        )

    async def voices(self) -> list[Voice]:
        return []

    async def close(self) -> None:
        return

    async def _chunks(self, sound: bytes, take: Take) -> AsyncIterator[bytes]:
        for start in range(0, len(sound), self.chunk_bytes):
            await asyncio.sleep(0)
            yield sound[start : start + self.chunk_bytes]
        if take.broken:
            raise StreamBroken("loud broke off.", engine=self.name, retryable=True)


def value_of(word: str) -> int:
    """The words of a text here differ in their first two letters or their length."""
    bare = word.strip(".,").lower()
    return 6_000 + (ord(bare[0]) * 31 + ord(bare[1]) * 7 + len(bare)) % 100 * 200


def sound_of(text: str, *, tail: int = 0, stretch: float = 1.0) -> bytes:
    values = array("h")
    for word in text.split():
        values.extend([value_of(word)] * round(WORD * stretch))
        values.extend([0] * (COMMA if word.endswith(",") else 0))
    values.extend([0] * tail)
    return values.tobytes()


@dataclass(kw_only=True)
class Said:
    rendering: Rendering
    frames: list[tuple[int, Frame]]
    watched: Watched

    @property
    def sound(self) -> bytes:
        return b"".join(frame.data for _, frame in self.frames)

    @property
    def words(self) -> list[int]:
        """The values of words in the order heard; what was heard less than half is left out."""
        heard: list[tuple[int, int]] = []
        for value in array("h", self.sound):
            if heard and heard[-1][0] == value:
                heard[-1] = (value, heard[-1][1] + 1)
            elif not heard or value:
                heard.append((value, 1))
        return [value for value, samples in heard if value and samples >= WORD // 2]

    @property
    def broken(self) -> list[SpeechBroken]:
        return [event for event in self.watched.events if isinstance(event, SpeechBroken)]


async def say(voice: LoudVoice, text: str, *, chunk_bytes: int = 4_096, clause: int = 40) -> Said:
    watched = Watched()
    frames: list[tuple[int, Frame]] = []

    async def write(piece: int, frame: Frame) -> None:
        at = sum(each.samples for _, each in frames)
        rendering.ledger.sound(piece, at=at, samples=frame.samples)
        frames.append((piece, frame))

    ports = RenderingPorts(
        engine=voice,
        open_decoder=open_passing,
        format=SPEECH,
        chunk_bytes=chunk_bytes,
        links=Links(fill_seconds=0.1, limit_seconds=2.0),
        new_splitter=lambda request: Splitter(rules=SplitRules(clause=clause)),
    )
    rendering = Rendering(ports, text, SpeechRequest(text=""), turn="t", emit=watched)
    async with asyncio.timeout(LIMIT_SECONDS):
        await rendering.run(write)
    return Said(rendering=rendering, frames=frames, watched=watched)


def expected(text: str) -> list[int]:
    return [value_of(word) for word in text.split()]


# Pauses between pieces.


@settings(max_examples=30, deadline=None, database=None)
@given(st.integers(0, 12_000), st.integers(700, 40_000), st.integers(900, 20_000))
@pytest.mark.spec("SPK-52")
def test_between_sentences_a_quarter_of_a_second_is_quiet_however_the_bytes_are_cut(
    tail: int, network: int, decoded: int
) -> None:
    said = asyncio.run(say(LoudVoice(tail=tail, chunk_bytes=network), SENTENCES, chunk_bytes=decoded))
    pieces = said.rendering.ledger.pieces
    assert len(pieces) == 3
    # Blocks of 5 ms that began with voice are not quiet.
    quiet = SPEECH.samples(tail // 120 * 0.005)
    added = max(SPEECH.samples(SENTENCE_PAUSE_SECONDS) - quiet, 0)
    whole = [sound_of(piece, tail=tail) for piece in pieces]
    assert said.sound == bytes(2 * added).join(whole)


@pytest.mark.anyio
@pytest.mark.spec("SPK-52")
async def test_the_pause_after_a_clause_is_short_and_where_a_text_was_cut_there_is_none() -> None:
    clause = "Whatever the weather may be at the harbour, seven boats go out to the sea."
    said = await say(LoudVoice(), clause)
    first, second = said.rendering.ledger.pieces
    pause = bytes(2 * (SPEECH.samples(CLAUSE_PAUSE_SECONDS)))
    # The voice pauses for 0.15 s at its commas; nothing is added to that.
    assert said.sound == sound_of(first) + sound_of(second)
    shorn = [sound_of(piece).rstrip(b"\0") for piece in (first, second)]
    voice = Shorn()
    assert (await say(voice, clause)).sound == pause.join(shorn)
    words = " ".join(["harbour"] * 70)
    said = await say(LoudVoice(), words)
    assert len(said.rendering.ledger.pieces) == 2
    assert said.sound == b"".join(sound_of(piece) for piece in said.rendering.ledger.pieces)


class Shorn(LoudVoice):
    """Leaves no silence at the end of its sound."""

    async def _chunks(self, sound: bytes, take: Take) -> AsyncIterator[bytes]:
        async for chunk in super()._chunks(sound.rstrip(b"\0"), take):
            yield chunk


@pytest.mark.anyio
@pytest.mark.spec("SPK-53")
async def test_a_pause_belongs_to_the_piece_before_it_and_takes_nothing_from_its_words() -> None:
    said = await say(LoudVoice(), SENTENCES)
    pieces = said.rendering.ledger.pieces
    words = [len(piece.split()) * WORD for piece in pieces]
    pause = SPEECH.samples(SENTENCE_PAUSE_SECONDS)
    by_piece = [sum(frame.samples for piece, frame in said.frames if piece == number) for number in range(3)]
    assert by_piece == [words[0] + pause, words[1] + pause, words[2]]
    for heard in (words[0], words[0] + 1, words[0] + pause):
        assert said.rendering.ledger.split(heard) == (pieces[0], " ".join(pieces[1:]))


# Breaks.


@settings(max_examples=60, deadline=None, database=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.sampled_from([1.0, 1.0, 0.95, 1.08]))
@pytest.mark.spec("PLY-31")
def test_an_unknown_voice_that_breaks_twice_in_a_piece_loses_no_word(
    first: float, second: float, tempo: float
) -> None:
    takes = [Take(share=first, broken=True), Take(share=second, broken=True), Take()]
    said = asyncio.run(say(LoudVoice(takes=takes, tempo=tempo), CLAUSES, clause=100))
    words, whole = said.words, expected(CLAUSES)
    here = 0
    for value in words:
        place = whole.index(value)
        assert place <= here, "a word was passed over"
        here = max(here, place + 1)
    assert here == len(whole)
    assert len(said.broken) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("share", [0.3, 0.5, 0.62, 0.8, 0.95])
@pytest.mark.spec("PLY-31")
async def test_an_unknown_voice_says_again_only_the_clause_in_which_it_broke(share: float) -> None:
    said = await say(LoudVoice(takes=[Take(share=share, broken=True), Take()]), CLAUSES, clause=100)
    places = [expected(CLAUSES).index(value) for value in said.words]
    before = next(at for at, (one, two) in enumerate(pairwise([*places, -1]), 1) if two <= one)
    start = places[before] if before < len(places) else before
    assert places == [*range(before), *range(start, 9)]
    assert start in (0, 2, 4, 7, 9)
    assert before - start <= 3
    assert said.rendering.ledger.pieces == [CLAUSES]


@pytest.mark.anyio
@pytest.mark.spec("PLY-31")
async def test_where_another_voice_answers_the_piece_is_said_again() -> None:
    takes = [Take(share=0.8, broken=True), Take(voice="another")]
    said = await say(LoudVoice(takes=takes), CLAUSES, clause=100)
    assert said.words[-9:] == expected(CLAUSES)
    assert len(said.words) > 9


# Ends that may be breaks.


LONG = "Alpha beta gamma delta epsilon, zeta eta theta iota kappa lambda, mu nu xi omicron pi rho sigma tau."


@pytest.mark.anyio
@pytest.mark.spec("PLY-32")
async def test_a_body_without_a_length_that_is_far_too_short_is_a_break() -> None:
    takes = [Take(share=0.1, unsealed=True), Take(unsealed=True)]
    said = await say(LoudVoice(takes=takes), LONG, clause=200)
    (broken,) = said.broken
    assert broken.code == "stream_broken"
    assert "too little" in broken.reason
    assert said.words[-18:] == expected(LONG)[-18:]


@pytest.mark.anyio
@pytest.mark.spec("PLY-32")
@pytest.mark.parametrize("take", [Take(share=0.1), Take(share=0.5, unsealed=True)])
async def test_a_sealed_body_and_one_of_some_length_are_believed(take: Take) -> None:
    said = await say(LoudVoice(takes=[take]), LONG, clause=200)
    assert said.broken == []


@pytest.mark.anyio
@pytest.mark.spec("PLY-32")
async def test_a_voice_that_really_is_so_fast_is_doubted_once() -> None:
    voice = LoudVoice(takes=[Take(share=0.1, unsealed=True)])
    said = await say(voice, " ".join([LONG] * 9))
    pieces = said.rendering.ledger.pieces
    assert len(said.broken) == 1
    # Once more for the doubt, and the piece that had been asked for meanwhile.
    assert len(voice.asked) <= len(pieces) + 2
    assert len(pieces) > 8


# Words that were changed.


@pytest.mark.anyio
@pytest.mark.spec("SPK-54")
async def test_a_reworded_piece_is_told_once_its_sound_has_come() -> None:
    takes = [Take(), Take(reworded="left out “six”"), Take()]
    said = await say(LoudVoice(takes=takes), SENTENCES)
    told = [replace(event, at=0.0) for event in said.watched.events if isinstance(event, SpeechReworded)]
    assert told == [SpeechReworded(at=0.0, turn="t", piece=1, engine="loud", how="left out “six”")]
    names = said.watched.names()
    assert names[names.index("SpeechReworded") - 1] == "SpeechReceived"
    assert said.rendering.notes == ["loud used other words than the text's: left out “six”."]


@pytest.mark.anyio
@pytest.mark.spec("SPK-54")
async def test_the_result_names_a_few_rewordings_and_the_log_all() -> None:
    said = await say(LoudVoice(takes=[Take(reworded="left out “six”")]), " ".join([SENTENCES] * 3))
    told = [event for event in said.watched.events if isinstance(event, SpeechReworded)]
    assert len(told) > len(said.rendering.notes) == 3
