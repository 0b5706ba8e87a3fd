"""Where configuration and data lie on this machine, and the reading of configuration files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from types import MappingProxyType

from voicemode.configuration.config import Config
from voicemode.configuration.settings import Problem

PROJECT_FILE = ".voicemode.env"
USER_FILE = "voicemode.env"

MOST_BYTES = 1_048_576
"""A configuration file beyond this size is not one."""

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, kw_only=True)
class EnvFile:
    """What a file says. `values` are not in the repr: they may be keys."""

    path: Path | None = None
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Absolute folders; none is made here."""

    data: Path
    events: Path
    recordings: Path
    models: Path
    user_file: Path
    chatterbox: Path | None = None
    """Its weights; None: from where its package fetches them."""


MOST_PROBLEMS = 5
"""Lines of one file that are named."""


def parse_env(text: str, source: str) -> tuple[dict[str, str], list[Problem]]:
    """Reads dotenv lines. A line that is none becomes a problem that gives its number and not its text."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    if "\0" in text:
        return values, [_unreadable(source, "it is no text file")]
    lines = text.removeprefix("\ufeff").splitlines()
    at = 0
    while at < len(lines):
        line, number = lines[at].strip(), at + 1
        at += 1
        if not line or line.startswith("#"):
            continue
        name = _NAME.match(line)
        if name is None:
            problems.append(_unreadable(source, f"line {number} is not NAME=value"))
            continue
        rest = line[name.end() :]
        if rest[:1] not in ("'", '"'):
            values[name[1]] = re.split(r"(?:^|[ \t])#", rest, maxsplit=1)[0].strip()
            continue
        quoted, used = _quoted([rest, *lines[at:]])
        if quoted is None:
            problems.append(_unreadable(source, f"line {number} opens a quotation that nothing closes"))
            continue
        values[name[1]] = quoted
        at += used
    return values, _bounded(problems, source)


def _bounded(problems: list[Problem], source: str) -> list[Problem]:
    """A file of something else is not told line by line."""
    more = len(problems) - MOST_PROBLEMS
    return (
        [*problems[:MOST_PROBLEMS], _unreadable(source, f"and {more} more lines are not NAME=value")]
        if more > 0
        else problems
    )


def _quoted(lines: list[str]) -> tuple[str | None, int]:
    """(the text of a quotation that begins `lines`, how many further lines it takes)."""
    quote = lines[0][0]
    out: list[str] = []
    for used, line in enumerate(lines):
        chars = iter(line[1:] if used == 0 else line)
        for char in chars:
            if char == quote:
                return "".join(out), used
            if char == "\\" and quote == '"':
                following = next(chars, "")
                out.append(_ESCAPES.get(following, following))
            else:
                out.append(char)
        out.append("\n")
    return None, 0


def _unreadable(source: str, what: str) -> Problem:
    return Problem(
        variable="",
        value="",
        allowed="NAME=value lines",
        source=source,
        says=f"{source}: {what}; it is skipped.",
    )


def regular_bytes(path: Path, most: int) -> bytes | None:
    """The first `most` bytes of a file, None where it is a folder or a device. Raises OSError."""
    # O_NONBLOCK: opening a named pipe that somebody left under this name must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read(most) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def read_env_file(path: Path) -> EnvFile:
    """Reads a file if it is there. Whatever is wrong with it becomes a problem, never an error."""
    source = str(path)
    try:
        raw = regular_bytes(path, MOST_BYTES + 1)
    except FileNotFoundError:
        return EnvFile()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return EnvFile(path=path, problems=(_unreadable(source, f"cannot be read ({reason})"),))
    if raw is None:
        return EnvFile(path=path, problems=(_unreadable(source, "is not a file"),))
    if len(raw) > MOST_BYTES:
        return EnvFile(path=path, problems=(_unreadable(source, f"is larger than {MOST_BYTES} bytes"),))
    values, problems = parse_env(raw.decode("utf-8", errors="replace"), source)
    return EnvFile(path=path, values=MappingProxyType(values), problems=tuple(problems))


def working_folder() -> Path:
    """Where the process was started, from which a project's files are looked for upwards."""
    try:
        return Path.cwd()
    except OSError:  # It has been deleted.
        return Path("/")


def find_project_file(start: Path) -> Path | None:
    """The nearest `.voicemode.env` in `start` or above it."""
    folder = Path(os.path.abspath(start))  # noqa: PTH100  (resolve() would follow links, and may raise)
    for each in (folder, *folder.parents):
        try:
            if (each / PROJECT_FILE).is_file():
                return each / PROJECT_FILE
        except OSError:
            continue
    return None


def home(environment: Mapping[str, str]) -> Path | None:
    """The user's home, from the environment or the user database; None when neither knows."""
    for name in ("HOME", "USERPROFILE"):
        if (value := environment.get(name, "")) and Path(value).is_absolute():
            return Path(value)
    try:
        found = Path.home()
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


def _absolute(path: PurePath, environment: Mapping[str, str]) -> Path | None:
    if path.parts[:1] != ("~",):
        return Path(path)
    base = home(environment)
    return base.joinpath(*path.parts[1:]) if base else None


def _last_resort() -> Path:
    """For a user without a home: a folder of their own among the temporary files."""
    import tempfile

    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"voicemode-{owner}"


def user_file(environment: Mapping[str, str]) -> Path:
    """The user's file in the platform's configuration folder; voice-mode's own, where only that one is there."""
    import platformdirs

    folder = Path(platformdirs.user_config_path("voicemode", appauthor=False))
    own = (folder if folder.is_absolute() else _last_resort()) / USER_FILE
    base = home(environment)
    if base is not None and not own.exists():
        peers = base / ".voicemode" / USER_FILE
        if peers.is_file():
            return peers
    return own


def folders(config: Config, environment: Mapping[str, str]) -> Folders:
    """The folders of this configuration: VOICEMODE_BASE_DIR, else the platform's data folder, else a temporary one."""
    import platformdirs

    data = _absolute(config.files.base_dir, environment) if config.files.base_dir else None
    if data is None:
        data = Path(platformdirs.user_data_path("voicemode", appauthor=False))
    if not data.is_absolute():
        data = _last_resort()
    events = _absolute(config.log.events_dir, environment) if config.log.events_dir else None
    models = _absolute(config.neural.models_dir, environment) if config.neural.models_dir else None
    weights = config.speech_server.chatterbox_weights
    return Folders(
        data=data,
        events=events or data / "events",
        recordings=data / "recordings",
        models=models or data / "models",
        user_file=user_file(environment),
        chatterbox=_absolute(weights, environment) if weights else None,
    )


def load_config(environment: Mapping[str, str], start: Path) -> Config:
    """The configuration of this process: its environment, the project around `start`, the user's file."""
    found = find_project_file(start)
    user = read_env_file(user_file(environment))
    project = read_env_file(found) if found is not None and found != user.path else EnvFile()
    values = user.values
    if project.path is not None and project.path.parent == home(environment):
        # What lies in the home itself nobody else has brought along: it is the user's, and their own file wins.
        values, project = {**project.values, **user.values}, replace(project, values=MappingProxyType({}))
    problems = (*user.problems, *project.problems)
    return Config.from_sources(environment, project.values, values, problems=problems)
