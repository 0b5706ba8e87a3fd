"""What a request asks for, from JSON to a value; every wrong argument is named with what is allowed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from voicemode.configuration.presets import delivery
from voicemode.engines.voice_cache import MOST_BYTES
from voicemode.speech import AudioFormat, Delivery
from voicemode.speech_server.answers import BadArgument
from voicemode.text.pieces import LONGEST_MESSAGE_CHARACTERS

MU_LAW = "mulaw"
"""S5's telephone output beside the six formats."""

_MU_LAW_NAMES = frozenset({MU_LAW, "ulaw", "g711", "g711_ulaw", "telephone"})

SLOWEST, FASTEST = 0.25, 4.0
LONGEST_NAME = 256
LONGEST_INSTRUCTIONS = 4_096
LONGEST_RECORDING = MOST_BYTES * 4 // 3 + 4
"""Of the largest file that a voice is made of, in base64."""

KNOBS = ("exaggeration", "cfg_weight", "temperature", "steps", "first_chunk", "chunk")
"""What a request may set of its preset."""


E = TypeVar("E", bound=StrEnum)


class StreamFormat(StrEnum):
    AUDIO = "audio"
    SSE = "sse"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """`format` is one of the six or `MU_LAW`; `voice` None is the engine's own; `delivery` None is its own as well."""

    format: str
    text: str = ""
    model: str = ""
    voice: str | None = None
    speed: float = 1.0
    instructions: str | None = None
    language: str | None = None
    stream_format: StreamFormat = StreamFormat.AUDIO
    delivery: Delivery | None = None
    base64: bool = True
    """On a WebSocket: sound inside JSON rather than in binary messages."""

    @property
    def audio_format(self) -> AudioFormat | None:
        """None for µ-law."""
        return None if self.format == MU_LAW else AudioFormat(self.format)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A voice to be made ready. `recording` is a sound file in which it is to be heard, where the client sends one."""

    id: str
    recording: bytes | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object whose values are taken out by type."""

    given: Mapping[str, object] = field(default_factory=dict)

    def text(self, *names: str, default: str = "", longest: int = LONGEST_NAME) -> str:
        """The first of `names` that is given: S5 and OpenAI call some things differently."""
        for name in names:
            value = self.given.get(name)
            if value is None:
                continue
            if not isinstance(value, str):
                raise BadArgument(f"{name} is {_shown(value)}; it must be a string.", param=name)
            if len(value) > longest:
                raise BadArgument(
                    f"{name} has {len(value):,} characters; at most {longest:,} are taken.", param=name
                )
            return value
        return default

    def number(self, name: str, *, least: float, most: float) -> float | None:
        value = self.given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise BadArgument(
                f"{name} is {_shown(value)}; it must be a number from {least:g} to {most:g}.", param=name
            )
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            raise BadArgument(f"{name} is {_shown(value)}; it must be true or false.", param=name)
        return value

    def voices(self, name: str, *, most: int) -> list[Wanted]:
        """Each a name, or an object with `id` and `audio`."""
        value = self.given.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str | dict) for each in value):
            raise BadArgument(
                f"{name} must be a list of names, or of objects with id and audio (a recording in base64).",
                param=name,
            )
        if len(value) > most:
            raise BadArgument(f"{name} has {len(value)} entries; at most {most} are taken.", param=name)
        return [_wanted(each) for each in value]


def _wanted(value: str | dict[str, object]) -> Wanted:
    if isinstance(value, str):
        return Wanted(id=value)
    fields = Fields(value)
    sent = fields.text("audio", longest=LONGEST_RECORDING)
    try:
        return Wanted(id=fields.text("id"), recording=base64.b64decode(sent, validate=True) if sent else None)
    except ValueError:
        raise BadArgument("audio is not base64.", param="audio") from None


def json_fields(sent: bytes | str, what: str = "body") -> Fields:
    """What was sent, as an object; `what` it is to whoever sent it. Raises `BadArgument`."""
    try:
        given: object = json.loads(sent)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"The {what} is not JSON: {error}.", param=what) from None
    if not isinstance(given, dict):
        raise BadArgument(f"The {what} is not a JSON object.", param=what)
    return Fields(given)


def openai_speech(fields: Fields) -> Asked:
    """`POST /v1/audio/speech`."""
    text = fields.text("input", longest=LONGEST_MESSAGE_CHARACTERS)
    return _checked(
        Asked(
            text=_said(text, "input"),
            model=fields.text("model"),
            voice=_voice(fields),
            format=_format(fields.text("response_format", default=AudioFormat.MP3)),
            speed=_speed(fields),
            instructions=fields.text("instructions", longest=LONGEST_INSTRUCTIONS) or None,
            language=fields.text("language", "lang_code") or None,
            stream_format=choice(StreamFormat, fields.text("stream_format"), "stream_format"),
            delivery=_delivery(fields),
        )
    )


def s5_speech(fields: Fields, *, usual: str, with_text: bool = True) -> Asked:
    """S5's routes. `usual` is the format where none is named."""
    text = fields.text("text", longest=LONGEST_MESSAGE_CHARACTERS) if with_text else ""
    return _checked(
        Asked(
            text=_said(text, "text") if with_text else "",
            model=fields.text("model"),
            voice=_voice(fields),
            format=_format(fields.text("format", "output_format", "response_format", default=usual)),
            speed=_speed(fields),
            instructions=fields.text("instructions", longest=LONGEST_INSTRUCTIONS) or None,
            language=fields.text("language") or None,
            delivery=_delivery(fields),
            base64=not fields.flag("binary", default=False),
        )
    )


def _checked(asked: Asked) -> Asked:
    if asked.stream_format is StreamFormat.SSE and asked.format == MU_LAW:
        raise BadArgument(
            f"response_format is {MU_LAW!r} with stream_format 'sse'; it must be one of {', '.join(AudioFormat)} then.",
            param="response_format",
        )
    return asked


def _said(text: str, name: str) -> str:
    if not text.strip():
        raise BadArgument(f"{name} is missing or empty.", param=name, hint="Give a text with words in it.")
    return text


def _voice(fields: Fields) -> str | None:
    """A name, or OpenAI's object with an id."""
    value = fields.given.get("voice")
    if isinstance(value, dict):
        return Fields(value).text("id") or None
    return fields.text("voice", "voice_id") or None


def _format(name: str) -> str:
    if name.lower() in _MU_LAW_NAMES:
        return MU_LAW
    return choice(AudioFormat, name, "response_format")


def choice(kind: type[E], name: str, param: str) -> E:
    """The one of this name, in any case; the first where none is given. Raises `BadArgument`."""
    try:
        return kind(name.lower()) if name else next(iter(kind))
    except ValueError:
        raise BadArgument(
            f"{param} is {_shown(name)}; it must be one of {', '.join(kind)}.", param=param
        ) from None


def _speed(fields: Fields) -> float:
    speed = fields.number("speed", least=SLOWEST, most=FASTEST)
    return 1.0 if speed is None else speed


def _delivery(fields: Fields) -> Delivery | None:
    """None where neither a preset nor a knob is named."""
    knobs: dict[str, Any] = {name: fields.given[name] for name in KNOBS if fields.given.get(name) is not None}
    preset = fields.text("preset") or None
    if preset is None and not knobs:
        return None
    return delivery(preset, **knobs)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 64 else f"{shown[:63]}…"
