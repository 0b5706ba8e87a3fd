"""A WebSocket on which little stands before what is sent next, however slowly the client reads.

Between two programs the system holds minutes of sound. A client that takes it at the pace of speech would have its own
ping answered after all of that, and most clients take a server that does not answer within 20 s for dead. So marks go
out with what is sent, as pings, which every client answers when it has taken what came before them; and there is no
more on its way than a few marks. A client that takes what comes answers at once, and waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from secrets import token_bytes
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MARK_BYTES = 16_384
"""Between two marks: 0.3 s of pcm, 4 s of Opus."""

MOST_MARKS = 3
"""That are not answered."""


class Paced(WebSocketsSansIOProtocol):
    """uvicorn's own, with marks. Whoever answers none is not waited for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._marks: deque[bytes] = deque()
        self._unmarked = 0
        self._answers = False
        self._changed = asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] != "websocket.send":
            await super().send(message)
            return
        while self._answers and len(self._marks) >= MOST_MARKS and not self.transport.is_closing():
            self._changed.clear()
            await self._changed.wait()
        await super().send(message)
        self._unmarked += len(message.get("bytes") or message.get("text") or "")
        if self._unmarked >= MARK_BYTES and not self.close_sent and not self.transport.is_closing():
            self._mark()

    def handle_pong(self, event: Frame) -> None:
        mark = bytes(event.data)
        if mark not in self._marks:
            super().handle_pong(event)
            return
        while self._marks.popleft() != mark:
            pass
        self._answers = True
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._changed.set()

    def _mark(self) -> None:
        self._unmarked = 0
        if not self._answers and self._marks:
            return  # It is asked once whether it answers.
        mark = token_bytes(8)
        self._marks.append(mark)
        self.conn.send_ping(mark)
        self.transport.write(b"".join(self.conn.data_to_send()))
