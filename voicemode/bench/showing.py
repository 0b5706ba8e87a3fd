"""A run as a person reads it at a terminal: tables, bars, and what changed since another run."""

from __future__ import annotations

from collections.abc import Sequence

from voicemode.bench.comparing import Change
from voicemode.bench.figures import Spread, spread
from voicemode.bench.results import OF, Figure, Kind, Row, Run, Subject
from voicemode.bench.texts import name_of

HEADS = {
    Figure.FIRST_BYTE: "first byte, ms",
    Figure.FIRST_SOUND: "decoded, ms",
    Figure.AUDIBLE: "audible, ms",
    Figure.FACTOR: "real time factor",
    Figure.STALL: "longest stall, ms",
    Figure.UNDERRUNS: "underruns",
    Figure.ANSWER: "recording → words, ms",
    Figure.WORD_ERRORS: "wrong words, %",
    Figure.TURN: "end of speech → words, ms",
    Figure.SILENCE: "of it silence, ms",
}
TITLES = {Kind.SPEECH: "Speech", Kind.TRANSCRIPTION: "Transcription", Kind.TURN: "Turn"}
SCALES = {Figure.FACTOR: 1.0, Figure.UNDERRUNS: 1.0, Figure.WORD_ERRORS: 100.0}
MILLISECONDS = 1000.0
SHADES = "░▒█"
PLAIN_SHADES = ".+#"
BAR_CHARACTERS = 48


def tables(run: Run) -> str:
    """Median, and in brackets the least and the most (from 20 runs on p95)."""
    parts = []
    for kind in Kind:
        rows = [row for row in run.rows if row.subject.kind is kind]
        if rows:
            head = [TITLES[kind], *(HEADS[figure] for figure in OF[kind])]
            measured = [row for row in rows if row.values]
            lines = [[label(row.subject), *(_cell(row, figure) for figure in OF[kind])] for row in measured]
            told = [f"{label(row.subject)}: {row.failure}" for row in rows if row.failure]
            noted = [f"{label(row.subject)}: {'; '.join(row.notes)}" for row in rows if row.notes]
            parts.append("\n".join([*(_aligned([head, *lines]) if lines else [TITLES[kind]]), *told, *noted]))
    return "\n\n".join(parts)


def circumstances(run: Run) -> str:
    here = run.circumstances
    loads = [each for each in (here.load_before, here.load_after) if each is not None]
    load = f"; load {' before, '.join(f'{each:.1f}' for each in loads)} after" if len(loads) == 2 else ""
    return f"{here.date}; {here.machine}; {here.versions}{load}\nSound: {here.played}. {here.settings}."


def bars(run: Run, shades: str = SHADES) -> str:
    """How the time until the first audible sample is made up; empty where nothing was heard."""
    timed = [(row, parts) for row in run.rows if (parts := waiting(row))]
    if not timed:
        return ""
    longest = max(sum(parts) for _, parts in timed)
    width = max(len(label(row.subject)) for row, _ in timed)
    lines = []
    for row, parts in timed:
        ends = [round(sum(parts[: at + 1]) / longest * BAR_CHARACTERS) for at in range(len(parts))]
        bar = "".join(
            shade * (end - begin) for shade, begin, end in zip(shades, [0, *ends], ends, strict=False)
        )
        lines.append(f"{label(row.subject):{width}}  {bar} {sum(parts) * 1000:.0f} ms")
    return "\n".join(
        [*lines, f"{shades[0]} first byte  {shades[1]} decoding  {shades[2]} until it is audible"]
    )


def waiting(row: Row) -> list[float]:
    """Seconds of each part of the wait for the first audible sample, by medians; empty where there is none."""
    if row.subject.kind is not Kind.SPEECH or Figure.AUDIBLE not in row.values:
        return []
    marks = [
        spread(row.values[each]).middle for each in (Figure.FIRST_BYTE, Figure.FIRST_SOUND, Figure.AUDIBLE)
    ]
    return [max(end - begin, 0.0) for begin, end in zip([0.0, *marks], marks, strict=False)]


def changes(found: Sequence[Change], others: Sequence[str]) -> str:
    """What is marked is more than chance; what is the same to the last digit is left out."""
    if not found:
        return "Nothing was measured in both runs."
    lines = [["compared", "", "before", "now", "change", ""]]
    last: Subject | None = None
    for each in found:
        if each.before == each.now:
            continue
        share = "" if each.share is None else f"{each.share:+.0%}"
        mark = ("better" if each.now < each.before else "worse") if each.real else ""
        before, now = (_number(value, each.figure) for value in (each.before, each.now))
        name = label(each.subject) if each.subject != last else ""
        lines.append([name, HEADS[each.figure], before, now, share, mark])
        last = each.subject
    told = [f"Not as it was: {other}" for other in others]
    marked = "Better and worse stand where the runs do not mix (from five on); the rest may be chance."
    return "\n".join([*_aligned(lines), *told, marked])


def label(subject: Subject) -> str:
    text = name_of(subject.text) if subject.kind is Kind.SPEECH and subject.text else ""
    return " ".join(word for word in (subject.engine, subject.format, text) if word)


def _cell(row: Row, figure: Figure) -> str:
    values = row.values.get(figure)
    return _spread(spread(values), figure) if values else "–"


def _spread(found: Spread, figure: Figure) -> str:
    middle, least, most = (_number(each, figure) for each in (found.middle, found.least, found.most))
    if least == most:
        return middle
    return (
        f"{middle} ({least}–{most})" if found.p95 is None else f"{middle} (p95 {_number(found.p95, figure)})"
    )


def _number(value: float, figure: Figure) -> str:
    scaled = value * SCALES.get(figure, MILLISECONDS)
    if figure is Figure.FACTOR:
        return f"{scaled:.2f}"
    return f"{scaled:.0f}" if scaled >= 10 else f"{scaled:.1f}".removesuffix(".0")


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
