"""What one run of the bench found, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import cast

from voicemode.bench.figures import spread
from voicemode.errors import InvalidRequest

VERSION = 1


class Kind(StrEnum):
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    TURN = "turn"


class Figure(StrEnum):
    """What is measured; seconds where nothing else is said."""

    FIRST_BYTE = "first_byte"
    """Asked → the first byte of sound."""
    FIRST_SOUND = "first_sound"
    """Asked → the first decoded sample."""
    AUDIBLE = "audible"
    """Asked → the first audible sample is heard, by the clock of what plays it."""
    FACTOR = "factor"
    """Time until all has come over the length of the sound: below 1 is faster than real time."""
    STALL = "stall"
    """The longest wait between two chunks."""
    UNDERRUNS = "underruns"
    """Gaps in the sound, with the configured buffer: a count."""
    ANSWER = "answer"
    """A recording sent → its words."""
    WORD_ERRORS = "word_errors"
    """Words put in, left out or taken for others: a share of those said."""
    TURN = "turn"
    """The end of speech → its words are in the caller's hands."""
    SILENCE = "silence"
    """Of it the silence that ended the turn."""


OF = {
    Kind.SPEECH: (
        Figure.FIRST_BYTE,
        Figure.FIRST_SOUND,
        Figure.AUDIBLE,
        Figure.FACTOR,
        Figure.STALL,
        Figure.UNDERRUNS,
    ),
    Kind.TRANSCRIPTION: (Figure.ANSWER, Figure.WORD_ERRORS),
    Kind.TURN: (Figure.TURN, Figure.SILENCE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a row is about. `format` and `text` are empty where they make no difference; `text` is what was said."""

    kind: Kind
    engine: str
    format: str = ""
    text: str = ""


@dataclass(kw_only=True, slots=True)
class Row:
    """`values` of every run; `failure` is why there are no (more) of them; `notes` what else is to be known."""

    subject: Subject
    values: dict[Figure, list[float]] = field(default_factory=dict)
    failure: str = ""
    notes: list[str] = field(default_factory=list)

    def add(self, **found: float) -> None:
        for name, value in found.items():
            self.values.setdefault(Figure(name), []).append(round(value, 6))

    def note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """Under which a run was made. `played` says into what the sound went; loads are load averages of the last minute,
    None where the system has none."""

    date: str
    machine: str
    versions: str
    played: str
    settings: str
    load_before: float | None = None
    load_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    circumstances: Circumstances
    rows: list[Row]
    complete: bool = True
    """False where it was interrupted, or ended by its limit of time."""


def to_json(run: Run) -> str:
    """With median, least and most of each series beside its values, for whoever does not want to compute."""
    rows = [
        {
            **asdict(row.subject),
            "failure": row.failure,
            "notes": row.notes,
            "figures": {
                name.value: {**asdict(spread(values)), "values": values}
                for name, values in row.values.items()
            },
        }
        for row in run.rows
    ]
    told = {
        "version": VERSION,
        "complete": run.complete,
        "circumstances": asdict(run.circumstances),
        "rows": rows,
    }
    return json.dumps(told, ensure_ascii=False, indent=1)


def from_json(text: str | bytes, *, source: str) -> Run:
    """Raises `InvalidRequest` for what is no run of ours."""
    try:
        told = json.loads(text)
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']!r}")
        return Run(
            circumstances=Circumstances(**told["circumstances"]),
            rows=[_row(each) for each in told["rows"]],
            complete=bool(told["complete"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InvalidRequest(
            f"{source} is no run of voicemode bench ({problem or type(problem).__name__}).",
            hint="Give a file that `voicemode bench --json FILE` has written.",
        ) from None


def _row(told: Mapping[str, object]) -> Row:
    figures = cast("Mapping[str, Mapping[str, list[float]]]", told["figures"])
    return Row(
        subject=Subject(
            kind=Kind(str(told["kind"])),
            engine=str(told["engine"]),
            format=str(told["format"]),
            text=str(told["text"]),
        ),
        values={Figure(name): [float(value) for value in found["values"]] for name, found in figures.items()},
        failure=str(told["failure"]),
        notes=[str(note) for note in cast("list[object]", told["notes"])],
    )
