"""MCP over HTTP, behind the guard that every HTTP door of ours has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from voicemode.local_http.guard import Guard, own_hosts

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MOST_BODY_BYTES = 2_000_000
"""A request's body. The longest message that is spoken is far shorter."""

MOST_SESSIONS = 500
"""Sessions of the older protocol era that may be open; one that nobody uses ends after half an hour."""


def http_app(server: MCPServer[Any], *, host: str, port: int, token: str) -> ASGIApp:
    """The ASGI application at /mcp, behind its guard.

    The SDK's own checks of Host and Origin are off: the guard's are stricter, and the SDK would silently do without
    any when it is given a host of its own.
    """
    web: ASGIApp = server.streamable_http_app(
        host=host,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=MOST_BODY_BYTES,
        max_sessions=MOST_SESSIONS,
    )
    return Guard(web, hosts=own_hosts(host, port), token=token)
