"""Where assistants keep the list of their MCP servers, and what stands in it.

Looked up in their documentation in November 2026. Of what is read nothing is shown but names: what stands beside them
may be a key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voicemode.machine.settings_files import regular_bytes

MOST_BYTES = 64 * 1_048_576
"""Claude Code keeps its history in the same file."""

Table = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """One assistant. `home` and `project` are its files below the user's home (by platform; `%APPDATA%` stands for that
    folder on Windows) and below a project; `key` is under which its servers stand.

    `desktop`: started from a menu, with a PATH of its own. `call_s`, `start_s`: how long it waits for a tool and for a
    server's start when nobody sets it, None where it waits as long as it takes. `add`: how to add voicemode.
    """

    name: str
    home: Mapping[str, str]
    key: str
    add: str
    project: str = ""
    comments: bool = False
    desktop: bool = False
    call_s: float | None = None
    start_s: float | None = None


def _everywhere(path: str) -> dict[str, str]:
    return dict.fromkeys(("linux", "darwin", "win32"), path)


_SNIPPET = '{"mcpServers": {"voicemode": {"command": "uvx", "args": ["voicemode"]}}}'

CLIENTS = (
    Client(
        name="Claude Code",
        home=_everywhere(".claude.json"),
        project=".mcp.json",
        key="mcpServers",
        add="`claude mcp add --scope user voicemode -- uvx voicemode`",
    ),
    Client(
        name="Claude Desktop",
        home={
            "linux": ".config/Claude/claude_desktop_config.json",
            "darwin": "Library/Application Support/Claude/claude_desktop_config.json",
            "win32": "%APPDATA%/Claude/claude_desktop_config.json",
        },
        key="mcpServers",
        desktop=True,
        call_s=60,
        add=f"put `{_SNIPPET}` into it (Settings, Developer, Edit Config) and start Claude again",
    ),
    Client(
        name="Cursor",
        home=_everywhere(".cursor/mcp.json"),
        project=".cursor/mcp.json",
        key="mcpServers",
        comments=True,
        desktop=True,
        call_s=60,
        add=f"put `{_SNIPPET}` into it",
    ),
    Client(
        name="Codex",
        home=_everywhere(".codex/config.toml"),
        project=".codex/config.toml",
        key="mcp_servers",
        call_s=60,
        start_s=10,
        add="`codex mcp add voicemode -- uvx voicemode`, then `startup_timeout_sec = 60` and "
        "`tool_timeout_sec = 600` under it",
    ),
    Client(
        name="VS Code",
        home={
            "linux": ".config/Code/User/mcp.json",
            "darwin": "Library/Application Support/Code/User/mcp.json",
            "win32": "%APPDATA%/Code/User/mcp.json",
        },
        project=".vscode/mcp.json",
        key="servers",
        comments=True,
        desktop=True,
        add='`code --add-mcp \'{"name": "voicemode", "command": "uvx", "args": ["voicemode"]}\'`',
    ),
    Client(
        name="Windsurf",
        home=_everywhere(".codeium/windsurf/mcp_config.json"),
        key="mcpServers",
        comments=True,
        desktop=True,
        call_s=60,
        add=f"put `{_SNIPPET}` into it",
    ),
    Client(
        name="Zed",
        home={
            "linux": ".config/zed/settings.json",
            "darwin": ".config/zed/settings.json",
            "win32": "%APPDATA%/Zed/settings.json",
        },
        project=".zed/settings.json",
        key="context_servers",
        comments=True,
        desktop=True,
        call_s=60,
        add='put `"context_servers": {"voicemode": {"command": "uvx", "args": ["voicemode"]}}` into it',
    ),
    Client(
        name="Gemini CLI",
        home=_everywhere(".gemini/settings.json"),
        project=".gemini/settings.json",
        key="mcpServers",
        comments=True,
        call_s=600,
        add="`gemini mcp add --scope user voicemode uvx voicemode`",
    ),
)

MOVED = {"Claude Code": ("CLAUDE_CONFIG_DIR", ".claude.json"), "Codex": ("CODEX_HOME", "config.toml")}
"""A variable that names another folder for the user's file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A server as a client has it. `scope` is whose: the user's, this project's, another project's. `call_s` and
    `start_s` are its own limits, None where it sets none. Values may be keys: they are not in the repr."""

    name: str
    scope: str
    command: tuple[str, ...] = field(repr=False)
    url: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    call_s: float | None = None
    start_s: float | None = None
    off: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientFile:
    """A file that is there; `problem` says why its servers are not known."""

    client: Client
    path: Path
    entries: tuple[Entry, ...] = ()
    problem: str = ""


def places(
    client: Client, *, home: Path, project: Path, platform: str, environment: Mapping[str, str]
) -> list[tuple[Path, str]]:
    """(file, scope) of every file in which this client looks for servers."""
    variable, name = MOVED.get(client.name, ("", ""))
    below = client.home.get(platform, client.home["linux"])
    if moved := environment.get(variable, ""):
        user = Path(moved) / name
    elif below.startswith("%APPDATA%/"):
        roaming = environment.get("APPDATA", "")
        user = (Path(roaming) if roaming else home / "AppData" / "Roaming") / below.removeprefix("%APPDATA%/")
    else:
        user = home / below
    found = [(user, "user")]
    if client.project and project / client.project != user:
        found.append((project / client.project, "this project"))
    return found


def read(client: Client, path: Path, scope: str, project: Path) -> ClientFile | None:
    """None where there is no such file. Never raises."""
    try:
        raw = regular_bytes(path, MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return ClientFile(client=client, path=path, problem=f"cannot be read ({error.strerror or error})")
    if raw is None:
        return ClientFile(client=client, path=path, problem="is not a file")
    if len(raw) > MOST_BYTES:
        return ClientFile(client=client, path=path, problem=f"is larger than {MOST_BYTES >> 20} MB")
    try:
        content = _parsed(raw.decode("utf-8-sig"), client, path)
        return ClientFile(client=client, path=path, entries=tuple(_entries(content, client, scope, project)))
    except (ValueError, RecursionError) as error:  # Those of JSON, TOML and UTF-8 are ValueErrors.
        return ClientFile(client=client, path=path, problem=_unparsed(error))


def _unparsed(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    if isinstance(error, tomllib.TOMLDecodeError) and (
        at := re.search(r"at line \d+, column \d+", str(error))
    ):
        return f"is not TOML: {at[0].removeprefix('at ')}"
    return "is not what this client reads"


def _parsed(text: str, client: Client, path: Path) -> Table:
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if not text.strip():
        return {}
    found: object = json.loads(_bare(text) if client.comments else text)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


_JSONC = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])')


def _bare(text: str) -> str:
    """JSON with comments and trailing commas → JSON, every line where it was."""
    for pattern in (_JSONC, _TRAILING):
        text = pattern.sub(lambda found: found[1] or "\n" * found[0].count("\n"), text)
    return text


def _entries(content: Table, client: Client, scope: str, project: Path) -> Iterator[Entry]:
    yield from _servers(content.get(client.key), scope)
    # Claude Code keeps what was added for one project beside what is the user's own.
    for path, settings in _table(content.get("projects")).items() if client.name == "Claude Code" else ():
        here = project == Path(path) or Path(path) in project.parents
        yield from _servers(_table(settings).get(client.key), "this project" if here else "another project")


def _servers(listed: object, scope: str) -> Iterator[Entry]:
    for name, value in _table(listed).items():
        if isinstance(value, dict):
            yield _entry(name, value, scope)


def _entry(name: str, value: Table, scope: str) -> Entry:
    command = value.get("command")
    arguments = value.get("args")
    environment = value.get("env")
    if isinstance(command, dict):  # Zed's older way.
        arguments, environment = command.get("args"), command.get("env")
        command = command.get("path")
    first = [command] if isinstance(command, str) and command else []
    return Entry(
        name=name,
        scope=scope,
        command=(*first, *(each for each in _list(arguments) if isinstance(each, str))),
        url=next(
            (url for key in ("url", "httpUrl", "serverUrl") if isinstance(url := value.get(key), str)), ""
        ),
        environment={key: each for key, each in _table(environment).items() if isinstance(each, str)},
        call_s=_seconds(value, "tool_timeout_sec", "timeout"),
        start_s=_seconds(value, "startup_timeout_sec", "startup_timeout_ms"),
        off=value.get("enabled") is False or value.get("disabled") is True,
    )


def _seconds(value: Table, *names: str) -> float | None:
    """Limits are in ms but where the name says seconds. Less than a second is ignored (by Claude Code) or nonsense."""
    for name in names:
        number = value.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and number > 0:
            seconds = float(number) if name.endswith("_sec") else number / 1000
            return seconds if seconds >= 1 else None
    return None


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
