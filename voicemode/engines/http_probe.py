"""Asks an endpoint whether it is there and whether it is a speech service, without having it say anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from voicemode import clock
from voicemode.engines.http_client import Ask, HttpClient
from voicemode.engines.http_endpoint import Endpoint
from voicemode.errors import BadContent, EndpointRefused, EngineError

_LOOPBACK_S = 1.0
_REMOTE_S = 4.0
_KEY_STATUSES = frozenset({401, 403, 407})
_NO_ROUTE = frozenset({404, 405, 410})
_JSON = "application/json"


class Purpose(StrEnum):
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"


class Health(StrEnum):
    REACHABLE = "reachable"
    KEY_REFUSED = "key_refused"
    UNREACHABLE = "unreachable"
    NOT_SPEECH = "not_speech"
    """Something answers, and it is not a speech service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointState:
    """`latency` is the seconds that the answer took, None without one; `reason` is empty when all is well."""

    name: str
    health: Health
    latency: float | None = None
    reason: str = ""


async def probe(
    endpoint: Endpoint, *, purpose: Purpose = Purpose.SPEECH, client: HttpClient | None = None
) -> EndpointState:
    """Lists the models; a server without that list is asked for speech with an empty request, which costs nothing.

    Takes 1 s at most on this machine and 4 s elsewhere. Never raises for what the endpoint does.
    """
    http = client or HttpClient(endpoint)
    limit = _LOOPBACK_S if endpoint.loopback else _REMOTE_S
    try:
        await http.warm()
        began = clock.monotonic()
        async with asyncio.timeout(limit):
            error = await _asked(http, purpose)
        return _state(endpoint, error, clock.monotonic() - began)
    except TimeoutError:
        return EndpointState(
            name=endpoint.name, health=Health.UNREACHABLE, reason=f"no answer within {limit:g} s"
        )
    except EngineError as error:
        return EndpointState(name=endpoint.name, health=Health.UNREACHABLE, reason=str(error))
    finally:
        if client is None:
            await http.close()


def _state(endpoint: Endpoint, error: EngineError | None, latency: float) -> EndpointState:
    if error is None:
        return EndpointState(name=endpoint.name, health=Health.REACHABLE, latency=latency)
    if isinstance(error, EndpointRefused) and error.status in _KEY_STATUSES:
        health = Health.KEY_REFUSED
    elif isinstance(error, EndpointRefused | BadContent) and not error.retryable:
        health = Health.NOT_SPEECH
    else:
        return EndpointState(name=endpoint.name, health=Health.UNREACHABLE, reason=str(error))
    return EndpointState(name=endpoint.name, health=health, latency=latency, reason=str(error))


async def _asked(http: HttpClient, purpose: Purpose) -> EngineError | None:
    """What stands against this endpoint; None when it is a speech service."""
    path = "/audio/speech" if purpose is Purpose.SPEECH else "/audio/transcriptions"
    questions = (Ask(method="GET", path="/models"), Ask(method="POST", path=path, content=b"{}"))
    verdict: EngineError | None = None
    for question in questions:
        try:
            response = await http.send(question)
        except EndpointRefused as error:
            if error.status in _KEY_STATUSES:
                return error
            if question.method == "POST" and error.status not in _NO_ROUTE and error.status >= 400:
                return None  # It looked at the empty request and found it wanting, as a speech service must.
            verdict = error
        except BadContent as error:
            return error
        else:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            await response.aclose()
            if kind == _JSON:
                return None
            verdict = BadContent(
                f"{http.endpoint.name} answers {path} with {kind or 'something unlabelled'}, not speech.",
                engine=http.endpoint.name,
                hint="Check the base URL: something else listens there.",
            )
    return verdict
