"""The wait for the first audible sample as a picture (SVG), for a light page and a dark one."""

from __future__ import annotations

import math
from html import escape

from voicemode.bench.figures import spread
from voicemode.bench.results import Figure, Row, Run
from voicemode.bench.showing import label, waiting

WIDTH, LINE, BAR = 860, 30, 16
TOP, BOTTOM, RIGHT = 64, 58, 90
CHARACTER = 7.4
"""Width of one in the font below, at most."""
LEGEND = ("until the first byte", "decoding", "until it is audible")
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.small, .small text { font-size: 12px; fill: #57606a }
.grid { stroke: #d0d7de } .spread { stroke: #24292f; stroke-width: 1.5 }
.part0 { fill: #a8c5e8 } .part1 { fill: #5b8fd0 } .part2 { fill: #1f5fae }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small, .small text { fill: #9198a1 }
  .grid { stroke: #3d444d } .spread { stroke: #e6edf3 }
  .part0 { fill: #35506f } .part1 { fill: #4f82bd } .part2 { fill: #9cc4f0 }
  .page { fill: #0d1117 }
}"""


def drawing(run: Run) -> str:
    """Bars of medians, a line from the least to the most of all runs. Where nothing was heard, it says so."""
    rows = [row for row in run.rows if waiting(row)]
    left = 24 + CHARACTER * max((len(label(row.subject)) for row in rows), default=0)
    most = max((max(row.values[Figure.AUDIBLE]) for row in rows), default=0.0)
    step = _step(most)
    end = max(math.ceil(most / step), 1) * step
    scale = (WIDTH - left - RIGHT) / end
    height = TOP + LINE * len(rows) + BOTTOM
    parts = [_grid(left, scale, step, end, height - BOTTOM)]
    parts += [_bar(row, left, TOP + LINE * at, scale) for at, row in enumerate(rows)]
    title = "From asking to the first audible sample, ms" if rows else "No engine was heard"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">
<style>{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{height}"/>
<text class="title" x="16" y="28">{title}</text>
<text class="small" x="16" y="47">{escape(run.circumstances.played)}; {escape(run.circumstances.date)}</text>
{chr(10).join(parts)}
{_legend(height - 14) if rows else ""}
</svg>
"""


def _step(most: float) -> float:
    """Between two lines of the grid: 1, 2 or 5 of a power of ten, four to nine of them."""
    rough = max(most, 0.01) / 5
    power = float(10 ** math.floor(math.log10(rough)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _grid(left: float, scale: float, step: float, end: float, bottom: int) -> str:
    lines = []
    for number in range(round(end / step) + 1):
        x = left + number * step * scale
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        lines.append(
            f'<text class="small" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{number * step * 1000:g}</text>'
        )
    return "\n".join(lines)


def _bar(row: Row, left: float, top: int, scale: float) -> str:
    found, middle = spread(row.values[Figure.AUDIBLE]), top + BAR / 2
    shown = [
        f'<text x="{left - 8:.1f}" y="{middle + 4.5:.1f}" text-anchor="end">{escape(label(row.subject))}</text>'
    ]
    x = left
    for number, seconds in enumerate(waiting(row)):
        shown.append(
            f'<rect class="part{number}" x="{x:.1f}" y="{top}" width="{seconds * scale:.1f}" height="{BAR}"/>'
        )
        x += seconds * scale
    least, most = (left + value * scale for value in (found.least, found.most))
    shown.append(f'<line class="spread" x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"/>')
    shown.append(f'<text x="{max(most, x) + 8:.1f}" y="{middle + 4.5:.1f}">{found.middle * 1000:.0f}</text>')
    return "\n".join(shown)


def _legend(y: float) -> str:
    shown, x = [], 16.0
    for number, name in enumerate(LEGEND):
        shown.append(f'<rect class="part{number}" x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12"/>')
        shown.append(f'<text class="small" x="{x + 18:.1f}" y="{y:.1f}">{name}</text>')
        x += 34 + CHARACTER * len(name)
    shown.append(f'<text class="small" x="{x:.1f}" y="{y:.1f}">line: least to most of all runs</text>')
    return "\n".join(shown)
