"""The body of a request, read whole under a cap, and a watch for the client who hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from voicemode.speech_server.answers import BadArgument

Receive = Callable[[], Awaitable[Message]]


async def body_of(request: Request, *, most: int) -> bytes:
    """Raises `BadArgument` (413) as soon as more than `most` bytes are announced or have come, and `Left`."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect:
        raise Left from None
    return bytes(body)


TAKE_SECONDS = 60.0
"""A client that takes nothing for so long has left, and its place is another's. One that pauses what it plays may come
back before."""

T = TypeVar("T")


class Left(Exception):
    """The client has hung up, or takes nothing any more: there is nobody to answer."""


async def while_there(receive: Receive, work: Coroutine[object, object, T]) -> T:
    """What `work` gives, unless the client leaves first: then it is cancelled and `Left` raised. The request's body has
    been read."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Left
    finally:
        for each in (task, gone):
            each.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task, gone})
        if not task.cancelled():
            task.exception()  # Looked at, so that it is not reported as forgotten.


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> BadArgument:
    return BadArgument(
        f"The body is larger than {most:,} bytes.", param="body", status=413, hint="Send it in parts."
    )
