"""How a speech service for tests answers: the knobs of one answer, and the timetable they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum, StrEnum

from tests.support.encoding import WavKind, WavSizes


class Route(StrEnum):
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    LISTS = "lists"
    """Models, voices, health."""


class Accept(Enum):
    """What becomes of a request before any answer."""

    ANSWER = "answer"
    NEVER = "never"
    CLOSE = "close"
    RESET = "reset"
    JUNK = "junk"
    """Bytes that are not HTTP."""


class Length(Enum):
    """How the body's end is told."""

    CHUNKED = "chunked"
    STATED = "stated"
    CLOSE = "close"


class Cut(Enum):
    CLOSE = "close"
    RESET = "reset"


class Content(Enum):
    SOUND = "sound"
    HTML = "html"
    JSON = "json"
    EMPTY = "empty"
    ODD = "odd"
    """The sound and one byte too many for whole samples."""
    NOISE = "noise"
    """Random bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How one request is answered; the default is a fast, good server. Times in seconds, positions in bytes of body."""

    accept: Accept = Accept.ANSWER
    time_to_first_byte_s: float = 0.0
    """From the whole request received to the first byte of the body."""
    headers_at_once: bool = False
    """Send the head without waiting for the first byte."""

    status: int = 200
    body: str = ""
    """Sent instead of what belongs to the status and content."""
    retry_after: str = ""
    location: str = ""
    """Of a redirect; "self" is the address that was asked."""
    huge_headers_bytes: int = 0
    content_type: str = ""
    """Said instead of the true one."""
    bad_gzip: bool = False
    """Says gzip, and is not."""

    content: Content = Content.SOUND
    sound_rate: int = 24_000
    sound_channels: int = 1
    wav_kind: WavKind = WavKind.S16
    wav_sizes: WavSizes = WavSizes.STREAMING
    bit_rate: int = 0
    """Of the compressed formats, bits per second; 0 is the encoder's choice."""
    sent_as: str = ""
    """The format that is sent, whatever was asked for."""
    spoilt_from_bytes: int = 0
    """Flips and holes begin here ..."""
    spoilt_to_bytes: int | None = None
    """... and end here."""
    flip_every_bytes: int = 0
    """One bit (`flip_bit`, 0 to 7) is wrong in every so many bytes."""
    flip_bit: int = 4
    hole_every_bytes: int = 0
    """`hole_bytes` are missing after every so many."""
    hole_bytes: int = 64
    over_after_bytes: int | None = None
    """The rest is missing, and nothing in the framing tells."""
    endless: bool = False
    """The body begins again whenever it ends."""
    transcript: str | None = None
    """Given instead of what can be read out of the upload."""

    pace: float | None = None
    """Seconds of sound per second; None is as fast as it is taken."""
    chunk_bytes: int = 4096
    burst_s: float = 0.0
    """Sound leaves in bursts of so many seconds, on the same average pace."""
    hiccup_after_s: float | None = None
    """Once, after so much sound, nothing comes for `hiccup_s`; then what was due comes at once (a network's hiccup)."""
    hiccup_s: float = 0.6
    stall_after_bytes: int | None = None
    """Nothing comes for `stall_s` (None: for ever), and everything after is that much later (a server's stall)."""
    stall_s: float | None = None
    cut_after_bytes: int | None = None
    cut: Cut = Cut.CLOSE
    length: Length = Length.CHUNKED
    length_error: int = 0
    """Added to a stated length: above zero promises more than comes, below zero sends more than promised."""
    last_chunk: bool = True
    """False closes the connection without the empty chunk that ends a chunked body."""


def parse_behaviour(given: Mapping[str, object], base: Behaviour | None = None) -> Behaviour:
    """A behaviour from JSON values or words; ValueError for an unknown name or a value that does not fit."""
    known = {item.name: (str(item.type), item.default) for item in fields(Behaviour)}
    changes: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"no such knob: {name}; there are {', '.join(known)}")
        kind, default = known[name]
        if isinstance(default, Enum):
            changes[name] = type(default)(value)
        elif value is None and "None" in kind:
            changes[name] = None
        elif kind == "bool" and isinstance(value, bool):
            changes[name] = value
        elif kind.startswith("float") and isinstance(value, int | float | str):
            changes[name] = float(value)
        elif kind.startswith("int") and isinstance(value, int | str):
            changes[name] = int(value)
        elif kind.startswith("str") and isinstance(value, str):
            changes[name] = value
        else:
            raise ValueError(f"{name} is {kind}, not {value!r}")
    return replace(base or Behaviour(), **changes)  # type: ignore[arg-type]


def due(sound_s: float, behaviour: Behaviour) -> float:
    """When the sound from `sound_s` on leaves, in seconds after the first byte."""
    if behaviour.burst_s:
        sound_s = int(sound_s / behaviour.burst_s + 1e-6) * behaviour.burst_s
    pace = behaviour.pace or 1.0
    due = sound_s / pace
    if behaviour.hiccup_after_s is not None and sound_s >= behaviour.hiccup_after_s:
        due = max(due, behaviour.hiccup_after_s / pace + behaviour.hiccup_s)
    return due


def route_of(path: str) -> Route:
    if path.startswith("/v1/audio/speech"):
        return Route.SPEECH
    return Route.TRANSCRIPTIONS if path.startswith("/v1/audio/transcriptions") else Route.LISTS
