"""Mistakes of our own: the log gets their place and not a word of what was said, the client the id that the log has."""

from __future__ import annotations

import asyncio
import errno
import logging
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import voicemode
from voicemode import clock
from voicemode.events import Emit, RequestFailed
from voicemode.speech_server.answers import json_response, sse, written
from voicemode.speech_server.capped import Left

logger = logging.getLogger(__name__)

HEADER = "x-request-id"
"""As in OpenAI's API, whose clients show it with their errors."""

MOST_FRAMES = 12
"""The innermost; the outermost are those of every request."""

_REQUEST_ID = "voicemode.request_id"
_PACKAGE = Path(voicemode.__file__).parent
_INTERNAL_ERROR = 1011
_EVENTS = b"text/event-stream"
_GONE = (OSError, RuntimeError, Left)
"""A client that cannot be told any more."""


def renew_id(scope: Scope) -> str:
    """A new id, by which the log and the client know what begins now."""
    scope[_REQUEST_ID] = token_hex(8)
    return id_of(scope)


def id_of(scope: Scope) -> str:
    return str(scope.get(_REQUEST_ID, ""))


class Failsafe:
    """Gives every request its id; a client that takes nothing for `take_seconds` has `Left`.

    What fails without having an answer for it is told to `emit`, and to the client as far as it can be: 500, the
    `error` of a stream of events or of a WebSocket, or sound that ends without its end.
    """

    def __init__(self, app: ASGIApp, *, take_seconds: float, emit: Emit) -> None:
        self._app = app
        self._take_seconds = take_seconds
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        renew_id(scope)
        answer = _Answer(scope, send, self._take_seconds)
        try:
            await self._app(scope, receive, answer.send)
        except Left:
            return
        except Exception as error:  # a door's edge: nobody above could tell of it without telling words
            route = getattr(scope.get("route"), "path", "")
            self._emit(failure(error, turn=id_of(scope), route=str(route)))
            with suppress(*_GONE):
                await answer.fail()


class _Answer:
    """What has been sent of an answer, and what can still be said."""

    def __init__(self, scope: Scope, send: Send, take_seconds: float) -> None:
        self._scope = scope
        self._send = send
        self._take_seconds = take_seconds
        self._begun = self._events = self._over = False

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                self._begun = True
                own = [(HEADER.encode(), id_of(self._scope).encode())]
                headers = [*message.get("headers", ()), *own]
                self._events = any(
                    name == b"content-type" and value.startswith(_EVENTS) for name, value in headers
                )
                message = {**message, "headers": headers}
            case "http.response.body":
                self._over = not message.get("more_body", False)
            case "websocket.accept":
                self._begun = True
            case "websocket.close":
                self._over = True
        try:
            async with asyncio.timeout(self._take_seconds):
                await self._send(message)
        except TimeoutError:
            raise Left from None

    async def fail(self) -> None:
        if self._over:
            return
        error = {
            "message": "The server made a mistake. Please report it with the line that its log has of this request, "
            f"{id_of(self._scope)}.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
            "request_id": id_of(self._scope),
        }
        if self._scope["type"] == "websocket":
            if self._begun:
                told = written({"type": "error", "error": error, "request_id": id_of(self._scope)})
                await self.send({"type": "websocket.send", "text": told.decode()})
            await self.send({"type": "websocket.close", "code": _INTERNAL_ERROR})
        elif not self._begun:
            await json_response({"error": error}, status=500)(self._scope, _nothing, self.send)
        elif self._events:
            data = sse({"type": "error", "error": error})
            await self.send({"type": "http.response.body", "body": data, "more_body": False})
        # Raw sound has no place for words: the connection closes before its end, and clients tell.


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def failure(error: BaseException, *, turn: str = "", route: str = "") -> RequestFailed:
    """Without anything that could hold a word: neither the message nor a value, nor the text of a line."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [f"{_shown(code.co_filename)}:{line}" for code, line in frames if _is_ours(code.co_filename)]
    shown = [f"{Path(code.co_filename).name}:{line} {code.co_qualname}" for code, line in frames]
    return RequestFailed(
        at=clock.monotonic(),
        turn=turn,
        route=route,
        error=_kind(error),
        place=own[-1] if own else "",
        frames=" > ".join(shown[-MOST_FRAMES:]),
    )


def tell_of_tasks(emit: Emit) -> None:
    """What fails in the running loop beside every request is told to `emit` from now on; asyncio itself would log
    messages and values."""

    def told(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            emit(failure(error))
        else:
            logger.warning("%s", context.get("message", ""))

    asyncio.get_running_loop().set_exception_handler(told)


def _kind(error: BaseException) -> str:
    """Of an error of the system its name as well, which is what mends it (EMFILE: too many files are open)."""
    name = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    return f"{type(error).__qualname__} {name}".rstrip()


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE)


def _shown(file: str) -> str:
    return str(Path(file).relative_to(_PACKAGE.parent).as_posix())
