from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sys
import textwrap
from array import array
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import contract
from tests.support.contract import comes_true, heard, process_is_gone, process_runs, said
from voicemode.engines.embedded.ear import (
    PIECE_SECONDS,
    EmbeddedEar,
    SphinxFiles,
    cut_at_quiet,
    installed_files,
    listening,
)
from voicemode.engines.embedded.grammar import SHORT_ANSWERS
from voicemode.engines.embedded.judgement import AGREED, Heard, joined, judge, read_words
from voicemode.engines.embedded.notes import SHORT_NOTE
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.errors import EngineUnavailable, UnknownLanguage
from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.speech import SpeechRequest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="pocketsphinx has no wheel for Python 3.14"),
]

VOICE, SPEED = "en-us+f2", 0.9
"""Of espeak-ng's voices the one that the recogniser understands best: it was trained on people."""


@pytest.fixture
async def ear() -> AsyncIterator[EmbeddedEar]:
    engine = EmbeddedEar()
    yield engine
    await engine.close()


@pytest.fixture
async def voice() -> AsyncIterator[EmbeddedVoice]:
    engine = EmbeddedVoice()
    yield engine
    await engine.close()


async def recorded(voice: EmbeddedVoice, text: str) -> Frame:
    audio, sound = await said(voice, SpeechRequest(text=text, voice=VOICE, speed=SPEED))
    return Frame(data=sound, format=audio.pcm)


def noise(seconds: float, level: int) -> Frame:
    source = random.Random(7)
    values = array("h", (round(source.gauss(0, level)) for _ in range(LISTENING.samples(seconds))))
    return Frame(data=values.tobytes(), format=LISTENING)


async def test_short_answers_are_heard_with_their_confidence(ear: EmbeddedEar, voice: EmbeddedVoice) -> None:
    for text in ("yes", "no", "continue", "cancel", "twenty five", "thank you", "try again"):
        transcript = await contract.assert_hears(ear, await recorded(voice, text), text)
        assert transcript.confidence is not None
        assert transcript.confidence >= 0.6
        assert (transcript.note, transcript.language) == (SHORT_NOTE, "en-US")


