"""What is meant for a terminal leaves a text, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import assert_cuts_do_not_matter, cut, run
from voicemode.text.escapes import LONGEST_PARAMETERS, LONGEST_STRING_CHARACTERS, Escapes

SEQUENCES = [
    "\x1b[31m",
    "\x1b[0m",
    "\x1b[38;5;196m",
    "\x1b[?25l",
    "\x1b[2 q",
    "\x1b]8;;https://example.com\x1b\\",
    "\x1b]8;;\x07",
    "\x1b]0;title\x9c",
    "\x1bPq#0;2\x1b\\",
    "\x1b(B",
    "\x1b7",
    "\x1bM",
    "\x1b=",
]


def without(text: str) -> str:
    return "".join(run(Escapes(), [text]))


@pytest.mark.spec("SPK-56")
@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="\x1b"), max_size=8), st.sampled_from(SEQUENCES)),
        max_size=12,
    ),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_whole_sequences_leave_and_all_else_stays(parts: list[tuple[str, str]], places: list[int]) -> None:
    text = "".join(words + sequence for words, sequence in parts)
    kept = run(Escapes(), cut(text, (min(place, len(text)) for place in places)))
    assert "".join(kept) == "".join(words for words, _ in parts)


@pytest.mark.spec("SPK-56")
@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\x1b]never ended\nnext", "never ended\nnext"),
        ("\x1b]never ended", "never ended"),
        ("\x1b]0;title\x1b[1mbold", "bold"),
        ("a\x1b", "a"),
        ("a\x1b b", "a b"),
        ("a\x1b\nb", "a\nb"),
        ("a\x1b[31\nb", "a\nb"),
        ("a\x1b你", "a你"),
        ("\x1b\x1b[1mb", "b"),
        (f"\x1b[{'1' * (LONGEST_PARAMETERS + 2)}", "11"),
    ],
)
def test_what_is_no_whole_sequence_takes_no_words_with_it(written: str, kept: str) -> None:
    assert without(written) == kept
    assert_cuts_do_not_matter(Escapes, written, "".join)


@pytest.mark.spec("SPK-56")
def test_a_string_without_an_end_is_given_back() -> None:
    text = "word " * (LONGEST_STRING_CHARACTERS // 5 + 10)
    assert without(f"\x1b]{text}") == text
