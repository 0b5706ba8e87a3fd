"""The neural voice, on tiny models that sherpa-onnx really loads and runs: the contract, and what is its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from scripts.tiny_models import PHONEMES, RATE, phoneme_tones
from tests.engines.neural import LONG, SPEAKERS, made, tones, voice
from tests.support.contract import (
    assert_cancel_stops_speech,
    assert_each_gets_its_own,
    assert_leaving_stops_it,
    assert_refuses_nonsense,
    assert_streams,
    comes_true,
    process_is_gone,
    said,
)
from voicemode.codecs import open_decoder
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.neural.measuring import measure
from voicemode.engines.neural.reading import clauses, phonemes, pieces
from voicemode.engines.neural.voice import NeuralVoice
from voicemode.engines.phrases import PhraseCache
from voicemode.errors import EngineError, EngineUnavailable, StreamBroken, UnknownVoice
from voicemode.models.model import Family
from voicemode.models.store import Installed, Measured, at, keep_measured, measured
from voicemode.speech import SpeechRequest

pytestmark = pytest.mark.anyio
VOICES = ("piper", "kokoro", "kitten")
POSIX = pytest.mark.skipif(os.name == "nt", reason="looks at processes as POSIX has them")


async def expected(text: str, espeak: str = "en-us") -> list[float]:
    """Hz of the tones of a text's phonemes, as espeak-ng reads it."""
    reader = EmbeddedVoice()
    try:
        order = await pieces(text, espeak, reader.ipa)
    finally:
        await reader.close()
    known = dict(zip(PHONEMES, phoneme_tones(), strict=True))
    found = [known.get(chr(each), 0.0) for piece in order for each in piece]
    return [each for each in found if each]


@pytest.mark.spec("NEU-2")
@pytest.mark.parametrize("kind", VOICES)
async def test_every_family_says_the_phonemes_of_its_text(kind: str) -> None:
    async with voice(made(kind)) as engine:
        audio, sound = await said(engine, SpeechRequest(text="Good morning, it is done."))
    assert audio.pcm.rate == RATE
    assert audio.model == made(kind).id
    wanted = await expected("Good morning, it is done.")
    assert len(wanted) > 12
    assert tones(sound) == [pytest.approx(each, abs=26.0) for each in wanted]


@pytest.mark.spec("NEU-2")
@pytest.mark.parametrize("kind", VOICES)
async def test_it_keeps_the_contract_of_every_voice(kind: str) -> None:
    async with voice(made(kind)) as engine:
        at_work: Callable[[], int] = lambda: int(engine.busy)  # noqa: E731
        await assert_streams(
            engine, SpeechRequest(text="The first clause comes first, and the others follow.")
        )
        await assert_each_gets_its_own(engine, ["One.", "Two and three.", "Four, five, and six at last."])
        await assert_refuses_nonsense(engine)
        await assert_leaving_stops_it(engine, LONG, at_work)
        await assert_cancel_stops_speech(engine, LONG, at_work)


@pytest.mark.spec("NEU-2")
async def test_the_first_clause_is_made_alone_so_that_sound_starts_early() -> None:
    reader = EmbeddedVoice()
    try:
        made_of = await pieces(
            "I looked at all of it, and then I ran the tests again, twice.", "en-us", reader.ipa
        )
        short = await pieces("Yes, I have done it. Now the rest.", "en-us", reader.ipa)
    finally:
        await reader.close()
    assert len(made_of) == 2
    assert "".join(map(chr, made_of[0])).endswith(",")
    assert "".join(map(chr, made_of[1])).endswith(".")
    assert len(short) == 2


@pytest.mark.spec("NEU-2")
async def test_speakers_differ_and_a_language_finds_its_own() -> None:
    async with voice(made("kokoro")) as engine:
        low, low_sound = await said(engine, SpeechRequest(text="Hello.", voice="low"))
        high, high_sound = await said(engine, SpeechRequest(text="Hello.", voice="HIGH"))
        german, _ = await said(engine, SpeechRequest(text="Hallo.", language="de-AT"))
        with pytest.raises(UnknownVoice, match="language 'ja'"):
            await said(engine, SpeechRequest(text="Hello.", language="ja"))
    assert (low.voice, high.voice, german.voice) == ("low", "high", "high")
    assert tones(high_sound)[0] > tones(low_sound)[0] * 1.2


