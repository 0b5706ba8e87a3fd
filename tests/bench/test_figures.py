"""Spreads, ranks and word errors: arithmetic that a person could check by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.bench.figures import FEWEST, MANY, by_chance, differ, longest_gap, spread
from voicemode.bench.words import word_errors, words

VALUES = st.floats(min_value=0, max_value=1e4, allow_nan=False)
SERIES = st.lists(VALUES, min_size=1, max_size=30)
SPOKEN = st.lists(st.sampled_from(["one", "two", "three", "four"]), min_size=1, max_size=8)


@pytest.mark.spec("BEN-3")
@given(SERIES)
def test_the_median_lies_between_the_extremes_and_p95_is_there_from_twenty_runs_on(
    values: list[float],
) -> None:
    found = spread(values)
    assert found.least == min(values)
    assert found.most == max(values)
    assert found.least <= found.middle <= found.most
    assert found.runs == len(values)
    assert (found.p95 is not None) == (len(values) >= MANY)
    if found.p95 is not None:
        assert found.middle <= found.p95 <= found.most


@pytest.mark.spec("BEN-3")
def test_nineteen_of_twenty_stay_below_p95() -> None:
    assert spread([float(run) for run in range(21)]).p95 == pytest.approx(19)


@pytest.mark.spec("BEN-2")
@given(st.lists(VALUES, max_size=20))
def test_the_longest_gap_is_one_of_the_gaps_and_none_is_longer(times: list[float]) -> None:
    ordered = sorted(times)
    found = longest_gap(ordered)
    assert all(later - earlier <= found for earlier, later in pairwise(ordered))
    assert found == 0 or any(later - earlier == found for earlier, later in pairwise(ordered))


@pytest.mark.spec("BEN-9")
@given(SERIES, SERIES)
def test_a_chance_is_a_probability_and_the_same_both_ways_round(
    first: list[float], second: list[float]
) -> None:
    found = by_chance(first, second)
    assert 0 < found <= 1
    assert by_chance(second, first) == pytest.approx(found)


@pytest.mark.spec("BEN-9")
@given(SERIES)
def test_a_series_does_not_differ_from_itself(values: list[float]) -> None:
    assert by_chance(values, values) == pytest.approx(1, abs=0.05)
    assert not differ(values, values)


@pytest.mark.spec("BEN-9")
@given(st.integers(min_value=2, max_value=7))
def test_two_series_that_do_not_mix_are_as_rare_as_the_ways_to_deal_them(size: int) -> None:
    low, high = [float(n) for n in range(size)], [float(n + 100) for n in range(size)]
    assert by_chance(low, high) == pytest.approx(2 / math.comb(2 * size, size))
    assert differ(low, high) == (size >= FEWEST)


@pytest.mark.spec("BEN-9")
def test_long_series_are_judged_like_short_ones() -> None:
    low, high = [float(n) for n in range(30)], [float(n) + 10.5 for n in range(30)]
    assert by_chance(low, high) < 0.001
    assert differ(low, high)
    assert not differ(low, [n + 0.5 for n in low])
    assert not differ([0.0] * 30, [0.0] * 30)


@pytest.mark.spec("BEN-4")
@given(SPOKEN, SPOKEN)
def test_word_errors_are_none_for_the_same_words_and_at_most_all_of_both(
    said: list[str], heard: list[str]
) -> None:
    errors = word_errors(" ".join(said), " ".join(heard)) * len(said)
    assert (errors == 0) == (said == heard)
    assert abs(len(said) - len(heard)) <= round(errors) <= max(len(said), len(heard))
    assert word_errors(" ".join(said), "") == 1


@pytest.mark.spec("BEN-4")
def test_case_and_signs_are_no_word_errors() -> None:
    assert word_errors("It's ready, isn't it?", "it’s ready isn't it") == 0
    assert word_errors("one two three four", "one too four five") == 0.75
    assert words("Größe: 3, C++!") == ["grösse", "3", "c"]
