"""What was measured, kept in a file that grows row by row: what is measured anew takes the place of the old."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import voicemode
from scripts.measuring.contenders import PEER_VERSION, ROOT
from scripts.measuring.rows import Row

_LIMIT_SECONDS = 10.0


class Taken(BaseModel):
    """The circumstances of one go. `load_before` and `load_after` are load averages of the last minute: what else kept
    the machine busy, and what the bench itself did."""

    model_config = ConfigDict(frozen=True)

    date: str
    command: str
    machine: str
    versions: str
    load_before: float
    load_after: float


class Result(BaseModel):
    """`part` is the word of `--rows` that measured the row."""

    part: str
    row: Row
    taken: Taken

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.row.name


class Results(BaseModel):
    results: list[Result] = []

    def merged(self, new: Iterable[Result], order: Sequence[str]) -> Results:
        """A row is replaced as a whole, since a ratio of figures from two goes says nothing; one without any figure
        replaces none. Parts stand in `order`, and rows of a part in the order in which they were first measured."""
        found = {result.key: result for result in self.results}
        found.update((result.key, result) for result in new if result.row.values or result.key not in found)
        ranks = {part: rank for rank, part in enumerate(order)}
        return Results(results=sorted(found.values(), key=lambda each: ranks.get(each.part, len(ranks))))


def load(path: Path) -> Results:
    """Nothing where there is no file. RuntimeError for one that is not of ours: it is not written over."""
    if not path.exists():
        return Results()
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise RuntimeError(f"{path} does not hold results of this bench: {problem}") from error


def save(results: Results, path: Path) -> None:
    """As a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def machine() -> str:
    """In words, without a name that it has on a network."""
    names = {
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    }
    memory = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    cores = f"{os.cpu_count() or 0} processors ({', '.join(sorted(names)) or platform.machine()})"
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return f"{cores}, {memory / 2**20:.0f} GiB of memory, {system}"


def versions() -> str:
    made_of = f"voicemode {voicemode.__version__}{_revision()}"
    return f"{made_of}, voice-mode {PEER_VERSION}, mcp {version('mcp')}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _revision() -> str:
    """Which commit, and whether more than that; nothing outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f" ({done.stdout.strip()})" if not done.returncode else ""
