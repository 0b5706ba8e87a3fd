"""Runs of the bench on disk, a few, readable by their owner alone; and what this machine is and how busy."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from voicemode import __version__
from voicemode.bench.results import Run, from_json, to_json
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.machine.private_files import Kept, make_folder, prune, write_whole

FOLDER = "bench"
MOST_KEPT = 20
MOST_BYTES = 10_000_000


def keep(data: Path, run: Run) -> Path:
    """Writes it into the data folder, and deletes the oldest beyond `MOST_KEPT`. Blocking; raises `VoiceModeError`."""
    folder = data / FOLDER
    name = "".join(letter for letter in run.circumstances.date if letter.isalnum())
    try:
        make_folder(folder)
        path = folder / f"{name}.json"
        write_whole(path, to_json(run))
        # Their names are their times: the oldest come first.
        units = [
            Kept(paths=(each,), age=age, bytes=each.stat().st_size)
            for age, each in enumerate(sorted(folder.glob("*.json"), reverse=True))
        ]
        prune(units, max_days=MOST_KEPT - 1, max_bytes=MOST_BYTES)
    except OSError as problem:
        raise _unwritten(folder, problem) from problem
    return path


def last(data: Path) -> Run | None:
    """The run that was kept last. Blocking; raises `InvalidRequest` for a damaged file."""
    files = sorted((data / FOLDER).glob("*.json"))
    return load(files[-1]) if files else None


def load(path: Path) -> Run:
    """Raises `InvalidRequest`."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise InvalidRequest(
            f"{path} cannot be read: {problem.strerror or problem}.",
            hint="Give a file that `voicemode bench --json FILE` has written, or `last`.",
        ) from problem
    if len(text) > MOST_BYTES:
        raise InvalidRequest(f"{path} is larger than any run of voicemode bench.", hint="Give another file.")
    return from_json(text, source=str(path))


def check_place(path: Path) -> None:
    """Before the work: whether a file can be written there. Raises `InvalidRequest`."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidRequest(
            f"{path} cannot be written.",
            hint="Give a file in a folder that exists and that you may write to.",
        )


def write_for_user(path: Path, text: str) -> None:
    """Raises `VoiceModeError`."""
    try:
        write_whole(path, text)
    except OSError as problem:
        raise _unwritten(path, problem) from problem


def _unwritten(path: Path, problem: OSError) -> VoiceModeError:
    return VoiceModeError(
        f"{path} cannot be written: {problem.strerror or problem}.",
        hint="Give another file, or make room there.",
    )


def machine() -> str:
    """In words, without a name that it has on a network."""
    release = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count() or 0} processors ({platform.machine()}), {platform.system()} {release}"


def versions() -> str:
    return f"voicemode {__version__}, Python {platform.python_version()}"


def load_average() -> float | None:
    """Of the last minute; None on Windows, which counts none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
