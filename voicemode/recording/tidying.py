"""What is done with recordings at start: what dead processes left is adopted, and age and size are kept.

Blocking. A turn's files are one unit: its name stands in each of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voicemode.machine.private_files import NEW, Kept, prune
from voicemode.recording import growing, turn_files, wav_file

SECONDS_A_DAY = 86_400

WRITING_SECONDS = 60.0
"""A JSON that is still being written after that has lost its writer."""

SOUNDS = frozenset(
    (".wav", ".mp3", ".opus", ".ogg", ".aac", ".flac", ".mov", ".matroska", ".aiff", ".au", ".caf", ".bin")
)
"""What a recording may be called at the end. Others' files in our folders are left alone."""


def tidy(folder: Path, *, now: float, max_days: float, max_bytes: int) -> None:
    """`now` in seconds as files' times are."""
    months = months_of(folder)
    for month in months:
        for part in list(month.glob(f"*{wav_file.PART}")):
            with suppress(OSError):
                wav_file.adopt(part)
        for part in list(month.glob(f"*_stream-*{growing.PART}")):
            with suppress(OSError):
                growing.adopt_bytes(part)
        for new in list(month.glob(f"*.json.*{NEW}")):
            with suppress(OSError):
                if now - new.lstat().st_mtime > WRITING_SECONDS:
                    new.unlink()
    units = _turns(months)
    for month in months:
        for journal in list(month.glob(f"*{turn_files.JOURNAL}")):
            with suppress(OSError):
                turn_files.adopt(journal, units.get(_turn_of(journal) or "", []))
    kept = []
    for paths in _turns(months).values():
        with suppress(OSError):
            stats = [path.lstat() for path in paths]
            age = (now - max(stat.st_mtime for stat in stats)) / SECONDS_A_DAY
            size = sum(stat.st_size for stat in stats)
            kept.append(Kept(paths=tuple(paths), age=age, bytes=size))
    prune(kept, max_days=max_days, max_bytes=max_bytes)


def _turns(months: list[Path]) -> dict[str, list[Path]]:
    """The finished files of each turn, by its name."""
    units: dict[str, list[Path]] = {}
    for path in _finished(months):
        turn = _turn_of(path)
        if turn is not None:
            units.setdefault(turn, []).append(path)
    return units


def _finished(months: list[Path]) -> Iterator[Path]:
    for month in months:
        for path in sorted(month.glob("*_*_*.*")):
            if path.suffix in SOUNDS | {".json"} and not path.name.endswith(wav_file.PART):
                yield path


def _turn_of(path: Path) -> str | None:
    """`<time>_<turn>_<kind>.<ext>`: neither of the first two holds a `_`."""
    words = path.name.split("_", 2)
    return words[1] if len(words) == 3 else None


def months_of(folder: Path) -> list[Path]:
    """The folders of recordings; a link that leads elsewhere is none."""
    root = folder.resolve()
    return [each for each in folder.glob("*/*") if each.resolve().is_relative_to(root) and each.is_dir()]