@pytest.mark.spec("NEU-2")
async def test_a_preferred_voice_that_the_model_has_is_its_own_choice() -> None:
    reader = EmbeddedVoice()
    engine = NeuralVoice(made("kokoro"), ipa=reader.ipa, preferred=("af_sky", "high", "low"))
    try:
        assert (await said(engine, SpeechRequest(text="Hello.")))[0].voice == "high"
        assert [each.id for each in await engine.voices()] == [each.id for each in SPEAKERS]
        assert {each.name for each in await engine.voices()} == {"kokoro"}
    finally:
        await engine.close()
        await reader.close()


@pytest.mark.spec("NEU-2")
async def test_twice_the_speed_is_half_the_length_and_a_lone_dash_is_a_moment_of_silence() -> None:
    async with voice(made("kokoro")) as engine:
        _, usual = await said(engine, SpeechRequest(text="Hello there."))
        _, fast = await said(engine, SpeechRequest(text="Hello there.", speed=2.0))
        _, nothing = await said(engine, SpeechRequest(text="—"))
    assert len(fast) == pytest.approx(len(usual) / 2, rel=0.02)
    assert nothing
    assert not any(nothing)


@pytest.mark.spec("NEU-8")
async def test_what_is_no_sound_is_an_error_and_not_a_noise() -> None:
    async with voice(made("kokoro")) as engine:
        with pytest.raises(EngineError, match="no sound"):
            await said(engine, SpeechRequest(text="Hello.", voice="broken"))
        assert (await said(engine, SpeechRequest(text="Hello.", voice="low")))[1]


def damaged(tmp_path: Path, kind: str, **files: bytes) -> Installed:
    """A copy of a tiny model with other bytes in some of its files."""
    model = made(kind)
    folder = copytree(model.folder, tmp_path / kind)
    for role, data in files.items():
        (folder / model.files[role].name).write_bytes(data)
    return replace(
        model, folder=folder, files={role: folder / path.name for role, path in model.files.items()}
    )


@pytest.mark.spec("NEU-3")
@pytest.mark.parametrize(
    ("kind", "files", "says"),
    [
        ("piper", {"model": b"no model at all"}, "cannot be loaded"),
        ("kokoro", {"voices": b"too short"}, "Expected"),
        ("kitten", {"tokens": b"one two three four\n"}, "cannot be loaded"),
    ],
)
async def test_a_model_that_cannot_be_read_is_told_and_harms_nobody(
    tmp_path: Path, kind: str, files: dict[str, bytes], says: str
) -> None:
    async with voice(damaged(tmp_path, kind, **files)) as engine:
        with pytest.raises(EngineUnavailable, match=says) as caught:
            await said(engine, SpeechRequest(text="Hello."))
        assert "voicemode models" in caught.value.hint
        assert engine.pids == frozenset()


@pytest.mark.spec("NEU-8")
async def test_a_model_that_makes_nothing_of_a_text_is_an_error_and_not_a_silence(tmp_path: Path) -> None:
    async with voice(damaged(tmp_path, "piper", tokens=b"")) as engine:
        with pytest.raises(EngineError, match="made no sound of 'Hello"):
            await said(engine, SpeechRequest(text="Hello."))


@POSIX
@pytest.mark.spec("NEU-3")
async def test_a_process_that_dies_is_replaced_and_one_that_dies_while_it_speaks_breaks_the_stream() -> None:
    async with voice(made("piper")) as engine:
        await engine.warm()
        (first,) = engine.pids
        os.kill(first, signal.SIGKILL)
        await comes_true(lambda: process_is_gone(first))
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]
        async with asyncio.timeout(20), engine.synthesize(SpeechRequest(text=LONG)) as audio:
            (second,) = engine.pids
            os.kill(second, signal.SIGKILL)
            with pytest.raises(StreamBroken):
                async for _ in audio.chunks:
                    pass
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]


@POSIX
@pytest.mark.spec("NEU-4")
async def test_a_model_that_nobody_asks_is_unloaded_and_comes_back() -> None:
    async with voice(made("piper"), idle_seconds=0.05) as engine:
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]
        await comes_true(lambda: engine.pids == frozenset())
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]


@POSIX
@pytest.mark.spec("NEU-4")
async def test_loading_goes_on_though_the_call_that_began_it_is_cancelled() -> None:
    async with voice(made("piper")) as engine:
        calling = asyncio.ensure_future(said(engine, SpeechRequest(text="Hello.")))
        await comes_true(lambda: bool(engine.pids))
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        (pid,) = engine.pids
        both = (said(engine, SpeechRequest(text=text)) for text in ("One.", "Two, and three."))
        assert all(sound for _, sound in await asyncio.gather(*both))
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]
        assert engine.pids == {pid}


