"""The MCP door: four tools, two prompts and the resources, on one `App`.

Each tool reads its arguments, calls one flow and writes the answer. A failure leaves as a tool error whose text
names what failed and the next step.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from voicemode import __version__, clock
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.mcp_server import results
from voicemode.mcp_server.arguments import WordingServer
from voicemode.mcp_server.guide import INSTRUCTIONS, add_prompts
from voicemode.mcp_server.opened import Opened
from voicemode.mcp_server.resources import add_resources
from voicemode.mcp_server.results import ConverseResult, PlaybackResult, SpeakResult, StatusResult
from voicemode.text import languages
from voicemode.turn_taking.doing import Doing

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.flows.calls import Call
    from voicemode.flows.conversation import Conversation
    from voicemode.speech import Exchange, SpeechRequest

Action = Literal["status", "pause", "resume", "skip", "stop", "replay"]

PROGRESS_SECONDS = 1.0
"""Clients keep a call alive while progress comes; the product's rule is 2 s at most."""

SETTLED_SECONDS = 0.1
"""How long an answer waits for the event log: it takes less than a millisecond, unless a disk hangs."""

Voice = Annotated[str | None, Field(description="voice id; leave out for the user's choice")]
Speed = Annotated[float | None, Field(description="0.25–4; 1 is normal")]
Instructions = Annotated[str | None, Field(description="tone, where the voice can follow one")]

SOUND = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
LOOK = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def build_server(opened: Opened) -> MCPServer[Any]:
    """The server, not yet running."""
    server = WordingServer(
        "voicemode",
        title="voicemode",
        version=__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
    )
    server.refusal = partial(_refusal, opened)
    add_tools(server, opened)
    add_prompts(server)
    add_resources(server, opened)
    return server


def add_tools(server: MCPServer[Any], opened: Opened) -> None:
    @server.tool(title="Speak, then listen", annotations=SOUND)
    async def converse(
        ctx: Context,
        message: str = "",
        handle: Annotated[str | None, Field(description="of a pending call: fetch its answer")] = None,
        listen: bool = True,
        voice: Voice = None,
        speed: Speed = None,
        instructions: Instructions = None,
        max_listen_seconds: float | None = None,
        language: Annotated[str | None, Field(description="of the answer, e.g. en")] = None,
    ) -> Annotated[CallToolResult, ConverseResult]:
        """Say a message aloud and return what the user answers, as text. Empty message: only listen."""
        async with _worded(opened) as app:
            if handle and not message.strip() and (left := await app.left_answer(handle)) is not None:
                return results.left(handle, left)
            with app.refusing():
                if handle:
                    call = _pending(app, handle, message)
                else:
                    request = _request(app, voice, speed, instructions)
                    call = _converse(app, message, request, listen, max_listen_seconds, language)
            exchange = await _follow(app, call, ctx)
            call.pending = exchange is None and not call.awaited_by
            return results.conversed(call, exchange) if exchange else results.pending(call)

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
        async with _worded(opened) as app:
            with app.refusing():
                request = _request(app, voice, speed, instructions)
                conversation = app.conversation
                call = (conversation.replace if replace else conversation.speak)(message, request)
            if wait == "finished":
                exchange = await _follow(app, call, ctx)
                return results.spoken(call, exchange) if exchange else results.started(call)
            if wait == "started":
                await _until_started(app, call, ctx)
            return results.spoken(call, await call.result()) if call.over else results.started(call)

    @server.tool(title="Playback", annotations=SOUND)
    async def playback(
        action: Action = "status", handle: str | None = None
    ) -> Annotated[CallToolResult, PlaybackResult]:
        """Show what is sounding, waiting and was heard, or act on it: without a handle on what is sounding (stop: all,
        replay: the last message)."""
        async with _worded(opened) as app:
            if action != "status" and app.meanwhile is not None:
                app.meanwhile.end()
            with app.refusing():
                calls = await _act(app.conversation, action, handle)
            return results.listed([call.status() for call in calls], app.floor.shown())

    @server.tool(title="Voice status", annotations=LOOK)
    async def voice_status(
        check: Annotated[bool, Field(description="ask the servers and listen for a second too")] = False,
    ) -> Annotated[CallToolResult, StatusResult]:
        """What would speak and listen now, on which devices, and what is missing and how to mend it."""
        async with _worded(opened) as app:
            from voicemode.doctor import Allowed, examine

            status = await app.status(check=check)
            allowed = Allowed(files=check, servers=check, microphone=check)
            return results.status(status, [each async for each in examine(app, allowed, known=status)])


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
    language = languages.tag(language) or app.language
    if not message.strip():
        return app.conversation.listen(language=language, max_listen=max_listen_seconds)
    return app.conversation.converse(message, request, language=language, max_listen=max_listen_seconds)


