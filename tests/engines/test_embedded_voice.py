from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import textwrap
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import contract
from tests.support.contract import comes_true, loudness, process_is_gone, process_runs, said
from tests.support.laws import cut, run
from voicemode.engines.embedded.catalogue import Catalogue
from voicemode.engines.embedded.child import HIGH_BYTES, Child, Message, Messages, packed
from voicemode.engines.embedded.order import speakable, words_per_minute
from voicemode.engines.embedded.voice import EmbeddedVoice, EspeakFiles
from voicemode.errors import EngineError, EngineUnavailable, InvalidRequest, UnknownVoice
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest

pytestmark = pytest.mark.anyio

LONG = "This sentence is said again and again. " * 2_000
SENTENCE = "The tests are green, and I have pushed the branch."


@pytest.fixture
async def voice() -> AsyncIterator[EmbeddedVoice]:
    engine = EmbeddedVoice()
    yield engine
    await engine.close()


async def seconds_of(voice: EmbeddedVoice, request: SpeechRequest) -> float:
    audio, sound = await said(voice, request)
    return len(sound) / audio.pcm.bytes_per_sample / audio.pcm.rate


async def test_it_streams_pcm_and_says_who_speaks(voice: EmbeddedVoice) -> None:
    audio, sound = await contract.assert_streams(voice, SpeechRequest(text=SENTENCE))
    assert (audio.format, audio.pcm, audio.voice) == (AudioFormat.PCM, PcmFormat(rate=22_050), "en-us")
    assert 2.0 < len(sound) / 44_100 < 5.0


async def test_it_tells_when_each_word_begins(voice: EmbeddedVoice) -> None:
    text = "Größe übt sich, and 42 extraordinarily long words follow."
    audio, sound = await said(voice, SpeechRequest(text=text))
    words = [word for word in audio.words() if not text[: word.character][-1:].strip()]
    assert {text[word.character :].split()[0] for word in words} == set(text.split())
    assert [word.at for word in words] == sorted(word.at for word in words)
    seconds = len(sound) / 2 / audio.pcm.rate
    begins = next(word.at for word in words if text[word.character :].startswith("and"))
    before, _ = await said(voice, SpeechRequest(text="Größe übt sich,"))
    assert 0.0 < begins < seconds
    alone = await seconds_of(voice, SpeechRequest(text="Größe übt sich,"))
    assert begins == pytest.approx(alone, abs=0.3)
    assert before.words()[0].at == 0.0


async def test_two_fresh_voices_say_a_text_with_the_same_samples(voice: EmbeddedVoice) -> None:
    breathy = SpeechRequest(text="Yes, fine.", voice="en-us+whisper")
    _, first = await said(voice, breathy)
    other = EmbeddedVoice()
    try:
        _, second = await said(other, breathy)
        assert second == first
    finally:
        await other.close()


async def test_speech_is_about_twenty_decibels_below_full_scale_and_never_clips(voice: EmbeddedVoice) -> None:
    _, sound = await said(voice, SpeechRequest(text=SENTENCE))
    assert -24 < loudness(sound) < -17
    assert max(map(abs, array("h", sound))) < 32_767


async def test_requests_at_the_same_time_each_get_their_own_sound(voice: EmbeddedVoice) -> None:
    await contract.assert_each_gets_its_own(voice, ["One.", "A longer sentence.", SENTENCE, SENTENCE * 3])


async def test_nonsense_is_refused_with_a_way_out(voice: EmbeddedVoice) -> None:
    await contract.assert_refuses_nonsense(voice, unknown_voice="nova")


async def test_leaving_early_kills_the_child(voice: EmbeddedVoice) -> None:
    await contract.assert_leaving_stops_it(voice, LONG, lambda: len(voice.pids))


async def test_a_cancelled_task_leaves_no_child_at_work(voice: EmbeddedVoice) -> None:
    await contract.assert_cancel_stops_speech(voice, LONG, lambda: len(voice.pids))


async def test_the_process_of_a_cut_request_is_really_gone(voice: EmbeddedVoice) -> None:
    async with voice.synthesize(SpeechRequest(text=LONG)):
        (pid,) = voice.pids
    await comes_true(lambda: process_is_gone(pid), contract.STOP_SECONDS)


