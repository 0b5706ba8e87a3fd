"""A recording cut where its speaker paused: what subtitles need of an engine that gives words without times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicemode.pcm import Frame, PcmFormat
from voicemode.sound.joins import Contour, Pause

PAUSE_SECONDS = 0.35
"""A gap between words is shorter, the breath between two sentences longer."""

LEAST_SECONDS = 1.0
"""Shorter ones join what follows: nobody reads a subtitle so fast."""

SUBTITLE_SECONDS = 12.0
"""Longer ones are cut at the next pause, however short."""

WHOLE_SECONDS = 300.0
"""As much as is sent to be transcribed at once: 10 MB of wav, of the 25 MB that services take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """`start` and `end` in seconds, without the silence around; `audio`, which begins at `at`, with half of it."""

    start: float
    end: float
    at: float
    audio: Frame


def cut(recording: Frame, *, longest: float, pause: float = PAUSE_SECONDS) -> list[Segment]:
    """The recording in segments, in order; none where it is silent throughout."""
    fmt = recording.format
    contour = Contour(fmt)
    contour.feed(recording)
    voiced = contour.voiced(pause=pause)
    if voiced.seconds <= 0.0:
        return []
    starts_at = _first_sound(contour)
    ends_at = min(recording.seconds, contour.seconds - contour.quiet_at_end)
    segments: list[Segment] = []
    start, cut_at = starts_at, 0.0
    for gap in _gaps(voiced.pauses, starts_at, ends_at, longest):
        middle = gap.at + gap.seconds / 2
        segments.append(_segment(recording, fmt, start, gap.at, cut_at, middle))
        start, cut_at = gap.at + gap.seconds, middle
    segments.append(_segment(recording, fmt, start, max(ends_at, start), cut_at, recording.seconds))
    return segments


def _gaps(pauses: Sequence[Pause], start: float, end: float, longest: float) -> list[Pause]:
    """Where to cut: at every pause that leaves `LEAST_SECONDS` on both sides; in what is longer than `longest` without
    one, in the middle of nowhere."""
    gaps: list[Pause] = []
    at = start
    for pause in [*pauses, Pause(after=0.0, seconds=0.0, at=end)]:
        while pause.at - at > longest:
            gaps.append(Pause(after=0.0, seconds=0.0, at=at + longest))
            at += longest
        if pause.at - at >= LEAST_SECONDS and end - (pause.at + pause.seconds) >= LEAST_SECONDS:
            gaps.append(pause)
            at = pause.at + pause.seconds
    return gaps


def merged(segments: Sequence[Segment], *, longest: float) -> list[Segment]:
    """Neighbours put together up to `longest` seconds: fewer questions for the same recording."""
    out: list[Segment] = []
    for segment in segments:
        if out and segment.end - out[-1].start <= longest:
            before = out[-1]
            audio = Frame(data=before.audio.data + segment.audio.data, format=segment.audio.format)
            out[-1] = Segment(start=before.start, end=segment.end, at=before.at, audio=audio)
        else:
            out.append(segment)
    return out


def _segment(
    recording: Frame, fmt: PcmFormat, start: float, end: float, from_: float, until: float
) -> Segment:
    first, last = (fmt.samples(at) * fmt.bytes_per_sample for at in (from_, until))
    audio = Frame(data=recording.data[first:last], format=fmt)
    return Segment(start=start, end=end, at=from_, audio=audio)


def _first_sound(contour: Contour) -> float:
    return contour.quiet_at_start
