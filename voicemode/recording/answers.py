"""What is left on disk of an answer that another process of ours has listened to. Blocking."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voicemode.recording.tidying import months_of
from voicemode.recording.wav_file import PART, adopt
from voicemode.speech import Outcome

_HANDLE = re.compile(r"[0-9a-f]{8}")
MOST_JSON_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftAnswer:
    """`text` is empty where it was not transcribed; `sound` is None where only the words were kept."""

    outcome: str
    text: str = ""
    engine: str = ""
    sound: Path | None = None


def left_answer(folder: Path, handle: str) -> LeftAnswer | None:
    """The answer of the call with this handle, as its recording and the JSON beside it tell it. What its process was
    killed over is adopted; what a living one still writes is none yet."""
    if _HANDLE.fullmatch(handle) is None:
        return None
    months = months_of(folder)
    for part in _found(months, f"*_{handle}_stt*{PART}"):
        with suppress(OSError):
            adopt(part)
    sounds = [path for path in _found(months, f"*_{handle}_stt*.wav") if not path.name.endswith(PART)]
    sound = max(sounds, default=None)
    about = _read(max(_found(months, f"*_{handle}_stt*.json"), default=None))
    if about is None and sound is None:
        return None
    text, outcome, engine = ((about or {}).get(key) for key in ("text", "outcome", "engine"))
    return LeftAnswer(
        outcome=str(outcome or (Outcome.ANSWERED if text else Outcome.NOT_TRANSCRIBED)),
        text=str(text or ""),
        engine=str(engine or ""),
        sound=sound,
    )


def _found(months: list[Path], name: str) -> list[Path]:
    return [path for month in months for path in month.glob(name)]


def _read(path: Path | None) -> dict[str, object] | None:
    with suppress(OSError, ValueError):
        if path is not None and path.stat().st_size <= MOST_JSON_BYTES:
            found = json.loads(path.read_bytes())
            return found if isinstance(found, dict) else None
    return None
