"""The MCP door: four tools, two prompts and the resources, on one `App`.

Each tool reads its arguments, calls one flow and writes the answer. A failure leaves as a tool error whose text
names what failed and the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from voicemode import __version__
from voicemode.app import App
from voicemode.calls import Call
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.mcp_server import results
from voicemode.mcp_server.guide import INSTRUCTIONS, add_prompts
from voicemode.mcp_server.resources import add_resources
from voicemode.mcp_server.results import ConverseResult, PlaybackResult, SpeakResult, StatusResult
from voicemode.speech import Exchange, SpeechRequest

PROGRESS_SECONDS = 1.0
"""Clients keep a call alive while progress comes; the product's rule is 2 s at most."""

Voice = Annotated[str | None, Field(description="voice id; leave out for the user's choice")]
Speed = Annotated[float | None, Field(description="0.25–4; 1 is normal")]
Instructions = Annotated[str | None, Field(description="tone, where the voice can follow one")]

SOUND = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
LOOK = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def build_server(app: App) -> MCPServer[Any]:
    """The server, not yet running."""
    server: MCPServer[Any] = MCPServer(
        "voicemode",
        title="voicemode",
        version=__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
    )
    add_tools(server, app)
    add_prompts(server)
    add_resources(server, app)
    return server


def add_tools(server: MCPServer[Any], app: App) -> None:
    @server.tool(title="Speak, then listen", annotations=SOUND)
    async def converse(
        message: str,
        ctx: Context,
        listen: bool = True,
        voice: Voice = None,
        speed: Speed = None,
        instructions: Instructions = None,
        max_listen_seconds: float | None = None,
        language: Annotated[str | None, Field(description="of the answer, e.g. en")] = None,
    ) -> Annotated[CallToolResult, ConverseResult]:
        """Say a message aloud and return what the user answers, as text. Empty message: only listen."""
        async with _worded():
            request = _request(app, voice, speed, instructions)
            call = _converse(app, message, request, listen, max_listen_seconds, language)
            return results.conversed(call, await _follow(app, call, ctx))

    @server.tool(title="Speak", annotations=SOUND)
    async def speak(
        message: str,
        ctx: Context,
        wait: Annotated[
            Literal["started", "finished", "queued"],
            Field(description="return when sound starts, ends, or at once"),
        ] = "started",
        replace: Annotated[bool, Field(description="silence what is sounding or waiting first")] = False,
        voice: Voice = None,
        speed: Speed = None,
        instructions: Instructions = None,
    ) -> Annotated[CallToolResult, SpeakResult]:
        """Say a message aloud without waiting for an answer; work on while it sounds."""
        async with _worded():
            request = _request(app, voice, speed, instructions)
            conversation = app.conversation
            call = (
                await conversation.replace(message, request)
                if replace
                else conversation.speak(message, request)
            )
            if wait == "finished":
                return results.spoken(call, await _follow(app, call, ctx))
            if wait == "started":
                await _until_started(app, call, ctx)
            return results.spoken(call, await call.result()) if call.over else results.started(call)

    @server.tool(title="Playback", annotations=SOUND)
    async def playback(
        action: Literal["status", "stop"] = "status", handle: str | None = None
    ) -> Annotated[CallToolResult, PlaybackResult]:
        """Show what is sounding, waiting and was heard, or stop it (all of it without a handle)."""
        async with _worded():
            if action == "stop":
                calls = await app.conversation.stop(handle)
            else:
                calls = [app.conversation.call(handle)] if handle else app.conversation.calls()
            return results.listed([call.status() for call in calls])

    @server.tool(title="Voice status", annotations=LOOK)
    async def voice_status(
        check: Annotated[bool, Field(description="ask the servers too")] = False,
    ) -> Annotated[CallToolResult, StatusResult]:
        """What would speak and listen now, on which devices, and what is missing and how to mend it."""
        async with _worded():
            return results.status(await app.status(check=check))


def _request(app: App, voice: str | None, speed: float | None, instructions: str | None) -> SpeechRequest:
    if speed is not None and not 0.25 <= speed <= 4.0:
        raise InvalidRequest(
            f"speed is {speed!r}; it must be between 0.25 and 4.", hint="Leave it out for 1."
        )
    return app.request(voice=voice, speed=speed, instructions=instructions)


def _converse(
    app: App,
    message: str,
    request: SpeechRequest,
    listen: bool,
    max_listen_seconds: float | None,
    language: str | None,
) -> Call:
    # A limit that makes no sense is refused before anything sounds, whether or not it will be needed.
    app.conversation.rules(max_listen_seconds)
    if not listen:
        return app.conversation.speak(message, request)
    language = language or app.language
    if not message.strip():
        return app.conversation.listen(language=language, max_listen=max_listen_seconds)
    return app.conversation.converse(message, request, language=language, max_listen=max_listen_seconds)


async def _follow(app: App, call: Call, ctx: Context) -> Exchange:
    """Waits for the call with progress. A caller that cancels or vanishes ends it."""
    async with call:
        await _watched(app, call, ctx, call.result())
        return await call.result()


async def _until_started(app: App, call: Call, ctx: Context) -> None:
    """A caller that gives up before there is sound ends the call; afterwards it goes on by itself."""
    try:
        await _watched(app, call, ctx, call.until_started())
    except asyncio.CancelledError:
        await call.end()
        raise


async def _watched(app: App, call: Call, ctx: Context, what: Awaitable[object]) -> None:
    waiting = asyncio.ensure_future(what)
    step = 0
    try:
        while True:
            step += 1
            await ctx.report_progress(step, message=_doing(app, call))
            if (await asyncio.wait({waiting}, timeout=PROGRESS_SECONDS))[0]:
                break
        await waiting
    finally:
        waiting.cancel()


def _doing(app: App, call: Call) -> str:
    """What the user of a client sees while the call lasts; `speaking 3/7` counts words."""
    now = call.status()
    if now.state == "waiting" and (holder := app.floor.holder()):
        return f"waiting: {holder} has the floor"
    if now.state == "speaking":
        heard, unheard = len(now.heard.split()), len(now.unheard.split())
        return f"speaking {heard}/{heard + unheard}"
    return now.state


@asynccontextmanager
async def _worded() -> Any:
    """The only place where a failure becomes words for a model."""
    try:
        yield
    except VoiceModeError as error:
        raise ToolError(str(error)) from error
