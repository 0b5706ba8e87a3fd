"""The sound server's own tool: PulseAudio's, or PipeWire's in its place. What it is asked, and how its lists are read.

Every call blocks, for 5–20 ms where a server runs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ANSWER_SECONDS = 1.0
"""A server that runs answers within 50 ms."""

PACTL = ("env", "LC_ALL=C", "pactl")
"""Its lists are in the user's language, unless it is told otherwise."""

Run = Callable[[tuple[str, ...]], str | None]
"""A command → what it wrote, None when it failed, hung or is not there."""


def run(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing of a list: the number by which others name it, what stands of it, and its properties."""

    number: str
    facts: Mapping[str, str]
    properties: Mapping[str, str]


def entries(listed: str) -> list[Entry]:
    return [_entry(block.splitlines()) for block in listed.split("\n\n") if block.strip()]


def _entry(lines: list[str]) -> Entry:
    facts: dict[str, str] = {}
    properties: dict[str, str] = {}
    for line in lines[1:]:
        if line.startswith("\t\t"):
            key, _, value = line.partition(" = ")
            properties[key.strip()] = value.strip().strip('"')
        else:
            key, _, value = line.partition(":")
            facts[key.strip()] = value.strip()
    return Entry(number=lines[0].rpartition("#")[2].strip(), facts=facts, properties=properties)
