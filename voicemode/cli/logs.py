"""`voicemode events`: the event logs, as a table of turns, a turn's timeline, lines, or live. It opens nothing else."""

from __future__ import annotations

import argparse
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE, USAGE
from voicemode.cli.log_options import LAST, names, wrong
from voicemode.cli.streams import show
from voicemode.errors import InvalidRequest, VoiceModeError

if TYPE_CHECKING:
    from voicemode.configuration.config import Config
    from voicemode.logs.logbook import Logbook, LoggedEvent, LoggedTurn, Wanted
    from voicemode.machine.settings_files import Folders

LOOK_SECONDS = 0.2
"""How often what is followed is looked at."""

TOGETHER = 500
"""Lines written at once."""

BAR_CHARACTERS = 40

BAD = frozenset(
    {
        "call_refused",
        "endpoint_failed",
        "events_lost",
        "sink_lost",
        "sink_missing",
        "speech_broken",
        "turn_failed",
        "underrun",
        "warned",
    }
)
"""Events that somebody who looks for what went wrong looks for."""

FIRST_TURN = "Have one: `voicemode speak hello`, or ask your assistant to say something aloud."

DIM, RED, BOLD = "2", "31", "1"


def show_events(config: Config, places: Folders, options: argparse.Namespace) -> int:
    from voicemode.logs.logbook import Logbook, Wanted

    _end_like_ctrl_c()
    with suppress(AttributeError, ValueError):  # What a terminal cannot show is no reason to show nothing.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if mistake := wrong(options):
        print(f"voicemode: {mistake}", file=sys.stderr)
        return USAGE
    wanted = Wanted(
        turn="" if options.turn in (None, LAST) else options.turn,
        conversation=options.conversation,
        names=names(options),
        since=options.since,
    )
    book = Logbook(places.events)
    try:
        if options.follow:
            return _follow(book, wanted, options)
        gc.disable()  # It ends when this is shown; a third of the time would go into looking for garbage.
        if options.turn:
            return _show_turn(book, wanted, options)
        found = _show_lines(book, wanted, options) if options.event else _show_turns(book, wanted, options)
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        raise VoiceModeError(
            f"The event logs in {places.events} cannot be read: {problem.strerror or problem}.",
            hint="See `voicemode config` for VOICEMODE_EVENT_LOG_DIR.",
        ) from problem
    if not found:
        off = "" if config.log.events else " The event log is off: VOICEMODE_EVENT_LOG_ENABLED is false."
        told = (
            f"nothing of that is in {places.events}." if book.files() else f"{_none_yet(book)} {FIRST_TURN}"
        )
        print(f"voicemode: {told}{off}", file=sys.stderr)
    return DONE


# What is shown. Each tells how much.


def _show_turns(book: Logbook, wanted: Wanted, options: argparse.Namespace) -> int:
    turns = list(islice(_chosen(book, wanted, options), options.last or None))[::-1]
    paint = _painter()
    if options.json:
        _show_all(line.raw for turn in turns for line in turn.lines)
    elif turns:
        head = f"{'when':19}  {'turn':8}  {'kind':8}  {'outcome':15}  {'sound':>7}  {'whole':>7}  words"
        _show_all([paint(BOLD, head), *(_row(turn, paint) for turn in turns)])
    return len(turns)


def _show_lines(book: Logbook, wanted: Wanted, options: argparse.Namespace) -> int:
    if options.failed or options.slow is not None:
        ids = {turn.id for turn in _chosen(book, wanted, options)}
        lines: Iterator[LoggedEvent] = (line for line in book.backwards(wanted) if line.turn in ids)
    else:
        lines = book.backwards(wanted)
    found = list(islice(lines, options.last or None))[::-1]
    paint = _painter()
    _show_all(line.raw if options.json else _told(line, paint) for line in found)
    return len(found)


def _show_turn(book: Logbook, wanted: Wanted, options: argparse.Namespace) -> int:
    turns = list(islice(book.turns(wanted), 1 if options.turn == LAST else 2))
    if not turns and not book.files():
        raise InvalidRequest(_none_yet(book), hint=FIRST_TURN)
    if not turns:
        raise InvalidRequest(
            f"There is no turn {options.turn[:40]!r} in {book.folder}."
            if options.turn != LAST
            else f"There are no turns in {book.folder}.",
            hint="`voicemode events` shows the last ones.",
        )
    if len(turns) > 1 and turns[0].id != options.turn:
        raise InvalidRequest(
            f"More than one turn begins with {options.turn!r}: {turns[0].id}, {turns[1].id} …",
            hint="Give more of it.",
        )
    if options.json:
        _show_all(line.raw for line in turns[0].lines)
    else:
        _show_timeline(turns[0])
    return DONE


