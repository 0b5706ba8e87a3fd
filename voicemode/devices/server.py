"""Where the audio server is, for a program that was started with almost no environment.

MCP clients pass on only HOME, LOGNAME, PATH, SHELL, TERM and USER. The audio libraries find their server through
XDG_RUNTIME_DIR; without it PulseAudio's client looks into ~/.config/pulse, where a per-user server does not listen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

WSLG_SOCKET = Path("/mnt/wslg/PulseServer")
SYSTEM_SOCKET = Path("/run/pulse/native")
"""A PulseAudio for the whole machine, as containers and headless machines run it."""


def audio_server_variables(
    environment: Mapping[str, str], *, uid: int, exists: Callable[[Path], bool]
) -> dict[str, str]:
    """The variables to add, before an audio library loads, so that PulseAudio, PipeWire or WSLg is found.

    Never one that is set (a set but empty one counts as missing), and only ones that point at something that exists.
    """
    added: dict[str, str] = {}
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}")
    if not environment.get("XDG_RUNTIME_DIR") and exists(runtime):
        added["XDG_RUNTIME_DIR"] = str(runtime)
    if not environment.get("PULSE_SERVER"):
        own = runtime / "pulse" / "native"
        # The libraries find the user's own socket by XDG_RUNTIME_DIR.
        if not exists(own):
            for socket in (WSLG_SOCKET, SYSTEM_SOCKET):
                if exists(socket):
                    added["PULSE_SERVER"] = f"unix:{socket}"
                    break
    return added
