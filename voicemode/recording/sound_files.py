"""The recordings read back: which files belong to a turn, and where each stands on the clock."""

from __future__ import annotations

import json
import os
import stat
import wave
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from voicemode.recording.recordings import safe_name
from voicemode.recording.wav_file import PART

MOST_NOTE_BYTES = 4_000_000
"""A JSON beside a recording holds a message, and that may be a megabyte."""

Note = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class KeptSound:
    """A file of a turn. `position` is its first sample in monotonic seconds of the process that made it, None where
    nothing tells; `started` the same by the wall clock. `seconds`, `rate` and `channels` are 0 where it is no WAV."""

    kind: str
    path: Path
    position: float | None
    started: datetime
    seconds: float
    rate: int
    channels: int
    complete: bool
    bytes: int
    note: Note

    @property
    def is_wav(self) -> bool:
        return self.rate > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Month:
    """The sounds of each turn by its name, and the JSONs that list them."""

    changed: int = 0
    sounds: Mapping[str, list[Path]] = field(default_factory=dict)
    lists: Mapping[str, list[Path]] = field(default_factory=dict)


class KeptSounds:
    """The folder of recordings. Nothing is read before it is asked for, and a month again only where it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._months: dict[Path, _Month] = {}

    def turns(self) -> frozenset[str]:
        """The `safe_name` of every turn that has a sound."""
        return frozenset(name for month in self._month_folders() for name in self._of(month).sounds)

    def of(self, turn: str) -> list[KeptSound]:
        """In the order in which they were begun."""
        name = safe_name(turn)
        months = [self._of(month) for month in self._month_folders()]
        listed = _listed(sorted(path for month in months for path in month.lists.get(name, ())), turn)
        paths = sorted(path for month in months for path in month.sounds.get(name, ()))
        found = [sound for path in paths if (sound := _sound(path, turn, listed)) is not None]
        return sorted(found, key=lambda sound: (sound.started, sound.kind))

    def _month_folders(self) -> list[Path]:
        """A link that leads elsewhere is none."""
        with suppress(OSError):
            root = self._folder.resolve()
            return sorted(
                each
                for each in self._folder.glob("*/*")
                if each.is_dir() and each.resolve().is_relative_to(root)
            )
        return []

    def _of(self, month: Path) -> _Month:
        try:
            changed = month.stat().st_mtime_ns
            known = self._months.get(month)
            if known is not None and known.changed == changed:
                return known
            sounds: dict[str, list[Path]] = {}
            lists: dict[str, list[Path]] = {}
            with os.scandir(month) as entries:
                for entry in entries:
                    parts = entry.name.split("_")
                    if len(parts) != 3 or entry.name.endswith((".part", PART)):
                        continue
                    if not entry.name.endswith(".json"):
                        sounds.setdefault(parts[1], []).append(month / entry.name)
                    elif parts[2].startswith("turn"):
                        lists.setdefault(parts[1], []).append(month / entry.name)
        except OSError:
            return _Month()
        found = self._months[month] = _Month(changed=changed, sounds=sounds, lists=lists)
        return found


def _listed(paths: Iterable[Path], turn: str) -> dict[str, Note]:
    """What the turn's JSONs say of each file, by its name."""
    found: dict[str, Note] = {}
    for path in paths:
        about = _note(path)
        files = about.get("files")
        if about.get("turn", turn) == turn and isinstance(files, list):
            found |= {str(file.get("name")): file for file in files if isinstance(file, dict)}
    return found


def _sound(path: Path, turn: str, listed: Mapping[str, Note]) -> KeptSound | None:
    """None where it is no file, or another turn's whose name looks the same. Of most sounds the turn's JSON tells, of
    those that came before there was one the JSON beside them."""
    note = _note(path.with_suffix(".json"))
    told = listed.get(path.name, note)
    if note.get("turn", turn) != turn:
        return None
    stamp, _, kind = path.stem.split("_")
    try:
        status = path.lstat()
        started = datetime.strptime(f"{stamp}000", "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    rate, channels, samples = _wav_shape(path)
    position = told.get("position")
    return KeptSound(
        kind=str(told.get("kind") or kind),
        path=path,
        position=float(position) if isinstance(position, int | float) and position else None,
        started=started,
        seconds=samples / rate if rate else 0.0,
        rate=rate,
        channels=channels,
        complete=told.get("complete") is not False,
        bytes=status.st_size,
        note=note,
    )


def _note(path: Path) -> Note:
    with suppress(OSError, ValueError, RecursionError):
        if path.lstat().st_size <= MOST_NOTE_BYTES and stat.S_ISREG(path.lstat().st_mode):
            read = json.loads(path.read_text(encoding="utf-8", errors="replace"))
            if isinstance(read, dict):
                return MappingProxyType({str(name): value for name, value in read.items()})
    return MappingProxyType({})


def _wav_shape(path: Path) -> tuple[int, int, int]:
    """Rate, channels and samples; zeros for what is no 16-bit WAV."""
    if path.suffix == ".wav":
        # The module raises bare RuntimeErrors on some junk.
        with suppress(OSError, EOFError, wave.Error, RuntimeError), wave.open(str(path), "rb") as file:
            if file.getsampwidth() == 2:
                return file.getframerate(), file.getnchannels(), file.getnframes()
    return 0, 0, 0


def sound_bytes(sound: KeptSound) -> Iterator[bytes]:
    """The file in pieces; not through a link that took its place meanwhile. Raises OSError."""
    file = os.open(sound.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(file, "rb") as opened:
        while piece := opened.read(1 << 18):
            yield piece
