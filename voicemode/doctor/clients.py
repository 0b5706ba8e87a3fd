"""The assistants of this machine: whether voicemode is among their servers, and whether they can start it and wait
for it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath

from voicemode.configuration.config import known_names
from voicemode.configuration.peer_names import is_peer_name
from voicemode.doctor.client_files import CLIENTS, Client, ClientFile, Entry, places, read
from voicemode.doctor.finding import Finding, State

LIMIT = "VOICEMODE_CLIENT_LIMIT_S"

FETCHING = {"uvx", "uv", "pipx"}
"""What may have to fetch packages before the server starts."""
LONG_START_S = 30.0
LONG_CALL_S = 600.0
"""A conversation's turn, where nothing is answered as pending."""

ALWAYS_ON_PATH = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
"""What a program started from the Dock finds; on Linux it is the least that a desktop's session has."""
ALSO_ON_LINUX = ("/usr/local/bin", "/snap/bin")

OURS = re.compile(r"(?:^|[/\\@#])voicemode(?:$|[@=<>~!\[.])|^voicemode$")
PEER = re.compile(r"voice[-_]mode")

Which = Callable[[str, str], str | None]
"""(command, PATH) → the file that would be started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """Where clients are looked for. `limit_s`: after this a call that goes on is answered as pending; 0: never."""

    home: Path
    project: Path
    platform: str
    environment: Mapping[str, str]
    limit_s: float


def which(command: str, path: str) -> str | None:
    return shutil.which(command, path=path)


def examine_clients(around: Around, *, which: Which = which) -> list[Finding]:
    """Blocking: reads files."""
    found = [
        file
        for client in CLIENTS
        for path, scope in places(
            client,
            home=around.home,
            project=around.project,
            platform=around.platform,
            environment=around.environment,
        )
        if (file := read(client, path, scope, around.project)) is not None
    ]
    if not found:
        names = ", ".join(client.name for client in CLIENTS)
        return [
            Finding(
                state=State.NOTE,
                what="clients",
                found=f"none of {names} has been set up here",
                mend="The README says how each is told of voicemode; for Claude Code: "
                "`claude mcp add --scope user voicemode -- uvx voicemode`.",
            )
        ]
    return [finding for client in CLIENTS for finding in _client(client, found, around, which)]


def _client(client: Client, files: Iterable[ClientFile], around: Around, which: Which) -> Iterator[Finding]:
    files = [file for file in files if file.client is client]
    for file in files:
        if file.problem:
            yield Finding(
                state=State.WARN,
                what=client.name,
                found=f"{file.path} {file.problem}",
                mend=f"Mend it there: until then {client.name} may start none of its servers.",
            )
    entries = list(dict.fromkeys(entry for file in files for entry in file.entries))
    ours = [entry for entry in entries if is_ours(entry)]
    for entry in entries:
        if is_peer(entry):
            yield Finding(
                state=State.WARN,
                what=client.name,
                found=f"an old voice-mode server is there too ({_called(entry)}): both would speak and listen",
                mend=_remove(client, entry),
            )
    if len({entry.name for entry in ours if not entry.off and entry.scope != "another project"}) > 1:
        names = ", ".join(_called(entry) for entry in ours)
        yield Finding(
            state=State.WARN,
            what=client.name,
            found=f"it starts voicemode more than once: {names}",
            mend="Keep one of them.",
        )
    for entry in ours:
        yield from _entry(client, entry, around, which)
    if files and not ours and not all(file.problem for file in files):
        yield Finding(
            state=State.NOTE,
            what=client.name,
            found=f"voicemode is not among its servers ({files[0].path})",
            mend=f"To add it: {client.add}.",
        )


def is_peer(entry: Entry) -> bool:
    return any(PEER.search(word) for word in entry.command)


def is_ours(entry: Entry) -> bool:
    if is_peer(entry):
        return False
    if entry.command:
        program = _program(entry.command[0])
        return program == "voicemode" or any(OURS.search(word) for word in entry.command[1:])
    return bool(entry.url) and "voicemode" in entry.name.lower()


def _entry(client: Client, entry: Entry, around: Around, which: Which) -> Iterator[Finding]:
    called = _called(entry)
    if entry.off:
        yield Finding(
            state=State.NOTE, what=client.name, found=f"{called} is switched off", mend="Switch it on there."
        )
        return
    wrong = [
        *_start(client, entry, around, which),
        *_limits(client, entry, around),
        *_variables(client, entry),
    ]
    if not wrong:
        how = f"starts `{shown(entry)}`" if entry.command else "asks a server over HTTP"
        wrong = [Finding(state=State.OK, what=client.name, found=f"{called} {how}")]
    yield from wrong


def _start(client: Client, entry: Entry, around: Around, which: Which) -> Iterator[Finding]:
    """Whether its command is found by whoever starts it."""
    if not entry.command or "${" in entry.command[0]:
        return
    command = entry.command[0]
    about = Finding(state=State.WARN, what=client.name, found="", mend="")
    path = entry.environment.get("PATH") or around.environment.get("PATH", os.defpath)
    there = which(command, path)
    if there is None:
        if _absolute(command):
            found = f"{_called(entry)}: there is no program at {command}"
        else:
            found = f"{_called(entry)}: `{_program(command)}` is not found"
        yield replace(
            about,
            found=found,
            mend="Install uv (https://docs.astral.sh/uv/) for `uvx`, or write the full path of a `voicemode` that is "
            "installed.",
        )
        return
    if not client.desktop or _absolute(command) or "PATH" in entry.environment or around.platform == "win32":
        return
    usual = ALWAYS_ON_PATH if around.platform == "darwin" else (*ALWAYS_ON_PATH, *ALSO_ON_LINUX)
    if str(PurePosixPath(there).parent) not in usual:
        yield replace(
            about,
            found=f"{_called(entry)}: `{command}` is found in a terminal, and may not be where {client.name} is "
            "started from a menu",
            mend=f'Write its full path: "command": "{there}".',
        )


def _limits(client: Client, entry: Entry, around: Around) -> Iterator[Finding]:
    about = Finding(state=State.WARN, what=client.name, found="", mend="")
    call = entry.call_s or client.call_s
    limit = _pending_after(entry, around)
    if call is not None and call < (limit or LONG_CALL_S):
        yield replace(
            about,
            found=f"{_called(entry)}: it gives up on a call after {call:g} s, and voicemode answers one that goes on "
            f"as pending {f'after {limit:g} s only' if limit else 'never'} (VOICEMODE_CLIENT_LIMIT_S)",
            mend=_longer(client, "call", f"or VOICEMODE_CLIENT_LIMIT_S={max(call - 5, call / 2):g}"),
        )
    start = entry.start_s or client.start_s
    fetches = bool(entry.command) and _program(entry.command[0]) in FETCHING
    if fetches and start is not None and start < LONG_START_S:
        yield replace(
            about,
            found=f"{_called(entry)}: it waits {start:g} s for the start, and `{_program(entry.command[0])}` may "
            "fetch packages first",
            mend=_longer(client, "start", ""),
        )


def _pending_after(entry: Entry, around: Around) -> float:
    with suppress(ValueError):
        return float(entry.environment.get(LIMIT, ""))
    return around.limit_s


def _longer(client: Client, what: str, otherwise: str) -> str:
    if client.name == "Codex":
        name, seconds = ("tool_timeout_sec", 600) if what == "call" else ("startup_timeout_sec", 60)
        longer = f"Write `{name} = {seconds}` under [mcp_servers.voicemode]"
    elif client.name in ("Claude Code", "Gemini CLI"):
        longer = 'Write "timeout": 600000 (ms) beside its command'
    else:
        return f"Set {otherwise.removeprefix('or ')}." if otherwise else "Raise its limit."
    return f"{longer}{', ' if otherwise else ''}{otherwise}."


def _variables(client: Client, entry: Entry) -> Iterator[Finding]:
    """Names alone: what they are set to is nobody's business here."""
    known = known_names()
    for name in sorted(entry.environment):
        if not name.startswith("VOICEMODE_") or name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.8)
        if is_peer_name(name):
            found, mend = f"{name} is voice-mode's and has no effect here", "Take it out."
        else:
            found = f"{name} is not a variable"
            mend = f"Did you mean {near[0]}?" if near else "`voicemode config` lists those that exist."
        yield Finding(state=State.WARN, what=client.name, found=f"{_called(entry)}: {found}", mend=mend)


def _remove(client: Client, entry: Entry) -> str:
    if client.name == "Claude Code" and entry.scope != "another project":
        return f"`claude mcp remove {entry.name}`, or take it out of the file."
    return f"Take {entry.name!r} out of its servers."


def _called(entry: Entry) -> str:
    return f"{entry.name!r} ({entry.scope})"


def shown(entry: Entry) -> str:
    """The command as far as it is nobody's secret: the program, and the word that names voicemode."""
    program = _program(entry.command[0])
    words = [word for word in entry.command[1:] if word == "voicemode"]
    others = len(entry.command) - 1 - len(words)
    return " ".join([program, *words[:1], *(["…"] if others else [])])


def _program(command: str) -> str:
    """`C:\\Users\\me\\uvx.exe` → uvx."""
    name = PureWindowsPath(command).name
    return name[:-4] if name.lower().endswith((".exe", ".cmd", ".bat")) else name


def _absolute(command: str) -> bool:
    return PurePosixPath(command).is_absolute() or PureWindowsPath(command).is_absolute()
