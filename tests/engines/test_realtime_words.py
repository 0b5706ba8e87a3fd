"""What a model said is compared with what it was to read: words count, how they are written does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.engines.realtime_words import FASTEST, rewording, strays, task, words
from voicemode.speech import SpeechRequest

WORDS = st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyzäöüéß", min_size=1, max_size=8), min_size=1)
GAPS = st.sampled_from([" ", ", ", " – ", ". ", "\n", "! ", "; "])


@given(WORDS, GAPS, GAPS)
def test_case_and_punctuation_are_no_rewording(found: list[str], gap: str, other: str) -> None:
    assert rewording(gap.join(found), other.join(word.upper() for word in found) + "?") is None


@given(WORDS, st.data())
def test_a_word_left_out_is_a_rewording(found: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(found) - 1))
    assert rewording(" ".join(found), " ".join(found[:at] + found[at + 1 :])) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Don’t panic", "don't panic"),
        ("e-mail me", "Email me."),
        ("3 files changed", "Three files changed."),
        ("It costs 1,200 euros", "It costs twelve hundred euros"),
        ("twenty-one", "21"),
        ("Cafe\u0301 olé", "café olé"),
        ("“Quoted”", "quoted"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया।"),
    ],
)
def test_what_is_written_otherwise_is_not_reworded(text: str, said: str) -> None:
    assert rewording(text, said) is None


@pytest.mark.parametrize(
    ("text", "said", "how"),
    [
        ("the tests pass", "all the tests pass", "added “all”"),
        ("the tests pass", "the tests", "left out “pass”"),
        ("the tests pass", "the tests fail", "said “fail” for “pass”"),
        ("the tests pass", "", "left out “the tests pass”"),
        (
            "a b c d e f g h i",
            "a x c x e x g x i",
            "said “x” for “b”; said “x” for “d”; said “x” for “f”; 1 more",
        ),
    ],
)
def test_a_rewording_is_told_in_words(text: str, said: str, how: str) -> None:
    assert rewording(text, said) == how


def test_a_long_difference_is_shortened() -> None:
    how = rewording("yes", "yes " + "and " * 50)
    assert how is not None
    assert len(how) < 80


@pytest.mark.parametrize(
    ("text", "said", "answered"),
    [
        ("What is two plus two?", "It's four, my friend", True),
        ("What is two plus two?", "What is", False),
        ("What is two plus two?", "It's", False),
        ("Hello there", "Well, hello there", False),
        ("2 of 3 tests pass", "Two of three tests pass", False),
        ("the harbour is quiet tonight", "the harbor is calm", False),
    ],
)
def test_only_what_shares_no_word_with_the_beginning_is_an_answer(
    text: str, said: str, answered: bool
) -> None:
    assert strays(text, said) is answered


@given(WORDS)
def test_reading_is_never_taken_for_an_answer(found: list[str]) -> None:
    assert not strays(" ".join(found), " ".join(found))


def test_the_task_carries_the_manner_and_a_speed_beyond_the_services_own() -> None:
    plain = task(SpeechRequest(text="x"))
    assert (
        task(SpeechRequest(text="x", instructions="gently")) == f"{plain}\nHow to sound while reading: gently"
    )
    assert task(SpeechRequest(text="x", speed=FASTEST)) == plain
    assert task(SpeechRequest(text="x", speed=3.0)).startswith(plain)
    assert "fast" in task(SpeechRequest(text="x", speed=3.0)).removeprefix(plain)


def test_words_are_bare() -> None:
    assert words("‘It's’ — A/B_test №5!") == ["it's", "a", "b", "test", "no5"]
