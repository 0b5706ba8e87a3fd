"""The server's routes and its guard, as one ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from pathlib import Path
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from voicemode import clock
from voicemode.errors import VoiceModeError
from voicemode.events import Emit, RequestRefused
from voicemode.local_http.guard import JSON, Guard, Refusal
from voicemode.speech_server import lists, sockets, speech
from voicemode.speech_server.answers import VOICES, UnknownRoute, refusal, turned_away
from voicemode.speech_server.capped import Left
from voicemode.speech_server.failures import HEADER, Failsafe
from voicemode.speech_server.figures import CONTENT_TYPE_LATEST, Figures
from voicemode.speech_server.peer import BEARER
from voicemode.speech_server.service import Service
from voicemode.speech_server.speech import SpeechRoute
from voicemode.speech_server.transcriptions import ROUTE as TRANSCRIPTIONS
from voicemode.speech_server.transcriptions import TranscriptionRoute

PAGE = Path(__file__).with_name("page.html")
OPEN_PATHS = frozenset({"/", "/health"})
"""What may be read without a token: the page that asks for it, and whether the server is well."""

MAY_BE_EMPTY = frozenset({"/preload", "/warmup"})
"""What may be posted without a body."""

Answer = Callable[[Service, Request], Awaitable[Response]]


def web(
    service: Service,
    figures: Figures,
    *,
    hosts: Container[str],
    token: str,
    origins: tuple[str, ...] = (),
) -> ASGIApp:
    page = PAGE.read_text(encoding="utf-8")

    async def shown(request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": POLICY})

    async def metrics(request: Request) -> Response:
        return Response(figures.shown(), media_type=CONTENT_TYPE_LATEST)

    async def one(socket: WebSocket) -> None:
        await sockets.synthesize(service, socket)

    async def written(socket: WebSocket) -> None:
        await sockets.synthesize_stream(service, socket)

    def route(path: str, answer: Answer, method: str = "GET") -> BaseRoute:
        async def endpoint(request: Request) -> Response:
            return await answer(service, request)

        return Route(path, endpoint, methods=[method])

    routes: list[BaseRoute] = [
        Route("/", shown),
        Route("/metrics", metrics),
        Route("/v1/audio/speech", SpeechRoute(service), methods=["POST"]),
        Route(TRANSCRIPTIONS, TranscriptionRoute(service), methods=["POST"]),
        route("/v1/models", lists.models),
        route("/v1/models/{name:path}", lists.model),
        route(VOICES, lists.voices),
        route("/health", lists.health),
        route("/preload", lists.preload, "POST"),
        route("/warmup", lists.warmup, "POST"),
        route("/synthesize", speech.synthesize, "POST"),
        WebSocketRoute("/ws/synthesize", one),
        WebSocketRoute("/ws/synthesize-stream", written),
    ]
    middleware = [Middleware(Failsafe, take_seconds=service.take_seconds, emit=service.emit)]
    if origins:  # Outside, so that a page can read of a failure, too.
        allowed = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["server-timing", "x-backend", "x-voice", "retry-after", HEADER],
        )
        middleware.insert(0, allowed)
    starlette = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={VoiceModeError: _told, Left: _left, HTTPException: _no_route},
    )
    posted = frozenset(
        each.path for each in routes if isinstance(each, Route) and "POST" in (each.methods or ())
    )
    return SpeechGuard(starlette, hosts=hosts, token=token, origins=origins, posted=posted, emit=service.emit)


POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; "
    "worker-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, VoiceModeError)
    return refusal(error)


async def _left(request: Request, error: Exception) -> Response:
    return Unsent()


class Unsent(Response):
    """For a client that is not there any more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refusal(UnknownRoute(f"{request.method} {request.url.path[:64]}", status=error.status_code))
    answer.headers.update(error.headers or {})
    return answer


class SpeechGuard(Guard):
    """Takes WebSockets and forms beside JSON, a token from a page's WebSocket, and pages of `origins`. Who posts to
    what is none of `posted` is told by the application that it is not there."""

    WEBSOCKETS = True

    def __init__(
        self,
        web: ASGIApp,
        *,
        hosts: Container[str],
        token: str,
        origins: tuple[str, ...],
        posted: Container[str],
        emit: Emit,
    ) -> None:
        super().__init__(web, hosts=hosts, token=token)
        self._posted = posted
        self._origins = frozenset(each.lower().rstrip("/") for each in origins)
        self._emit = emit

    def refused(self, refusal: Refusal) -> None:
        self._emit(
            RequestRefused(at=clock.monotonic(), turn="", status=refusal.status, reason=refusal.reason)
        )

    def _worded(self, refusal: Refusal) -> tuple[bytes, bytes]:
        return JSON.encode(), turned_away(refusal.status, refusal.reason)

    def _may_call(self, origin: str, host: str) -> bool:
        return super()._may_call(origin, host) or origin in self._origins

    def _is_open(self, scope: Scope) -> bool:
        method = scope.get("method", "GET")
        if method == "OPTIONS":
            return bool(self._origins)  # A browser asks before it sends the token.
        return scope["type"] == "http" and method in ("GET", "HEAD") and scope["path"] in OPEN_PATHS

    def _has_token(self, scope: Scope) -> bool:
        if super()._has_token(scope):
            return True
        offered = scope.get("subprotocols", ()) if scope["type"] == "websocket" else ()
        return any(
            self._is_token(unquote(name.removeprefix(BEARER)).encode())
            for name in offered
            if name.startswith(BEARER)
        )

    def _may_be_empty(self, path: str) -> bool:
        return path in MAY_BE_EMPTY

    def _content_type(self, path: str) -> str:
        if path not in self._posted:
            return ""
        return "multipart/form-data" if path == TRANSCRIPTIONS else JSON
