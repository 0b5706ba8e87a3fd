"""The page over HTTP: on loopback, for whoever has the token, and for nobody's page but our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from voicemode.local_http.guard import Guard, header_values, own_hosts
from voicemode.recording.sound_files import sound_bytes
from voicemode.review.archive import Archive, has_sound, whole
from voicemode.review.page_files import PAGE, TYPES, page_file

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MOST_ROWS = 2_000
"""In one answer: half a megabyte of JSON."""

COOKIE = "voicemode-review"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Answer = Callable[[Request], Awaitable[Response]]


class PageGuard(Guard):
    """The token comes in the address that is opened, and is a cookie from then on. The name has to be ours all the
    same."""

    WRONG_NAME = "This page is for this machine alone: open it as 127.0.0.1."
    NO_TOKEN = "Open the page with the address that `voicemode review` has printed: it holds the token."

    def __init__(self, web: ASGIApp, *, hosts: frozenset[str], token: str, cookie: str) -> None:
        super().__init__(web, hosts=hosts, token=token)
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server ends and nobody waits for the answer any more.
        with suppress(asyncio.CancelledError):
            await super().__call__(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in self._hosts

    def _has_token(self, scope: Scope) -> bool:
        given = _cookies(scope).get(self._cookie, "")
        if scope["path"] == "/" and (asked := parse_qs(scope["query_string"]).get(b"token")):
            return self._is_token(asked[0])
        return self._is_token(given.encode()) or super()._has_token(scope)


def review_app(archive: Archive, *, host: str, port: int, token: str) -> ASGIApp:
    """The ASGI application behind its guard."""
    # Cookies know no ports: two pages beside each other have one each.
    cookie = f"{COOKIE}-{port}"
    pages = _Pages(archive, token=token, cookie=cookie)
    web = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/page/{name}", pages.file),
            Route("/data/rows", pages.rows),
            Route("/data/turn", pages.turn),
            Route("/data/days", pages.days),
            Route("/sound", pages.sound),
        ]
    )
    return PageGuard(web, hosts=own_hosts(host, port), token=token, cookie=cookie)


class _Pages:
    def __init__(self, archive: Archive, *, token: str, cookie: str) -> None:
        self._archive = archive
        self._token = token
        self._cookie = cookie

    async def index(self, request: Request) -> Response:
        if "token" not in request.query_params:
            return Response(page_file(PAGE), media_type=TYPES["html"], headers=HEADERS)
        # Out of the address, and with it out of the browser's history.
        answer = RedirectResponse("/", status_code=303, headers=HEADERS)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            content = page_file(name)
        except KeyError:
            return _none(f"There is no {name!r} here.")
        return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers=HEADERS)

    async def rows(self, request: Request) -> Response:
        start, count = _number(request, "from", 0), _number(request, "count", 200)
        if start is None or count is None or count > MOST_ROWS:
            return _none(f"from and count are whole numbers, count at most {MOST_ROWS}.", status=400)
        rows, last = await asyncio.to_thread(self._archive.rows, start, count)
        names = await asyncio.to_thread(self._archive.sounds.turns)
        shown = [{**asdict(row), "sound": has_sound(row, names)} for row in rows]
        return _json({"rows": shown, "last": last})

    async def turn(self, request: Request) -> Response:
        found = await asyncio.to_thread(self._archive.turn, request.query_params.get("id", ""))
        if found is None:
            return _none("There is no such turn in the logs.")
        sounds = await asyncio.to_thread(self._archive.sounds.of, found.id)
        return _json(whole(found, sounds))

    async def days(self, request: Request) -> Response:
        return _json({"days": await asyncio.to_thread(self._archive.trends)})

    async def sound(self, request: Request) -> Response:
        """The number of a sound among its turn's: nothing of the address is part of a path."""
        number = _number(request, "number", 0)
        sounds = await asyncio.to_thread(self._archive.sounds.of, request.query_params.get("turn", ""))
        if number is None or number >= len(sounds):
            return _none("There is no such sound.")
        chosen = sounds[number]

        async def pieces() -> AsyncIterator[bytes]:
            reading = sound_bytes(chosen)
            while piece := await asyncio.to_thread(next, reading, b""):
                yield piece

        headers = {**HEADERS, "Content-Disposition": f'inline; filename="{chosen.path.name}"'}
        kind = "audio/wav" if chosen.is_wav else "application/octet-stream"
        return StreamingResponse(pieces(), media_type=kind, headers=headers)


def _cookies(scope: Scope) -> dict[str, str]:
    cookies: SimpleCookie = SimpleCookie()
    for value in header_values(scope, b"cookie"):
        try:
            cookies.load(value.decode("latin-1"))
        except CookieError:
            continue
    return {name: morsel.value for name, morsel in cookies.items()}


def _number(request: Request, name: str, default: int) -> int | None:
    text = request.query_params.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _json(value: object) -> Response:
    # Without ASCII escapes: half the bytes for many languages.
    return Response(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace"),
        media_type="application/json",
        headers=HEADERS,
    )


def _none(why: str, status: int = 404) -> Response:
    return JSONResponse({"error": why}, status_code=status, headers=HEADERS)
