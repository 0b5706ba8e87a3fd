"""Figures as a table for a person and as JSON for a program."""

from __future__ import annotations

from statistics import median

from pydantic import BaseModel

from scripts.measuring.rows import Row

COLUMNS = ("voicemode", "voice-mode", "bare SDK")


class Figures(BaseModel):
    minimum: float
    median: float
    maximum: float
    runs: int


class Measured(BaseModel):
    name: str
    unit: str
    goal: str
    figures: dict[str, Figures]


class Report(BaseModel):
    """`load_before` and `load_after` are load averages of the last minute: what else kept the machine busy."""

    date: str
    python: str
    machine: str
    processors: int
    load_before: float
    load_after: float
    rows: list[Measured]

    def conditions(self) -> str:
        load = f"{self.load_before:.1f} before, {self.load_after:.1f} after"
        return f"{self.date}, Python {self.python}, {self.processors} processors, load {load}; {self.machine}"


def measured(row: Row) -> Measured:
    figures = {
        name: Figures(minimum=min(values), median=median(values), maximum=max(values), runs=len(values))
        for name, values in row.values.items()
    }
    return Measured(name=row.name, unit=row.unit, goal=row.goal, figures=figures)


def table(rows: list[Row]) -> str:
    """Median (least–most) for each; the last column is the peer's median over ours, or ours over the peer's where
    more is better: above 1 we are ahead."""
    lines: list[tuple[str, ...]] = [("measure", "goal", *COLUMNS, "ratio")]
    for row in rows:
        cells = [_cell(row.values.get(name, []), row.unit) for name in COLUMNS]
        lines.append((row.name, row.goal, *cells, _ratio(row)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def _cell(values: list[float], unit: str) -> str:
    if not values:
        return "–"
    if min(values) == max(values):
        return f"{_number(values[0])} {unit}".rstrip()
    return f"{_number(median(values))} ({_number(min(values))}–{_number(max(values))}) {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(row: Row) -> str:
    ours, theirs = (row.values.get(name) for name in COLUMNS[:2])
    if not ours or not theirs:
        return "–"
    above, below = (median(ours), median(theirs)) if row.more_is_better else (median(theirs), median(ours))
    return f"{above / below:.1f} ×" if below else "–"
