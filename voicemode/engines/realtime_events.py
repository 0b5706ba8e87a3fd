"""The events of the Realtime API, as far as a reading voice needs them: what is sent, and what is made of an answer."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicemode.engines.realtime_errors import Complaint

if TYPE_CHECKING:
    from openai.types.realtime import RealtimeClientEventParam, RealtimeSessionCreateRequestParam

SETTING_UP = "set-up"
"""The id of the event that sets a session up; errors about it name it."""

_REASONING = "gpt-realtime-2"
"""Models of this name think before they speak unless told not to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """What a session cannot change once it has spoken: each manner has a socket of its own."""

    voice: str
    speed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One event. Fields that the event does not have are empty."""

    kind: str
    response: str = ""
    piece: str = ""
    """Our own id, which a response carries in its metadata."""
    sound: bytes = b""
    text: str = ""
    status: str = ""
    reason: str = ""
    complaint: Complaint | None = None


def set_up(model: str, manner: Manner, *, reasoning: bool) -> RealtimeClientEventParam:
    """Sound out, as raw PCM (`pcm.SPEECH`: the API has no other rate), in one voice; nothing is listened to."""
    voice = manner.voice
    session: RealtimeSessionCreateRequestParam = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"turn_detection": None},
            "output": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "voice": {"id": voice} if voice.startswith("voice_") else voice,
                "speed": manner.speed,
            },
        },
    }
    if reasoning and model.startswith(_REASONING):
        session["reasoning"] = {"effort": "minimal"}
    return {"type": "session.update", "event_id": SETTING_UP, "session": session}


def read_aloud(piece: str, text: str, task: str) -> RealtimeClientEventParam:
    """A response outside of any conversation: nothing said before is seen, nothing is kept."""
    return {
        "type": "response.create",
        "event_id": piece,
        "response": {
            "conversation": "none",
            "output_modalities": ["audio"],
            "instructions": task,
            "tool_choice": "none",
            "metadata": {"piece": piece},
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}],
        },
    }


def cancel(response: str) -> RealtimeClientEventParam:
    return {"type": "response.cancel", "event_id": f"cancel-{response}", "response_id": response}


def parse(message: bytes) -> Received:
    """An event as it came. Raises ValueError when it is none, or when its sound is not base64."""
    try:
        found: object = json.loads(message)
    except RecursionError as error:
        raise ValueError("an event nested too deeply") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise ValueError("a message that is no event")
    event: Mapping[str, object] = found
    kind = _text(event, "type")
    response = _part(event, "response")
    details = _part(response, "status_details")
    fault = _part(event, "error") if kind == "error" else _part(details, "error")
    delta = _text(event, "delta")
    return Received(
        kind=kind,
        response=_text(response, "id") or _text(event, "response_id"),
        piece=_text(_part(response, "metadata"), "piece"),
        sound=_decoded(delta) if kind == "response.output_audio.delta" else b"",
        text=_text(event, "transcript") or delta,
        status=_text(response, "status"),
        reason=_text(details, "reason"),
        complaint=_complaint(fault) if fault else None,
    )


def _complaint(fault: Mapping[str, object]) -> Complaint:
    return Complaint(
        message=_text(fault, "message"),
        kind=_text(fault, "type"),
        code=_text(fault, "code"),
        param=_text(fault, "param"),
        asked=_text(fault, "event_id"),
    )


def _decoded(delta: str) -> bytes:
    try:
        return base64.b64decode(delta, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("sound that is not base64") from error


def _text(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _part(found: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}
