"""The speech service behind the tests' HTTP server: it speaks with the word-coded voice, transcribes by reading that
voice out of the upload, refuses in OpenAI's words, and spoils its answers on demand."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import av

from tests.support.behaviour import Behaviour, Content
from tests.support.encoding import CONTENT_TYPES, WavKind, WavSizes, convert, decode, encode, wav
from tests.support.http1 import Answer, Asked
from tests.support.request_log import RequestSeen
from tests.support.voice import hear_text, listen, speak
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

_HTML = b"<!doctype html><html><body><h1>Sign in to the network</h1></body></html>"


class BadRequest(Exception):
    def __init__(self, message: str, *, param: str, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.answer = refusal(status, message, param=param, code=code)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechService:
    """`voices` and `models` are what it knows (others get 400); `key`, where given, is asked for as a bearer token."""

    voices: tuple[str, ...]
    models: tuple[str, ...]
    key: str = ""

    async def answer(self, asked: Asked, seen: RequestSeen, behaviour: Behaviour) -> Answer:
        """What is to be sent, spoilt as told; what was asked is written into `seen`."""
        try:
            answer = self._special(asked, behaviour) or await self._answer(asked, seen, behaviour)
        except BadRequest as error:
            answer = error.answer
        return spoilt(answer, behaviour)

    def _special(self, asked: Asked, behaviour: Behaviour) -> Answer | None:
        """The answers that do not look at the question."""
        if self.key and asked.header("authorization") != f"Bearer {self.key}":
            return refusal(401, "Incorrect API key provided.", param=None, code="invalid_api_key")
        if behaviour.status == 200:
            return None
        if behaviour.body or behaviour.status < 400:
            return Answer(body=behaviour.body.encode(), content_type="text/plain", status=behaviour.status)
        return refusal(
            behaviour.status, f"The server was told to answer {behaviour.status}.", param=None, code=None
        )

    async def _answer(self, asked: Asked, seen: RequestSeen, behaviour: Behaviour) -> Answer:
        match asked.method, asked.path.partition("?")[0]:
            case "POST", "/v1/audio/speech":
                return await self._speech(asked, seen, behaviour)
            case "POST", "/v1/audio/transcriptions":
                return await self._transcription(asked, seen, behaviour)
            case "GET", "/v1/models":
                models = [
                    {"id": id_, "object": "model", "created": 0, "owned_by": "tests"} for id_ in self.models
                ]
                return json_answer({"object": "list", "data": models})
            case "GET", "/v1/audio/voices":
                return json_answer({"voices": list(self.voices)})
            case "GET", "/health":
                return json_answer({"status": "healthy"})
        raise BadRequest(
            f"Unknown request: {asked.method} {asked.path}", param="", code="unknown_url", status=404
        )

    async def _speech(self, asked: Asked, seen: RequestSeen, behaviour: Behaviour) -> Answer:
        given = json_object(asked.body)
        seen.text, seen.voice, seen.model = (_text(given, name, "") for name in ("input", "voice", "model"))
        seen.instructions = _text(given, "instructions", "")
        seen.format = _text(given, "response_format", "mp3")
        speed = given.get("speed", 1.0)
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
            raise BadRequest(f"speed is {speed!r}; it must be from 0.25 to 4.0", param="speed")
        seen.speed = float(speed)
        if not seen.text:
            raise BadRequest("input is missing or empty", param="input", code="missing_required_parameter")
        _one_of(seen.model, self.models, "model")
        _one_of(seen.voice, self.voices, "voice")
        _one_of(seen.format, tuple(AudioFormat), "response_format")
        return await asyncio.to_thread(
            sound_of,
            seen.text,
            seen.speed,
            AudioFormat(behaviour.sent_as or seen.format),
            PcmFormat(rate=behaviour.sound_rate, channels=behaviour.sound_channels),
            behaviour.wav_kind,
            behaviour.wav_sizes,
            behaviour.bit_rate,
        )

    async def _transcription(self, asked: Asked, seen: RequestSeen, behaviour: Behaviour) -> Answer:
        parts = multipart(asked)
        words = {part.name: part.data.decode("utf-8", "replace") for part in parts if not part.filename}
        seen.model, seen.language, seen.prompt = (
            words.get(name, "") for name in ("model", "language", "prompt")
        )
        seen.format = words.get("response_format", "json")
        file = next((part for part in parts if part.name == "file" and part.filename), None)
        if file is None:
            raise BadRequest("file is missing", param="file", code="missing_required_parameter")
        seen.filename = file.filename
        _one_of(seen.model, self.models, "model")
        _one_of(seen.format, ("json", "text", "verbose_json"), "response_format")
        try:
            recording = await asyncio.to_thread(recording_in, file)
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise BadRequest(
                f"Audio file might be corrupted or unsupported: {error}", param="file"
            ) from error
        seen.recording = recording
        read = await asyncio.to_thread(
            hear_text, recording.data, recording.format.rate, recording.format.channels
        )
        seen.transcript = read if behaviour.transcript is None else behaviour.transcript
        if seen.format == "text":
            return Answer(body=(seen.transcript + "\n").encode(), content_type="text/plain; charset=utf-8")
        if seen.format == "json":
            return json_answer({"text": seen.transcript})
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": recording.seconds,
            "text": seen.transcript,
            "tokens": [],
        }
        segment |= {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.01}
        whole = {"task": "transcribe", "language": seen.language or "english", "duration": recording.seconds}
        if words.get("timestamp_granularities[]") == "word":
            found = await asyncio.to_thread(
                listen, recording.data, recording.format.rate, recording.format.channels
            )
            times = [{"word": each.text, "start": each.start, "end": each.end} for each in found]
            return json_answer(whole | {"text": seen.transcript, "words": times})
        return json_answer(
            whole | {"text": seen.transcript, "segments": [segment] if seen.transcript else []}
        )


def spoilt(answer: Answer, behaviour: Behaviour) -> Answer:
    """The answer with the wrong content asked for; errors are left as they are."""
    if answer.status != 200:
        return answer
    if behaviour.body:
        return replace(answer, body=behaviour.body.encode(), seconds=0.0)
    answer = replace(answer, body=_damaged(answer.body, behaviour))
    match behaviour.content:
        case Content.HTML:
            return Answer(body=_HTML, content_type="text/html")
        case Content.JSON:
            return json_answer({"detail": "out of credit"})
        case Content.EMPTY:
            return replace(answer, body=b"", seconds=0.0)
        case Content.ODD:
            return replace(answer, body=answer.body + (b"\0" if len(answer.body) % 2 == 0 else b"\0\0"))
        case Content.NOISE:
            return replace(answer, body=random.Random(7).randbytes(len(answer.body)))
    return answer


def _damaged(whole: bytes, behaviour: Behaviour) -> bytes:
    whole = whole[: behaviour.over_after_bytes]
    start, end = behaviour.spoilt_from_bytes, behaviour.spoilt_to_bytes
    part = bytearray(whole[start:end])
    if behaviour.flip_every_bytes:
        for place in range(behaviour.flip_every_bytes, len(part), behaviour.flip_every_bytes):
            part[place] ^= 1 << behaviour.flip_bit
    if step := behaviour.hole_every_bytes:
        part = bytearray().join(
            part[at : at + step] for at in range(0, len(part), step + behaviour.hole_bytes)
        )
    return whole[:start] + part + (whole[end:] if end is not None else b"")


def json_answer(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode(), content_type="application/json")


def refusal(status: int, message: str, *, param: str | None, code: str | None) -> Answer:
    kind = "invalid_request_error" if status < 500 else "server_error"
    told = {"error": {"message": message, "type": kind, "param": param or None, "code": code}}
    return replace(json_answer(told), status=status)


def json_object(body: bytes) -> dict[str, object]:
    try:
        given: object = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}", param="", code="invalid_json") from error
    if not isinstance(given, dict):
        raise BadRequest("The body is not a JSON object", param="", code="invalid_json")
    return given


def _text(given: Mapping[str, object], name: str, default: str) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"{name} is {value!r}; it must be a string", param=name, code="invalid_type")
    return value


def _one_of(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        message = f"{name} is {value!r}; it must be one of {', '.join(allowed)}"
        raise BadRequest(message, param=name, code=f"{name}_not_found")


@lru_cache(maxsize=64)
def sound_of(
    text: str, speed: float, to: AudioFormat, shape: PcmFormat, kind: WavKind, sizes: WavSizes, bit_rate: int
) -> Answer:
    """Cached: benches say the same thing many times."""
    frame = convert(Frame(data=speak(text, SPEECH.rate, speed=speed), format=SPEECH), shape)
    is_wav = to is AudioFormat.WAV
    body = wav(frame, kind=kind, sizes=sizes) if is_wav else encode(frame, to, bit_rate=bit_rate or None)
    return Answer(body=body, content_type=CONTENT_TYPES[to], seconds=frame.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    name: str
    filename: str
    content_type: str
    data: bytes


def multipart(asked: Asked) -> list[Part]:
    found = re.search(r'boundary="?([^";]+)"?', asked.header("content-type"))
    if found is None:
        raise BadRequest("The body is not multipart/form-data", param="", code="invalid_body")
    parts: list[Part] = []
    for piece in (b"\r\n" + asked.body).split(b"\r\n--" + found[1].encode())[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = head.decode("utf-8", "replace")
        name, filename, kind = (
            match[1] if (match := re.search(pattern, said, re.IGNORECASE)) else ""
            for pattern in (r'[; ]name="([^"]*)"', r'filename="([^"]*)"', r"content-type: *([^\r\n]+)")
        )
        parts.append(Part(name=name, filename=filename, content_type=kind, data=data))
    return parts


def recording_in(file: Part) -> Frame:
    """The upload as sound: any file PyAV knows at its own rate, or raw PCM (`.pcm`, `audio/L16; rate=…`)."""
    rate = re.search(r"rate=(\d+)", file.content_type)
    if file.filename.endswith(".pcm") or file.content_type.lower().startswith(("audio/pcm", "audio/l16")):
        shape = PcmFormat(rate=int(rate[1])) if rate else LISTENING
        return Frame(data=file.data[: len(file.data) // 2 * 2], format=shape)
    return decode(file.data, None)
