"""What goes wrong over HTTP, in the words of the house."""

from __future__ import annotations

import errno
import json
import math
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicemode.engines.http_endpoint import Endpoint
from voicemode.errors import (
    BadContent,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    StreamBroken,
)

if TYPE_CHECKING:
    import httpx2

_HINTS = {
    400: "The request does not suit this server: check the model and the voice.",
    401: "Check the API key for this endpoint.",
    403: "Check the API key for this endpoint and what it may do.",
    404: "Check the base URL (it usually ends in /v1) and the model.",
    405: "Check the base URL: this address is not a speech service.",
    413: "The server takes no more at once: say or record less.",
    429: "The server has had enough requests for now: wait, or check the account's quota.",
}
_BUSY = frozenset({500, 502, 503, 504})

MODEL_NOT_FOUND = "model_not_found"
"""OpenAI's code, which others use too: of a model that never was, has ended, or is not for this account."""

_ABOUT_A_MODEL = frozenset({400, 403, 404, 410, 422})
_GONE = re.compile(
    r"\bmodel\b.{0,80}?\b(not found|(does|do) ?n[o']t exist|not exist|unknown|deprecated|discontinued|retired|shut down"
    r"|decommissioned|removed|no longer|has ended|not available|unavailable|not loaded)\b"
    r"|\b(unknown|invalid|unsupported|deprecated|no such) model\b",
    re.IGNORECASE,
)
_SOMETHING_ELSE = re.compile(r"\b(voices?|speed|format|too long|length|characters|tokens)\b", re.IGNORECASE)


