"""Runs of the bench, small ones."""

from __future__ import annotations

from voicemode.bench.results import Circumstances, Figure, Kind, Row, Run, Subject
from voicemode.bench.texts import TEXTS

HERE = Circumstances(
    date="2026-11-28T12:00:00+00:00",
    machine="2 processors",
    versions="voicemode 0.1.0",
    played="not played",
    settings="Buffer 150 ms",
    load_before=0.5,
    load_after=1.25,
)
MP3 = Subject(kind=Kind.SPEECH, engine="127.0.0.1:8880", format="mp3", text=TEXTS["short"])


def spoken(*audible: float, subject: Subject = MP3) -> Row:
    """A row whose first byte takes half of the wait, and decoding a fourth."""
    row = Row(subject=subject)
    for seconds in audible:
        row.add(
            first_byte=seconds / 2,
            first_sound=seconds * 0.75,
            audible=seconds,
            factor=0.25,
            stall=0.05,
            underruns=0,
        )
    return row


def run(*rows: Row, circumstances: Circumstances = HERE) -> Run:
    return Run(circumstances=circumstances, rows=list(rows))


def understood(*errors: float) -> Row:
    subject = Subject(kind=Kind.TRANSCRIPTION, engine="embedded", text=TEXTS["medium"])
    return Row(
        subject=subject, values={Figure.ANSWER: [0.5 for _ in errors], Figure.WORD_ERRORS: list(errors)}
    )
