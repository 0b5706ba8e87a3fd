"""What is said again and again comes from disk; what is said once leaves nothing there."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.http import TEXT, asked, speech
from tests.support import contract
from tests.support.fakes import FakeVoice, words_as_sound
from tests.support.speech_server import Behaviour, SpeechServer
from tests.support.voice import speak
from voicemode.codecs import open_decoder
from voicemode.engines.first import FirstSpeech
from voicemode.engines.phrase_files import MOST_DAYS, Phrase, PhraseFiles
from voicemode.engines.phrases import LONGEST_CHARACTERS, PhraseCache
from voicemode.errors import EndpointUnreachable, StreamBroken
from voicemode.pcm import PcmFormat
from voicemode.ports import TtsEngine
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice

pytestmark = pytest.mark.anyio

LONG = " ".join([TEXT] * 20)
DONE = SpeechRequest(text="All tests pass.", voice="alloy")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PHRASE = Phrase(
    data=b"\x01\x02" * 500,
    format=AudioFormat.MP3,
    engine="e",
    voice="v",
    model="m",
    pcm=PcmFormat(rate=8_000),
)

if not hasattr(os, "geteuid"):
    pytest.skip("file modes are POSIX", allow_module_level=True)


@asynccontextmanager
async def cached(
    engine: TtsEngine,
    folder: Path,
    *,
    max_bytes: int = 10_000_000,
    asked_of: str = "one server",
    keeping: tuple[str, ...] | None = None,
) -> AsyncIterator[PhraseCache]:
    cache = PhraseCache(
        engine,
        folder,
        max_bytes=max_bytes,
        open_decoder=open_decoder,
        asked_of=asked_of,
        worth_keeping=(engine.name,) if keeping is None else keeping,
    )
    try:
        yield cache
    finally:
        await cache.close()


async def said(cache: PhraseCache, request: SpeechRequest = DONE) -> tuple[EncodedAudio, bytes]:
    """Says it, and waits until what is to be written is."""
    result = await contract.said(cache, request)
    assert await cache.settled()
    return result


async def kept(cache: PhraseCache, request: SpeechRequest = DONE) -> bytes:
    await said(cache, request)
    return (await said(cache, request))[1]


def phrases(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.phrase"))


def everything(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.spec("PLY-13")
async def test_a_phrase_said_twice_is_answered_from_disk_byte_for_byte(tmp_path: Path) -> None:
    voice = FakeVoice()
    async with cached(voice, tmp_path) as cache:
        first, sound = await said(cache)
        assert await kept(cache) == sound
        asked_before = len(voice.asked)
        again, same = await said(cache)
    assert len(voice.asked) == asked_before
    assert same == sound == words_as_sound(DONE.text)
    assert again.kept
    assert replace(again, chunks=first.chunks, kept=False) == first


@pytest.mark.spec("PLY-13")
async def test_another_process_plays_what_one_has_kept(tmp_path: Path) -> None:
    async with cached(FakeVoice(), tmp_path) as cache:
        sound = await kept(cache)
    silent = FakeVoice(error=EndpointUnreachable("gone", engine="fake voice"))
    async with cached(silent, tmp_path) as cache:
        assert (await said(cache))[1] == sound
    assert silent.asked == []


@pytest.mark.parametrize(
    "other",
    [
        replace(DONE, text="All tests passed."),
        replace(DONE, voice="nova"),
        replace(DONE, voice=None),
        replace(DONE, speed=1.1),
        replace(DONE, instructions="whisper"),
        replace(DONE, format=AudioFormat.MP3),
        replace(DONE, language="en"),
    ],
    ids=["text", "voice", "no voice", "speed", "instructions", "format", "language"],
)
@pytest.mark.spec("PLY-13")
async def test_anything_that_changes_the_sound_is_another_phrase(
    tmp_path: Path, other: SpeechRequest
) -> None:
    voice = FakeVoice()
    async with cached(voice, tmp_path) as cache:
        await kept(cache)
        await said(cache, other)
    assert voice.asked == [DONE, DONE, other]


@pytest.mark.spec("PLY-13")
async def test_other_models_or_servers_are_asked_anew(tmp_path: Path) -> None:
    async with cached(FakeVoice(), tmp_path) as cache:
        await kept(cache)
    voice = FakeVoice()
    async with cached(voice, tmp_path, asked_of="another model") as cache:
        await said(cache)
    assert voice.asked == [DONE]


@pytest.mark.spec("PLY-14")
async def test_what_is_said_once_leaves_nothing_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "phrases"
    async with cached(FakeVoice(), folder) as cache:
        for number in range(5):
            await said(cache, SpeechRequest(text=f"secret {number}"))
    assert not folder.exists()


@pytest.mark.spec("PLY-14")
async def test_what_was_cut_short_and_said_again_counts_once(tmp_path: Path) -> None:
    voice = FakeVoice(chunk_bytes=100)
    async with cached(voice, tmp_path) as cache:
        for _ in range(3):
            async with cache.synthesize(DONE) as audio:
                await anext(audio.chunks)
        await said(cache)
        assert await cache.settled()
        assert everything(tmp_path) == []


@pytest.mark.spec("PLY-14")
async def test_only_the_owner_may_read_and_names_are_hashes_that_differ_between_folders(
    tmp_path: Path,
) -> None:
    names = []
    for number in range(2):
        folder = tmp_path / str(number) / "phrases"
        async with cached(FakeVoice(), folder) as cache:
            await kept(cache)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert sorted(path.suffix for path in folder.iterdir()) == ["", ".phrase"]
        [phrase] = phrases(folder)
        names.append(phrase.name)
        assert b"tests pass" not in phrase.read_bytes()
    assert names[0] != names[1]


@pytest.mark.spec("PLY-15")
def test_the_least_recently_played_go_beyond_the_bound(tmp_path: Path) -> None:
    clock = Clock()
    files = PhraseFiles(tmp_path, max_bytes=4_000, now=clock)
    for name in (b"a", b"b", b"c"):
        files.save(name, PHRASE)
        for at, path in enumerate(sorted(phrases(tmp_path), key=lambda path: path.stat().st_mtime)):
            os.utime(path, times=(NOW.timestamp() - 3_600 + at,) * 2)
    assert files.load(b"a") == PHRASE
    files.save(b"d", PHRASE)
    assert files.load(b"b") is None
    assert [files.load(name) for name in (b"a", b"c", b"d")] == [PHRASE] * 3
    assert sum(path.stat().st_size for path in phrases(tmp_path)) <= 4_000


@pytest.mark.spec("PLY-15")
@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 5_000), max_size=8), bound=st.integers(0, 9_000))
def test_the_bound_holds_whatever_is_kept(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], bound: int
) -> None:
    folder = tmp_path_factory.mktemp("phrases")
    files = PhraseFiles(folder, max_bytes=bound)
    for number, size in enumerate(sizes):
        files.save(bytes([number]), replace(PHRASE, data=bytes(size)))
        assert sum(path.stat().st_size for path in phrases(folder)) <= bound


@pytest.mark.spec("PLY-15")
def test_sound_older_than_its_time_is_not_played_and_goes(tmp_path: Path) -> None:
    clock = Clock()
    files = PhraseFiles(tmp_path, max_bytes=10_000, now=clock)
    files.save(b"a", PHRASE)
    clock.now = NOW + timedelta(days=MOST_DAYS - 1)
    assert files.load(b"a") == PHRASE
    clock.now = NOW + timedelta(days=MOST_DAYS + 1)
    assert files.load(b"a") is None
    assert phrases(tmp_path) == []


@pytest.mark.spec("PLY-15")
async def test_with_no_room_at_all_nothing_is_kept_and_what_was_kept_goes(tmp_path: Path) -> None:
    async with cached(FakeVoice(), tmp_path) as cache:
        await kept(cache)
    voice = FakeVoice()
    async with cached(voice, tmp_path, max_bytes=0) as cache:
        for _ in range(4):
            await said(cache)
    assert len(voice.asked) == 4
    assert phrases(tmp_path) == []


@pytest.mark.spec("PLY-15")
async def test_a_long_piece_is_not_kept(tmp_path: Path) -> None:
    voice = FakeVoice()
    long = SpeechRequest(text="a " * LONGEST_CHARACTERS)
    async with cached(voice, tmp_path) as cache:
        for _ in range(3):
            await said(cache, long)
    assert len(voice.asked) == 3
    assert phrases(tmp_path) == []


@pytest.mark.spec("PLY-16")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_that_is_damaged_anywhere_is_not_played(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("phrases")
    files = PhraseFiles(folder, max_bytes=10_000, now=Clock())
    files.save(b"a", PHRASE)
    [path] = phrases(folder)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    assert files.load(b"a") is None
    files.save(b"a", PHRASE)
    assert files.load(b"a") == PHRASE


@pytest.mark.spec("PLY-16")
@settings(max_examples=30, deadline=None)
@given(data=st.binary(min_size=1, max_size=3_000), voice=st.text(max_size=20))
def test_what_is_kept_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, voice: str
) -> None:
    files = PhraseFiles(tmp_path_factory.mktemp("phrases"), max_bytes=10_000)
    phrase = replace(PHRASE, data=data, voice=voice)
    files.save(b"a", phrase)
    assert files.load(b"a") == phrase


@pytest.mark.spec("PLY-16")
def test_a_phrase_laid_under_another_ones_name_by_a_link_is_not_played(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path, max_bytes=10_000)
    files.save(b"a", PHRASE)
    [path] = phrases(tmp_path)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    assert files.load(b"a") is None


@pytest.mark.spec("PLY-16")
def test_parts_left_by_a_crash_are_deleted_and_those_being_written_are_not(tmp_path: Path) -> None:
    left, writing = tmp_path / "x.phrase.01.part", tmp_path / "y.phrase.02.part"
    for path in (left, writing):
        path.write_bytes(b"half")
    os.utime(left, times=(0.0, 0.0))
    PhraseFiles(tmp_path, max_bytes=10_000).tidy()
    assert not left.exists()
    assert writing.exists()


@pytest.mark.spec("PLY-16")
def test_a_salt_that_is_cut_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "salt").write_bytes(b"short")
    files = PhraseFiles(tmp_path, max_bytes=10_000)
    assert files.load(b"a") is None
    files.save(b"a", PHRASE)
    assert PhraseFiles(tmp_path, max_bytes=10_000).load(b"a") == PHRASE


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A place where no folder can be made, not even by root."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "phrases"


@pytest.mark.spec("PLY-17")
async def test_a_disk_that_takes_nothing_harms_no_speech_and_is_told_once(
    unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = FakeVoice()
    async with cached(voice, unwritable) as cache:
        for _ in range(4):
            assert (await said(cache))[1] == words_as_sound(DONE.text)
    assert len(voice.asked) == 4
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


@pytest.mark.spec("PLY-17")
async def test_a_disk_that_hangs_delays_speech_by_a_moment_only(tmp_path: Path) -> None:
    async with cached(FakeVoice(), tmp_path) as cache:
        await kept(cache)
    [path] = phrases(tmp_path)
    path.unlink()
    os.mkfifo(path)  # opening it waits for a writer
    voice = FakeVoice()
    async with cached(voice, tmp_path) as cache:
        async with asyncio.timeout(5):
            for _ in range(3):
                assert (await contract.said(cache, DONE))[1] == words_as_sound(DONE.text)
        assert len(voice.asked) == 3
        descriptor = await asyncio.to_thread(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
        os.close(descriptor)


class Scripted:
    """A `TtsEngine` that gives the chunks of each call in turn; an exception among them is raised."""

    name = "scripted"

    def __init__(self, *calls: list[bytes | Exception], format: AudioFormat = AudioFormat.PCM) -> None:  # noqa: A002
        self._calls = list(calls)
        self._format = format

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        yield EncodedAudio(
            chunks=Chunks(self._calls.pop(0)), format=self._format, engine=self.name, voice="only"
        )

    async def voices(self) -> list[Voice]:
        return []

    async def close(self) -> None:
        return


class Chunks:
    def __init__(self, chunks: list[bytes | Exception]) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            return chunk
        raise StopAsyncIteration


SOUND = words_as_sound("one two three")
CUT = SOUND[: len(SOUND) // 2]
BREAK = StreamBroken("broke off", engine="scripted")


async def kept_after(folder: Path, scripted: Scripted, times: int) -> int:
    async with cached(scripted, folder) as cache:
        for _ in range(times):
            try:
                await said(cache)
            except StreamBroken:
                assert await cache.settled()
    return len(phrases(folder))


@pytest.mark.spec("PLY-18")
async def test_a_stream_that_breaks_is_not_kept_and_does_not_count(tmp_path: Path) -> None:
    broken: list[bytes | Exception] = [SOUND, BREAK]
    assert await kept_after(tmp_path, Scripted(broken, broken, [SOUND], broken), 4) == 0


@pytest.mark.spec("PLY-18")
async def test_two_sayings_that_differ_in_length_are_not_kept_until_two_agree(tmp_path: Path) -> None:
    assert await kept_after(tmp_path / "a", Scripted([SOUND], [CUT]), 2) == 0
    assert await kept_after(tmp_path / "b", Scripted([SOUND], [CUT], [SOUND]), 3) == 0
    assert await kept_after(tmp_path / "c", Scripted([CUT], [SOUND], [SOUND]), 3) == 1


@pytest.mark.parametrize("answer", [b'{"error": "no"}', b"<html><body>Busy</body></html>", b""])
@pytest.mark.spec("PLY-18")
async def test_what_is_no_sound_is_not_kept(tmp_path: Path, answer: bytes) -> None:
    assert await kept_after(tmp_path, Scripted([answer], [answer], [answer]), 3) == 0


class Rewording(FakeVoice):
    """Does not read texts as they stand while it `strays`."""

    strays = True

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with super().synthesize(request) as audio:
            yield replace(audio, reworded=lambda: "left out “two”" if self.strays else None)


@pytest.mark.spec("PLY-18")
async def test_a_piece_that_was_reworded_is_not_kept_and_does_not_count(tmp_path: Path) -> None:
    voice = Rewording()
    async with cached(voice, tmp_path) as cache:
        for _ in range(3):
            await said(cache)
        voice.strays = False
        await said(cache)
        assert phrases(tmp_path) == []
        await said(cache)
    assert len(phrases(tmp_path)) == 1


@pytest.mark.spec("PLY-18")
async def test_sound_of_an_engine_that_needs_no_network_is_not_kept(tmp_path: Path) -> None:
    async with cached(FakeVoice(), tmp_path, keeping=("a server",)) as cache:
        for _ in range(3):
            await said(cache)
    assert phrases(tmp_path) == []


class Named(FakeVoice):
    """A `FakeVoice` of another name, which can go away."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._called = name
        self.gone = False

    @property
    def name(self) -> str:
        return self._called

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        if self.gone:
            raise EndpointUnreachable(f"{self.name} is gone.", engine=self.name)
        async with super().synthesize(request) as audio:
            yield audio


