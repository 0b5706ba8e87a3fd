"""Figures are arithmetic on events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode import events
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
    TurnFinished,
    TurnStarted,
    Underrun,
)
from voicemode.speech import Metrics, Timings
from voicemode.turn_story.metrics import HEEDED, figures, timings

pytestmark = pytest.mark.spec("SPK-35")

T = "t1"


def requested(at: float, piece: int) -> Event:
    return SpeechRequested(at=at, turn=T, piece=piece, text="", engine="", format="pcm")


def received(at: float, piece: int) -> Event:
    return SpeechReceived(
        at=at, turn=T, piece=piece, chunks=1, bytes_received=2, seconds=1.0, elapsed=0.5, decoding=0.1
    )


TURN: list[Event] = [
    TurnStarted(at=100.0, turn=T, kind="converse", text="hi"),
    requested(100.1, 0),
    received(100.5, 0),
    requested(100.5, 1),
    FirstAudio(at=100.3, turn=T),
    Underrun(at=100.9, turn=T, position=3, refill=0.3),
    received(101.1, 1),
    MicrophoneOpened(at=101.5, turn=T, rate=16_000),
    PlaybackEnded(at=102.3, turn=T, outcome="finished", heard=2.0, written=2.0, blocks=200, buffered=0.5),
    TurnEnded(at=104.0, turn=T, why="silence", seconds=1.0),
    TranscriptionRequested(at=104.25, turn=T, engine="", seconds=1.0),
    Transcribed(at=105.0, turn=T, engine="", text="yes", confidence=None),
    TurnFinished(at=105.5, turn=T, outcome="answered", heard="hi", unheard=""),
]


def test_every_timing_of_a_whole_turn() -> None:
    assert timings(TURN) == Timings(
        ttfa=0.3, generation=1.0, playback=2.0, listening=2.5, transcription=0.75, total=5.5
    )
    assert figures(TURN) == Metrics(
        ttfa=0.3,
        generation=1.0,
        playback=2.0,
        underruns=1,
        chunks_received=2,
        chunks_played=200,
        average_buffer=0.5,
        throughput=4.0,
        decoding=0.2,
    )


def test_what_was_transcribed_ahead_of_time_costs_only_what_is_waited_for_after_the_turn() -> None:
    early = [
        TranscriptionRequested(at=103.2, turn=T, engine="", seconds=1.0, speculative=True)
        if isinstance(event, TranscriptionRequested)
        else event
        for event in TURN
    ]
    assert timings(early).transcription == 1.0
    again = [*early[:-2], TranscriptionRequested(at=104.5, turn=T, engine="", seconds=1.0), *early[-2:]]
    assert timings(again).transcription == 0.5


def test_the_time_in_which_nobody_listened_is_told() -> None:
    assert timings([*TURN, ListeningStarted(at=106.0, turn=T, deaf=0.25)]).deaf == 0.25


def test_without_events_nothing_is_known() -> None:
    assert timings([]) == Timings()
    assert figures([]) == Metrics()


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(0, len(TURN)))
def test_as_far_as_a_turn_has_come_what_is_known_stays_as_it_ends(seen: int) -> None:
    """Generation alone still grows, with every piece that has come."""
    so_far, whole = timings(TURN[:seen]), timings(TURN)
    for known, final in (
        (so_far.ttfa, whole.ttfa),
        (so_far.playback, whole.playback),
        (so_far.listening, whole.listening),
        (so_far.transcription, whole.transcription),
    ):
        assert known in (None, final)
    assert (so_far.total is None) is (seen == 0)
    assert (so_far.transcription is None) is (seen < 12)


def test_events_before_the_turn_began_count_for_nothing_that_needs_its_beginning() -> None:
    later = timings(TURN[1:])
    assert later.ttfa is None
    assert later.total is None
    assert later.generation == 1.0


def test_the_figures_are_made_from_what_they_say_and_from_nothing_else() -> None:
    kinds = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]
    values = {"str": "e", "int": 3, "int | None": 3, "float": 1.5, "float | None": 0.5, "bool": False}

    def made(kind: type[Event], at: float) -> Event:
        make: Callable[..., Event] = kind
        own = {each.name: values[str(each.type)] for each in fields(kind)}
        return make(**{**own, "at": at})

    order: list[type[Event]] = [TurnStarted, *(kind for kind in kinds if kind is not TurnStarted)]
    told = [made(kind, float(number)) for number, kind in enumerate(order)]
    heeded = [event for event in told[:-1] if isinstance(event, HEEDED)] + told[-1:]
    assert len(heeded) < len(told) / 2
    assert figures(heeded) == figures(told)
    assert timings(heeded) == timings(told)
