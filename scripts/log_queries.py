"""Writes event logs of many turns and measures how long `voicemode events` takes to answer from them, as a process.

python -m scripts.log_queries [--turns 1000] [--days 3] [--runs 5] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from voicemode import clock
from voicemode.events import (
    AudioSaved,
    EndpointFailed,
    Event,
    FirstAudio,
    FirstByte,
    FloorTaken,
    ListeningStarted,
    MicrophoneClosed,
    MicrophoneOpened,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    SinkOpened,
    SpeechReceived,
    SpeechRequested,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnFinished,
    TurnStarted,
    Underrun,
    VoiceStarted,
)
from voicemode.logs.eventlog import EventLog

ROOT = Path(__file__).resolve().parent.parent
WRITTEN_SECONDS = 60.0
SERVER, NEXT = "https://speech.example.com/v1", "http://127.0.0.1:8880/v1"
PIECES = 3
TEXT = "I have changed the parser and all of its tests pass. Shall I go on with the command line now?"
ANSWER = "Yes, go on, and tell me when it is done, please."
TURN_SECONDS = 30.0

QUERIES = (
    (),
    ("--last", "0"),
    ("--turn", "last"),
    ("--turn", "{turn}"),
    ("--event", "endpoint_failed", "--last", "0"),
    ("--failed", "--last", "0"),
    ("--slow", "--last", "0"),
    ("--since", "1h"),
    ("--conversation", "{conversation}", "--last", "0"),
    ("--last", "0", "--json"),
)


def turn_events(turn: str, number: int, at: float) -> Iterator[Event]:
    """A turn of about 25 lines, like that of a server which sometimes fails; `at` is when it begins."""
    failing, dry, broken = number % 20 == 7, number % 33 == 5, number % 50 == 3
    yield TurnStarted(at=at, turn=turn, kind="converse", text=TEXT)
    yield FloorTaken(at=at + 0.001, turn=turn, waited=0.0005)
    if failing:
        yield EndpointFailed(
            at=at + 0.3, turn=turn, piece=0, engine=SERVER, code="timeout", reason="No answer.", next=NEXT
        )
    for piece in range(PIECES):
        now = at + 0.3 * piece
        asked = f"{SERVER}, {NEXT}"
        yield SpeechRequested(at=now + 0.01, turn=turn, piece=piece, text=TEXT, engine=asked, format="mp3")
        yield FirstByte(at=now + 0.2, turn=turn, piece=piece, engine=SERVER, voice="alloy", format="mp3")
        yield SpeechReceived(
            at=now + 0.25,
            turn=turn,
            piece=piece,
            chunks=9,
            bytes_received=36_000,
            seconds=2.0,
            elapsed=0.4,
            decoding=0.01,
        )
    yield SinkOpened(at=at + 0.05, turn=turn, device="Speakers", rate=24_000, channels=1, latency=0.02)
    yield FirstAudio(at=at + (1.6 if failing else 0.4), turn=turn)
    if dry:
        yield Underrun(at=at + 2.0, turn=turn, position=40_000, refill=0.4)
        yield PlaybackPaused(at=at + 2.1, turn=turn, position=42_000)
        yield PlaybackResumed(at=at + 2.4, turn=turn, position=42_000)
    yield MicrophoneOpened(at=at + 5.0, turn=turn, rate=16_000)
    yield PlaybackEnded(
        at=at + 6.4, turn=turn, outcome="finished", heard=6.0, written=6.0, blocks=300, buffered=1.2
    )
    yield ListeningStarted(at=at + 6.4, turn=turn, deaf=0.0)
    yield VoiceStarted(at=at + 7.1, turn=turn, position=2.1)
    yield TranscriptionRequested(at=at + 9.4, turn=turn, engine=NEXT, seconds=2.4, speculative=True)
    yield MicrophoneClosed(at=at + 10.0, turn=turn)
    yield TurnEnded(at=at + 10.0, turn=turn, why="silence", seconds=2.6)
    yield Transcribed(at=at + 10.1, turn=turn, engine=NEXT, text=ANSWER, confidence=0.93)
    yield AudioSaved(at=at + 10.1, turn=turn, kind="stt", path="/home/user/recordings/2026/11/answer.wav")
    outcome = "not_transcribed" if broken else "answered"
    yield TurnFinished(at=at + 10.2, turn=turn, outcome=outcome, heard=TEXT, unheard="")


@dataclass(kw_only=True)
class SetClock:
    now: datetime


def write_logs(folder: Path, *, turns: int, days: int) -> tuple[str, str, int]:
    """Gives the id of a turn in the middle, that of its conversation, and how many lines there are."""
    now = clock.wall() - timedelta(days=days - 1, minutes=1)
    time = SetClock(now=now)
    step = (timedelta(days=days - 1) + timedelta(seconds=TURN_SECONDS)) / max(turns, 1)
    middle, lines = ("", ""), 0
    for day in range(days):
        first, last = turns * day // days, turns * (day + 1) // days
        with EventLog(folder, capacity=1 << 20, wall=lambda: time.now, max_days=1e6) as log:
            for number in range(first, last):
                turn = f"{number * 2654435761 % 2**32:08x}"
                began: datetime = now + step * number
                for event in turn_events(turn, number, 1_000.0 + number * TURN_SECONDS):
                    time.now = began + timedelta(seconds=event.at - 1_000.0 - number * TURN_SECONDS)
                    log.emit(event)
                    lines += 1
                if number == turns // 2:
                    middle = turn, log.conversation
            if not log.close(WRITTEN_SECONDS):
                raise TimeoutError("the logs could not be written in time")
    return *middle, lines


def answered(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds on the clock from the start of the command to its end, and those that a processor worked for it."""
    began, worked = clock.monotonic(), _worked()
    subprocess.run(
        [sys.executable, "-m", "voicemode", "events", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return clock.monotonic() - began, _worked() - worked


def _worked() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="log_queries", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--turns", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5, help="of each query, after one that is not counted")
    parser.add_argument("--keep", type=Path, help="write the logs here, and leave them")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.keep or Path(made) / "events"
        turn, conversation, lines = write_logs(folder, turns=chosen.turns, days=chosen.days)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{chosen.turns} turns, {lines} lines, {size / 1e6:.1f} MB in {chosen.days} files\n")
        environment = {**os.environ, "VOICEMODE_EVENT_LOG_DIR": str(folder), "VOICEMODE_BASE_DIR": made}
        print("| query | min | median | max | of a processor |\n|---|---|---|---|---|")
        for query in QUERIES:
            words = [word.format(turn=turn, conversation=conversation) for word in query]
            answered(words, environment)
            took, worked = zip(*(answered(words, environment) for _ in range(chosen.runs)), strict=True)
            shown = " ".join(
                ("voicemode events", *(word.format(turn="ID", conversation="ID") for word in query))
            )
            figures = (min(took), statistics.median(took), max(took), statistics.median(worked))
            print(f"| `{shown}` | {' | '.join(f'{each:.2f} s' for each in figures)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
