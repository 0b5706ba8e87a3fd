"""The only importer of `time`."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def wall() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)
