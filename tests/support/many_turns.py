"""Logs and recordings of believable turns, as many as are wanted: for tests of what reads them, and for figures.

    python -m tests.support.many_turns FOLDER --turns 10000 --sounds 100

writes FOLDER/events and FOLDER/recordings through the log and the recordings themselves.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from tests.support import voice
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
    PlaybackResumed,
    SinkOpened,
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
)
from voicemode.logs.eventlog import EventLog
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.recording.recordings import Recordings
from voicemode.speech import RecordingNote

SAYINGS = (
    "The build is green again, all tests have passed on both machines.",
    "I have found the leak: a cache that nobody empties. Shall I bound it?",
    "There are three ways to do this. The first is the smallest change.",
    "Deploy now, or wait for the review?",
    "The migration took four minutes and touched two million rows.",
    "Done. I have pushed the branch and opened a pull request.",
    "One test fails on Windows. It expects a forward slash in a path.",
    "I would rename this module. May I?",
)
ANSWERS = (
    "Yes, please go ahead.",
    "Wait for the review.",
    "No, leave it as it is.",
    "Which one is faster?",
    "Bound it to a hundred entries.",
    "Take the first one.",
)
LOCAL, CLOUD = "http://127.0.0.1:8880/v1", "https://api.openai.com/v1"
LEAD_SECONDS = 0.2
RATE_OF_SPEECH = 14.0
"""Characters per second."""


@dataclass(frozen=True, kw_only=True)
class Made:
    events: tuple[Event, ...]
    said: tuple[str, float, float]
    """Text, the moment of its first sample, seconds."""
    answered: tuple[str, float, float] | None


def turn(chance: random.Random, name: str, at: float) -> Made:
    """One turn that begins at `at` (monotonic)."""
    text, answer = chance.choice(SAYINGS), chance.choice(ANSWERS)
    fault = chance.choices(
        ("none", "slow", "failover", "underrun", "interrupted", "failed", "no_speech"),
        (70, 6, 5, 5, 6, 3, 5),
    )[0]
    listens = chance.random() < 0.6 or fault in ("interrupted", "no_speech")
    kind = "converse" if listens else "speak"
    found: list[Event] = []

    def happen(event: Event) -> None:
        found.append(event)

    happen(TurnStarted(at=at, turn=name, kind=kind, text=text))
    happen(FloorTaken(at=at + 0.002, turn=name, waited=0.0))
    now = at + 0.01
    happen(SpeechRequested(at=now, turn=name, piece=0, text=text, engine=LOCAL, format="pcm"))
    engine = LOCAL
    if fault in ("failover", "failed"):
        now += chance.uniform(0.05, 1.5)
        engine = CLOUD
        then = CLOUD if fault == "failover" else ""
        happen(
            EndpointFailed(
                at=now,
                turn=name,
                engine=LOCAL,
                code="refused",
                reason="it refused the connection",
                next=then,
                piece=0,
            )
        )
    if fault == "failed":
        happen(
            TurnFailed(
                at=now + 0.01, turn=name, code="engine_unavailable", reason="no speech engine answered"
            )
        )
        return Made(events=tuple(found), said=(text, now, 0.0), answered=None)
    now += chance.uniform(1.2, 3.0) if fault == "slow" else chance.lognormvariate(-1.7, 0.5)
    happen(FirstByte(at=now, turn=name, piece=0, engine=engine, voice="af_sky", format="pcm"))
    happen(
        SinkOpened(
            at=now + 0.01, turn=name, device="Built-in speakers", rate=48_000, channels=2, latency=0.03
        )
    )
    first = now + chance.uniform(0.03, 0.2)
    happen(FirstAudio(at=first, turn=name))
    seconds = len(text) / RATE_OF_SPEECH
    heard, end = seconds, first + seconds
    if fault == "underrun":
        dry, gap = first + seconds * 0.4, chance.uniform(0.2, 0.9)
        position = round(seconds * 0.4 * SPEECH.rate)
        happen(Underrun(at=dry, turn=name, position=position, refill=0.3))
        happen(PlaybackResumed(at=dry + gap, turn=name, position=position))
        end += gap
    if fault == "interrupted":
        heard = seconds * chance.uniform(0.2, 0.8)
        end = first + heard
    elapsed = seconds * (1.3 if fault == "underrun" else 0.2)
    happen(
        SpeechReceived(
            at=now + elapsed,
            turn=name,
            piece=0,
            chunks=max(round(seconds * 12), 1),
            bytes_received=round(seconds * 48_000),
            seconds=seconds,
            elapsed=elapsed,
            decoding=0.0004,
        )
    )
    if listens:
        happen(MicrophoneOpened(at=first + 0.05, turn=name, rate=16_000))
    if fault == "interrupted":
        happen(InterruptionJudged(at=end - 0.4, turn=name, verdict="suspected"))
        happen(InterruptionJudged(at=end, turn=name, verdict="confirmed"))
    outcome = "cut" if fault == "interrupted" else "finished"
    happen(
        PlaybackEnded(
            at=end,
            turn=name,
            outcome=outcome,
            heard=heard,
            written=seconds,
            blocks=round(seconds * 100),
            buffered=0.8,
        )
    )
    words = round(len(text) * heard / seconds)
    answered = None
    final = "finished"
    if listens:
        happen(ListeningStarted(at=end, turn=name, deaf=0.0))
        if fault == "no_speech":
            final = "no_speech"
            end += 10.0
            happen(TurnEnded(at=end, turn=name, why="no_speech", seconds=0.0))
        else:
            voiced = len(answer) / RATE_OF_SPEECH
            onset = end + chance.uniform(0.3, 1.4)
            happen(VoiceStarted(at=onset + 0.1, turn=name, position=onset - end))
            silence = chance.uniform(0.6, 1.2)
            early = onset + voiced + 0.2
            engine = "http://127.0.0.1:2022/v1"
            happen(
                TranscriptionRequested(
                    at=early, turn=name, engine=engine, seconds=voiced + 0.5, speculative=True
                )
            )
            end = onset + voiced + silence
            happen(TurnEnded(at=end, turn=name, why="silence", seconds=voiced + 0.5, silence=silence))
            end += chance.lognormvariate(-2.2, 0.7)
            happen(Transcribed(at=end, turn=name, engine=engine, text=answer, confidence=None))
            answered = (answer, onset - 0.3, voiced + 0.5)
            final = "interrupted" if fault == "interrupted" else "answered"
    happen(TurnFinished(at=end + 0.005, turn=name, outcome=final, heard=text[:words], unheard=text[words:]))
    return Made(
        events=tuple(sorted(found, key=lambda event: event.at)), said=(text, first, heard), answered=answered
    )


class _Wall:
    """The time of day that is being written about."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def write(
    folder: Path, turns: int, *, sounds: int = 0, days: int = 20, seed: int = 1, until: datetime | None = None
) -> None:
    """`turns` over the last `days`, the newest `sounds` of them with both sides recorded."""
    chance, wall = random.Random(seed), _Wall()
    last = until or datetime.now(UTC)
    begins = sorted(chance.uniform(0, days * 86_400) for _ in range(turns))
    with (
        EventLog(folder / "events", wall=wall, max_days=36_500, max_bytes=10**12) as log,
        Recordings(folder / "recordings", wall=wall, max_days=36_500, max_bytes=10**12) as recordings,
    ):
        for number, ago in enumerate(reversed(begins)):
            began = last - timedelta(seconds=ago)
            # The clock of a machine that was started a hundred days ago.
            at = (began - last).total_seconds() + 100 * 86_400
            name = f"{chance.getrandbits(48):012x}"
            made = turn(chance, name, at)
            for event in made.events:
                wall.now = began + timedelta(seconds=event.at - at)
                log.emit(event)
            if number >= turns - sounds:
                for kind, fmt, part in (("tts", SPEECH, made.said), ("stt", LISTENING, made.answered)):
                    if part is not None and part[2] > 0:
                        wall.now = began + timedelta(seconds=part[1] - at)
                        _record(recordings, kind, name, fmt, *part)
            if number % 200 == 0:
                log.flush(10.0)
                recordings.flush(30.0)
        log.flush(60.0)
        recordings.flush(120.0)