@contextmanager
def before_answer(endpoint: Endpoint) -> Iterator[None]:
    """Turns failures up to the headers of an answer into `EngineError`."""
    import httpx2

    name = endpoint.name
    try:
        yield
    except httpx2.ConnectTimeout as error:
        raise EndpointUnreachable(
            f"{name} did not accept a connection within {endpoint.limits.connect_s:g} s.",
            engine=name,
            hint=_unreachable_hint(endpoint),
            retryable=True,
        ) from error
    except (httpx2.ConnectError, httpx2.ProxyError) as error:
        raise EndpointUnreachable(
            f"{name} cannot be reached: {_why(error, endpoint)}.",
            engine=name,
            hint=_unreachable_hint(endpoint),
            retryable=True,
        ) from error
    except httpx2.TimeoutException as error:
        raise timed_out(endpoint, "take the request") from error
    except httpx2.RemoteProtocolError as error:
        if "without sending a response" in str(error):
            raise _broke_before_answer(endpoint) from error
        raise BadContent(
            f"{name} did not answer in HTTP: {endpoint.excerpt(str(error))}",
            engine=name,
            hint="Check the base URL: something else may be listening there.",
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _broke_before_answer(endpoint) from error


@contextmanager
def within_answer(endpoint: Endpoint, received: int) -> Iterator[None]:
    """Turns failures inside an answer's body, after `received` bytes of it, into `EngineError`."""
    import httpx2

    try:
        yield
    except httpx2.DecodingError as error:
        raise BadContent(
            f"{endpoint.name} sent an answer whose compression is broken.", engine=endpoint.name
        ) from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise StreamBroken(
            f"{endpoint.name} broke off after {received} bytes: {endpoint.excerpt(str(error)) or 'connection lost'}.",
            engine=endpoint.name,
            retryable=True,
        ) from error


def _broke_before_answer(endpoint: Endpoint) -> EndpointUnreachable:
    return EndpointUnreachable(
        f"{endpoint.name} broke the connection before it answered.",
        engine=endpoint.name,
        hint="Look at the server's log, and check that the base URL says http or https as the server does.",
        retryable=True,
    )


def timed_out(endpoint: Endpoint, what: str, seconds: float | None = None) -> EndpointTimeout:
    limit = endpoint.limits.first_byte_s if seconds is None else seconds
    return EndpointTimeout(
        f"{endpoint.name} did not {what} within {limit:g} s.",
        engine=endpoint.name,
        hint="The server is there but too slow or stuck: look at its log.",
        retryable=True,
    )


def refusal(endpoint: Endpoint, response: httpx2.Response, body: bytes) -> EndpointRefused:
    """The error for an answer with a status that says no; `body` is the beginning of what came with it."""
    status = response.status_code
    said = endpoint.excerpt(server_message(body))
    code = f", {MODEL_NOT_FOUND}" if MODEL_NOT_FOUND.encode() in body else ""
    return EndpointRefused(
        f"{endpoint.name} refuses (HTTP {status}{code}){': ' + said if said else '.'}",
        engine=endpoint.name,
        status=status,
        retry_after_seconds=retry_after(response.headers),
        hint="The server has trouble: look at its log." if status in _BUSY else _HINTS.get(status, ""),
        retryable=status == 429 or status in _BUSY,
    )


def redirected(endpoint: Endpoint, response: httpx2.Response, *, circle: bool = False) -> EndpointRefused:
    if circle:
        return EndpointRefused(
            f"{endpoint.name} redirects in a circle (HTTP {response.status_code}).",
            engine=endpoint.name,
            status=response.status_code,
            hint="Check the base URL (it usually ends in /v1).",
        )
    target = endpoint.excerpt(response.headers.get("location", "nowhere"))
    return EndpointRefused(
        f"{endpoint.name} redirects to {target} (HTTP {response.status_code}), which is not followed: "
        "a key stays with its host.",
        engine=endpoint.name,
        status=response.status_code,
        hint="If that address is right, make it the base URL.",
    )


def model_has_ended(error: EngineError) -> bool:
    """Whether a refusal says that the model is not there (any more), and so will be repeated for every request.

    Texts that name a model for another reason (a voice it does not have, a text that is too long for it) do not count.
    """
    if not isinstance(error, EndpointRefused) or error.status not in _ABOUT_A_MODEL:
        return False
    said = error.message.partition(" refuses ")[2] or error.message
    return MODEL_NOT_FOUND in said or bool(_GONE.search(said) and not _SOMETHING_ELSE.search(said))


def pause_before_retry(error: EndpointRefused, longest: float) -> float | None:
    """Seconds after which one more try is polite; None when it is not worth waiting for."""
    if not error.retryable:
        return None
    if error.retry_after_seconds is not None:
        return error.retry_after_seconds if error.retry_after_seconds <= longest else None
    return None if error.status == 429 else 0.2


def server_message(body: bytes) -> str:
    """What the server itself says: `error.message`, `detail` or `message` of a JSON answer, or plain text."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return "an HTML page"
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for key in ("error", "detail", "message", "msg"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else text


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date is taken by the server's own clock, and counts as long where that is not told."""
    exact = headers.get("retry-after-ms", "").strip()  # OpenAI's, beside the other one.
    value = headers.get("retry-after", "").strip()
    if not (exact or value):
        return None
    try:
        seconds = float(exact) / 1000 if exact else float(value)
    except ValueError:
        seconds = _until(value, headers.get("date", ""))
    return max(seconds, 0.0) if math.isfinite(seconds) else math.inf


def _until(date: str, now: str) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError):
        return math.inf


def _why(error: BaseException, endpoint: Endpoint) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "its name is unknown"
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return "nothing listens there"
    return endpoint.excerpt(str(error)).rstrip(".") or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and everything that led to it, as far as eight steps."""
    pending: list[BaseException] = [error]
    for _ in range(8):
        if not pending:
            return
        current = pending.pop(0)
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        following = current.__cause__ or current.__context__
        if following is not None:
            pending.append(following)


def _unreachable_hint(endpoint: Endpoint) -> str:
    if endpoint.loopback and endpoint.secure:
        return f"Check that the server on {endpoint.name} runs and speaks https: most local ones speak http."
    if endpoint.loopback:
        return f"Start the server on {endpoint.name}, or name another one in the configuration."
    return "Check the network and the base URL."
