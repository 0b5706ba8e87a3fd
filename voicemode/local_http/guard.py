"""Who may come in by an HTTP door of ours: the checks that come before anything reads a byte of a request's body."""

from __future__ import annotations

import hmac
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

JSON = "application/json"

TRUSTED = "voicemode.trusted"
"""In the scope of a request that was let in: whether it brought the token, or none is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def own_hosts(host: str, port: int) -> frozenset[str]:
    """What stands in the Host header of a request that was meant for a server at `host`."""
    names = {"127.0.0.1", "localhost", "[::1]", shown(host).lower()}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def shown(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class Guard:
    """Refuses what a page in a browser can send, and whoever lacks the token where one is set.

    Without a token the Host header must be one of `hosts`: that defeats a page whose name was pointed at this machine.
    With a token any name will do, since no page knows the token; so a server on 0.0.0.0 can be called by whatever
    name or address leads to it, through a container's network or a proxy.
    """

    WEBSOCKETS = False

    WRONG_NAME = (
        "Without a token this server answers only to this machine's own names. Call it as 127.0.0.1, or set "
        "VOICEMODE_HTTP_TOKEN for the server and the client."
    )
    NO_TOKEN = "Send the token of VOICEMODE_HTTP_TOKEN in the header Authorization: Bearer."

    def __init__(self, web: ASGIApp, *, hosts: Container[str], token: str) -> None:
        self._web = web
        self._hosts = hosts
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            if scope["type"] == "http":
                scope[TRUSTED] = not self._token or self._has_token(scope)
            await self._web(scope, receive, send)
            return
        self.refused(refusal)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        media_type, body = self._worded(refusal)
        headers = [
            (b"content-type", media_type),
            (b"content-length", str(len(body)).encode()),
            *refusal.headers,
        ]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _worded(self, refusal: Refusal) -> tuple[bytes, bytes]:
        """The content type of what is answered, and the answer."""
        return b"text/plain; charset=utf-8", f"{refusal.reason}\n".encode()

    def refused(self, refusal: Refusal) -> None:
        """Told of everyone who was turned away."""

    def _refusal(self, scope: Scope) -> Refusal | None:
        if scope["type"] == "websocket" and not self.WEBSOCKETS:
            return Refusal(status=403, reason="There is no WebSocket here.")
        host = b"".join(header_values(scope, b"host")).decode("latin-1").lower()
        if not host or not self._is_ours(host):
            return Refusal(status=421, reason=self.WRONG_NAME)
        for origin in header_values(scope, b"origin"):
            if not self._may_call(origin.decode("latin-1").lower(), host):
                return Refusal(status=403, reason="Pages of other servers may not call this one.")
        if self._token and not self._is_open(scope) and not self._has_token(scope):
            return Refusal(status=401, reason=self.NO_TOKEN, headers=((b"www-authenticate", b"Bearer"),))
        wanted = self._content_type(scope["path"])
        missing = is_empty(scope) and self._may_be_empty(scope["path"])
        if wanted and not missing and scope.get("method") == "POST" and content_type(scope) != wanted:
            return Refusal(status=415, reason=f"The content type must be {wanted}.")
        return None

    def _may_call(self, origin: str, host: str) -> bool:
        return origin in (f"http://{host}", f"https://{host}")

    def _is_open(self, scope: Scope) -> bool:
        """Whether no token is needed for this."""
        return False

    def _content_type(self, path: str) -> str:
        """Of what may be posted there; empty where nothing is taken, of any kind."""
        return JSON

    def _may_be_empty(self, path: str) -> bool:
        """Whether what is posted there may be nothing, which is of no type."""
        return False

    def _is_ours(self, host: str) -> bool:
        return host in self._hosts or bool(self._token)

    def _has_token(self, scope: Scope) -> bool:
        authorizations = header_values(scope, b"authorization")
        if len(authorizations) != 1:
            return False
        scheme, _, given = authorizations[0].partition(b" ")
        return scheme.lower() == b"bearer" and self._is_token(given.strip())

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token)


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def is_empty(scope: Scope) -> bool:
    """Whether a request says that nothing follows its head."""
    lengths = header_values(scope, b"content-length")
    return not header_values(scope, b"transfer-encoding") and lengths in ([], [b"0"])


def content_type(scope: Scope) -> str:
    """Empty where there is none, or more than one."""
    given = header_values(scope, b"content-type")
    return given[0].partition(b";")[0].strip().lower().decode("latin-1") if len(given) == 1 else ""
