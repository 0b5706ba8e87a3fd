"""`POST /v1/audio/transcriptions`: sound in any format, its words in six."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from voicemode.errors import UnknownLanguage, VoiceModeError
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import SttEngine
from voicemode.speech import Transcript, TranscriptionRequest
from voicemode.speech_server.answers import BadArgument, error_json, json_response, refusal, sse
from voicemode.speech_server.capped import Left, while_there
from voicemode.speech_server.failures import id_of
from voicemode.speech_server.form import GRANULARITIES, TIMED, Granularity, TranscriptFormat, Upload, uploaded
from voicemode.speech_server.segments import SUBTITLE_SECONDS, WHOLE_SECONDS, Segment, cut, merged
from voicemode.speech_server.service import Hearing, Service
from voicemode.speech_server.speech import Started
from voicemode.speech_server.subtitles import Line, srt, vtt
from voicemode.speech_server.uploads import decoded
from voicemode.text.languages import english_name
from voicemode.text.pieces import clean_transcript

LONGEST_SECONDS = 3_600
"""An hour of sound is 115 MB in memory, and a small file can hold days."""

AHEAD = 2
"""Segments that are transcribed beside the one that is next: the words come sooner, the engine is not stormed."""

ROUTE = "/v1/audio/transcriptions"


class TranscriptionRoute:
    """`POST /v1/audio/transcriptions`, as an ASGI application of its own, since events go out as words are found."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = Started(send)
        try:
            hearers = self._service.hearers
            with self._service.hearing(ROUTE, hearers.usual.name, request_id=id_of(scope)) as account:
                async with self._service.uploads.room():
                    upload = await uploaded(request)
                engine = hearers.choose(upload.model)
                with self._service.hearings.stream(begun=True):
                    answer = await while_there(receive, _answer(engine, upload, account, started))
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
        if transcript.words is None and Granularity.WORD in upload.granularities:
            raise BadArgument(
                f"timestamp_granularities[] has 'word', and {transcript.engine} does not know when words were said; "
                f"it must be '{Granularity.SEGMENT}'.",
                param=GRANULARITIES[0],
            )
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
        request = TranscriptionRequest(
            audio=segment.audio,
            language=upload.language,
            prompt=upload.prompt,
            timed=Granularity.WORD in upload.granularities,
        )
        try:
            found = await engine.transcribe(request)
        except UnknownLanguage as error:
            raise BadArgument(
                f"language is {upload.language!r}; it must be one of {', '.join(error.languages)} here, or left out.",
                param="language",
            ) from error
        return replace(found, text=clean_transcript(found.text))

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
    return json_response({"text": text, "usage": _usage(recording)})


def _usage(recording: Frame) -> dict[str, object]:
    """In seconds that have begun: a short word is no work for nothing."""
    return {"type": "duration", "seconds": math.ceil(recording.seconds)}


def _verbose(
    upload: Upload, recording: Frame, text: str, heard: Sequence[tuple[Segment, Transcript]]
) -> dict[str, object]:
    """OpenAI's object. Its tokens and seek are Whisper's own, and no other recogniser has any."""
    whisper: dict[str, object] = {"seek": 0, "tokens": [], "temperature": 0.0}
    segments: list[dict[str, object]] = [
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
    words = [
        {
            "word": clean_transcript(word.text),
            "start": round(at.at + word.start, 3),
            "end": round(at.at + word.end, 3),
        }
        for at, said in heard
        for word in said.words or ()
    ]
    language = upload.language or next((said.language for _, said in heard if said.language), "")
    return {
        "task": "transcribe",
        "language": english_name(language) or "unknown",
        "duration": round(recording.seconds, 3),
        "text": text,
        **({"segments": segments} if Granularity.SEGMENT in upload.granularities else {}),
        **({"words": words} if Granularity.WORD in upload.granularities else {}),
        "usage": _usage(recording),
    }


def _compression(text: str) -> float:
    """Whisper's measure of text that repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _confidence(said: Transcript) -> float:
    return 1.0 if said.confidence is None else said.confidence