async def test_a_child_is_kept_warm_from_one_request_to_the_next(voice: EmbeddedVoice) -> None:
    await voice.warm()
    before = voice.pids
    await said(voice, SpeechRequest(text=SENTENCE))
    assert len(before) == 1
    assert voice.pids == before


async def test_what_a_crowd_has_started_serves_the_next_one_and_goes_when_none_comes() -> None:
    async def crowd(voice: EmbeddedVoice) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                audio = await stack.enter_async_context(voice.synthesize(SpeechRequest(text=SENTENCE)))
                async for _ in audio.chunks:
                    pass

    patient, hasty = EmbeddedVoice(), EmbeddedVoice(spare_seconds=0.05)
    try:
        await crowd(patient)
        before = patient.pids
        await crowd(patient)
        assert len(before) == 4
        assert patient.pids == before
        await crowd(hasty)
        await comes_true(lambda: len(hasty.pids) == 2)
    finally:
        await patient.close()
        await hasty.close()


async def test_an_idle_child_that_was_killed_is_replaced_unnoticed(voice: EmbeddedVoice) -> None:
    await voice.warm()
    (pid,) = voice.pids
    os.kill(pid, signal.SIGTERM)
    _, sound = await said(voice, SpeechRequest(text=SENTENCE))
    assert sound
    assert pid not in voice.pids


async def test_a_child_killed_in_mid_sentence_breaks_the_stream_with_an_error(voice: EmbeddedVoice) -> None:
    async with asyncio.timeout(10), voice.synthesize(SpeechRequest(text=LONG)) as audio:
        (pid,) = voice.pids
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(EngineError, match="middle") as caught:
            await anext(piece async for piece in audio.chunks if not piece)
    assert caught.value.retryable
    assert (await said(voice, SpeechRequest(text=SENTENCE)))[1]