def _follow(book: Logbook, wanted: Wanted, options: argparse.Namespace) -> int:
    if sys.stderr.isatty():
        print(f"\x1b[2mFollowing {book.folder}; Ctrl-C ends it.\x1b[0m", file=sys.stderr)
    follower, paint, pause = book.follow(), _painter(), threading.Event()
    while not _reader_has_left():
        for line in follower.read():
            if wanted.matches(line):
                show(line.raw if options.json else _told(line, paint))
        pause.wait(LOOK_SECONDS)
    return DONE


def _chosen(book: Logbook, wanted: Wanted, options: argparse.Namespace) -> Iterator[LoggedTurn]:
    for turn in book.turns(wanted):
        if options.failed and not turn.failed:
            continue
        if options.slow is not None and not turn.kept_waiting(options.slow):
            continue
        yield turn


def _none_yet(book: Logbook) -> str:
    return f"There were no turns yet: {book.folder} has no logs."


# How it looks.


def _show_all(lines: Iterable[str]) -> None:
    """Many at a time: each writing by itself takes longer than finding what is written."""
    rest = iter(lines)
    while part := list(islice(rest, TOGETHER)):
        show("\n".join(part))


def _row(turn: LoggedTurn, paint: Callable[[str, str], str]) -> str:
    from voicemode.turn_story.timeline import printable, quoted

    times, kind = turn.timings, printable(turn.kind)
    outcome = f"{printable(turn.outcome):15}"
    words = quoted(turn.text, 40) if turn.text else ""
    if turn.transcript:
        words = f"{words} → {quoted(turn.transcript, 40)}".strip()
    return (
        f"{_clock(turn.began):%Y-%m-%d %H:%M:%S}  {printable(turn.id):8}  "
        f"{kind:8}  {paint(RED, outcome) if turn.failed else outcome}  {_seconds_shown(times.ttfa):>7}  "
        f"{_seconds_shown(times.total):>7}  {words}"
    ).rstrip()


def _told(line: LoggedEvent, paint: Callable[[str, str], str]) -> str:
    from voicemode.turn_story.timeline import printable

    time = f"{_clock(line.time):%H:%M:%S.%f}"[:-3]
    told, turn = _in_words(line), printable(line.turn) or "-"
    return f"{paint(DIM, time)}  {turn:8}  {paint(RED, told) if line.name in BAD else told}"


def _in_words(line: LoggedEvent) -> str:
    from voicemode.turn_story.timeline import printable, sentence

    event = line.event()
    if event is not None:
        return printable(sentence(event))
    if line.name == "events_lost":
        return f"{line.fields.get('lost')} events found no room or no disk, and are lost."
    told = ", ".join(f"{name} {value}" for name, value in line.fields.items())
    return printable(f"{line.name} {told}")


def _show_timeline(turn: LoggedTurn) -> None:
    from voicemode.turn_story.timeline import printable

    paint = _painter()
    conversation = printable(turn.conversation) or "?"
    show(paint(BOLD, printable(f"Turn {turn.id} {turn.kind} {turn.outcome}")))
    show(
        f"{_clock(turn.began):%Y-%m-%d %H:%M:%S %Z}, conversation {conversation}, process {turn.lines[0].pid}\n"
    )
    start = turn.lines[0].monotonic
    for line in sorted(turn.lines, key=lambda line: line.monotonic if line.monotonic is not None else 0.0):
        at = (line.monotonic - start) * 1000 if line.monotonic is not None and start is not None else 0.0
        told = _in_words(line)
        show(f"{paint(DIM, f'{at:8.0f} ms')}  {paint(RED, told) if line.name in BAD else told}")
    _show_waterfall(turn)


def _show_waterfall(turn: LoggedTurn) -> None:
    from voicemode.turn_story.timeline import spans

    found = spans(turn.events)
    whole = turn.timings.total
    if not found or not whole:
        return
    paint = _painter()
    show(f"\n{paint(BOLD, 'Where the time went')} (from, and for how long, in seconds)")
    for span in found:
        begin = round(span.start / whole * BAR_CHARACTERS)
        if span.seconds is None:
            bar, took = "?", "no end"
        else:
            bar = "█" * round(span.seconds / whole * BAR_CHARACTERS) or "▏"
            took = f"{span.seconds:.3f}"
        show(f"  {span.what:24} {span.start:8.3f}  {took:>10}  {' ' * begin}{bar}")


def _painter() -> Callable[[str, str], str]:
    """Colours on a terminal, unless they are not wanted (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return lambda colour, text: text
    return lambda colour, text: f"\x1b[{colour}m{text}\x1b[0m"


def _clock(time: datetime) -> datetime:
    return time.astimezone()


def _seconds_shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


# The edges of the process.


def _end_like_ctrl_c() -> None:
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _reader_has_left() -> bool:
    """Told of a pipe without writing to it; where the system cannot say, the next line finds out."""
    if not hasattr(select, "poll"):
        return False
    with suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0))
    return False
