"""A text as the messages of one WebSocket bring it, piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from voicemode.speech_server.answers import BadArgument
from voicemode.speech_server.asked import Fields
from voicemode.speech_server.peer import Peer
from voicemode.text.pieces import LONGEST_MESSAGE_CHARACTERS

WRITING_SECONDS = 300.0
"""Whoever writes a text may think for so long between two parts of it."""

MOST_WAITING_PARTS = 1_000
"""Parts of a text that have come and were not read yet; then the client is made to wait."""


class Parts:
    """The text of one utterance as its messages bring it."""

    def __init__(self, peer: Peer, *, ended: bool = False) -> None:
        self._peer = peer
        self._waiting: deque[str] = deque()
        self._changed = asyncio.Event()
        self._ended = ended
        self._half = ""
        """Of a character whose other half is to come."""

    async def read(self) -> None:
        """Reads until the client cancels. Raises `BadArgument`, and `Left` when it leaves."""
        written = 0
        while True:
            fields = await self._next()
            match fields.text("type"):
                case "cancel":
                    return
                case _ if self._ended:
                    raise BadArgument(
                        "A message came while the last request was still being answered; only cancel is taken then.",
                        param="type",
                    )
                case "text":
                    if fields.given.get("text") is None:
                        raise BadArgument("A message of type text has no text.", param="text")
                    part = fields.text("text", longest=LONGEST_MESSAGE_CHARACTERS)
                    written += len(part)
                    if written > LONGEST_MESSAGE_CHARACTERS:
                        raise BadArgument(
                            f"The text has more than {LONGEST_MESSAGE_CHARACTERS:,} characters.", param="text"
                        )
                    await self._room()
                    part, self._half = _whole(self._half + part)
                    self._waiting.append(part)
                case "end":
                    self._waiting.append(self._half)
                    self._ended = True
                case other:
                    raise BadArgument(
                        f"A message of type {other[:32]!r} came; text, end and cancel are known here.",
                        param="type",
                    )
            self._changed.set()

    async def text(self) -> AsyncIterator[str]:
        while True:
            while self._waiting:
                part = self._waiting.popleft()
                self._changed.set()
                yield part
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _next(self) -> Fields:
        try:
            async with asyncio.timeout(None if self._ended else WRITING_SECONDS):
                return await self._peer.message()
        except TimeoutError:
            raise BadArgument(
                f"No text came for {WRITING_SECONDS:.0f} s, and no end.", param="type", status=408
            ) from None

    async def _room(self) -> None:
        while len(self._waiting) >= MOST_WAITING_PARTS:
            self._changed.clear()
            await self._changed.wait()


def _whole(text: str) -> tuple[str, str]:
    """`text` with the halves of a character put together, and a first half at its end, which waits for the other:
    programs whose characters are units of UTF-16 may cut between them."""
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    utf16 = text[: len(text) - len(half)].encode("utf-16-le", "surrogatepass")
    return utf16.decode("utf-16-le", "surrogatepass"), half
