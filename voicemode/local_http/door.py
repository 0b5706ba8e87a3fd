"""An HTTP door: an address to listen on, and connections that may neither loiter nor crowd others out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from voicemode.errors import ConfigurationError
from voicemode.local_http.guard import shown

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BACKLOG = 1024
"""Connections that come at once and wait to be taken; what the kernel allows where that is less."""

TAKEN_AT_ONCE = 16
"""Of those that wait, before anything is done with them: the ones too many are closed in between. asyncio takes as many
as its own backlog, with never a look at whether files are left, and goes on trying at each that it gets none for."""

KEEP_ALIVE_SECONDS = 65
"""Longer than clients keep a connection for reuse, so that they and not we close it: the other way round a request
can be lost on its way."""


VANISHED_SECONDS = 20.0
"""A client whose machine left the network without a word is given up when our progress has not arrived for so long;
Linux would try for a quarter of an hour, and the microphone could be open. So is one that takes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`request_seconds` from a request's first byte (or from connecting) until all of it is there; `message_bytes` of
    one WebSocket message; `ping_seconds` between two signs of life on one; `answered_seconds` for answers that are on
    their way when the server ends."""

    request_seconds: float = 15.0
    connections: int = 200
    message_bytes: int = 65_536
    ping_seconds: float = 20.0
    answered_seconds: float = 0.05


LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The variables that say where a server listens, for sentences that tell what to change."""

    host: str = "VOICEMODE_SERVE_HOST"
    port: str = "VOICEMODE_SERVE_PORT"


MCP = Named()


def listen(
    host: str, port: int, *, token: str, named: Named = MCP, vanished: float = VANISHED_SECONDS
) -> socket.socket:
    """A socket that listens at `host`, and on Linux gives clients up that take nothing for `vanished` seconds. Raises
    `ConfigurationError`, and opens nothing when others could reach it and there is no token."""
    try:
        family, address = _resolved(host, port)
        if not token and not ip_address(address.partition("%")[0]).is_loopback:
            raise ConfigurationError(
                f"{host} can be reached by others, and there is no token.",
                hint="Set VOICEMODE_HTTP_TOKEN first, or use 127.0.0.1.",
            )
        both = family is socket.AF_INET6 and address == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server((address, port), family=family, dualstack_ipv6=both, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise _unusable(host, port, error, named) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(vanished * 1_000))
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """Where a client on this machine finds the server, without a path."""
    address, port = listening.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, host.strip("[]"))
    return f"http://{shown(name)}:{port}"


@asynccontextmanager
async def open_door(
    web: ASGIApp, listening: socket.socket, *, limits: Limits = LIMITS, websockets: bool = False
) -> AsyncIterator[Door]:
    """Serves `web` inside the block. Leaving it refuses new connections, lets answers out for a moment, closes all."""
    config = uvicorn.Config(
        web,
        ws="voicemode.local_http.paced:Paced" if websockets else "none",
        ws_max_size=limits.message_bytes,
        ws_per_message_deflate=False,  # Sound does not get smaller by it, and it costs more than all else.
        ws_ping_interval=limits.ping_seconds,
        # Before a listener at the pace of speech sees a ping it has to take all the sound that stands before it.
        ws_ping_timeout=None,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config, state, limits), sock=listening, backlog=TAKEN_AT_ONCE
    )
    listening.listen(BACKLOG)
    try:
        yield Door(state)
    finally:
        server.close()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=limits.answered_seconds)
        for connection in list(state.connections):
            if isinstance(connection, Connection):
                connection.transport.close()
            else:
                connection.shutdown()  # A WebSocket is told that the server goes.


class Door:
    """One that is open."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def sent(self) -> None:
        """Returns when every request has its answer and all of it has gone out: who listens at the pace of speech takes
        the end of an answer long after it was written."""
        for connection in list(self._state.connections):
            if isinstance(connection, Connection):
                await connection.answered()
            # With a limit of nothing it is told of when there is nothing left.
            connection.transport.set_write_buffer_limits(0)
            if isinstance(connection, Connection):
                await connection.flow.drain()
            else:
                await cast("WebSocketsSansIOProtocol", connection).writable.wait()


class Connection(H11Protocol):
    """A connection on which each request must be there, whole, within a limit; uvicorn would wait for ever.

    Where there are too many, the one that has kept us waiting longest for a request goes.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, limits: Limits) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._limit: asyncio.TimerHandle | None = None
        self._upgraded = False
        self._changed = asyncio.Event()
        """An answer has been given, or nobody is there any more."""
        self.waiting_since: float | None = None
        """The loop's time since which there is no request to serve; None while one is served."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look(asking=True)
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look(asking=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._changed.set()
        self._look(asking=False)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self.waiting_since = None
        self._unset_limit()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_limit()
        super().connection_lost(exc)
        self._changed.set()

    async def answered(self) -> None:
        """Returns when no request is without its answer."""
        while self.cycle is not None and not (self.cycle.response_complete or self.transport.is_closing()):
            self._changed.clear()
            await self._changed.wait()

    def _look(self, *, asking: bool) -> None:
        """Sets or lifts the limit. Not `asking`: an answer was just given, and the client may take its time."""
        if self._upgraded:
            return
        state = self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self.waiting_since = None
            self._unset_limit()
            return
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()
        if self._limit is None and (asking or state is h11.SEND_BODY):
            self._limit = self.loop.call_later(self._limits.request_seconds, self.transport.abort)

    def _unset_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _make_room(self) -> None:
        """Who was told to go is still among the connections until the loop comes round."""
        there = [each for each in self.connections if not each.transport.is_closing()]
        if len(there) <= self._limits.connections:
            return
        waiting = [
            (each.waiting_since, number, each)
            for number, each in enumerate(there)
            if isinstance(each, Connection) and each.waiting_since is not None
        ]
        min(waiting)[-1].transport.abort()


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    """The first address of a host, IPv4 before IPv6: that is what clients try when they are told "localhost"."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, str(address[0])


def _unusable(host: str, port: int, error: Exception, named: Named) -> ConfigurationError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {port} at {host} is taken by another program.",
            hint=f"Choose another port with --port or {named.port} (0: a free one), or end that program.",
        )
    if number == errno.EACCES:
        return ConfigurationError(
            f"Port {port} at {host} is not open to this user.", hint="Choose one from 1024 to 65535."
        )
    if isinstance(error, OverflowError):
        return ConfigurationError(
            f"Port {port} does not exist.", hint="Choose one from 0 (a free one) to 65535."
        )
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror | UnicodeError):
        what = f"{host} is not an address of this machine."
    else:
        what = f"Port {port} at {host} cannot be opened: {getattr(error, 'strerror', None) or error}."
    return ConfigurationError(
        what,
        hint=f"Name one of its own with --host or {named.host}; 127.0.0.1 is always one.",
    )
