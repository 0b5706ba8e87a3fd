"""`POST /v1/audio/transcriptions`: sound in any format, its words in six."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from voicemode.errors import VoiceModeError
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import SttEngine
from voicemode.speech import Transcript, TranscriptionRequest
from voicemode.speech_server.answers import BadArgument, error_json, json_response, refusal, sse
from voicemode.speech_server.capped import Left, body_of, while_there
from voicemode.speech_server.segments import SUBTITLE_SECONDS, WHOLE_SECONDS, Segment, cut, merged
from voicemode.speech_server.service import Hearing, Service
from voicemode.speech_server.speech import Started
from voicemode.speech_server.subtitles import Line, srt, vtt
from voicemode.speech_server.uploads import decoded
from voicemode.text import clean_transcript

MOST_BODY_BYTES = 26_500_000
"""OpenAI takes files of 25 MB; and the form around it."""

LONGEST_SECONDS = 3_600
"""An hour of sound is 115 MB in memory, and a small file can hold days."""

AHEAD = 2
"""Segments that are transcribed beside the one that is next: the words come sooner, the engine is not stormed."""

ROUTE = "/v1/audio/transcriptions"


class TranscriptFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


TIMED = frozenset({TranscriptFormat.VERBOSE_JSON, TranscriptFormat.SRT, TranscriptFormat.VTT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    data: bytes
    format: TranscriptFormat
    language: str | None
    prompt: str | None
    stream: bool


class TranscriptionRoute:
    """`POST /v1/audio/transcriptions`, as an ASGI application of its own, since events go out as words are found."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = Started(send)
        try:
            with self._service.hearing(ROUTE, self._service.transcription.name) as account:
                upload = await uploaded(request)
                answer = await while_there(
                    receive, _answer(self._service.transcription, upload, account, started)
                )
                if answer is not None:
                    await answer(scope, receive, send)
        except Left:
            return
        except VoiceModeError as error:
            if started:
                await started.body(sse({"type": "error", "error": error_json(error)}), last=True)
            else:
                await refusal(error)(scope, receive, send)


async def _answer(engine: SttEngine, upload: Upload, account: Hearing, started: Started) -> Response | None:
    """The whole answer, or None where it has gone out as events."""
    recording = await asyncio.to_thread(decoded, upload.data, LISTENING, longest=LONGEST_SECONDS)
    account.seconds = recording.seconds
    timed = upload.stream or upload.format in TIMED
    segments = await asyncio.to_thread(cut, recording, longest=SUBTITLE_SECONDS if timed else WHOLE_SECONDS)
    if not timed:
        segments = merged(segments, longest=WHOLE_SECONDS)
    heard: list[tuple[Segment, Transcript]] = []
    async for segment, transcript in transcribed(engine, segments, upload):
        account.engine = transcript.engine
        if not transcript.text:
            continue
        if upload.stream:
            if not started:
                await started.head("text/event-stream", {"cache-control": "no-cache"})
            gap = " " if heard else ""
            await started.body(sse({"type": "transcript.text.delta", "delta": gap + transcript.text}))
        heard.append((segment, transcript))
    text = " ".join(transcript.text for _, transcript in heard)
    if not upload.stream:
        return _written(upload, recording, text, heard)
    if not started:
        await started.head("text/event-stream", {"cache-control": "no-cache"})
    await started.body(sse({"type": "transcript.text.done", "text": text}), last=True)
    return None


async def transcribed(
    engine: SttEngine, segments: Sequence[Segment], upload: Upload
) -> AsyncIterator[tuple[Segment, Transcript]]:
    """Each segment with its words, in order, a few being asked ahead. Leaving it ends the work."""
    tasks: list[asyncio.Task[Transcript]] = []

    async def ask(segment: Segment) -> Transcript:
        request = TranscriptionRequest(audio=segment.audio, language=upload.language, prompt=upload.prompt)
        found = await engine.transcribe(request)
        return Transcript(
            text=clean_transcript(found.text),
            engine=found.engine,
            model=found.model,
            language=found.language,
            confidence=found.confidence,
            note=found.note,
        )

    try:
        for number, segment in enumerate(segments):
            while len(tasks) < min(number + 1 + AHEAD, len(segments)):
                tasks.append(asyncio.create_task(ask(segments[len(tasks)])))
            yield segment, await tasks[number]
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()


async def uploaded(request: Request) -> Upload:
    """The form. Raises `BadArgument`."""
    body = await body_of(request, most=MOST_BODY_BYTES)

    async def again() -> Mapping[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    whole = Request(request.scope, again)  # type: ignore[arg-type]
    try:
        form = await whole.form(max_files=1, max_fields=32, max_part_size=65_536)
    except MultiPartException as error:
        raise BadArgument(f"The form cannot be read: {error.message}", param="body") from None
    except Exception as error:  # Starlette's own answer to a bad form.
        raise BadArgument(f"The form cannot be read: {error}.", param="body") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadArgument("file is missing.", param="file", hint="Send the recording as a file.")
        words = {name: value for name, value in form.items() if isinstance(value, str)}
        return Upload(
            data=await file.read(),
            format=_format(words.get("response_format", "")),
            language=words.get("language") or None,
            prompt=words.get("prompt") or None,
            stream=words.get("stream", "").lower() in ("true", "1"),
        )
    finally:
        await form.close()


def _format(name: str) -> TranscriptFormat:
    try:
        return TranscriptFormat(name or "json")
    except ValueError:
        raise BadArgument(
            f"response_format is {name[:32]!r}; it must be one of {', '.join(TranscriptFormat)}.",
            param="response_format",
        ) from None


def _written(
    upload: Upload, recording: Frame, text: str, heard: Sequence[tuple[Segment, Transcript]]
) -> Response:
    lines = [Line(start=at.start, end=at.end, text=said.text) for at, said in heard]
    match upload.format:
        case TranscriptFormat.TEXT:
            return PlainTextResponse(f"{text}\n")
        case TranscriptFormat.SRT:
            return PlainTextResponse(srt(lines), media_type="application/x-subrip")
        case TranscriptFormat.VTT:
            return PlainTextResponse(vtt(lines), media_type="text/vtt")
        case TranscriptFormat.VERBOSE_JSON:
            return json_response(_verbose(upload, recording, text, heard))
    usage = {"type": "duration", "seconds": round(recording.seconds)}
    return json_response({"text": text, "usage": usage})


def _verbose(
    upload: Upload, recording: Frame, text: str, heard: Sequence[tuple[Segment, Transcript]]
) -> dict[str, object]:
    """OpenAI's object. Its tokens and seek are Whisper's own, and no other recogniser has any."""
    whisper: dict[str, object] = {"seek": 0, "tokens": [], "temperature": 0.0}
    segments = [
        {
            "id": number,
            "start": round(at.start, 3),
            "end": round(at.end, 3),
            "text": said.text,
            "compression_ratio": round(_compression(said.text), 3),
            "avg_logprob": round(math.log(max(_confidence(said), 1e-6)), 3),
            "no_speech_prob": round(1 - _confidence(said), 3),
            **whisper,
        }
        for number, (at, said) in enumerate(heard)
    ]
    language = upload.language or next((said.language for _, said in heard if said.language), "")
    return {
        "task": "transcribe",
        "language": language or "unknown",
        "duration": round(recording.seconds, 3),
        "text": text,
        "segments": segments,
        "usage": {"type": "duration", "seconds": round(recording.seconds)},
    }


def _compression(text: str) -> float:
    """Whisper's measure of text that repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _confidence(said: Transcript) -> float:
    return 1.0 if said.confidence is None else said.confidence