@pytest.mark.spec("PLY-18")
async def test_the_voice_does_not_change_for_one_phrase(tmp_path: Path) -> None:
    first, second = Named("first"), Named("second")
    async with cached(FirstSpeech([first, second]), tmp_path, keeping=("first", "second")) as cache:
        await kept(cache)
        first.gone = True
        assert (await said(cache, replace(DONE, text="Something else.")))[0].engine == "second"
        assert (await said(cache))[0].engine == "second"
        assert second.asked[-1] == DONE


@pytest.mark.spec("PLY-13")
async def test_many_at_once_each_get_their_own(tmp_path: Path) -> None:
    voice = FakeVoice()
    texts = ["One.", "Two words.", "Three words now."]
    async with cached(voice, tmp_path) as cache:
        for _ in range(4):
            results = await asyncio.gather(
                *(contract.said(cache, SpeechRequest(text=text)) for text in texts)
            )
            assert [sound for _, sound in results] == [words_as_sound(text) for text in texts]
            assert await cache.settled()
    assert len(voice.asked) == 2 * len(texts)


def at_work(server: SpeechServer) -> int:
    return sum(not request.over for request in server.requests)


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.spec("PLY-13", "PLY-18")
async def test_a_servers_phrase_is_kept_in_every_format(tmp_path: Path, format: AudioFormat) -> None:  # noqa: A002
    request = SpeechRequest(text=TEXT, format=format)
    with SpeechServer() as server:
        async with speech(server) as engine, cached(engine, tmp_path) as cache:
            sound = await kept(cache, request)
            assert (await said(cache, request))[1] == sound
        assert len(asked(server)) == 2


@pytest.mark.spec("PLY-13")
async def test_the_promises_of_an_engine_hold_with_phrases_live_and_from_disk(tmp_path: Path) -> None:
    with SpeechServer() as server:
        async with speech(server) as engine, cached(engine, tmp_path) as cache:
            for _ in range(3):
                _, sound = await contract.assert_streams(cache, SpeechRequest(text=TEXT))
                assert sound == speak(TEXT)
                await contract.assert_each_gets_its_own(cache, [TEXT, "something else", LONG])
                assert await cache.settled()
            await contract.assert_refuses_nonsense(cache)
    assert phrases(tmp_path)


@pytest.mark.spec("PLY-13")
async def test_a_live_phrase_stops_at_the_server_when_it_is_not_wanted_any_more(tmp_path: Path) -> None:
    with SpeechServer(Behaviour(pace=8.0)) as server:
        async with speech(server) as engine, cached(engine, tmp_path) as cache:
            await contract.assert_leaving_stops_it(cache, LONG, lambda: at_work(server))
            await contract.assert_cancel_stops_speech(cache, LONG, lambda: at_work(server))
