"""What goes wrong over the Realtime API, in the words of the house."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.http_errors import server_message
from voicemode.errors import (
    BadContent,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    EngineUnavailable,
    StreamBroken,
)

TAKEN = "conversation_already_has_active_response"
"""One response at a time: not a refusal, only to be asked again when that one is done."""

EXPIRED = "session_expired"

_STATUS = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "missing_api_key": 401,
    "permission_denied": 403,
    "model_not_found": 404,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}
"""Error codes and types of the Realtime API, and the HTTP status that means the same elsewhere."""

_HINTS = {
    400: "The request does not suit this service: check the model and the voice.",
    401: "Check the API key for this endpoint.",
    403: "Check the API key for this endpoint and what it may do.",
    404: "Check the base URL (it usually ends in /v1) and the model (VOICEMODE_REALTIME_MODEL).",
    429: "The service has had enough requests for now: wait, or check the account's quota.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """An `error` event, or the error of a failed response. `asked` is the id of the event that it is about, or ""."""

    message: str
    kind: str = ""
    code: str = ""
    param: str = ""
    asked: str = ""

    @property
    def names_the_voice(self) -> bool:
        return self.param.endswith(("voice", "voice.id")) or "voice" in self.code

    @property
    def names_reasoning(self) -> bool:
        return "reasoning" in f"{self.param} {self.message}".lower()


def name_of(endpoint: Endpoint) -> str:
    """The engine's name: the same host speaks over HTTP too."""
    return f"{endpoint.name} realtime"


def refused(endpoint: Endpoint, complaint: Complaint) -> EndpointRefused:
    status = next((_STATUS[key] for key in (complaint.code, complaint.kind) if key in _STATUS), 400)
    return _refusal(endpoint, status, complaint.message, complaint.code or complaint.kind)


def broken(endpoint: Endpoint, why: str, received: int, *, retryable: bool = True) -> StreamBroken:
    """Sound had begun; `received` bytes of it came."""
    return StreamBroken(
        f"{name_of(endpoint)} broke off after {received} bytes: {endpoint.excerpt(why)}.",
        engine=name_of(endpoint),
        retryable=retryable,
    )


def late(endpoint: Endpoint, seconds: float) -> EndpointTimeout:
    return EndpointTimeout(
        f"{name_of(endpoint)} did not send any sound within {seconds:g} s.",
        engine=name_of(endpoint),
        hint="The service is there but too slow: VOICEMODE_FIRST_BYTE_TIMEOUT is the limit.",
        retryable=True,
    )


def closed(endpoint: Endpoint, code: int, reason: str) -> EngineError:
    """A socket that the other side closed before any sound: for a stated reason, or just gone."""
    known = next((key for key in _STATUS if key in reason), "")
    if known:
        return _refusal(endpoint, _STATUS[known], reason, known)
    said = endpoint.excerpt(reason) or f"code {code}"
    return EndpointUnreachable(
        f"{name_of(endpoint)} closed the connection before any sound ({said}).",
        engine=name_of(endpoint),
        hint="Check the network; if it stays so, look at the service's status page.",
        retryable=True,
    )


def not_the_protocol(endpoint: Endpoint, why: str) -> BadContent:
    return BadContent(
        f"{name_of(endpoint)} does not speak the Realtime API: {endpoint.excerpt(why) or 'no reason given'}",
        engine=name_of(endpoint),
        hint="Check the base URL: not every speech server has this route.",
    )


def no_sound(endpoint: Endpoint, why: str) -> BadContent:
    return BadContent(
        f"{name_of(endpoint)} sent no sound: {endpoint.excerpt(why)}.",
        engine=name_of(endpoint),
        hint="Check the model (VOICEMODE_REALTIME_MODEL): not every one speaks.",
    )


def astray(endpoint: Endpoint, said: str) -> BadContent:
    return BadContent(
        f"{name_of(endpoint)} answered the text instead of reading it: “{endpoint.excerpt(said)}”",
        engine=name_of(endpoint),
        hint="Another model (VOICEMODE_REALTIME_MODEL) may do better; the words go to the next voice.",
    )


def not_installed() -> EngineUnavailable:
    return EngineUnavailable(
        "The package openai with its Realtime client is not installed.",
        engine="realtime",
        hint="Install it with: pip install 'openai[realtime]>=3.40,<4'.",
    )


@contextmanager
def while_connecting(endpoint: Endpoint, limit_s: float) -> Iterator[None]:
    """Turns failures up to the open socket into `EngineError`."""
    from websockets.exceptions import InvalidStatus, WebSocketException

    name = name_of(endpoint)
    try:
        yield
    except InvalidStatus as error:
        body = bytes(error.response.body or b"").decode("utf-8", "replace")
        raise _refusal(endpoint, error.response.status_code, body, "") from error
    except TimeoutError as error:
        raise EndpointUnreachable(
            f"{name} did not accept a connection within {limit_s:g} s.",
            engine=name,
            hint="Check the network and the base URL.",
            retryable=True,
        ) from error
    except WebSocketException as error:
        raise not_the_protocol(endpoint, str(error)) from error
    except (OSError, EOFError) as error:
        raise EndpointUnreachable(
            f"{name} cannot be reached: {_why(error, endpoint)}.",
            engine=name,
            hint="Check the network and the base URL.",
            retryable=True,
        ) from error
    except ImportError as error:
        raise EngineUnavailable(
            f"The proxy that the environment names cannot be used for {name}: {endpoint.excerpt(str(error))}",
            engine=name,
            hint="Name an HTTP proxy, or add the host to NO_PROXY.",
        ) from error


def _refusal(endpoint: Endpoint, status: int, message: str, code: str) -> EndpointRefused:
    said = endpoint.excerpt(server_message(message.encode("utf-8", "replace")))
    name = name_of(endpoint)
    return EndpointRefused(
        f"{name} refuses ({code or f'HTTP {status}'}){': ' + said if said else '.'}",
        engine=name,
        status=status,
        hint="The service has trouble: try again in a while."
        if status >= 500
        else _HINTS.get(status, _HINTS[400]),
        retryable=status >= 500 or (status == 429 and code != "insufficient_quota"),
    )


def _why(error: OSError | EOFError, endpoint: Endpoint) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is unknown"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "nothing listens there"
    return endpoint.excerpt(str(error)).rstrip(".") or type(error).__name__
