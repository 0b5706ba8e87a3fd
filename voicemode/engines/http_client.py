"""One kept-alive HTTP client per endpoint, with a policy of its own instead of hidden retries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicemode import __version__
from voicemode.engines import http_errors
from voicemode.engines.http_endpoint import Endpoint
from voicemode.errors import (
    BadContent,
    EndpointRefused,
    EndpointUnreachable,
    EngineUnavailable,
    StreamBroken,
)
from voicemode.speech import Tell, Trouble, untold

if TYPE_CHECKING:
    import httpx2

KEEP_ALIVE_S = 300.0
"""People speak minutes apart; the library's own 5 s would pay the handshake at nearly every turn."""

LONGEST_PAUSE_S = 2.0
"""A Retry-After up to this is waited for, once; a longer one fails over."""

_REDIRECTS = 2
_SAME_METHOD = frozenset({307, 308})
_ERROR_BODY = 4096
_ERROR_BODY_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request. `path` is relative to the base URL; a body is JSON (`content`) or a form with one file."""

    method: str
    path: str
    content: bytes | None = None
    form: Mapping[str, str] | None = None
    upload: tuple[str, bytes, str] | None = None
    """File name, content and media type of the form's `file` field."""
    tell: Tell = untold
    """Hears why the request is sent again."""


class HttpClient:
    """Sends requests to one endpoint. The connection stays open between them; several may run at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: httpx2.AsyncClient | None = None
        self._making = asyncio.Lock()

    async def warm(self) -> httpx2.AsyncClient:
        """Loads the HTTP library and certificates in a thread, so that the event loop is not held up for 0.1 s."""
        if self._client is None:
            async with self._making:
                if self._client is None:
                    self._client = await asyncio.to_thread(make_client, self.endpoint)
        return self._client

    async def send(self, ask: Ask) -> httpx2.Response:
        """An answer with a good status whose body has not been read; the caller closes it.

        A refusal that passes (429 with a short Retry-After, 500 and its like) is tried once more. Only the
        connection is under a time limit here: the caller limits the whole.
        """
        response = await self._answer(ask)
        if response.is_success:
            return response
        error = await self._refused(response)
        pause = http_errors.pause_before_retry(error, LONGEST_PAUSE_S)
        if pause is None:
            raise error
        self._tell_again(ask, error.code, str(error), after=pause)
        await asyncio.sleep(pause)
        response = await self._answer(ask)
        if response.is_success:
            return response
        raise await self._refused(response)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _answer(self, ask: Ask) -> httpx2.Response:
        """Sends, and follows redirects that stay with scheme, host and port (a missing slash, usually)."""
        client = await self.warm()
        import httpx2  # Loaded by now, in a thread.

        with http_errors.before_answer(self.endpoint):
            url = httpx2.URL(self.endpoint.url(ask.path))
        for _ in range(_REDIRECTS + 1):
            response = await self._once(client, ask, url)
            if not response.has_redirect_location:
                return response
            await response.aclose()
            target = _target(url, response)
            if response.status_code not in _SAME_METHOD or target is None:
                raise http_errors.redirected(self.endpoint, response)
            url = target
        raise http_errors.redirected(self.endpoint, response, circle=True)

    async def _once(self, client: httpx2.AsyncClient, ask: Ask, url: httpx2.URL) -> httpx2.Response:
        """One exchange; sent again at once if the server closed a kept connection just as we used it."""
        import httpx2

        fresh = False

        async def trace(event: str, details: object) -> None:
            nonlocal fresh
            fresh = fresh or "connect_tcp.started" in event

        with http_errors.before_answer(self.endpoint):
            try:
                return await client.send(_request(client, ask, url, trace), stream=True)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if fresh:
                    raise
            self._tell_again(ask, EndpointUnreachable.code, "The server had closed the kept connection.")
            return await client.send(_request(client, ask, url, trace), stream=True)

    def _tell_again(self, ask: Ask, code: str, reason: str, *, after: float = 0.0) -> None:
        ask.tell(Trouble(engine=self.endpoint.name, code=code, reason=reason, after=after))

    async def _refused(self, response: httpx2.Response) -> EndpointRefused:
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_S):
                body = await read_whole(self.endpoint, response, _ERROR_BODY, cut=True)
        except (TimeoutError, StreamBroken, BadContent):
            pass  # The status alone says enough.
        finally:
            await response.aclose()
        return http_errors.refusal(self.endpoint, response, body)


async def read_whole(endpoint: Endpoint, response: httpx2.Response, most: int, *, cut: bool = False) -> bytes:
    """The body, at most `most` bytes: what is longer is cut off, or refused as `BadContent`."""
    body = bytearray()
    chunks = response.aiter_bytes()
    try:
        while True:
            with http_errors.within_answer(endpoint, len(body)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return bytes(body)
            body += chunk
            if len(body) > most and cut:
                return bytes(body[:most])
            if len(body) > most:
                raise BadContent(
                    f"{endpoint.name} answered with more than {most} bytes of text.", engine=endpoint.name
                )
    finally:
        await chunks.aclose()


def make_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """Takes 0.1 s the first time: for a thread."""
    import httpx2

    headers = {"User-Agent": f"voicemode/{__version__}", "Accept-Encoding": "identity"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    limits = endpoint.limits
    # Loading the machine's certificates takes 10 ms or more; without TLS nothing would ask them.
    context = httpx2.create_ssl_context() if endpoint.secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx2.AsyncClient(
            headers=headers,
            verify=context,
            timeout=httpx2.Timeout(None, connect=limits.connect_s, write=limits.first_byte_s),
            limits=httpx2.Limits(keepalive_expiry=KEEP_ALIVE_S),
            follow_redirects=False,
            # A proxy cannot reach this machine's own loopback.
            trust_env=not endpoint.loopback,
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise EngineUnavailable(
            f"The proxy that the environment names cannot be used for {endpoint.name}: "
            f"{endpoint.excerpt(str(error))}",
            engine=endpoint.name,
            hint="Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or add the host to NO_PROXY.",
        ) from error


def _request(client: httpx2.AsyncClient, ask: Ask, url: httpx2.URL, trace: object) -> httpx2.Request:
    extensions = {"trace": trace}
    if ask.upload is not None:
        return client.build_request(
            ask.method, url, data=dict(ask.form or {}), files={"file": ask.upload}, extensions=extensions
        )
    headers = {"Content-Type": "application/json"} if ask.content is not None else None
    return client.build_request(ask.method, url, content=ask.content, headers=headers, extensions=extensions)


def _target(url: httpx2.URL, response: httpx2.Response) -> httpx2.URL | None:
    """Where a redirect leads if it stays with the same scheme, host and port; else None."""
    import httpx2

    try:
        target = url.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        return None
    same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    return target.copy_with(userinfo=url.userinfo) if same else None
