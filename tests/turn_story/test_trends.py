"""Days are arithmetic on turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.turn_story.trends import Day, TurnFigures, percentile, trends

pytestmark = pytest.mark.spec("REV-5")

SECONDS = st.floats(0, 1000, allow_nan=False)
SOME = st.one_of(st.none(), SECONDS)
TURNS = st.builds(
    TurnFigures,
    day=st.sampled_from(("2026-11-01", "2026-11-02", "2026-11-30")),
    ttfa=SOME,
    turn_time=SOME,
    underruns=st.integers(0, 3),
    failovers=st.integers(0, 3),
    failed=st.booleans(),
    interrupted=st.booleans(),
)


@given(st.lists(SECONDS, min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], part: float) -> None:
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values) - 1e-9
    assert sum(value < found for value in values) < part * len(values)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@given(st.lists(TURNS, max_size=40))
def test_every_turn_counts_on_its_day_and_no_other(turns: list[TurnFigures]) -> None:
    days = trends(turns)
    assert [day.day for day in days] == sorted({turn.day for turn in turns})
    assert sum(day.turns for day in days) == len(turns)
    assert sum(day.underruns for day in days) == sum(turn.underruns for turn in turns)
    assert sum(day.failed for day in days) == sum(turn.failed for turn in turns)
    for day in days:
        known = [turn.ttfa for turn in turns if turn.day == day.day and turn.ttfa is not None]
        assert (day.ttfa is None) is (known == [])
        if day.ttfa is not None:
            assert min(known) <= day.ttfa[0] <= day.ttfa[1] <= max(known)


@given(st.lists(TURNS, max_size=30))
def test_the_order_of_turns_changes_nothing(turns: list[TurnFigures]) -> None:
    assert trends(turns) == trends(sorted(turns, key=repr))


def test_a_day_by_hand() -> None:
    turns = [
        TurnFigures(
            day="2026-11-28",
            ttfa=number / 10 if number else None,
            turn_time=None,
            underruns=number % 2,
            failovers=0,
            failed=number == 3,
            interrupted=False,
        )
        for number in range(21)
    ]
    assert trends(turns) == [
        Day(
            day="2026-11-28",
            turns=21,
            ttfa=(1.0, 1.9),
            turn_time=None,
            underruns=10,
            failovers=0,
            failed=1,
            interrupted=0,
        )
    ]
