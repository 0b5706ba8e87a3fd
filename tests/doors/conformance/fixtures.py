"""What the conformance suite expects a server to have: tools, resources, prompts with its names and words.

Registered onto any `MCPServer`, so that the suite runs against voicemode's own server with everything it does to it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Annotated, Literal

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Audio, Context, Image, MCPServer, Resolve, Sample, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    CreateMessageResult,
    EmbeddedResource,
    EmptyResult,
    PromptReference,
    ResourceTemplateReference,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from tests.doors.conformance.input_fixtures import register_input_fixtures

PAUSE_SECONDS = 0.05
"""What the suite asks between two notifications, so that a client sees several."""


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


RED_PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
    + _chunk(b"IEND", b"")
)
SHORT_WAV = (
    b"RIFF"
    + struct.pack("<I", 36 + 16)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data"
    + struct.pack("<I", 16)
    + bytes(16)
)


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


class Identity(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


ENUM_SCHEMA = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [
                {"const": "value1", "title": "First Option"},
                {"const": "value2", "title": "Second Option"},
                {"const": "value3", "title": "Third Option"},
            ],
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"const": "value1", "title": "First Choice"},
                    {"const": "value2", "title": "Second Choice"},
                    {"const": "value3", "title": "Third Choice"},
                ]
            },
        },
    },
}


SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def register_fixtures(server: MCPServer) -> None:
    """Everything the suite asks for, both protocol eras."""
    _content_tools(server)
    _talking_tools(server)
    _asking_tools(server)
    _schema_tools(server)
    _changing_tools(server)
    _resources(server)
    _prompts(server)
    _legacy_methods(server)
    register_input_fixtures(server)


def _content_tools(server: MCPServer) -> None:
    @server.tool(description="Returns one line of text", structured_output=False)
    async def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="Returns an image", structured_output=False)
    async def test_image_content() -> Image:
        return Image(data=RED_PIXEL, format="png")

    @server.tool(description="Returns sound", structured_output=False)
    async def test_audio_content() -> Audio:
        return Audio(data=SHORT_WAV, format="wav")

    @server.tool(description="Returns a resource", structured_output=False)
    async def test_embedded_resource() -> EmbeddedResource:
        return embedded("test://embedded-resource", "This is an embedded resource content.")

    @server.tool(description="Returns text, image and resource", structured_output=False)
    async def test_multiple_content_types() -> list[TextContent | Image | EmbeddedResource]:
        return [
            TextContent(text="Multiple content types test:"),
            Image(data=RED_PIXEL, format="png"),
            embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
        ]

    @server.tool(description="Always fails", structured_output=False)
    async def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")


def _talking_tools(server: MCPServer) -> None:
    @server.tool(description="Sends three log messages", structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        lines = ("Tool execution started", "Tool processing data", "Tool execution completed")
        for number, line in enumerate(lines):
            if number:
                await anyio.sleep(PAUSE_SECONDS)
            await ctx.info(line)
        return "Three messages were sent"

    @server.tool(description="Reports progress three times", structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        for progress in (0, 50, 100):
            if progress:
                await anyio.sleep(PAUSE_SECONDS)
            await ctx.report_progress(progress, 100)
        return "Progress went from 0 to 100"

    @server.tool(description="Closes its stream half way", structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        await ctx.close_sse_stream()
        await anyio.sleep(PAUSE_SECONDS)
        return "Reconnection test completed"


def _asking_tools(server: MCPServer) -> None:
    @server.tool(description="Samples the client's model", structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        question = SamplingMessage(role="user", content=TextContent(text=prompt))
        answer = await ctx.session.create_message(
            [question], max_tokens=100, related_request_id=ctx.request_id
        )
        return f"LLM response: {answer.content.text if isinstance(answer.content, TextContent) else ''}"

    @server.tool(description="Asks who the user is", structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str:
        answer = await ctx.elicit(message, Identity)
        content = answer.data.model_dump() if answer.action == "accept" else {}
        return f"User response: action={answer.action}, content={content}"

    @server.tool(description="Asks with a default for each type", structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        answer = await ctx.elicit("Is this right?", Defaults)
        content = answer.data.model_dump() if answer.action == "accept" else {}
        return f"Elicitation completed: action={answer.action}, content={content}"

    @server.tool(description="Asks with each kind of choice", structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        answer = await ctx.session.elicit("Choose", ENUM_SCHEMA, related_request_id=ctx.request_id)
        return f"Elicitation completed: action={answer.action}, content={answer.content}"


def _sample_hello() -> Sample:
    return Sample([SamplingMessage(role="user", content=TextContent(text="Hello"))], max_tokens=10)


def _schema_tools(server: MCPServer) -> None:
    @server.tool(description="Needs a client that can sample", structured_output=False)
    async def test_missing_capability(answer: Annotated[CreateMessageResult, Resolve(_sample_hello)]) -> str:
        return f"Sampled by {answer.model}"

    @server.tool(description="Takes an argument from a header", structured_output=False)
    async def test_custom_header(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    ) -> str:
        return f"Region: {region}"

    async def json_schema_2020_12_tool(name: str = "") -> str:
        return f"Hello, {name}"

    tool = Tool.from_function(
        json_schema_2020_12_tool,
        description="Tool with JSON Schema 2020-12 features",
        structured_output=False,
    )
    server._tool_manager._tools[tool.name] = tool.model_copy(update={"parameters": SCHEMA_2020_12})


def _changing_tools(server: MCPServer) -> None:
    @server.tool(description="Says that the list of tools changed", structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        await ctx.notify_tools_changed()
        return "Told"

    @server.tool(description="Says that the list of prompts changed", structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        await ctx.notify_prompts_changed()
        return "Told"


def _resources(server: MCPServer) -> None:
    @server.resource("test://static-text", description="A line of text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="An image", mime_type="image/png")
    def static_binary() -> bytes:
        return RED_PIXEL

    @server.resource("test://watched-resource", description="Can be watched", mime_type="text/plain")
    def watched() -> str:
        return "Watch me"

    @server.resource("test://template/{id}/data", description="One record", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002  # the suite names the parameter
        return f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'


def _prompts(server: MCPServer) -> None:
    @server.prompt(description="Without arguments")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="With two arguments")
    def test_prompt_with_arguments(
        arg1: Annotated[str, Field(description="First test argument")],
        arg2: Annotated[str, Field(description="Second test argument")],
    ) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="With a resource inside")
    def test_prompt_with_embedded_resource(
        resourceUri: Annotated[str, Field(description="URI of the resource to embed")],
    ) -> list[UserMessage]:
        return [
            UserMessage(embedded(resourceUri, "Embedded resource content for testing.")),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="With an image inside")
    def test_prompt_with_image() -> list[UserMessage]:
        return [
            UserMessage(Image(data=RED_PIXEL, format="png")),
            UserMessage("Please analyze the image above."),
        ]

    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        words = [word for word in ("paris", "park", "party") if word.startswith(argument.value)]
        return Completion(values=words, total=len(words), has_more=False)

    server.completion()(complete)  # type: ignore[no-untyped-call]


def _legacy_methods(server: MCPServer) -> None:
    """Methods of 2025-11-25 that `MCPServer` has no decorator for; the SDK's lower server takes them."""
    lower = server._lowlevel_server

    async def set_level(ctx: ServerRequestContext[object], params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    async def subscribe(ctx: ServerRequestContext[object], params: SubscribeRequestParams) -> EmptyResult:
        return EmptyResult()

    async def unsubscribe(ctx: ServerRequestContext[object], params: UnsubscribeRequestParams) -> EmptyResult:
        return EmptyResult()

    lower.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    lower.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lower.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
