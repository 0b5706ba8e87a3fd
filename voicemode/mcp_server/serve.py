"""Running the MCP door: on standard input and output, or over HTTP. Every way a host ends us leads to silence first."""

from __future__ import annotations

import asyncio
import gc
import hmac
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from voicemode.app import LONGEST_CLOSE_SECONDS, App, open_app
from voicemode.config import Config
from voicemode.mcp_server import build_server

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

WARM_AFTER_SECONDS = 0.3
"""Quiet on the wire after the handshake before the heavy libraries load: they hold the interpreter."""

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


async def serve_stdio(config: Config, environment: Mapping[str, str]) -> None:
    """Serves until stdin closes or a signal comes. Does not return: a thread that reads stdin cannot be joined."""
    async with _ending() as (stack, stopped):
        app = await stack.enter_async_context(open_app(config, environment))
        server = build_server(app)
        warm_when_idle(server, app)
        serving = asyncio.create_task(server.run_stdio_async())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not serving.cancelled() and (problem := serving.exception()):
            logger.error("The MCP connection ended: %s", problem)


async def serve_http(config: Config, environment: Mapping[str, str], *, ready: Callable[[str], None]) -> None:
    """Serves streamable HTTP at /mcp until a signal comes; `ready` is told the URL once the door is open."""
    import uvicorn

    settings = config.server
    async with _ending() as (stack, stopped):
        app = await stack.enter_async_context(open_app(config, environment))
        server = build_server(app)
        warm_when_idle(server, app)
        door = stack.enter_context(
            socket.create_server((settings.host, settings.port), family=_family(settings.host))
        )
        port = door.getsockname()[1]
        web = http_app(server, host=settings.host, port=port, token=settings.token)

        class Server(uvicorn.Server):
            """Leaves the signals to us."""

            @contextmanager
            def capture_signals(self) -> Generator[None, None, None]:
                yield

        uvicorn_server = Server(
            uvicorn.Config(web, log_level="warning", timeout_graceful_shutdown=0, lifespan="on")
        )
        serving = asyncio.create_task(uvicorn_server.serve(sockets=[door]))
        ready(f"http://{_shown(settings.host)}:{port}/mcp")
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await app.conversation.close()
        uvicorn_server.should_exit = True


def http_app(server: MCPServer[Any], *, host: str, port: int, token: str) -> ASGIApp:
    """The ASGI application: only known Host and Origin headers, and a bearer token where one is set.

    The checks are given explicitly: with a host of its own the SDK would silently do without them.
    """
    names = {"127.0.0.1", "localhost", "[::1]", _shown(host)}
    hosts = sorted(f"{name}:{port}" for name in names)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{each}" for each in hosts],
    )
    web: ASGIApp = server.streamable_http_app(host=host, transport_security=security)
    return _TokenCheck(web, token) if token else web


def warm_when_idle(server: MCPServer[Any], app: App) -> None:
    """Loads the heavy libraries in the background once the client has shaken hands and is quiet."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None
    warming: set[asyncio.Task[None]] = set()

    async def warm_up() -> None:
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


class _TokenCheck:
    """Refuses whoever does not send `Authorization: Bearer <token>`."""

    def __init__(self, web: ASGIApp, token: str) -> None:
        self._web = web
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send(
                    {"type": "http.response.body", "body": b"Send the token of VOICEMODE_HTTP_TOKEN.\n"}
                )
                return
        await self._web(scope, receive, send)


@asynccontextmanager
async def _ending() -> AsyncIterator[tuple[AsyncExitStack, asyncio.Event]]:
    """A block that ends the process: what the stack holds is closed within its limit, then nothing else waits."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in STOPPING:
        # Works on every platform, and the handler runs even while the loop waits.
        signal.signal(each, lambda number, frame: loop.call_soon_threadsafe(stopped.set))
    stack = AsyncExitStack()
    try:
        yield stack, stopped
    finally:
        try:
            async with asyncio.timeout(LONGEST_CLOSE_SECONDS):
                await stack.aclose()
        except TimeoutError:
            logger.warning("Not everything was put away within %.2f s.", LONGEST_CLOSE_SECONDS)
        finally:
            sys.stderr.flush()
            os._exit(0)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
