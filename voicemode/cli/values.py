"""Values of options that more than one command takes, read and bounded."""

from __future__ import annotations

import argparse
from contextlib import suppress

from voicemode.turn_taking.turn import LONGEST_LISTEN_SECONDS, SHORTEST_LISTEN_SECONDS


def port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to 65535")


def speed(text: str) -> float:
    with suppress(ValueError):
        if 0.25 <= (value := float(text)) <= 4.0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0.25 and 4")


def listen_seconds(text: str) -> float:
    with suppress(ValueError):
        if SHORTEST_LISTEN_SECONDS <= (value := float(text)) <= LONGEST_LISTEN_SECONDS:
            return value
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds from {SHORTEST_LISTEN_SECONDS:g} to {LONGEST_LISTEN_SECONDS:g}"
    )
