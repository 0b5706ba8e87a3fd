"""The form of `POST /v1/audio/transcriptions`: a file and what is to become of it, every wrong field named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from voicemode.speech_server.answers import BadArgument
from voicemode.speech_server.asked import choice
from voicemode.speech_server.capped import body_of

MOST_BODY_BYTES = 26_500_000
"""OpenAI takes files of 25 MB; and the form around it."""


class TranscriptFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


class Granularity(StrEnum):
    WORD = "word"
    SEGMENT = "segment"


GRANULARITIES = ("timestamp_granularities[]", "timestamp_granularities")
"""As OpenAI's clients send it, and as people write it."""

_TAG = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")

TIMED = frozenset({TranscriptFormat.VERBOSE_JSON, TranscriptFormat.SRT, TranscriptFormat.VTT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    data: bytes
    format: TranscriptFormat
    model: str
    language: str | None
    prompt: str | None
    stream: bool
    granularities: frozenset[Granularity]


async def uploaded(request: Request) -> Upload:
    """The form. Raises `BadArgument`."""
    body = await body_of(request, most=MOST_BODY_BYTES)

    async def again() -> Mapping[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    whole = Request(request.scope, again)  # type: ignore[arg-type]
    try:
        form = await whole.form(max_files=1, max_fields=32, max_part_size=65_536)
    except (MultiPartException, HTTPException) as error:  # Starlette's own answer to a bad form.
        why = error.message if isinstance(error, MultiPartException) else error.detail
        raise _unreadable(why) from None
    except Exception as error:  # What is no form at all ends in errors of any kind.
        raise _unreadable(str(error)) from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadArgument("file is missing.", param="file", hint="Send the recording as a file.")
        words = {name: value for name, value in form.items() if isinstance(value, str)}
        wanted = choice(TranscriptFormat, words.get("response_format", ""), "response_format")
        stream = _flag(words.get("stream", ""), "stream")
        fine = [each for name in GRANULARITIES for each in form.getlist(name) if isinstance(each, str)]
        return Upload(
            data=await file.read(),
            format=wanted,
            model=words.get("model", ""),
            language=_language(words.get("language", "")),
            prompt=words.get("prompt") or None,
            stream=stream,
            granularities=_granularities(fine, wanted, stream=stream),
        )
    finally:
        await form.close()


def _unreadable(why: str) -> BadArgument:
    return BadArgument(f"The form cannot be read: {why.rstrip('.')}.", param="body")


def _flag(given: str, param: str) -> bool:
    if given.lower() not in ("", "true", "false", "1", "0"):
        raise BadArgument(f"{param} is {given[:32]!r}; it must be true or false.", param=param)
    return given.lower() in ("true", "1")


def _language(given: str) -> str | None:
    if given and not _TAG.fullmatch(given):
        raise BadArgument(
            f"language is {given[:32]!r}; it must be a language's tag, such as en or pt-BR.", param="language"
        )
    return given or None


def _granularities(given: Sequence[str], wanted: TranscriptFormat, *, stream: bool) -> frozenset[Granularity]:
    """Segments where none is named."""
    found = frozenset(choice(Granularity, each, GRANULARITIES[0]) for each in given if each)
    if found and wanted is not TranscriptFormat.VERBOSE_JSON:
        raise BadArgument(
            f"{GRANULARITIES[0]} is given with response_format '{wanted}'; it must be "
            f"'{TranscriptFormat.VERBOSE_JSON}' with it.",
            param=GRANULARITIES[0],
        )
    if stream and Granularity.WORD in found:
        raise BadArgument(
            f"{GRANULARITIES[0]} has 'word', and stream is true; events have no times: it must be false.",
            param=GRANULARITIES[0],
        )
    return found or frozenset({Granularity.SEGMENT})
