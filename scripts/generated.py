"""Tables in documents that are made from the code, between a pair of marker comments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class NoMarkers(Exception):
    """The document has no place for the table."""


def markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: made from the code -->", f"<!-- end of {name} -->"


def with_table(document: str, name: str, table: str) -> str:
    """The document with the table between its markers."""
    begin, end = markers(name)
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise NoMarkers(f"the lines {begin} and {end} are missing")
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"


def cell(text: str) -> str:
    """Text that stands in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def run(arguments: Sequence[str], name: str, table: Callable[[], str], documents: Sequence[str]) -> int:
    """Writes the table into the documents, or with `--check` only compares. 1 when something differs."""
    check, bad = "--check" in arguments, 0
    for document in documents:
        path = ROOT / document
        try:
            old = path.read_text(encoding="utf-8")
            new = with_table(old, name, table())
        except (OSError, NoMarkers) as error:
            print(f"{document}: {error}", file=sys.stderr)
            bad = 1
            continue
        if old == new:
            continue
        if check:
            print(
                f"{document}: the table of {name} is not what the code says; run {sys.argv[0]}",
                file=sys.stderr,
            )
            bad = 1
        else:
            path.write_text(new, encoding="utf-8")
            print(f"{document}: written")
    return bad
