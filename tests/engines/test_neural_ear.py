"""The neural ear, on a tiny streaming zipformer that sherpa-onnx really loads and runs."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import tiny_models
from tests.engines.neural import between, ear, made, recording
from tests.support.contract import (
    assert_cancel_stops_hearing,
    assert_hears,
    assert_silence_is_no_words,
    comes_true,
    heard,
    process_is_gone,
)
from voicemode.engines.neural.ear import NeuralEar, key_terms
from voicemode.engines.neural.sherpa_child import TOKEN_SECONDS, word_times
from voicemode.errors import EngineUnavailable, InvalidRequest, UnknownLanguage
from voicemode.models.store import at
from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.speech import Transcript, TranscriptionRequest

pytestmark = pytest.mark.anyio
TEXT = "over my lazy dog"
POSIX = pytest.mark.skipif(os.name == "nt", reason="looks at processes as POSIX has them")


async def understood(engine: NeuralEar, audio: Frame, prompt: str | None = None) -> Transcript:
    async with asyncio.timeout(30):
        return await engine.transcribe(TranscriptionRequest(audio=audio, prompt=prompt))


@pytest.mark.spec("NEU-7")
async def test_it_keeps_the_contract_of_every_ear() -> None:
    async with ear() as engine:
        transcript = await assert_hears(engine, recording(f" {TEXT}"), TEXT)
        assert transcript.model == "ear"
        assert transcript.confidence is not None
        await assert_silence_is_no_words(engine)
        await assert_cancel_stops_hearing(engine, recording(" the quick" * 60), lambda: int(engine.busy))
        await assert_hears(engine, recording(f" {TEXT}"), TEXT)


@pytest.mark.spec("SRV-51")
async def test_it_knows_when_each_word_was_said() -> None:
    audio = recording(f" {TEXT}")
    async with ear() as engine:
        timed = TranscriptionRequest(audio=audio, timed=True)
        found = await engine.transcribe(timed)
        assert found.words is not None
        assert [word.text for word in found.words] == TEXT.split()
        letter = audio.seconds / (len(TEXT) + 1)
        for word in found.words:
            begins = letter * (TEXT.index(word.text) + 1)
            assert word.start == pytest.approx(begins, abs=0.15)
            assert word.start < word.end <= begins + letter * len(word.text) + TOKEN_SECONDS
        # Of a recording whose beginning was asked for before, the times are those of the whole.
        half = Frame(data=audio.data[: len(audio.data) // 4 * 2], format=audio.format)
        await understood(engine, half)
        assert (await understood(engine, audio)).words is None
        await understood(engine, half)
        assert (await engine.transcribe(timed)).words == found.words


@pytest.mark.spec("SRV-51")
@pytest.mark.parametrize(
    ("text", "tokens", "times", "words"),
    [
        ("a bc", [" a", " b", "c"], [0.1, 0.2, 0.24], [("a", 0.1, 0.2), ("bc", 0.2, 0.44)]),
        ("HI", ["\u2581H", "I"], [0.0, 1.0], [("HI", 0.0, 1.2)]),
        ("", [], [], []),
        ("ü", [" Ã", "¼"], [0.1, 0.2], None),
        ("a b", [" a", " b"], [0.1], None),
    ],
)
def test_words_are_made_of_tokens_where_these_spell_the_text(
    text: str, tokens: list[str], times: list[float], words: list[tuple[str, float, float]] | None
) -> None:
    made_of = word_times(text, tokens, times)
    if words is None or made_of is None:
        assert made_of is words
        return
    assert [word for word, _, _ in made_of] == [word for word, _, _ in words]
    for (_, *found), (_, *wanted) in zip(made_of, words, strict=True):
        assert found == pytest.approx(wanted)


@pytest.mark.spec("NEU-7")
async def test_a_word_that_could_be_either_is_the_one_that_was_to_be_expected() -> None:
    """The third letter sounds like g as much as like h."""
    audio = recording(" ba?a", mix={"?": between("g", "h")})
    async with ear() as engine:
        assert (await understood(engine, audio, "baga, caesar")).text == "baga"
        assert (await understood(engine, audio, "caesar, baha")).text == "baha"
        assert (await understood(engine, recording(f" {TEXT}"), "baga")).text == TEXT


@pytest.mark.spec("NEU-7")
async def test_key_terms_with_letters_that_the_model_does_not_know_are_left_out() -> None:
    audio = recording(" ba?a", mix={"?": between("g", "h")})
    async with ear() as engine:
        assert (await understood(engine, audio, "Ünsinn, Ba/ha, 東京, baga")).text == "baga"


@pytest.mark.spec("NEU-7")
async def test_a_recording_that_goes_on_is_understood_as_a_whole_and_once() -> None:
    whole = recording(" the quick brown fox jumps")
    async with ear() as engine:
        for part in (0.35, 0.36, 0.7, 1.0, 1.0):
            size = int(len(whole.data) * part) // 2 * 2
            last = await understood(engine, Frame(data=whole.data[:size], format=LISTENING))
        assert last.text == "the quick brown fox jumps"
        assert (await understood(engine, recording(f" {TEXT}"))).text == TEXT


@pytest.mark.spec("NEU-7")
async def test_recordings_that_go_on_beside_each_other_are_not_mixed_up() -> None:
    texts = ("the quick brown fox", "over my lazy dog", "yes and no")
    async with ear() as engine:

        async def grows(text: str) -> str:
            whole = recording(f" {text}")
            for part in (0.4, 0.7, 1.0):
                size = int(len(whole.data) * part) // 2 * 2
                last = await understood(engine, Frame(data=whole.data[:size], format=LISTENING))
            return last.text

        assert await asyncio.gather(*(grows(text) for text in texts * 2)) == list(texts * 2)


@POSIX
@pytest.mark.spec("NEU-3", "NEU-7")
async def test_a_process_that_dies_between_two_guesses_loses_no_word() -> None:
    whole = recording(" the quick brown fox jumps")
    async with ear() as engine:
        await understood(engine, Frame(data=whole.data[: len(whole.data) // 4 * 2], format=LISTENING))
        (pid,) = engine.pids
        os.kill(pid, signal.SIGKILL)
        await comes_true(lambda: process_is_gone(pid))
        assert (await understood(engine, whole)).text == "the quick brown fox jumps"


@pytest.mark.spec("NEU-7")
async def test_a_recording_at_another_rate_is_understood() -> None:
    audio = recording(f" {TEXT}")
    twice = b"".join(audio.data[at : at + 2] * 2 for at in range(0, len(audio.data), 2))
    async with ear() as engine:
        assert (await heard(engine, Frame(data=twice, format=PcmFormat(rate=32_000)))).text == TEXT


@pytest.mark.spec("NEU-7")
async def test_what_is_written_in_capitals_only_is_not_shouted(tmp_path: Path) -> None:
    model = at(tiny_models.ear(tmp_path / "capitals", capitals=True))
    audio = recording(" ba?a", mix={"?": between("g", "h")})
    async with ear(model) as engine:
        assert (await understood(engine, recording(f" {TEXT}"))).text == TEXT
        assert (await understood(engine, audio, "Baga")).text == "baga"


@pytest.mark.spec("NEU-7")
async def test_the_ear_of_the_language_is_asked_and_none_is_told() -> None:
    english = replace(made("ear"), id="one", languages=("en",))
    german = replace(made("ear"), id="other", languages=("de",))
    async with ear(english, german) as engine:
        assert (await heard(engine, recording(" yes"), "de-AT")).model == "other"
        assert (await heard(engine, recording(" yes"))).model == "one"
        with pytest.raises(UnknownLanguage, match="en, de, not 'fr'") as caught:
            await heard(engine, recording(" yes"), "fr")
        assert caught.value.languages == ("en", "de")


@pytest.mark.spec("NEU-3")
async def test_a_model_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tiny_models.ear(tmp_path / "broken")
    (folder / "joiner.onnx").write_bytes(b"nothing")
    async with ear(at(folder)) as engine:
        with pytest.raises(EngineUnavailable, match="cannot be loaded"):
            await heard(engine, recording(" yes"))


@pytest.mark.spec("NEU-7")
async def test_an_hour_of_sound_is_refused_with_the_limit() -> None:
    hour = Frame(data=bytes(LISTENING.rate * 2 * 3600), format=LISTENING)
    async with ear() as engine:
        with pytest.raises(InvalidRequest, match="1200 s"):
            await heard(engine, hour)


@pytest.mark.spec("NEU-7")
def test_words_to_expect_are_what_stands_between_commas_and_the_longer_words_of_prose() -> None:
    assert key_terms("Kubernetes, Ada Lovelace;nginx\n") == ("Kubernetes", "Ada Lovelace", "nginx")
    assert key_terms("We are talking about the Kestrel project now.") == (
        "talking",
        "about",
        "Kestrel",
        "project",
    )
    assert key_terms("") == ()
    assert len(key_terms(", ".join(f"word{at}" for at in range(500)))) == 100