async def test_a_reader_who_waits_holds_the_child_back(voice: EmbeddedVoice) -> None:
    async with voice.synthesize(SpeechRequest(text=LONG[: len(LONG) // 10])) as audio:
        await comes_true(lambda: held_back(audio))
        total = 0
        async with asyncio.timeout(20):
            async for chunk in audio.chunks:
                total += len(chunk)
    assert total > 16 * HIGH_BYTES


def held_back(audio: EncodedAudio) -> bool:
    child = getattr(audio.chunks, "child")  # noqa: B009
    assert isinstance(child, Child)
    return child.held_back


async def test_close_kills_every_child(voice: EmbeddedVoice) -> None:
    await voice.warm()
    (pid,) = voice.pids
    await voice.close()
    await comes_true(lambda: process_is_gone(pid), contract.STOP_SECONDS)
    with pytest.raises(EngineUnavailable):
        await said(voice, SpeechRequest(text="Hello."))


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")
async def test_no_child_outlives_a_parent_that_is_killed() -> None:
    program = textwrap.dedent("""
        import asyncio
        from voicemode.engines.embedded.voice import EmbeddedVoice
        from voicemode.speech import SpeechRequest

        async def main() -> None:
            voice = EmbeddedVoice()
            await voice.warm()
            async with voice.synthesize(SpeechRequest(text="word " * 50_000)):
                await voice._list()
                print(*voice.pids, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
        parent.kill()
        await parent.wait()
    assert len(pids) == 2
    await comes_true(lambda: all(not process_runs(pid) for pid in pids), 2.0)


async def test_markup_and_phoneme_codes_are_read_out_not_obeyed(voice: EmbeddedVoice) -> None:
    plain = await seconds_of(voice, SpeechRequest(text="hello"))
    for text in ("<speak>hello</speak>", "[[h@l'oU]]", "hello <audio src='x'/>"):
        assert await seconds_of(voice, SpeechRequest(text=text)) > 1.5 * plain


async def test_control_characters_change_nothing(voice: EmbeddedVoice) -> None:
    plain = await seconds_of(voice, SpeechRequest(text="hello there my friend, how are you today"))
    await said(voice, SpeechRequest(text="\x01450S\x0199P\x011V hello \x00 \ud800 \ue001 \x7f"))
    after = await seconds_of(voice, SpeechRequest(text="hello there my friend, how are you today"))
    assert after == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize("text", ["😀🎉", "—", "...", "שלום עולם", "x" * 10_000, "?!" * 5_000, "%s%n\\"])
async def test_odd_texts_give_some_sound_and_leave_the_voice_well(voice: EmbeddedVoice, text: str) -> None:
    assert (await said(voice, SpeechRequest(text=text)))[1]
    assert await seconds_of(voice, SpeechRequest(text=SENTENCE)) > 2.0


async def test_ten_thousand_characters_are_all_spoken(voice: EmbeddedVoice) -> None:
    assert await seconds_of(voice, SpeechRequest(text="word " * 2_000)) > 400


async def test_speed_makes_it_faster_and_slower(voice: EmbeddedVoice) -> None:
    normal = await seconds_of(voice, SpeechRequest(text=SENTENCE))
    assert await seconds_of(voice, SpeechRequest(text=SENTENCE, speed=2.0)) < 0.7 * normal
    assert await seconds_of(voice, SpeechRequest(text=SENTENCE, speed=0.5)) > 1.5 * normal


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("de-DE", "de"),
        ("en-GB", "en-gb"),
        ("en", "en-us"),
        ("en-AU", "en-us"),
        ("pt_BR", "pt-br"),
        ("zh-CN", "cmn"),
        ("fr", "fr-fr"),
        ("fr-CA", "fr-fr"),
        ("xx-YY", "en-us"),
    ],
)
async def test_a_language_without_a_voice_chooses_its_own(
    voice: EmbeddedVoice, language: str, expected: str
) -> None:
    audio, sound = await said(voice, SpeechRequest(text="123", language=language))
    assert sound
    assert audio.voice == expected


async def test_every_voice_it_lists_can_be_asked_for(voice: EmbeddedVoice) -> None:
    voices = await voice.voices()
    ids = [listed.id for listed in voices]
    assert len(ids) == len(set(ids)) > 200
    assert {"en-us", "en-gb", "de", "en-us+f3"} <= set(ids)
    for name in (*ids[::17], "DE+F3", "en_GB"):
        audio, sound = await said(voice, SpeechRequest(text="1", voice=name))
        assert sound
        assert audio.voice.casefold() == name.casefold().replace("_", "-")


async def test_an_unknown_voice_is_told_the_near_ones(voice: EmbeddedVoice) -> None:
    with pytest.raises(UnknownVoice, match="en-uk"):
        await said(voice, SpeechRequest(text="Hello.", voice="en-uk"))
    with pytest.raises(UnknownVoice) as caught:
        await said(voice, SpeechRequest(text="Hello.", voice="en-us+f33"))
    assert re.search(r"en-us\+f3\b", caught.value.hint)


async def test_a_library_that_is_not_there_is_an_engine_that_cannot_be_used(tmp_path: Path) -> None:
    voice = EmbeddedVoice(files=EspeakFiles(library=tmp_path / "none.so", data=tmp_path))
    with pytest.raises(EngineUnavailable, match=re.escape("none.so")) as caught:
        await said(voice, SpeechRequest(text="Hello."))
    assert "VOICEMODE_TTS_BASE_URLS" in caught.value.hint
    assert voice.pids == frozenset()
    await voice.close()


@given(st.text(max_size=200))
def test_what_espeak_gets_has_no_control_characters(text: str) -> None:
    try:
        plain = speakable(text)
    except InvalidRequest:
        assert not any(character.isalnum() for character in text)
    else:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff]", plain)
        assert len(plain) == len(text)


@given(st.floats(min_value=0.25, max_value=4.0))
def test_the_rate_stays_within_what_espeak_can_do(speed: float) -> None:
    assert 80 <= words_per_minute(speed) <= 450


@given(st.lists(st.tuples(st.sampled_from([b"A", b"E"]), st.binary(max_size=40)), max_size=6), st.data())
def test_messages_are_the_same_however_the_pipe_cuts_them(
    sent: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(packed(kind, payload) for kind, payload in sent)
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    assert run(Messages(), cut(whole, places)) == [
        Message(kind=kind, payload=payload) for kind, payload in sent
    ]


def test_a_length_that_cannot_be_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="longer"):
        Messages().feed(b"A\xff\xff\xff\xff")


def test_of_two_voices_with_one_tag_the_first_has_it() -> None:
    listing = "language\tyue\tChinese (Cantonese)\tsit/yue\nlanguage\tyue\tas Jyutping\tsit/yue-Latn-jyutping"
    assert Catalogue(listing, "embedded").find("YUE") == ("yue", "sit/yue")
