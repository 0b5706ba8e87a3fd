"""Figures of an utterance and a turn: arithmetic on its events, never a second set of counters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from voicemode.events import (
    Event,
    FirstAudio,
    ListeningStarted,
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
from voicemode.speech import Metrics, Timings

E = TypeVar("E", bound=Event)

HEEDED: tuple[type[Event], ...] = (
    FirstAudio,
    ListeningStarted,
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
"""All figures are made from these, and from when the last event of the turn was."""


def timings(events: Iterable[Event]) -> Timings:
    """What `Timings` says of each field, from the events of one turn in the order they were emitted."""
    seen = list(events)
    began = _first(seen, TurnStarted)
    return Timings(
        ttfa=_between(began, _first(seen, FirstAudio)),
        generation=_between(_first(seen, SpeechRequested), _last(seen, SpeechReceived)),
        playback=_between(_first(seen, FirstAudio), _last(seen, PlaybackEnded)),
        listening=_between(_first(seen, MicrophoneOpened), _last(seen, TurnEnded)),
        deaf=_deaf(seen),
        transcription=_between(_transcription_began(seen), _last(seen, Transcribed)),
        total=seen[-1].at - began.at if began else None,
    )


def figures(events: Iterable[Event]) -> Metrics:
    """How one utterance went, from its events in the order they were emitted."""
    seen = list(events)
    times = timings(seen)
    received = [event for event in seen if isinstance(event, SpeechReceived)]
    ended = _last(seen, PlaybackEnded)
    elapsed = sum(event.elapsed for event in received)
    return Metrics(
        ttfa=times.ttfa,
        generation=times.generation,
        playback=times.playback,
        underruns=sum(isinstance(event, Underrun) for event in seen),
        chunks_received=sum(event.chunks for event in received),
        chunks_played=ended.blocks if ended else 0,
        average_buffer=ended.buffered if ended else 0.0,
        throughput=round(sum(event.bytes_received for event in received) / elapsed, 1) if elapsed else None,
        decoding=round(sum(event.decoding for event in received), 6),
    )


def turn_time(events: Iterable[Event]) -> float | None:
    """From the user's last voiced sample to the words; None where there were none, or the log does not tell."""
    seen = list(events)
    ended, words = _last(seen, TurnEnded), _last(seen, Transcribed)
    if ended is None or words is None or ended.silence is None or words.at < ended.at:
        return None
    return round(words.at - ended.at + ended.silence, 4)


def _transcription_began(events: list[Event]) -> Event | None:
    """What was asked for ahead of time costs nobody any time before the turn ends."""
    requested, ended = _last(events, TranscriptionRequested), _last(events, TurnEnded)
    return ended if requested and ended and requested.at < ended.at else requested


def _deaf(events: list[Event]) -> float | None:
    started = _last(events, ListeningStarted)
    return started.deaf if started else None


def _first(events: list[Event], kind: type[E]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def _last(events: list[Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def _between(start: Event | None, end: Event | None) -> float | None:
    return round(end.at - start.at, 4) if start and end else None
