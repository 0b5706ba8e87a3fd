"""Our server with the conformance suite's fixtures: `python -m tests.doors.conformance.fixture_server [--stdio]`;
with `--product` without them, as users get it.

Over HTTP it takes a free port on loopback and writes one line with its URL to standard output. Its files go to
a folder in HOME.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from pathlib import Path

from mcp.shared.exceptions import MCPDeprecationWarning

from tests.doors.conformance.fixtures import register_fixtures
from voicemode.app import open_app
from voicemode.configuration.config import Config
from voicemode.local_http.door import open_door
from voicemode.mcp_server import build_server
from voicemode.mcp_server.guard import http_app
from voicemode.mcp_server.opened import given
from voicemode.mcp_server.serve import end_with_client


async def serve(*, stdio: bool, product: bool) -> None:
    """Until it is stopped. The socket is bound before the URL is told, so a client cannot come too early."""
    environment = {"VOICEMODE_BASE_DIR": str(Path.home() / "voicemode-conformance")}
    config = Config.from_sources(environment, {}, {})
    async with open_app(config, environment) as app:
        server = build_server(given(app))
        if not product:
            register_fixtures(server)
        if stdio:
            await server.run_stdio_async()
            return
        with socket.create_server(("127.0.0.1", 0)) as door:
            port = door.getsockname()[1]
            web = http_app(server, host="127.0.0.1", port=port, token="")
            end_with_client(server)
            async with server.session_manager.run(), open_door(web, door):
                sys.stdout.write(f"http://127.0.0.1:{port}/mcp\n")
                sys.stdout.flush()
                await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    # The suite asks for what the newest revision has given up: logging, for one.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    asyncio.run(serve(stdio="--stdio" in arguments, product="--product" in arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
