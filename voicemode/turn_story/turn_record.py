"""What a turn's JSON says of it: made from the turn's events, as far as it has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from voicemode.events import (
    Event,
    FirstAudio,
    FirstByte,
    SpeechReceived,
    Transcribed,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from voicemode.turn_story import metrics

Record = dict[str, object]

FAILED = "failed"
KILLED = "killed"
"""The outcome of a turn whose process ended before it did."""


def turn_record(events: Iterable[Event]) -> Record:
    """`outcome` is "" while the turn goes on; `error` says why it failed. `audible` is when its first sound was."""
    seen = list(events)
    told: Record = {
        "kind": "",
        "text": "",
        "heard": "",
        "unheard": "",
        "transcript": "",
        "outcome": "",
        "voice": "",
        "engine": "",
        "recogniser": "",
        "confidence": None,
    }
    for event in seen:
        match event:
            case TurnStarted():
                told |= {"kind": event.kind, "text": event.text}
            case FirstByte():
                told |= {"voice": event.voice, "engine": event.engine}
            case FirstAudio():
                told.setdefault("audible", event.at)
            case Transcribed():
                told |= {"transcript": event.text, "recogniser": event.engine}
                told["confidence"] = event.confidence
            case TurnFailed():
                told |= {"outcome": FAILED, "error": {"code": event.code, "reason": event.reason}}
            case TurnFinished():
                told |= {"outcome": event.outcome, "heard": event.heard, "unheard": event.unheard}
            case _:
                pass
    told["metrics"] = asdict(metrics.figures(seen))
    told["timings"] = asdict(metrics.timings(seen)) if seen else {}
    return told


def over(event: Event) -> bool:
    """Nothing more will be said or heard; a failure may be followed by the outcome that it led to."""
    return isinstance(event, TurnFinished | TurnFailed)


def piece_seconds(events: Iterable[Event]) -> dict[int, float]:
    """Seconds of sound in each piece that came whole."""
    return {event.piece: event.seconds for event in events if isinstance(event, SpeechReceived)}
