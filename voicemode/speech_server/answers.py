"""Errors as clients of OpenAI's API understand them, and the few shapes of answers that several routes share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from voicemode.errors import (
    Busy,
    EndpointRefused,
    EndpointTimeout,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    UnknownVoice,
    VoiceModeError,
)

TOO_MANY, GATEWAY, GATEWAY_TIMEOUT, UNAVAILABLE = 429, 502, 504, 503
VOICES = "/v1/audio/voices"


TURNED_AWAY = {401: "invalid_token", 403: "foreign_page", 415: "wrong_content_type", 421: "foreign_host"}
"""Codes of those who do not get in."""


class BadArgument(InvalidRequest):
    """`param` is what the client calls the argument that is wrong; `status` where 400 does not say it."""

    def __init__(self, message: str, *, param: str, hint: str = "", status: int = 400) -> None:
        super().__init__(message, hint=hint, about=param)
        self.status = status


class UnknownModel(BadArgument):
    """`known` are the models that there are for what was `asked` for."""

    code = "model_not_found"

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        super().__init__(
            f"There is no model {asked[:64]!r} here; there are {', '.join(known)}.", param="model", status=404
        )


class UnknownRoute(InvalidRequest):
    """`status` is 404, or 405 where the route is there for another method."""

    code = "unknown_route"

    def __init__(self, asked: str, *, status: int) -> None:
        super().__init__(f"There is no {asked} here.", hint="Every route is in specs/speech-api.md.")
        self.status = status


def status_of(error: VoiceModeError) -> int:
    match error:
        case BadArgument() | UnknownRoute():
            return error.status
        case InvalidRequest():
            return 400
        case Busy() | EngineUnavailable():
            return UNAVAILABLE
        case EndpointTimeout():
            return GATEWAY_TIMEOUT
        case EndpointRefused(status=429):
            return TOO_MANY
        case EngineError():
            return GATEWAY
    return 500


def error_json(error: VoiceModeError, *, text: str = "text") -> dict[str, object]:
    """The object that OpenAI's clients read: message, type, param, code. `text` is what the route calls its text."""
    status = status_of(error)
    kinds = {401: "authentication_error", TOO_MANY: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    about = error.about if isinstance(error, InvalidRequest) else ""
    message = str(error)
    if isinstance(error, UnknownVoice):
        message = message.replace(UnknownVoice.LISTED_BY, VOICES)
    return {
        "message": message,
        "type": kind,
        "param": (text if about == "text" else about) or None,
        "code": error.code,
    }


def turned_away(status: int, reason: str) -> bytes:
    """The same for who does not get in."""
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    code = TURNED_AWAY.get(status, "invalid_request")
    return written({"error": {"message": reason, "type": kind, "param": None, "code": code}})


def retry_after(error: VoiceModeError) -> int | None:
    """Whole seconds after which it is worth another try, where that is known."""
    known = getattr(error, "retry_after", None)
    if known is None and isinstance(error, EndpointRefused):
        known = error.retry_after_seconds
    return None if known is None else max(1, math.ceil(known))


def refusal(error: VoiceModeError, *, text: str = "text") -> Response:
    seconds = retry_after(error)
    headers = {} if seconds is None else {"retry-after": str(seconds)}
    return json_response({"error": error_json(error, text=text)}, status=status_of(error), headers=headers)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        written(value),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def sse(value: Mapping[str, object]) -> bytes:
    """One server-sent event."""
    return b"data: " + written(value) + b"\n\n"


def written(value: object) -> bytes:
    """As JSON. Half a character, which JSON from a client can hold and UTF-8 cannot, goes out as the escape that it
    came as."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
