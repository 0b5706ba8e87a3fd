"""Arithmetic on repeated measurements: how far they spread, and whether two series differ more than by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist, median, quantiles

MANY = 20
"""From so many runs on the extremes say less than how 19 of 20 went."""

FEWEST = 5
"""Two series of fewer values each differ in any way once in ten times by chance alone."""

SURE = 0.01
"""Differences that come about by chance this seldom are called real: a run compares dozens of them."""

_MOST_SPLITS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """`most` is the greatest value; from `MANY` runs on `p95` says what 19 of 20 stayed below."""

    least: float
    middle: float
    most: float
    runs: int
    p95: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """Of one value and more."""
    p95 = quantiles(values, n=20, method="inclusive")[-1] if len(values) >= MANY else None
    return Spread(least=min(values), middle=median(values), most=max(values), runs=len(values), p95=p95)


def longest_gap(times: Sequence[float]) -> float:
    """Seconds between two that follow each other; 0 where there are not two."""
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def by_chance(first: Sequence[float], second: Sequence[float]) -> float:
    """How probable it is that two series of one kind differ this much in their ranks: Wilcoxon's rank sum test,
    two-sided, exact for small series, else by the normal approximation with ties counted. It asks nothing of how values
    spread."""
    if not first or not second:
        return 1.0
    ranks = _ranks([*first, *second])
    count, size = len(ranks), len(first)
    expected = size * (count + 1) / 2
    found = abs(sum(ranks[:size]) - expected)
    if math.comb(count, size) <= _MOST_SPLITS:
        splits = [abs(sum(chosen) - expected) for chosen in combinations(ranks, size)]
        return sum(each >= found - 1e-9 for each in splits) / len(splits)
    tied = sum(times**3 - times for times in map(ranks.count, set(ranks)))
    variance = size * len(second) / 12 * (count + 1 - tied / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    return 2 * (1 - NormalDist().cdf(max(found - 0.5, 0.0) / math.sqrt(variance)))


def differ(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether the spread of both says that the change is real."""
    return min(len(first), len(second)) >= FEWEST and by_chance(first, second) < SURE


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1 on, in the order of `values`; equal ones share theirs."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    for place, value in enumerate(ordered, 1):
        first.setdefault(value, place)
    last = dict(zip(ordered, range(1, len(ordered) + 1), strict=True))
    return [(first[value] + last[value]) / 2 for value in values]
