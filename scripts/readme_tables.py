#!/usr/bin/env python3
"""Writes the table of variables into README.md and specs/configuration.md; `--check` compares."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generated import cell, run
from voicemode.configuration.config import Config

NAME = "configuration"
DOCUMENTS = ("README.md", "specs/configuration.md")


def table() -> str:
    lines = ["| variable | default | allowed | what it does |", "|---|---|---|---|"]
    lines += [
        f"| `{row.name}` | {f'`{cell(row.default)}`' if row.default else ''} | {cell(row.allowed)} | {cell(row.help)} |"
        for row in Config.from_sources({}).resolved()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], NAME, table, DOCUMENTS))
