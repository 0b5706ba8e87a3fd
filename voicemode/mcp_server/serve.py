"""Running the MCP door: on standard input and output, or over HTTP. Every way a host ends us leads to silence first."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from mcp.server.mcpserver import MCPServer

from voicemode.configuration.config import Config
from voicemode.errors import VoiceModeError
from voicemode.mcp_server import build_server
from voicemode.mcp_server.ending import until_ended
from voicemode.mcp_server.opened import Opened, given, opened_later
from voicemode.mcp_server.stdio import run_stdio

if TYPE_CHECKING:
    from voicemode.app import App

logger = logging.getLogger(__name__)

WARM_AFTER_SECONDS = 0.3
"""Quiet on the wire after the handshake before the heavy libraries load: they hold the interpreter."""


async def serve_stdio(config: Config, environment: Mapping[str, str]) -> NoReturn:
    """Serves until standard input closes or a signal comes. Does not return: the process ends."""

    async def serve(stack: AsyncExitStack, stopped: asyncio.Event) -> None:
        opened = opened_later(stack, partial(_load, config, environment))
        server = build_server(opened)
        warm_when_idle(server, opened)
        _when_nobody_reads(stopped.set)
        try:
            await _until(run_stdio(server), stopped)
        except* BrokenPipeError:
            logger.info("The client no longer reads: it has gone.")

    await until_ended(serve)


def _load(config: Config, environment: Mapping[str, str]) -> AbstractAsyncContextManager[App]:
    from voicemode.app import open_app

    return open_app(config, environment)


async def serve_http(
    config: Config, environment: Mapping[str, str], *, ready: Callable[[str], None]
) -> NoReturn:
    """Serves streamable HTTP at /mcp until a signal comes; `ready` is told the URL once the door is open.

    Does not return: the process ends. A door that cannot be opened is told before anything else is.
    """
    from voicemode.app import open_app
    from voicemode.local_http.door import listen, open_door, url_of
    from voicemode.mcp_server.guard import http_app

    settings = config.server

    async def serve(stack: AsyncExitStack, stopped: asyncio.Event) -> None:
        listening = stack.enter_context(listen(settings.host, settings.port, token=settings.token))
        app = await stack.enter_async_context(open_app(config, environment))
        server = build_server(given(app))
        warm_when_idle(server, given(app))
        end_with_client(server)
        port = listening.getsockname()[1]
        web = http_app(server, host=settings.host, port=port, token=settings.token)
        await stack.enter_async_context(server.session_manager.run())
        await stack.enter_async_context(open_door(web, listening))
        # Silence comes first, and the calls that it ends are answered while the door is still open.
        stack.push_async_callback(app.conversation.close)
        with suppress(OSError):
            ready(f"{url_of(listening, settings.host)}/mcp")
        await stopped.wait()

    await until_ended(serve)


def end_with_client(server: MCPServer[Any]) -> None:
    """A call whose client hangs up is cancelled at once, as if the client had asked for it.

    The newer protocol says so. The older one would go on in case the client comes back for the answer, which it
    cannot here: the user would hear a voice that nobody listens for any more.
    """

    async def watch(ctx: Any, call_next: Any) -> Any:
        receive = getattr(ctx.request, "receive", None)
        if receive is None or ctx.method != "tools/call":
            return await call_next(ctx)
        with anyio.CancelScope() as scope:
            watching = asyncio.create_task(_hung_up(receive, scope.cancel))
            try:
                return await call_next(ctx)
            finally:
                watching.cancel()
        return None  # Nobody reads it.

    server.middleware.append(watch)


async def _hung_up(
    receive: Callable[[], Awaitable[Mapping[str, object]]], then: Callable[[], object]
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    then()


def warm_when_idle(server: MCPServer[Any], opened: Opened) -> None:
    """Opens the application and loads the heavy libraries behind it once the client has shaken hands and is quiet."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None
    warming: set[asyncio.Task[None]] = set()

    async def warm_up() -> None:
        try:
            app = await opened()
        except VoiceModeError as error:
            logger.warning("%s", error)
            warming.clear()  # The next pause tries again.
            return
        await app.warm()
        # A full collection stops every thread, the audio callback's too; what start-up made is never garbage.
        gc.freeze()

    def warm() -> None:
        warming.add(asyncio.create_task(warm_up()))

    async def watch(ctx: Any, call_next: Any) -> Any:
        nonlocal timer
        try:
            return await call_next(ctx)
        finally:
            if timer is not None:
                timer.cancel()
            if not warming:
                timer = loop.call_later(WARM_AFTER_SECONDS, warm)

    server.middleware.append(watch)


def _when_nobody_reads(then: Callable[[], None]) -> None:
    """Calls `then` when the client closes its end of a pipe that is our standard output.

    Otherwise the next answer would fail, and the process stay until the thread that reads standard input has another
    line. Only for pipes: a socket whose other end will not write looks the same as one that is closed.
    """
    loop = asyncio.get_running_loop()

    def told() -> None:
        loop.remove_reader(out)
        then()

    with suppress(OSError, NotImplementedError):  # No standard output; Windows.
        out = os.dup(1)
        if stat.S_ISFIFO(os.fstat(out).st_mode):
            loop.add_reader(out, told)


async def _until(serving: Coroutine[Any, Any, None], stopped: asyncio.Event) -> None:
    """Returns when either is over; raises what the serving raises."""
    task = asyncio.create_task(serving)
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
