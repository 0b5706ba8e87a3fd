"""What goes between ingress and replica: plain values, since neither functions nor our errors travel by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from voicemode import errors
from voicemode.errors import EndpointRefused, EngineError, InvalidRequest, UnknownLanguage, VoiceModeError
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, Trouble


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The first of a stream: everything of `EncodedAudio` but the sound, and what went wrong on the way to it. The
    chunks follow as bytes."""

    format: AudioFormat
    engine: str
    voice: str
    model: str
    pcm: PcmFormat
    kept: bool
    note: str
    unsealed: bool
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """The last of a stream that came whole."""

    reworded: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An error of ours, in place of what would have come next."""

    code: str
    message: str
    hint: str
    retryable: bool
    about: str = ""
    engine: str = ""
    status: int = 0
    retry_after_seconds: float | None = None
    languages: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Preloaded:
    """A voice that a replica holds now: found at `level`, after so many seconds."""

    level: str
    seconds: float


Said = Head | bytes | Tail | Failed
"""One item of a replica's stream."""


def head_of(audio: EncodedAudio, troubles: Sequence[Trouble]) -> Head:
    return Head(
        format=audio.format,
        engine=audio.engine,
        voice=audio.voice,
        model=audio.model,
        pcm=audio.pcm,
        kept=audio.kept,
        note=audio.note,
        unsealed=audio.unsealed,
        troubles=tuple(troubles),
    )


def failed(error: VoiceModeError, troubles: Sequence[Trouble] = ()) -> Failed:
    refused = error if isinstance(error, EndpointRefused) else None
    return Failed(
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
        about=error.about if isinstance(error, InvalidRequest) else "",
        engine=error.engine if isinstance(error, EngineError) else "",
        status=refused.status if refused else 0,
        retry_after_seconds=refused.retry_after_seconds if refused else None,
        languages=error.languages if isinstance(error, UnknownLanguage) else (),
        troubles=tuple(troubles),
    )


def error_of(told: Failed) -> VoiceModeError:
    """The error again, of its own class: callers tell an unknown voice from a broken engine by it."""
    kind = _KINDS.get(told.code, EngineError if told.engine else VoiceModeError)
    more: dict[str, Any] = {}
    if issubclass(kind, EngineError):
        more["engine"] = told.engine
    if issubclass(kind, EndpointRefused):
        more |= {"status": told.status, "retry_after_seconds": told.retry_after_seconds}
    if issubclass(kind, UnknownLanguage):
        more["languages"] = told.languages
    if issubclass(kind, InvalidRequest):
        more["about"] = told.about
    return kind(told.message, hint=told.hint, retryable=told.retryable, **more)


def _kinds(root: type[VoiceModeError]) -> Iterator[tuple[str, type[VoiceModeError]]]:
    """The tree of errors.py; classes that doors have added for themselves are no engine's."""
    yield root.code, root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from _kinds(kind)


_KINDS = dict(_kinds(VoiceModeError))