@POSIX
@pytest.mark.spec("NEU-4")
async def test_closing_ends_its_process_also_while_it_loads() -> None:
    async with voice(made("piper")) as engine:
        loading = asyncio.ensure_future(engine.warm())
        await comes_true(lambda: bool(engine.pids))
        (pid,) = engine.pids
        await engine.close()
        assert process_is_gone(pid)
        with pytest.raises(EngineUnavailable, match="closed"):
            await loading
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.warm()


@pytest.mark.spec("NEU-6", "MOD-11")
@pytest.mark.parametrize("kind", ["kokoro", "ear"])
async def test_threads_are_chosen_by_trying_and_remembered(tmp_path: Path, kind: str) -> None:
    model = damaged(tmp_path, kind)
    assert measured(model) is None
    reader = EmbeddedVoice()
    try:
        found = await measure(model, ipa=reader.ipa)
    finally:
        await reader.close()
    assert found.threads >= 1
    assert found.factor > 0
    assert found.first_seconds > 0
    assert measured(model) == found


@pytest.mark.spec("SRV-36")
async def test_how_many_streams_a_voice_holds_is_what_was_measured(tmp_path: Path) -> None:
    model = damaged(tmp_path, "piper")
    async with voice(model) as engine:
        assert await engine.holds() is None
        keep_measured(model, Measured(threads=1, factor=0.2, first_seconds=0.1, cores=os.cpu_count() or 1))
        assert await engine.holds() == pytest.approx(5.0)


@pytest.mark.spec("NEU-2")
def test_clauses_end_at_marks_and_not_inside_words_and_numbers() -> None:
    assert clauses("Hello there, it is 3.5 (or so)! Done — really… ok") == [
        ("Hello there", ","),
        ("it is 3.5 (or so)", "!"),
        ("Done", ","),
        ("really", "."),
        ("ok", ""),
    ]
    assert clauses("file.txt and 1,000: yes?!") == [("file.txt and 1,000", ":"), ("yes", "!")]
    assert clauses("好。是，") == [("好", "."), ("是", ",")]
    assert clauses("...") == []
    assert phonemes("bɔ̃ʒˈuʁ\n(en)wiːkˈɛnd(fr)") == "bɔ̃ʒˈuʁ wiːkˈɛnd"


@pytest.mark.spec("MOD-10")
def test_a_tiny_model_is_known_by_its_files() -> None:
    assert {kind: at(made(kind).folder).family for kind in (*VOICES, "ear")} == {
        "piper": Family.PIPER,
        "kokoro": Family.KOKORO,
        "kitten": Family.KITTEN,
        "ear": Family.ZIPFORMER,
    }


@POSIX
@pytest.mark.spec("NEU-9")
async def test_a_phrase_that_came_twice_is_there_before_the_model_is(tmp_path: Path) -> None:
    """The first words come from the store; the model is loaded for what follows."""
    phrase = SpeechRequest(text="All tests pass.")

    def store(engine: NeuralVoice) -> PhraseCache:
        return PhraseCache(
            engine,
            tmp_path / "phrases",
            max_bytes=1_000_000,
            open_decoder=open_decoder,
            asked_of=engine.model.id,
            worth_keeping=[engine.name],
        )

    async with voice(made("piper")) as engine:
        before = store(engine)
        _, made_now = await said(before, phrase)
        await said(before, phrase)
        assert await before.settled()
        await before.close()
    async with voice(made("piper")) as engine:
        after = store(engine)
        audio, kept = await said(after, phrase)
        assert engine.pids == frozenset()
        assert (audio.engine, audio.kept, kept) == ("neural piper", True, made_now)
        following, _ = await said(after, SpeechRequest(text="And now the rest."))
        assert (following.engine, following.kept) == ("neural piper", False)
        await after.close()


@pytest.mark.spec("NEU-5")
async def test_a_call_that_is_left_holds_up_the_next_one_by_no_more_than_its_clause() -> None:
    async with voice(made("kokoro")) as engine:
        for _ in range(3):
            async with asyncio.timeout(20), engine.synthesize(SpeechRequest(text=LONG)) as audio:
                await anext(aiter(audio.chunks))
            _, sound = await said(engine, SpeechRequest(text="Hello."))
            assert tones(sound) == [pytest.approx(each, abs=26.0) for each in await expected("Hello.")]