def _pending(app: App, handle: str, message: str) -> Call:
    """The call whose answer is fetched."""
    if message.strip():
        raise InvalidRequest(
            "converse got a message and the handle of a pending call.",
            hint="Fetch the answer with the handle alone, then say the next message.",
        )
    call = app.conversation.call(
        handle,
        hint="Take the handle from the answer that was pending, or from playback: converse without one begins a "
        "new turn.",
    )
    call.pending = False
    return call


async def _act(conversation: Conversation, action: Action, handle: str | None) -> list[Call]:
    match action:
        case "pause":
            return [conversation.pause(handle)]
        case "resume":
            return [conversation.resume(handle)]
        case "skip":
            return [await conversation.skip(handle)]
        case "stop":
            return await conversation.stop(handle)
        case "replay":
            return [conversation.replay(handle)]
        case "status":
            return [conversation.call(handle)] if handle else conversation.calls()


async def _follow(app: App, call: Call, ctx: Context) -> Exchange | None:
    """Waits for the call with progress; None when the client would not wait any longer: the call goes on. A caller that
    cancels or vanishes ends it, unless another one waits for the same answer."""
    goes_on = False
    call.awaited_by += 1
    try:
        goes_on = not await _watched(app, call, ctx, call.result())
        return None if goes_on else await call.result()
    finally:
        call.awaited_by -= 1
        if not goes_on and not call.awaited_by:
            await call.end()


async def _until_started(app: App, call: Call, ctx: Context) -> None:
    """A caller that gives up before there is sound ends the call; afterwards it goes on by itself."""
    try:
        await _watched(app, call, ctx, call.until_started())
    except asyncio.CancelledError:
        await call.end()
        raise


async def _watched(app: App, call: Call, ctx: Context, what: Awaitable[object]) -> bool:
    """Waits with progress; False when the client's limit came first."""
    waiting = asyncio.ensure_future(what)
    limit = app.config.server.client_limit_s or math.inf
    ends = clock.monotonic() + limit
    step = 0
    try:
        while clock.monotonic() < ends:
            step += 1
            await ctx.report_progress(step, message=_doing(app, call))
            left = max(ends - clock.monotonic(), 0.0)
            if (await asyncio.wait({waiting}, timeout=min(left, PROGRESS_SECONDS)))[0]:
                await waiting
                return True
        return False
    finally:
        waiting.cancel()


def _doing(app: App, call: Call) -> str:
    """What the user of a client sees while the call lasts; `speaking 3/7` counts words."""
    now = call.status()
    if now.state == Doing.WAITING:
        earlier = [each for each in app.conversation.calls() if not each.over]
        before = app.floor.before(earlier.index(call)) if call in earlier else ""
        return f"waiting: {before}" if before else "waiting"
    if now.state == Doing.SPEAKING:
        heard, unheard = len(now.heard.split()), len(now.unheard.split())
        return f"speaking {heard}/{heard + unheard}"
    return now.state


async def _refusal(opened: Opened, why: str) -> ToolError:
    """Told, and logged where there is a log."""
    with suppress(VoiceModeError):
        app = await opened()
        with suppress(InvalidRequest), app.refusing():
            raise InvalidRequest(why)
        await app.log.settled(SETTLED_SECONDS)
    return ToolError(why)


@asynccontextmanager
async def _worded(opened: Opened) -> AsyncIterator[App]:
    """The only place where a failure becomes words for a model. When the answer leaves, what happened is in the log:
    a host may kill us as soon as it has it."""
    try:
        app = await opened()
        try:
            yield app
        finally:
            await app.log.settled(SETTLED_SECONDS)
    except VoiceModeError as error:
        raise ToolError(str(error)) from error
