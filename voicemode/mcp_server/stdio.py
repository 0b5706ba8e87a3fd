"""MCP on standard input and output, where nothing that a client sends is left without an answer."""

from __future__ import annotations

import json
from contextvars import Context
from types import TracebackType
from typing import Any, Self

from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter
from pydantic import ValidationError


async def run_stdio(server: MCPServer[Any]) -> None:
    """What the SDK's `run_stdio_async` does, with lines mended on their way in."""
    inside = server._lowlevel_server  # The SDK has no other way to it.
    async with stdio_server() as (incoming, outgoing):
        await inside.run(Mended(incoming), outgoing, inside.create_initialization_options())


def mended(error: ValidationError) -> SessionMessage | None:
    r"""The message of a line that is JSON but for halves of surrogate pairs (`"\ud83d"`, half an emoji, where a client
    cut a text); they are left out. The SDK would throw the line away, and the client wait for ever."""
    (first, *_) = error.errors(include_url=False)
    try:
        line = json.dumps(json.loads(first["input"]), ensure_ascii=False).encode("utf-8", "ignore")
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except (ValueError, TypeError, RecursionError):
        return None


class Mended:
    """The SDK's stream of incoming messages, with what it could not read mended where that is possible."""

    def __init__(self, incoming: Any) -> None:
        self._incoming = incoming

    @property
    def last_context(self) -> Context | None:
        context: Context | None = self._incoming.last_context
        return context

    async def receive(self) -> SessionMessage | Exception:
        item: SessionMessage | Exception = await self._incoming.receive()
        return (mended(item) or item) if isinstance(item, ValidationError) else item

    async def aclose(self) -> None:
        await self._incoming.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        item: SessionMessage | Exception = await anext(self._incoming)
        return (mended(item) or item) if isinstance(item, ValidationError) else item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
