"""How the days went: medians, slowest twentieths and counts of many turns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFigures:
    """What one turn adds to its `day` (ISO). Seconds; None where the step did not happen."""

    day: str
    ttfa: float | None
    turn_time: float | None
    underruns: int
    failovers: int
    failed: bool
    interrupted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """`ttfa` and `turn_time` are (p50, p95) in seconds, None where no turn of the day has one."""

    day: str
    turns: int
    ttfa: tuple[float, float] | None
    turn_time: tuple[float, float] | None
    underruns: int
    failovers: int
    failed: int
    interrupted: int


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of `values` that at least `part` of them (0 to 1) do not exceed. Raises ValueError where there are
    none."""
    if not values:
        raise ValueError("nothing has no percentile")
    ordered = sorted(values)
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]


def trends(turns: Iterable[TurnFigures]) -> list[Day]:
    """The oldest day first; a day without turns is none."""
    days: dict[str, list[TurnFigures]] = {}
    for turn in turns:
        days.setdefault(turn.day, []).append(turn)
    return [_day(day, days[day]) for day in sorted(days)]


def _day(day: str, turns: Sequence[TurnFigures]) -> Day:
    return Day(
        day=day,
        turns=len(turns),
        ttfa=_both(turn.ttfa for turn in turns),
        turn_time=_both(turn.turn_time for turn in turns),
        underruns=sum(turn.underruns for turn in turns),
        failovers=sum(turn.failovers for turn in turns),
        failed=sum(turn.failed for turn in turns),
        interrupted=sum(turn.interrupted for turn in turns),
    )


def _both(values: Iterable[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    return (percentile(known, 0.5), percentile(known, 0.95)) if known else None
