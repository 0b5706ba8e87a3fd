from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import assert_cuts_do_not_matter, cut, run
from voicemode.text.pieces import Splitter, split
from voicemode.text.sentences import CLAUSES, SplitRules

pytestmark = pytest.mark.spec("SPT-30")

TEXT = (
    "Yes. It is done, and I ran all of the tests twice; the slow ones too: nothing failed. Shall I push? "
    "The branch is called fix, as you asked, and it has three commits, two of which are small. Ok."
)


def pieces(text: str, rules: SplitRules = CLAUSES) -> list[str]:
    return split(text, rules=rules)


def test_a_text_is_cut_at_each_clause_and_sentence_that_is_long_enough() -> None:
    assert pieces(TEXT) == [
        "Yes. It is done, and I ran all of the tests twice;",
        "the slow ones too: nothing failed.",
        "Shall I push? The branch is called fix,",
        "as you asked, and it has three commits,",
        "two of which are small.",
        "Ok.",
    ]


def test_a_sentence_is_spoken_from_fifteen_characters_on() -> None:
    assert "".join(run(Splitter(rules=CLAUSES), ["x" * 14])) == "x" * 14 + "."
    assert Splitter(rules=CLAUSES).feed("abcd efgh ijkl. ") == ["abcd efgh ijkl."]
    assert Splitter(rules=CLAUSES).feed("abcd efgh ijk. ") == []


@pytest.mark.parametrize("mark", [",", ";", ":"])
def test_a_clause_is_spoken_from_twenty_five_characters_on_also_behind_the_first(mark: str) -> None:
    long, short = f"abcd efgh ijkl mnop qrst{mark}", f"abcd efgh ijkl mnop qrs{mark}"
    assert (len(long), len(short)) == (25, 24)
    splitter = Splitter(rules=CLAUSES)
    for _ in range(3):
        assert splitter.feed(f"{long} ") == [long]
    assert splitter.feed(f"{short} ") == []


@pytest.mark.parametrize("mark", ["—", "–", "-", ")"])
def test_nothing_else_ends_a_clause(mark: str) -> None:
    assert Splitter(rules=CLAUSES).feed(f"abcd efgh ijkl mnop qrst uvw {mark} xyz abc") == []


@pytest.mark.parametrize(
    "text", ["The file has exactly 1,234,567 lines ", "At a quarter to ten, or 9:45 to be exact: it "]
)
def test_a_number_is_not_cut_at_its_comma_or_colon(text: str) -> None:
    digits = "1,234,567" if "1,234" in text else "9:45"
    assert digits in " ".join(pieces(text))


def test_a_message_is_cut_as_before_by_its_own_rules() -> None:
    assert split(TEXT)[1:] != pieces(TEXT)[1:]
    assert all(len(piece) >= 60 for piece in split(TEXT)[1:-1])


def test_wide_scripts_are_cut_at_their_own_marks_with_a_third_of_the_characters() -> None:
    assert pieces("今天我把所有的测试都运行了两遍，没有一个失败。") == [
        "今天我把所有的测试都运行了两遍，",
        "没有一个失败。",
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_no_word_is_lost_and_cuts_do_not_matter(places: list[int]) -> None:
    assert run(Splitter(rules=CLAUSES), cut(TEXT, places)) == pieces(TEXT)
    assert " ".join(pieces(TEXT)) == TEXT


def test_cuts_do_not_matter_letter_by_letter() -> None:
    assert_cuts_do_not_matter(lambda: Splitter(rules=CLAUSES), TEXT, list[str], examples=5)
