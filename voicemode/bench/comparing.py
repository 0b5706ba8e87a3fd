"""Two runs side by side: what changed, and whether the spread says that it is more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from voicemode.bench.figures import differ
from voicemode.bench.results import Figure, Run, Subject

NOTICED_SECONDS = 0.005
NOTICED = {Figure.FACTOR: 0.02, Figure.UNDERRUNS: 0.5, Figure.WORD_ERRORS: 0.005}
"""Smaller changes are none to a person, however sure they are."""


OTHER_LOAD = 1.0
"""One more program at work all the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Medians. `real`: large enough to matter, and the runs of both do not mix. Less is better in every figure."""

    subject: Subject
    figure: Figure
    before: float
    now: float
    real: bool

    @property
    def share(self) -> float | None:
        """0.1 is a tenth more; None where there was nothing before."""
        return self.now / self.before - 1 if self.before else None


def compared(before: Run, now: Run) -> list[Change]:
    """Of what both measured, with the same text."""
    known = {row.subject: row.values for row in before.rows}
    return [
        Change(
            subject=row.subject,
            figure=figure,
            before=median(earlier),
            now=median(values),
            real=_matters(figure, median(values) - median(earlier)) and differ(earlier, values),
        )
        for row in now.rows
        for figure, values in row.values.items()
        if (earlier := known.get(row.subject, {}).get(figure))
    ]


def other_circumstances(before: Run, now: Run) -> list[str]:
    """What else is not as it was: it may be the reason for a change."""
    then, here = before.circumstances, now.circumstances
    pairs = {
        "machine": (then.machine, here.machine),
        "versions": (then.versions, here.versions),
        "played": (then.played, here.played),
        "settings": (then.settings, here.settings),
    }
    found = [f"{name}: {old} → {new}" for name, (old, new) in pairs.items() if old != new]
    old_load, load = then.load_before, here.load_before
    if old_load is not None and load is not None and abs(old_load - load) >= OTHER_LOAD:
        found.append(f"load: {old_load:.1f} → {load:.1f}")
    return found


def _matters(figure: Figure, change: float) -> bool:
    return abs(change) >= NOTICED.get(figure, NOTICED_SECONDS)
