"""One large file on its way: what whoever fetches it gives to whoever keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """What comes: from byte `start` on, of `total` bytes (0: not said). `chunks` raises `EngineError` where it breaks
    off or pauses for too long."""

    start: int
    total: int
    chunks: AsyncIterator[bytes]
