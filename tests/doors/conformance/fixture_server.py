"""A server for the conformance suite: `python -m tests.doors.conformance.fixture_server [--stdio]`.

Over HTTP it takes a free port on loopback and writes one line with its URL to standard output. The server is
voicemode's own, with the suite's fixtures added.
"""

from __future__ import annotations

import socket
import sys
import warnings

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.doors.conformance.fixtures import register_fixtures


def server_under_test() -> MCPServer:
    server = MCPServer("conformance-fixtures", version="1", instructions="Fixtures of the conformance suite.")
    register_fixtures(server)
    return server


def serve_http(server: MCPServer) -> None:
    """Until it is stopped. The socket is bound before the URL is told, so a client cannot come too early."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        sys.stdout.write(f"http://127.0.0.1:{door.getsockname()[1]}/mcp\n")
        sys.stdout.flush()
        app = server.streamable_http_app(host="127.0.0.1")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[door])


def main(arguments: list[str]) -> None:
    # The suite asks for what the newest revision has given up: logging, for one.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server = server_under_test()
    if arguments == ["--stdio"]:
        server.run("stdio")
    else:
        serve_http(server)


if __name__ == "__main__":
    main(sys.argv[1:])
