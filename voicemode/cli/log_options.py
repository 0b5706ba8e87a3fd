"""What can be asked of `voicemode events`."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime, timedelta

SLOW_SECONDS = 1.0
"""To the first sound, to an open microphone or to the words: what people begin to notice."""

LAST = "last"
AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--follow", "-f", action="store_true", help="what happens from now on, as it happens")
    made.add_argument(
        "--turn", metavar="ID", help=f"one turn as a timeline; its beginning is enough, or {LAST}"
    )
    made.add_argument("--last", type=_count, default=20, metavar="N", help="so many at most (20; 0: all)")
    made.add_argument(
        "--since", type=_since, metavar="WHEN", help="90s, 10m, 2h, 3d ago, or 2026-11-21T13:00"
    )
    made.add_argument("--event", action="append", metavar="NAME", help="only these events, line by line")
    made.add_argument("--conversation", default="", metavar="ID", help="of one process")
    made.add_argument("--failed", action="store_true", help="turns that did not end as they should")
    made.add_argument(
        "--slow",
        type=_seconds,
        nargs="?",
        const=SLOW_SECONDS,
        metavar="SECONDS",
        help=f"turns that kept the user waiting for longer ({SLOW_SECONDS:g}), or whose sound ran dry",
    )


def wrong(options: argparse.Namespace) -> str:
    """What makes no sense together, or names no event; "" where all is well."""
    from voicemode.logs.logged import NAMES

    if options.follow and (options.turn == LAST or options.failed or options.slow is not None):
        return (
            "--follow shows events as they happen, before it is known how a turn ends: leave out --turn last, "
            "--failed and --slow."
        )
    if unknown := sorted(names(options) - NAMES):
        return f"There is no event {unknown[0][:40]!r}. There are: {', '.join(sorted(NAMES))}."
    return ""


def names(options: argparse.Namespace) -> frozenset[str]:
    words = (word.strip() for given in options.event or () for word in given.split(","))
    return frozenset(word for word in words if word)


def _since(text: str) -> datetime:
    from voicemode import clock

    if text[-1:] in AGES and text[:-1].replace(".", "", 1).isdecimal():
        with suppress(OverflowError):
            return clock.wall() - timedelta(seconds=float(text[:-1]) * AGES[text[-1]])
    with suppress(ValueError, OverflowError):
        # Without a time zone it is that of this machine.
        return datetime.fromisoformat(text).astimezone(UTC)
    raise argparse.ArgumentTypeError(f"{text!r} is no time like 10m, 2h, 3d or 2026-11-21T13:00")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of turns")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0.0 <= (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
