"""A turn told to a person: no event is without its sentence, and the steps add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode import events
from voicemode.events import (
    ControlAsked,
    Event,
    FirstAudio,
    FirstByte,
    FloorTaken,
    ListeningStarted,
    MicrophoneOpened,
    PlaybackEnded,
    SpeechRequested,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnFailed,
    TurnStarted,
    VoiceStarted,
)
from voicemode.logs.eventlog import event_name
from voicemode.logs.logged import parsed
from voicemode.turn_story.timeline import Span, printable, quoted, sentence, spans

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]
VALUES = {"str": "words", "int": 3, "int | None": None, "float": 1.5, "float | None": None, "bool": True}

TALK: list[Event] = [
    TurnStarted(at=10.0, turn="t", kind="converse", text="well?"),
    FloorTaken(at=10.5, turn="t", waited=0.5),
    SpeechRequested(at=10.5, turn="t", piece=0, text="well?", engine="e", format="pcm"),
    FirstByte(at=11.0, turn="t", piece=0, engine="e", voice="v", format="pcm"),
    FirstAudio(at=11.25, turn="t"),
    MicrophoneOpened(at=12.0, turn="t", rate=16_000),
    PlaybackEnded(at=13.0, turn="t", outcome="finished", heard=1.75, written=1.75, blocks=9, buffered=0.5),
    ListeningStarted(at=13.0, turn="t", deaf=0.0),
    VoiceStarted(at=14.0, turn="t", position=2.0),
    TranscriptionRequested(at=15.0, turn="t", engine="e", seconds=1.0, speculative=True),
    TurnEnded(at=16.0, turn="t", why="silence", seconds=1.0),
    Transcribed(at=16.5, turn="t", engine="e", text="yes", confidence=0.5),
]


@pytest.mark.spec("EVT-18")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_has_a_sentence(kind: type[Event]) -> None:
    make: Callable[..., Event] = kind
    told = sentence(make(**{each.name: VALUES[str(each.type)] for each in fields(kind)}))
    assert told[0].isupper() or told.startswith(("voicemode", "words"))
    assert "None" not in told


@pytest.mark.spec("EVT-18")
@pytest.mark.parametrize(
    ("action", "told"),
    [("replace", "Turn b takes its place: silence."), ("replay", "It says again what turn b said.")],
)
def test_who_acts_on_a_turn_for_another_is_named(action: str, told: str) -> None:
    assert sentence(ControlAsked(at=1.0, turn="a", action=action, other="b")) == told


@pytest.mark.spec("EVT-18")
def test_the_steps_of_a_turn_say_where_the_time_went() -> None:
    assert spans(TALK) == [
        Span(what="waiting for the floor", start=0.0, seconds=0.5),
        Span(what="the engine's first byte", start=0.5, seconds=0.5),
        Span(what="from first byte to sound", start=1.0, seconds=0.25),
        Span(what="speaking", start=1.25, seconds=1.75),
        Span(what="waiting for a voice", start=3.0, seconds=1.0),
        Span(what="the user's turn", start=4.0, seconds=2.0),
        Span(what="transcribing", start=6.0, seconds=0.5),
    ]


@pytest.mark.spec("EVT-18")
@given(st.integers(min_value=0, max_value=len(TALK)), st.booleans())
def test_a_turn_that_broke_off_has_the_steps_it_came_to(count: int, failed: bool) -> None:
    end = TurnFailed(at=20.0, turn="t", code="timeout", reason="nobody answered")
    found = spans([*TALK[:count], *([end] if failed else [])])
    assert bool(found) == (count > 0)
    assert all(span.start >= 0.0 for span in found)
    begun = [span.what for span in found if span.seconds is None]
    assert len(begun) <= 2
    if count == 4:
        assert [span.what for span in found if span.seconds is None] == ["from first byte to sound"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.spec("EVT-10", "EVT-18")
@given(st.data())
def test_whatever_stands_in_a_line_it_can_be_told_or_is_no_event(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    right = {"str": st.text(), "bool": st.booleans()}
    own = {
        each.name: right.get(str(each.type), st.floats() | st.integers()) | ANYTHING for each in fields(kind)
    }
    stamp = {"time": "2026-11-21T12:00:00+00:00", "seq": 1, "pid": 2, "event": event_name(kind), "turn": "t"}
    values = {name: data.draw(value) for name, value in own.items() if name not in ("at", "turn")}
    line = parsed(json.dumps({**stamp, "monotonic": data.draw(ANYTHING), **values}).encode())
    event = line.event() if line is not None else None
    if event is not None:
        assert printable(sentence(event)).isprintable()
        spans([TALK[0], event])


def test_nothing_that_is_shown_can_talk_to_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n\tc\u202ed") == "a [2Jb c d"
    assert quoted("x" * 200, 10) == "“xxxxxxxxx…”"
