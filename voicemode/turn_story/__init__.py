"""A turn as a story: its spans of time, its moments, and what was not as it should be. Made from its events and nothing
else."""

from __future__ import annotations

from collections.abc import Sequence

from voicemode.events import Event
from voicemode.turn_story.findings import Findings
from voicemode.turn_story.moments import moments
from voicemode.turn_story.nouns import Finding, Lane, Level, Moment, Span, Story
from voicemode.turn_story.seen import Seen
from voicemode.turn_story.spans import Spans

__all__ = ["Finding", "Lane", "Level", "Moment", "Span", "Story", "story"]


def story(events: Sequence[Event]) -> Story:
    """`events` are those of one turn in the order they were emitted; where its beginning is lost the first that
    is there counts as that."""
    seen = Seen(events)
    return Story(
        zero=seen.zero,
        length=max((seen.at(event) for event in events), default=0.0),
        spans=tuple(sorted(Spans(seen).all(), key=lambda span: span.start)),
        moments=tuple(sorted(moments(seen), key=lambda moment: moment.at)),
        findings=tuple(Findings(seen).all()),
    )
