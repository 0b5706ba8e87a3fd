"""One large file over HTTP: from any byte on, through redirects, with a limit for every pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from voicemode.engines import http_errors
from voicemode.engines.http_client import make_client
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.errors import EndpointRefused
from voicemode.models.download import Body

if TYPE_CHECKING:
    import httpx2

REDIRECTS = 5
"""Release pages send on to a store with an address of its own; nothing secret goes along."""
PATIENCE = Limits(connect_s=5.0, first_byte_s=20.0, gap_s=20.0)
_OK, _PARTIAL, _BEYOND = 200, 206, 416


@asynccontextmanager
async def fetched(url: str, *, start: int = 0, limits: Limits = PATIENCE) -> AsyncIterator[Body]:
    """The file at `url`, from `start` on where the server can, else from its beginning. Raises `EngineError`."""
    async with AsyncExitStack() as stack:
        endpoint, response = await _answer(stack, url, start, limits)
        if response.status_code == _BEYOND and start:
            await stack.aclose()
            endpoint, response = await _answer(stack, url, 0, limits)
        if response.status_code not in (_OK, _PARTIAL):
            raise http_errors.refusal(endpoint, response, b"")
        begins, total = _range(response)
        yield Body(start=begins, total=total, chunks=_chunks(endpoint, response))


async def _answer(
    stack: AsyncExitStack, url: str, start: int, limits: Limits
) -> tuple[Endpoint, httpx2.Response]:
    """The answer behind all redirects; `stack` closes it. From https nobody is led to http."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    for _ in range(REDIRECTS + 1):
        endpoint = Endpoint(base_url=url, limits=limits)
        client = await asyncio.to_thread(make_client, endpoint)
        stack.push_async_callback(client.aclose)
        try:
            async with asyncio.timeout(limits.connect_s + limits.first_byte_s):
                with http_errors.before_answer(endpoint):
                    request = client.build_request("GET", url, headers=headers)
                    response = await client.send(request, stream=True)
        except TimeoutError as error:
            raise http_errors.timed_out(endpoint, "answer") from error
        stack.push_async_callback(response.aclose)
        if not response.has_redirect_location:
            return endpoint, response
        target = urljoin(url, response.headers["location"])
        if not target.startswith(("https://",) if endpoint.secure else ("https://", "http://")):
            raise http_errors.redirected(endpoint, response)
        url = target
    raise EndpointRefused(
        f"{endpoint.name} redirects more than {REDIRECTS} times.",
        engine=endpoint.name,
        status=response.status_code,
        hint="Fetch the file by hand, or name another place.",
    )


def _range(response: httpx2.Response) -> tuple[int, int]:
    """(first byte, bytes in all) of what comes; 0 bytes where it is not said."""
    if response.status_code == _PARTIAL:
        span, _, total = (
            response.headers.get("content-range", "").removeprefix("bytes").strip().partition("/")
        )
        first = span.partition("-")[0]
        return (int(first) if first.isdigit() else 0), (int(total) if total.isdigit() else 0)
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else 0


async def _chunks(endpoint: Endpoint, response: httpx2.Response) -> AsyncIterator[bytes]:
    received = 0
    stream = response.aiter_raw()
    while True:
        try:
            async with asyncio.timeout(endpoint.limits.gap_s):
                with http_errors.within_answer(endpoint, received):
                    chunk = await anext(stream, None)
        except TimeoutError as error:
            raise http_errors.timed_out(endpoint, "send more", endpoint.limits.gap_s) from error
        if chunk is None:
            return
        received += len(chunk)
        yield chunk