def _record(
    recordings: Recordings, kind: str, name: str, fmt: PcmFormat, text: str, at: float, seconds: float
) -> None:
    recording = recordings.begin(kind=kind, turn=name, format=fmt)
    recording.write(Frame(data=_sound(text, fmt, seconds), format=fmt))
    recording.finish(RecordingNote(kind=kind, turn=name, text=text, position=at))


@cache
def _spoken(text: str, rate: int) -> bytes:
    return voice.speak(text, rate)


def _sound(text: str, fmt: PcmFormat, seconds: float) -> bytes:
    """The word-coded voice over and over, cut to length, in a room that is faintly there before and after it: it is to
    be seen, not to be understood."""
    spoken = _spoken(text, fmt.rate)
    edge = _room(fmt.rate)[: fmt.samples(LEAD_SECONDS) * fmt.bytes_per_sample]
    wanted = max(fmt.samples(seconds) * fmt.bytes_per_sample - 2 * len(edge), 0)
    return edge + (spoken * (wanted // len(spoken) + 1))[:wanted] + edge


@cache
def _room(rate: int) -> bytes:
    noise = random.Random(rate)
    return b"".join(noise.randrange(-12, 13).to_bytes(2, "little", signed=True) for _ in range(rate))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--turns", type=int, default=1_000)
    options.add_argument("--sounds", type=int, default=20)
    options.add_argument("--days", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    write(given.folder, given.turns, sounds=given.sounds, days=given.days, seed=given.seed)


if __name__ == "__main__":
    main()
