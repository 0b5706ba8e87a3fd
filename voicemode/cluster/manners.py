"""What the server's own door sees to where Ray's proxy is the door: who may come in, how large and how slow."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from contextlib import suppress
from ipaddress import ip_address

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicemode.configuration.kinds import is_loopback_host
from voicemode.local_http.door import Limits

TOO_BIG = 1009
FORBIDDEN = b"Without a token this server answers only to its own machine. Set VOICEMODE_HTTP_TOKEN.\n"
LATE = b"The request was not there in time.\n"


class OwnNames(Container[str]):
    """Host headers that mean this machine, at whatever port Ray's proxy listens: the application is not told. What the
    check is for, a page whose name was pointed here, has another name."""

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        name, colon, port = host.rpartition(":")
        return is_loopback_host((name if colon and port.isdigit() else host).strip("[]"))


class Manners:
    """In front of the application. Without a token nobody comes in from other machines; a request's body is there
    within `limits.request_seconds`, and no WebSocket message is larger than `limits.message_bytes`."""

    def __init__(self, web: ASGIApp, *, token: str, limits: Limits) -> None:
        self._web = web
        self._token = token
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._is_stranger(scope):
                await _answer(send, 403, FORBIDDEN)
                return
            body = _Body(receive, self._limits.request_seconds)
            with suppress(ClientDisconnect):
                await self._web(scope, body.part, send)
            if body.late:  # To the application its client had left, so nothing has been answered.
                await _answer(send, 408, LATE)
        elif scope["type"] == "websocket":
            if self._is_stranger(scope):
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._web(scope, _bounded(receive, send, self._limits.message_bytes), send)
        else:
            await self._web(scope, receive, send)

    def _is_stranger(self, scope: Scope) -> bool:
        if self._token:
            return False
        client = scope.get("client")
        try:
            return not client or not ip_address(str(client[0]).partition("%")[0]).is_loopback
        except ValueError:
            return True


class _Body:
    """A request's body as it comes. To the application one that is not there in time is a client who has left."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._whole = False
        self._limit = asyncio.get_running_loop().time() + seconds
        self.late = False

    async def part(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._limit):
                message = await self._receive()
        except TimeoutError:
            self.late = True
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body", False)
        return message


def _bounded(receive: Receive, send: Send, most: int) -> Receive:
    async def next_message() -> Message:
        message = await receive()
        size = len(message.get("text") or "") or len(message.get("bytes") or b"")
        if message["type"] == "websocket.receive" and size > most:
            await send({"type": "websocket.close", "code": TOO_BIG})
            return {"type": "websocket.disconnect", "code": TOO_BIG}
        return message

    return next_message


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
