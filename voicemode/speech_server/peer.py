"""The client at the other end of a WebSocket: what it sends as objects, what it is sent, and that it may be gone."""

from __future__ import annotations

import base64
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from voicemode.speech_server.answers import BadArgument, written
from voicemode.speech_server.asked import Fields, json_fields
from voicemode.speech_server.capped import Left
from voicemode.speech_server.failures import id_of, renew_id

SUBPROTOCOL = "voicemode"
"""What a page offers beside the token: a browser wants one of those that it offered chosen."""

BEARER = "bearer."
"""Before the token in the name of a subprotocol, since a browser lets a page set no header on a WebSocket."""

_GONE = (WebSocketDisconnect, OSError, RuntimeError, Left)
"""What a client that has left looks like: to Starlette, to a server that has lost its connection, and to one that has
taken its closing and tells of it at the next message."""


class Peer:
    """`message`, `say` and `sound` raise `Left` where the client has left."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def accept(self) -> None:
        offered = self._socket.scope.get("subprotocols", [])
        chosen = SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
        await self._socket.accept(subprotocol=chosen)

    @property
    def request_id(self) -> str:
        """Of what is being answered."""
        return id_of(self._socket.scope)

    def begin(self) -> None:
        """The next request gets its id."""
        renew_id(self._socket.scope)

    async def message(self) -> Fields:
        """The next one. Raises `BadArgument`."""
        try:
            message = await self._socket.receive()
        except _GONE as error:
            raise Left from error
        if message["type"] == "websocket.disconnect":
            raise Left
        text = message.get("text")
        if text is None:
            raise BadArgument("A binary message came; messages are JSON objects in text.", param="message")
        return json_fields(text, "message")

    async def say(self, kind: str, **values: object) -> None:
        text = written({"type": kind, **values}).decode()
        try:
            await self._socket.send_text(text)
        except _GONE as error:
            raise Left from error

    async def sound(self, data: bytes, *, number: int, in_json: bool) -> None:
        if in_json:
            await self.say("audio", seq=number, audio=base64.b64encode(data).decode())
            return
        try:
            await self._socket.send_bytes(data)
        except _GONE as error:
            raise Left from error

    async def close(self, code: int) -> None:
        with suppress(*_GONE):
            if self._socket.client_state is WebSocketState.CONNECTED:
                await self._socket.close(code)
