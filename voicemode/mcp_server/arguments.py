"""Arguments that do not fit a tool's schema, refused in words: what is wrong with which, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

SHOWN_CHARACTERS = 40

WANTED = {
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
}
"""What pydantic's kinds of mistake mean for whoever made them."""


class WordingServer(MCPServer[Any]):
    """The SDK answers with pydantic's own report, which names its classes and a web page."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(mistakes := error.__cause__, ValidationError):
                raise
            schemas = {tool.name: tool.input_schema for tool in await self.list_tools()}
            told = in_words(mistakes, schemas[name].get("properties", {}))
            raise ToolError(f"Error executing tool {name}: {told}") from mistakes


def in_words(mistakes: ValidationError, properties: Mapping[str, Mapping[str, Any]]) -> str:
    told = []
    for mistake in mistakes.errors(include_url=False):
        name, kind = str(mistake["loc"][0]), mistake["type"]
        about = str(properties.get(name, {}).get("description", ""))
        if kind == "missing":
            told.append(f"{name} is missing.")
            continue
        wanted = WANTED.get(kind) or str(mistake.get("ctx", {}).get("expected", "")) or mistake["msg"]
        shown = repr(mistake["input"])[:SHOWN_CHARACTERS]
        told.append(f"{name} is {shown}; it must be {wanted}{f' ({about})' if about else ''}.")
    return " ".join(told)
