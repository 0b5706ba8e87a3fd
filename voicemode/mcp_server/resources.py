"""What clients can read: the configuration as resolved, the voices, the last turns, recordings, the guide."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from voicemode.mcp_server.guide import GUIDE
from voicemode.mcp_server.opened import Opened


def add_resources(server: MCPServer[Any], opened: Opened) -> None:
    @server.resource("voicemode://guide", title="Guide for assistants", mime_type="text/markdown")
    def guide() -> str:
        """How to speak with a user well."""
        return GUIDE

    @server.resource("voicemode://config", title="Configuration", mime_type="application/json")
    async def config() -> str:
        """Every variable with its value, where it comes from, and what is wrong with it."""
        app = await opened()
        rows = [asdict(row) for row in app.config.resolved()]
        return _json({"variables": rows, "problems": [str(problem) for problem in app.config.problems]})

    @server.resource("voicemode://voices", title="Voices", mime_type="application/json")
    async def voices() -> str:
        """The voices of every engine that answers."""
        return _json([asdict(voice) for voice in await (await opened()).voices()])

    @server.resource("voicemode://turns", title="Last turns", mime_type="application/json")
    async def turns() -> str:
        """The calls of this process: what was heard, what was not, and how each ended."""
        app = await opened()
        return _json([asdict(call.status()) for call in app.conversation.calls()])

    @server.resource("voicemode://recordings/{name}", title="A recording", mime_type="audio/wav")
    async def recording(name: str) -> bytes:
        """A recording by its file name, as WAV."""
        app = await opened()
        path = await asyncio.to_thread(_find, app.places.recordings, name)
        if path is None:
            raise ResourceNotFoundError(f"There is no recording {name!r} in {app.places.recordings}.")
        return await asyncio.to_thread(path.read_bytes)


def _find(folder: Path, name: str) -> Path | None:
    """The recording of this name; a name that leads elsewhere finds nothing."""
    if Path(name).name != name or not name.endswith(".wav"):
        return None
    root = folder.resolve()
    found = (path for path in folder.glob("*/*/*.wav") if path.name == name)
    return next((path for path in found if path.resolve().is_relative_to(root)), None)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
