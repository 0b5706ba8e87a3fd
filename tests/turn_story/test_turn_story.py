"""A turn as a story: spans, moments and sentences, made from its events."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.many_turns import turn
from voicemode.events import (
    EndpointFailed,
    Event,
    FirstAudio,
    FirstByte,
    FloorTaken,
    InterruptionJudged,
    ListeningStarted,
    MicrophoneOpened,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    SinkLost,
    SinkMissing,
    SpeechBroken,
    SpeechReceived,
    SpeechRequested,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Underrun,
    VoiceStarted,
    Warned,
)
from voicemode.turn_story import Lane, Level, Span, story
from voicemode.turn_story.metrics import turn_time

T = "t1"

GOOD: list[Event] = [
    TurnStarted(at=100.0, turn=T, kind="converse", text="Deploy now?"),
    FloorTaken(at=100.0, turn=T, waited=0.0),
    SpeechRequested(at=100.01, turn=T, piece=0, text="Deploy now?", engine="local", format="pcm"),
    FirstByte(at=100.2, turn=T, piece=0, engine="local", voice="af_sky", format="pcm"),
    FirstAudio(at=100.3, turn=T),
    SpeechReceived(
        at=100.6, turn=T, piece=0, chunks=9, bytes_received=96_000, seconds=2.0, elapsed=0.4, decoding=0.001
    ),
    MicrophoneOpened(at=100.4, turn=T, rate=16_000),
    PlaybackEnded(at=102.3, turn=T, outcome="finished", heard=2.0, written=2.0, blocks=200, buffered=0.5),
    ListeningStarted(at=102.3, turn=T, deaf=0.0),
    VoiceStarted(at=103.0, turn=T, position=0.6),
    TranscriptionRequested(at=104.2, turn=T, engine="ear", seconds=1.4, speculative=True),
    TurnEnded(at=105.0, turn=T, why="silence", seconds=1.4, silence=1.0),
    Transcribed(at=105.1, turn=T, engine="ear", text="Yes.", confidence=None),
    TurnFinished(at=105.2, turn=T, outcome="answered", heard="Deploy now?", unheard=""),
]


def without(*kinds: type[Event]) -> list[Event]:
    return [event for event in GOOD if not isinstance(event, kinds)]


def sentences(seen: list[Event], level: Level = Level.BAD) -> list[str]:
    return [finding.text for finding in story(seen).findings if finding.level is level]


def shape(span: Span) -> tuple[str, float, float | None]:
    return span.name, round(span.start, 3), None if span.end is None else round(span.end, 3)


@pytest.mark.spec("REV-2")
def test_the_spans_of_a_good_turn_follow_each_other_from_lane_to_lane() -> None:
    told = story(GOOD)
    assert told.zero == 100.0
    assert told.length == pytest.approx(5.2)
    assert [(span.lane, *shape(span)) for span in told.spans] == [
        (Lane.SERVER, "piece 1: waiting for the first byte", 0.01, 0.2),
        (Lane.SERVER, "piece 1: receiving", 0.2, 0.6),
        (Lane.LOUDSPEAKER, "filling the buffer", 0.2, 0.3),
        (Lane.LOUDSPEAKER, "speaking", 0.3, 2.3),
        (Lane.MICROPHONE, "listening", 2.3, 3.0),
        (Lane.MICROPHONE, "voice", 3.0, 4.0),
        (Lane.MICROPHONE, "silence", 4.0, 5.0),
        (Lane.RECOGNISER, "transcribing", 4.2, 5.1),
    ]
    assert [moment.name for moment in told.moments] == [
        "request",
        "first byte",
        "first audio",
        "microphone",
        "voice onset",
        "end of turn",
        "transcript",
    ]


@pytest.mark.spec("REV-3")
def test_of_a_good_turn_it_is_said_that_nothing_went_wrong() -> None:
    (finding,) = story(GOOD).findings
    assert (finding.level, finding.text) == (Level.GOOD, "Nothing went wrong in this turn.")


@pytest.mark.spec("REV-3")
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            EndpointFailed(
                at=100.1, turn=T, engine="near", code="refused", reason="refused.", next="local", piece=0
            ),
            "near failed after 0.1 s (refused); local was asked instead.",
        ),
        (
            EndpointFailed(
                at=100.1, turn=T, engine="near", code="refused", reason="refused.", next="", piece=0
            ),
            "near failed after 0.1 s (refused); nobody was left to ask.",
        ),
        (
            EndpointFailed(at=105.05, turn=T, engine="ear", code="x", reason="It broke.", next="other"),
            "ear gave no transcript (It broke); other was asked instead.",
        ),
        (
            SinkMissing(at=100.2, turn=T, code="no_device", reason="There is none."),
            "No loudspeaker could be opened (There is none).",
        ),
        (
            SpeechBroken(at=100.5, turn=T, piece=0, code="cut", reason="The stream was cut.", again="now?"),
            "Piece 1 broke off (The stream was cut). It was asked for again.",
        ),
        (
            SinkLost(at=101.0, turn=T, reason="It was unplugged.", position=9),
            "The loudspeaker went away (It was unplugged).",
        ),
        (
            TurnFailed(at=105.1, turn=T, code="x", reason="No engine answered."),
            "It failed: No engine answered.",
        ),
        (ListeningStarted(at=102.4, turn=T, deaf=0.4), "For 0.4 s after its last word nobody listened."),
        (
            TurnEnded(at=105.05, turn=T, why="maximum", seconds=9.0, silence=0.0),
            "The user was still speaking when the longest listening time was over.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_what_went_wrong_is_a_sentence_with_its_moment(more: Event, told: str) -> None:
    seen = sorted([*GOOD, more], key=lambda event: event.at)
    assert told in sentences(seen)
    (finding,) = [each for each in story(seen).findings if each.text == told]
    assert finding.at == pytest.approx(more.at - 100.0)


@pytest.mark.spec("REV-3")
@pytest.mark.parametrize("silence", [4.0, None])
def test_who_had_long_ended_at_the_longest_listening_time_was_not_still_speaking(
    silence: float | None,
) -> None:
    ended = TurnEnded(at=105.05, turn=T, why="maximum", seconds=9.0, silence=silence)
    seen = sorted([*GOOD, ended], key=lambda event: event.at)
    told = "The microphone was open for the longest listening time."
    assert told in sentences(seen, Level.NOTE)
    assert sentences(seen) == []


@pytest.mark.spec("REV-3")
def test_an_underrun_is_told_with_its_length_and_the_pace_of_its_server() -> None:
    dry = [
        Underrun(at=101.0, turn=T, position=16_000, refill=0.3),
        PlaybackResumed(at=101.6, turn=T, position=16_000),
    ]
    slow = SpeechReceived(
        at=102.7, turn=T, piece=0, chunks=9, bytes_received=96_000, seconds=2.0, elapsed=2.5, decoding=0.001
    )
    seen = sorted([*without(SpeechReceived), *dry, slow], key=lambda event: event.at)
    assert sentences(seen) == ["The sound ran dry for 0.6 s: local sent piece 1 at 0.80 × real time."]
    spans = [shape(span) for span in story(seen).spans if span.lane is Lane.LOUDSPEAKER]
    assert spans[1:] == [
        ("speaking", 0.3, 1.0),
        ("underrun", 1.0, 1.6),
        ("speaking", 1.6, 2.3),
    ]
    stood = SpeechReceived(
        at=101.6, turn=T, piece=0, chunks=9, bytes_received=96_000, seconds=2.0, elapsed=1.4, decoding=0.001
    )
    seen = sorted([*without(SpeechReceived), *dry, stood], key=lambda event: event.at)
    assert sentences(seen) == ["The sound ran dry for 0.6 s: local stood still while it sent piece 1."]


@pytest.mark.spec("REV-3")
def test_slow_servers_and_slow_words_are_told_with_who_was_slow() -> None:
    late = [
        *without(FirstByte, FirstAudio, Transcribed),
        FirstByte(at=102.1, turn=T, piece=0, engine="far", voice="v", format="pcm"),
        FirstAudio(at=102.2, turn=T),
        Transcribed(at=107.0, turn=T, engine="ear", text="Yes.", confidence=None),
    ]
    assert sentences(sorted(late, key=lambda event: event.at)) == [
        "The first sound came 2.2 s after the call.",
        "far took 2.1 s to the first byte of piece 1.",
        "The words came 2.0 s after the end of the turn.",
    ]


@pytest.mark.spec("REV-3")
def test_a_wait_for_the_floor_is_told() -> None:
    seen = [TurnStarted(at=98.0, turn=T, kind="speak", text=""), FloorTaken(at=100.0, turn=T, waited=2.0)]
    assert sentences(seen) == ["It waited 2.0 s for the floor: another call had loudspeaker and microphone."]
    (span,) = story(seen).spans
    assert shape(span)[1:] == (0.0, 2.0)


@pytest.mark.spec("REV-3")
def test_what_is_nobodys_fault_is_a_note() -> None:
    seen = [
        *without(TurnFinished, TurnEnded),
        InterruptionJudged(at=101.0, turn=T, verdict="false"),
        InterruptionJudged(at=101.5, turn=T, verdict="confirmed"),
        TurnEnded(at=105.0, turn=T, why="no_speech", seconds=0.0),
        Warned(at=105.1, turn=T, what="The disk is full."),
        TurnFinished(at=105.2, turn=T, outcome="interrupted", heard="Deploy", unheard="now?"),
    ]
    assert sentences(seen) == []
    assert sentences(seen, Level.NOTE) == [
        "It paused for a sound that was no interruption.",
        "The user talked over it and interrupted it.",
        "Nobody spoke.",
        "The disk is full.",
        "A part of the message was not heard.",
    ]


@pytest.mark.spec("REV-2")
def test_a_pause_that_never_ends_ends_the_sound() -> None:
    seen = [*without(PlaybackEnded), PlaybackPaused(at=101.0, turn=T, position=16_000)]
    spans = [shape(span) for span in story(seen).spans if span.lane is Lane.LOUDSPEAKER]
    assert spans[1:] == [("speaking", 0.3, 1.0), ("paused", 1.0, None)]


@pytest.mark.spec("REV-6")
def test_turn_time_is_from_the_last_voice_to_the_words() -> None:
    assert turn_time(GOOD) == pytest.approx(1.1)
    assert turn_time(without(Transcribed)) is None
    assert turn_time(without(TurnEnded)) is None
    assert turn_time([]) is None
    untold = [TurnEnded(at=105.0, turn=T, why="silence", seconds=1.4), *GOOD[-2:]]
    assert turn_time(untold) is None


@pytest.mark.spec("REV-1", "REV-2")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_whatever_part_of_a_turn_is_left_its_story_can_be_told(seed: int, data: st.DataObject) -> None:
    """A log may begin or end in the middle of a turn, and lose lines."""
    whole = turn(random.Random(seed), T, 1000.0).events
    kept = data.draw(st.lists(st.sampled_from(range(len(whole))), unique=True))
    seen = [whole[index] for index in sorted(kept)]
    told = story(seen)
    assert told.findings
    assert told.length >= 0
    for span in told.spans:
        assert span.end is None or span.start <= span.end + 1e-6
        assert -1e-6 <= span.start <= told.length + 1e-6
    for moment in told.moments:
        assert -1e-6 <= moment.at <= told.length + 1e-6
    assert [span.start for span in told.spans] == sorted(span.start for span in told.spans)
