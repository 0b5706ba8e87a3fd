"""Looks at the machine: what it is, and what its sound server says of the default devices."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voicemode.devices.diagnosis import Place, Trouble
from voicemode.devices.pactl import PACTL, Entry, Run, entries, run
from voicemode.devices.server import SYSTEM_SOCKET, WSLG_SOCKET

CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "libpod", "lxc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What is wrong with the sound server's default devices (None: nothing, or it is not known), and which they are:
    the name and what is plugged in, "" where that is not known. `answers`: there is a server, and `pactl` to ask it."""

    answers: bool = False
    input: Trouble | None = None
    output: Trouble | None = None
    input_name: str = ""
    output_name: str = ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def look_around(
    environment: Mapping[str, str],
    *,
    platform: str = sys.platform,
    exists: Callable[[Path], bool] = Path.exists,
    read: Callable[[Path], str] = _text,
) -> Place:
    """Some files, read at once. Clients pass on almost no environment: what it lacks says nothing."""
    if not platform.startswith("linux"):
        return Place(platform=platform, remote=bool(environment.get("SSH_CONNECTION")))
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{_user()}")
    sockets = (runtime / "pulse" / "native", WSLG_SOCKET, SYSTEM_SOCKET)
    groups = read(Path("/proc/1/cgroup"))
    return Place(
        platform=platform,
        wsl="microsoft" in read(Path("/proc/version")).lower(),
        container=any(map(exists, CONTAINER_MARKS)) or any(each in groups for each in CONTAINER_GROUPS),
        remote=bool(environment.get("SSH_CONNECTION")),
        hardware=exists(Path("/dev/snd/controlC0")) or exists(Path("/dev/snd/timer")),
        server=bool(environment.get("PULSE_SERVER")) or any(map(exists, sockets)),
    )


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def defaults(run: Run = run) -> Defaults:
    """Asks PulseAudio, or PipeWire in its place (blocking, about 20 ms); nothing where no `pactl` is."""
    told = run((*PACTL, "info"))
    if told is None:
        return Defaults()
    names = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in told.splitlines())
    }
    source, source_name = _looked_up(names.get("Default Source", ""), run((*PACTL, "list", "sources")))
    sink, sink_name = _looked_up(names.get("Default Sink", ""), run((*PACTL, "list", "sinks")))
    return Defaults(answers=True, input=source, output=sink, input_name=source_name, output_name=sink_name)


def _looked_up(name: str, listed: str | None) -> tuple[Trouble | None, str]:
    """What is wrong with the device of this name in a list of `pactl`, and its name with its plug."""
    if listed is None or not name or name.startswith("@"):
        return None, ""
    for entry in entries(listed):
        if entry.facts.get("Name") == name:
            return wrong(entry), " ".join((name, entry.facts.get("Active Port", ""))).rstrip()
    return Trouble.NONE, ""


def wrong(entry: Entry) -> Trouble | None:
    """What is wrong with a sink or a source of the server's, None where nothing is."""
    facts = entry.facts
    if facts.get("Name") in ("auto_null", "auto_null.monitor"):  # What the server has in place of devices.
        return Trouble.NONE
    if facts.get("Monitor of Sink", "n/a") != "n/a":
        return Trouble.MONITOR
    return Trouble.MUTED if facts.get("Mute") == "yes" or " 0%" in facts.get("Volume", "") else None
