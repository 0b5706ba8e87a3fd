#!/usr/bin/env python3
"""Writes the table of events into specs/events.md; `--check` compares."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generated import cell, run
from voicemode import events
from voicemode.logs.eventlog import event_name

NAME = "events"
DOCUMENTS = ("specs/events.md",)


def _described(kind: type[events.Event]) -> str:
    """The class's own docstring; a dataclass without one is given its signature, which says nothing new."""
    text = kind.__doc__ or ""
    return "" if text.startswith(f"{kind.__name__}(") else cell(text)


def table() -> str:
    lines = ["| event | fields | when |", "|---|---|---|"]
    for kind in vars(events).values():
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event:
            own = [f"`{each.name}`: {each.type}" for each in fields(kind) if each.name not in ("at", "turn")]
            lines.append(f"| `{event_name(kind)}` | {cell(', '.join(own))} | {_described(kind)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], NAME, table, DOCUMENTS))
