"""Figures of an utterance and a turn: arithmetic on its events, never a second set of counters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from voicemode.events import (
    Event,
    FirstAudio,
    MicrophoneOpened,
    PlaybackEnded,
    SpeechReceived,
    SpeechRequested,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnStarted,
    Underrun,
)
from voicemode.speech import Timings

E = TypeVar("E", bound=Event)


def timings(events: Iterable[Event]) -> Timings:
    """What `Timings` says of each field, from the events of one turn in the order they were emitted."""
    seen = list(events)
    began = _first(seen, TurnStarted)
    return Timings(
        ttfa=_between(began, _first(seen, FirstAudio)),
        generation=_between(_first(seen, SpeechRequested), _last(seen, SpeechReceived)),
        playback=_between(_first(seen, FirstAudio), _last(seen, PlaybackEnded)),
        listening=_between(_first(seen, MicrophoneOpened), _last(seen, TurnEnded)),
        transcription=_between(_first(seen, TranscriptionRequested), _last(seen, Transcribed)),
        total=seen[-1].at - began.at if began else None,
    )


def underruns(events: Iterable[Event]) -> int:
    return sum(isinstance(event, Underrun) for event in events)


def _first(events: list[Event], kind: type[E]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def _last(events: list[Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def _between(start: Event | None, end: Event | None) -> float | None:
    return round(end.at - start.at, 4) if start and end else None