@pytest.mark.spec("SRV-51")
async def test_it_knows_when_words_were_said_also_behind_a_cut(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    said_first = await listening(await recorded(voice, "twenty five"))
    quiet = LISTENING.silence(LISTENING.samples(PIECE_SECONDS))
    found = await heard(ear, Frame(data=said_first + quiet + said_first, format=LISTENING))
    assert found.words is not None
    assert [word.text for word in found.words] == found.text.split()
    whole = LISTENING.seconds(len(said_first) // 2)
    later = whole + PIECE_SECONDS
    early = [word for word in found.words if word.start < later - 1]
    late = [word for word in found.words if word.start >= later - 1]
    assert early
    assert late
    for words, begins in ((early, 0.0), (late, later)):
        assert begins - 0.1 <= words[0].start < words[-1].end <= begins + whole + 0.1


async def test_anything_longer_comes_with_the_limit_and_the_way_out(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    transcript = await heard(ear, await recorded(voice, "Please rename the function and update the callers."))
    assert len(transcript.text.split()) > 3
    assert "% of the words" in transcript.note
    assert "VOICEMODE_STT_BASE_URLS" in transcript.note


async def test_silence_has_no_words(ear: EmbeddedEar) -> None:
    await contract.assert_silence_is_no_words(ear)


async def test_noise_has_no_words(ear: EmbeddedEar) -> None:
    for level in (30, 1_000):
        transcript = await heard(ear, noise(1.0, level))
        assert (transcript.text, transcript.confidence, transcript.note) == ("", None, "")


async def test_what_was_heard_before_changes_nothing(ear: EmbeddedEar, voice: EmbeddedVoice) -> None:
    answer = await recorded(voice, "cancel")
    before = await heard(ear, answer)
    await heard(ear, noise(1.0, 3_000))
    assert await heard(ear, answer) == before


async def test_recordings_at_the_same_time_each_get_their_own_words(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    texts = ["yes", "no", "twenty five", "yes"]
    recordings = [await recorded(voice, text) for text in texts]
    transcripts = await asyncio.gather(*(heard(ear, recording) for recording in recordings))
    assert [transcript.text for transcript in transcripts] == texts


async def test_stereo_and_other_rates_are_brought_to_sixteen_kilohertz(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    mono = await recorded(voice, "yes")
    both = array("h", (value for value in array("h", mono.data) for _ in range(2))).tobytes()
    stereo = Frame(data=both, format=PcmFormat(rate=mono.format.rate, channels=2))
    assert abs(len(await listening(stereo)) / 2 / LISTENING.rate - mono.seconds) < 0.01
    await contract.assert_hears(ear, stereo, "yes")


async def test_a_cancelled_task_leaves_no_child_at_work(ear: EmbeddedEar, voice: EmbeddedVoice) -> None:
    await contract.assert_cancel_stops_hearing(ear, noise(15.0, 1_000), lambda: len(ear.pids))
    await contract.assert_hears(ear, await recorded(voice, "yes"), "yes")


async def test_a_short_request_that_is_cancelled_again_and_again_costs_no_child(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    await ear.warm()
    pids = ear.pids
    answer = await recorded(voice, "yes")
    other = Frame(data=await listening(await recorded(voice, "no")), format=LISTENING)
    for _ in range(3):
        task = asyncio.create_task(heard(ear, other))
        for _ in range(5):
            await asyncio.sleep(0)
        assert ear._answer is not None
        assert not ear._answer.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await contract.assert_hears(ear, answer, "yes")
    assert ear.pids == pids


async def test_cancelling_in_the_middle_of_decoding_kills_the_process(ear: EmbeddedEar) -> None:
    await ear.warm()
    (pid,) = ear.pids
    task = asyncio.create_task(heard(ear, noise(15.0, 1_000)))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes_true(lambda: process_is_gone(pid), contract.STOP_SECONDS)


async def test_an_idle_child_gives_its_memory_back() -> None:
    ear = EmbeddedEar(idle_seconds=0.05)
    await ear.warm()
    (pid,) = ear.pids
    await comes_true(lambda: process_is_gone(pid), 5.0)
    assert ear.pids == frozenset()
    await ear.close()


async def test_an_idle_child_that_was_killed_is_replaced_unnoticed(
    ear: EmbeddedEar, voice: EmbeddedVoice
) -> None:
    await ear.warm()
    (pid,) = ear.pids
    os.kill(pid, signal.SIGTERM)
    await contract.assert_hears(ear, await recorded(voice, "yes"), "yes")
    assert pid not in ear.pids


async def test_a_closed_ear_has_no_child_and_says_so(ear: EmbeddedEar) -> None:
    await ear.warm()
    (pid,) = ear.pids
    await ear.close()
    assert process_is_gone(pid)
    with pytest.raises(EngineUnavailable, match="closed"):
        await heard(ear, noise(0.5, 1_000))


async def test_other_languages_are_refused_with_the_way_out(ear: EmbeddedEar) -> None:
    with pytest.raises(UnknownLanguage, match="English only") as caught:
        await heard(ear, noise(0.5, 1_000), language="de-DE")
    assert caught.value.languages == ("en",)
    assert "VOICEMODE_STT_BASE_URLS" in caught.value.hint
    assert ear.pids == frozenset()


async def test_a_model_that_is_not_there_is_an_engine_that_cannot_be_used(tmp_path: Path) -> None:
    ear = EmbeddedEar(files=SphinxFiles(packages=installed_files().packages, model=tmp_path / "none"))
    with pytest.raises(EngineUnavailable, match="does not start") as caught:
        await heard(ear, noise(0.5, 1_000))
    assert "VOICEMODE_STT_BASE_URLS" in caught.value.hint
    await ear.close()


def test_a_package_that_is_not_installed_is_named_with_the_way_out() -> None:
    with pytest.raises(EngineUnavailable, match="no_such_package") as caught:
        installed_files("no_such_package")
    assert "Python 3.13" in caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")
async def test_no_child_outlives_a_parent_that_is_killed() -> None:
    program = textwrap.dedent("""
        import asyncio
        from voicemode.engines.embedded.ear import EmbeddedEar
        from voicemode.pcm import LISTENING, Frame
        from voicemode.speech import TranscriptionRequest

        async def main() -> None:
            ear = EmbeddedEar()
            await ear.warm()
            print(*ear.pids, flush=True)
            sound = bytes(range(1, 251)) * 2 * 1200
            await ear.transcribe(TranscriptionRequest(audio=Frame(data=sound, format=LISTENING)))

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await parent.stdout.readline())
        parent.kill()
        await parent.wait()
    await comes_true(lambda: not process_runs(pid), 2.0)


def test_every_word_of_the_grammar_is_in_the_dictionary() -> None:
    dictionary = (installed_files().model / "cmudict-en-us.dict").read_text(encoding="utf-8")
    known = {line.split(" ", 1)[0] for line in dictionary.splitlines()}
    body = SHORT_ANSWERS.split("grammar short;")[1]
    words = set(re.findall(r"[a-z']+", re.sub(r"<\w+>|public", "", body)))
    assert {"yes", "no", "option", "hundred", "cancel"} < words
    assert words <= known


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 70), st.integers(0, 15_999), st.integers(0, 2**32))
def test_cutting_loses_nothing_and_keeps_pieces_short(seconds: int, more: int, seed: int) -> None:
    block = random.Random(seed).randbytes(32_000)
    sound = block * seconds + block[: 2 * more]
    pieces = cut_at_quiet(sound)
    assert b"".join(pieces) == sound
    assert all(len(piece) <= 2 * LISTENING.samples(PIECE_SECONDS) for piece in pieces)


def test_a_long_recording_is_cut_where_it_is_quiet() -> None:
    loud = array("h", [3_000, -3_000]) * 8_000
    quiet = LISTENING.silence(LISTENING.samples(0.2))
    sound = loud.tobytes() * 17 + quiet + loud.tobytes() * 8
    first, second = cut_at_quiet(sound)
    assert 17.0 < len(first) / 2 / LISTENING.rate < 17.2
    assert first + second == sound


def words(search: str, text: str, posterior: float, frames: int = 30, acoustic: float = -20.0) -> list[str]:
    return [f"{search}\t{word}\t0\t{frames - 1}\t{acoustic}\t{posterior}" for word in text.split()]


def judged(short: list[str], dictation: list[str]) -> Heard:
    return judge(read_words("\n".join(short + dictation)), 1.0)


def test_two_readings_that_agree_are_believed() -> None:
    agreed = judged(
        words("short", "<sil> go(2) ahead", -5.0), words("_default", "<s> go ahead(3) </s>", -5.0)
    )
    assert replace(agreed, words=()) == Heard(text="go ahead", confidence=AGREED, short=True)


def test_an_unsure_dictation_that_sounds_like_a_short_answer_is_one() -> None:
    taken = judged(words("short", "run the tests", -1.0), words("_default", "run the test", -2.5))
    assert (taken.text, taken.short) == ("run the tests", True)


def test_a_sure_dictation_is_not_bent_into_a_command() -> None:
    kept = judged(
        words("short", "commit and push please", -1.0), words("_default", "who has the keys", -0.05)
    )
    assert replace(kept, words=()) == Heard(text="who has the keys", confidence=0.95, short=False)


def test_nothing_in_the_dictation_is_nothing_heard() -> None:
    assert judged(words("short", "no", -1.0), words("_default", "<s> <sil> [NOISE] </s>", -1.0)).text == ""
    assert judged([], []) == Heard(text="", confidence=None, short=True)


def test_pieces_are_joined_with_their_confidence_weighted_by_words() -> None:
    parts = [
        Heard(text="one two three", confidence=0.9, short=False),
        Heard(text="", confidence=None, short=True),
        Heard(text="four", confidence=0.5, short=False),
    ]
    assert joined(parts) == Heard(text="one two three four", confidence=0.8, short=False)
    assert joined([]) == Heard(text="", confidence=None, short=True)
