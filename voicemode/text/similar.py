"""Names that look like one that does not exist: who mistyped it finds it among them."""

from __future__ import annotations

from collections.abc import Iterable


def similar(wanted: str, known: Iterable[str], *, most: int, cutoff: float = 0.6) -> list[str]:
    """The nearest first; `cutoff` from 0 (anything) to 1 (the same)."""
    from difflib import get_close_matches  # Only errors need it.

    return get_close_matches(wanted, list(known), n=most, cutoff=cutoff)
