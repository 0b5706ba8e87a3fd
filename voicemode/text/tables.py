"""Rows of a markdown table as they are read: from three columns on, each cell with the name of its column."""

from __future__ import annotations

from voicemode.text.markdown import cells, is_rule

FEWEST_NAMED_COLUMNS = 3
"""With two columns the second cell says of the first what it has to say; beyond, nobody keeps the names in mind."""


class Table:
    """Lines of a table, one by one → lines to be read. The first row waits for the next line: only a ruled one is
    the names of the columns."""

    def __init__(self) -> None:
        self.begun = False
        """A row has come since the last `end`."""
        self._first: str | None = None
        """Waits until it is known whether it is said with every row or once."""
        self._names: list[str] = []

    def row(self, line: str) -> list[str]:
        if not self.begun:
            self.begun, self._first = True, line
            return []
        if is_rule(line):
            if self._first is None or len(names := cells(self._first)) < FEWEST_NAMED_COLUMNS:
                return self._held()
            self._names = names
            return []
        if not self._names:
            return [*self._held(), line]
        labelled = self._labelled(line)
        if labelled is None:
            return [*self._held(), line]
        self._first = None
        return [labelled]

    def end(self) -> list[str]:
        """The table is over: what still waits is given."""
        held = self._held()
        self._names, self.begun = [], False
        return held

    def _held(self) -> list[str]:
        first, self._first = self._first, None
        return [] if first is None else [first]

    def _labelled(self, line: str) -> str | None:
        row = cells(line)
        if len(row) != len(self._names):
            return None
        named = (
            f"{name} {cell}" if cell else "" for name, cell in zip(self._names[1:], row[1:], strict=True)
        )
        return f"| {' | '.join((row[0], *named))} |"
