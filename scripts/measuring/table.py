"""Figures as a table for a person, in a terminal and in a document."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

from scripts.generated import cell
from scripts.measuring.rows import Row

COLUMNS = ("voicemode", "voice-mode", "bare SDK")
HEAD = ("measure", "goal", *COLUMNS, "ratio")
MANY = 20
"""From so many runs on the extremes say less than how 19 of 20 went."""


def table(rows: list[Row]) -> str:
    """For a terminal."""
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines
    )


def cells(row: Row) -> tuple[str, ...]:
    """Median (least–most) for each, from 20 runs on median (95 of 100 below); the last is the peer's median over ours,
    or ours over the peer's where more is better: above 1 we are ahead."""
    figures = [_cell(row.values.get(name, []), row.unit) for name in COLUMNS]
    return (row.name, row.goal, *figures, _ratio(row))


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """For a document."""
    parts = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in parts)


def _cell(values: list[float], unit: str) -> str:
    if not values:
        return "–"
    if min(values) == max(values):
        return f"{_number(values[0])} {unit}".rstrip()
    if len(values) >= MANY:
        spread = f"p95 {_number(quantiles(values, n=20, method='inclusive')[-1])}"
    else:
        spread = f"{_number(min(values))}–{_number(max(values))}"
    return f"{_number(median(values))} ({spread}) {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(row: Row) -> str:
    ours, theirs = (row.values.get(name) for name in COLUMNS[:2])
    if not ours or not theirs:
        return "–"
    above, below = (median(ours), median(theirs)) if row.more_is_better else (median(theirs), median(ours))
    return f"{above / below:.1f} ×" if below else "–"
