"""Arguments that do not fit a tool or a prompt, and names of prompts that there are none of, refused in words: what is
wrong with which, and what is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult
from pydantic import ValidationError

from voicemode.text.similar import similar

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
    """The SDK answers with pydantic's own report, which names its classes and a web page; it passes over arguments that
    a tool does not have, and takes a prompt that it does not know for a mistake of ours.

    `refusal` logs a reason and gives what to raise.
    """

    refusal: Callable[[str], Awaitable[ToolError]]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        properties = await self._properties(name)
        if properties is not None and (told := unknown(arguments, properties)):
            raise await self.refusal(f"{name}: {told}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(mistakes := error.__cause__, ValidationError):
                raise
            raise await self.refusal(f"{name}: {in_words(mistakes, properties or {})}") from mistakes

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        prompts = {prompt.name: prompt for prompt in await self.list_prompts()}
        if name not in prompts:
            told = f"There is no prompt {_shown(name)}; there are: {', '.join(prompts)}."
            raise MCPError(INVALID_PARAMS, told)
        if told := unknown(arguments or {}, [each.name for each in prompts[name].arguments or ()]):
            raise MCPError(INVALID_PARAMS, f"Prompt {name}: {told}")
        return await super().get_prompt(name, arguments, context)

    async def _properties(self, name: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Of a tool's arguments; None where there is no such tool."""
        schemas = (tool.input_schema for tool in await self.list_tools() if tool.name == name)
        return next((schema.get("properties", {}) for schema in schemas), None)


def unknown(arguments: Mapping[str, Any], allowed: Collection[str]) -> str:
    """What is wrong with the names of arguments; "" where nothing is."""
    told = []
    for name in arguments:
        if name not in allowed:
            near = similar(name, allowed, most=1)
            told.append(f"there is no argument {_shown(name)}{f'; did you mean {near[0]}?' if near else '.'}")
    if not told:
        return ""
    return f"{' '.join(told)} Allowed: {', '.join(allowed) or 'none'}."


def in_words(mistakes: ValidationError, properties: Mapping[str, Mapping[str, Any]]) -> str:
    told = []
    for mistake in mistakes.errors(include_url=False):
        name, kind = str(mistake["loc"][0]), mistake["type"]
        about = str(properties.get(name, {}).get("description", ""))
        if kind == "missing":
            told.append(f"{name} is missing.")
            continue
        wanted = WANTED.get(kind) or str(mistake.get("ctx", {}).get("expected", "")) or mistake["msg"]
        told.append(
            f"{name} is {_shown(mistake['input'])}; it must be {wanted}{f' ({about})' if about else ''}."
        )
    return " ".join(told)


def _shown(value: object) -> str:
    return repr(value)[:SHOWN_CHARACTERS]
