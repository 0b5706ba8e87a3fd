"""What is known of the way from each loudspeaker to each microphone of this machine, kept between runs.

Whether the user may talk over us is decided by it: with headphones always, beside a loudspeaker where the canceller is
known to keep up.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from voicemode.machine.private_files import make_folder, open_file, write_whole

FILE = "echo_paths.json"
MOST_KEPT = 50
MOST_BYTES = 100_000

OPEN_DB = 45.0
"""An echo that is fainter by so much is none (`echo.EchoRules.closed`)."""
PROVED_DB = 10.0
"""Up to an echo this close to what is played the canceller and the gate behind it are measured (decision 0010)."""
WITHIN_DB = 1.0
"""What a measurement is good for."""
PROVED_DELAY = 0.35
"""Seconds; the same."""

_HEADPHONES = re.compile(
    r"head(phone|set)|earphone|earbud|ear ?pod|airpod|\bbuds(\b|\d)|hands-?free|\bhfp\b|\bhsp\b|a2dp.?headset",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EchoPath:
    """`delay` in seconds between what the loudspeaker is given and what the microphone gives, None where nothing of it
    was heard; `attenuation_db` between the two, or what it is at least."""

    delay: float | None
    attenuation_db: float
    measured_on: date

    @property
    def open(self) -> bool:
        """Headphones, or as good as them."""
        return self.attenuation_db >= OPEN_DB

    @property
    def safe(self) -> bool:
        """Own speech in the microphone is not taken for the user's."""
        near = self.delay is not None and self.delay <= PROVED_DELAY
        return self.open or (near and self.attenuation_db >= PROVED_DB - WITHIN_DB)


def sounds_like_headphones(name: str) -> bool:
    """A hint from a device's name; that it says nothing means nothing."""
    return _HEADPHONES.search(name) is not None


def load(folder: Path, *, output: str, input: str) -> EchoPath | None:  # noqa: A002
    """What was measured between these devices; None where nothing was, or the file is damaged."""
    with suppress(KeyError, TypeError, ValueError):
        found = _read(folder)[_key(output, input)]
        return EchoPath(
            delay=None if found["delay"] is None else _number(found["delay"]),
            attenuation_db=_number(found["attenuation_db"]),
            measured_on=date.fromisoformat(str(found["measured_on"])),
        )
    return None


def save(folder: Path, path: EchoPath, *, output: str, input: str) -> None:  # noqa: A002
    """In place of what was known of these devices. Raises `OSError`."""
    known = _read(folder)
    known.pop(_key(output, input), None)
    known[_key(output, input)] = {
        "delay": path.delay,
        "attenuation_db": path.attenuation_db,
        "measured_on": path.measured_on.isoformat(),
    }
    kept = dict(list(known.items())[-MOST_KEPT:])
    make_folder(folder)
    write_whole(folder / FILE, json.dumps(kept, ensure_ascii=False, indent=1))


def _key(output: str, microphone: str) -> str:
    return f"{output} -> {microphone}"


def _read(folder: Path) -> dict[str, dict[str, object]]:
    try:
        with os.fdopen(open_file(folder / FILE, os.O_RDONLY), encoding="utf-8") as file:
            known = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {str(key): value for key, value in known.items() if isinstance(value, dict)}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
