"""Who may come in by an HTTP door of ours: the checks that come before anything reads a byte of a request's body."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


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

    def __init__(self, web: ASGIApp, *, hosts: frozenset[str], token: str) -> None:
        self._web = web
        self._hosts = hosts
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._web(scope, receive, send)
            return
        body = f"{refusal.reason}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *refusal.headers,
        ]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> Refusal | None:
        host = b"".join(_values(scope, b"host")).decode("latin-1").lower()
        if not host or (host not in self._hosts and not self._token):
            return Refusal(
                status=421,
                reason="Without a token this server answers only to this machine's own names. Call it as 127.0.0.1, "
                "or set VOICEMODE_HTTP_TOKEN for the server and the client.",
            )
        for origin in _values(scope, b"origin"):
            if origin.decode("latin-1").lower() not in (f"http://{host}", f"https://{host}"):
                return Refusal(status=403, reason="Pages of other servers may not call this one.")
        if self._token and not self._has_token(_values(scope, b"authorization")):
            return Refusal(
                status=401,
                reason="Send the token of VOICEMODE_HTTP_TOKEN in the header Authorization: Bearer.",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        if scope["method"] == "POST" and not _is_json(_values(scope, b"content-type")):
            return Refusal(status=415, reason="The content type must be application/json.")
        return None

    def _has_token(self, authorizations: list[bytes]) -> bool:
        if len(authorizations) != 1:
            return False
        scheme, _, given = authorizations[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _is_json(content_types: list[bytes]) -> bool:
    return [each.partition(b";")[0].strip().lower() for each in content_types] == [b"application/json"]
