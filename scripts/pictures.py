#!/usr/bin/env python3
"""Draws the state machines into specs/ from their tables; `--check` compares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generated import run
from voicemode.playout import playback
from voicemode.turn_taking import doing, interruption, turn

Picture = tuple[str, Callable[[], str], str]


def drawn(rows: Iterable[tuple[Enum, Enum, Enum]], first: Enum) -> str:
    """A mermaid state diagram: one arrow a row (from, why, to), from `first` to the states that have no way out."""
    moves = list(rows)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    lines += [f"    {before.value} --> {after.value}: {why.value}" for before, why, after in moves]
    inner = {before for before, _, _ in moves}
    ends = dict.fromkeys(after for _, _, after in moves if after not in inner)
    lines += [f"    {state.value} --> [*]" for state in ends]
    return "\n".join([*lines, "```"])


def of_playback() -> str:
    rows = ((before, why, after) for (before, why), after in playback.TRANSITIONS.items())
    return drawn(rows, playback.State.FILLING)


def of_turn() -> str:
    rows = ((before, why, after) for (before, why), after in turn.TRANSITIONS.items())
    return drawn(rows, turn.TurnState.WAITING)


def of_interruption() -> str:
    rows = ((before, why, after) for (before, why), after in interruption.TRANSITIONS.items())
    return drawn(rows, interruption.Talk.OURS)


def of_call() -> str:
    rows = ((before, why, after) for (before, why), after in doing.TRANSITIONS.items())
    return drawn(rows, doing.Doing.WAITING)


PICTURES: tuple[Picture, ...] = (
    ("states of playback", of_playback, "specs/speaking.md"),
    ("states of a turn", of_turn, "specs/listening.md"),
    ("states of an interruption", of_interruption, "specs/listening.md"),
    ("states of a call", of_call, "specs/tools.md"),
)


def main(arguments: list[str]) -> int:
    return max(run(arguments, name, picture, [document]) for name, picture, document in PICTURES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
