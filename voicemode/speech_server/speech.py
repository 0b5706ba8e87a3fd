"""`POST /v1/audio/speech` and S5's `POST /synthesize`: text in, sound out while it is made."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicemode.errors import VoiceModeError
from voicemode.pcm import SPEECH
from voicemode.sound.wav import wav_header
from voicemode.speech import AudioFormat
from voicemode.speech_server.answers import BadArgument, error_json, refusal, sse
from voicemode.speech_server.asked import Asked, StreamFormat, json_fields, openai_speech, s5_speech
from voicemode.speech_server.capped import Left, body_of, while_there
from voicemode.speech_server.failures import id_of
from voicemode.speech_server.relayed import RelayedOpus
from voicemode.speech_server.service import Service
from voicemode.speech_server.utterance import Utterance, content_type

MOST_BODY_BYTES = 1_000_000
"""The longest message that is spoken, each of its characters written as an escape, and room for the rest."""

TEXT = "input"
"""What OpenAI's API calls the text."""

MOST_WHOLE_CHARACTERS = 10_000
"""What is held in memory until it is sent: some 11 minutes, 32 MB."""


class SpeechRoute:
    """`POST /v1/audio/speech`, as an ASGI application of its own: the sound goes out without passing any other hand."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = Started(send)
        try:
            asked = openai_speech(json_fields(await body_of(request, most=MOST_BODY_BYTES)))
            await while_there(receive, self._speak(asked, started, id_of(scope)))
        except Left:
            return
        except VoiceModeError as error:
            if not started:
                await refusal(error, text=TEXT)(scope, receive, send)
            elif asked.stream_format is StreamFormat.SSE:
                await started.body(sse({"type": "error", "error": error_json(error, text=TEXT)}), last=True)
            # Raw sound that breaks off has no place for words: the connection closes before its end, and clients tell.

    async def _speak(self, asked: Asked, started: Started, request_id: str) -> None:
        async with self._service.utterance(
            "/v1/audio/speech", asked, asked.text, request_id=request_id
        ) as speaking:
            await speaking.prepare()
            if asked.stream_format is StreamFormat.SSE:
                await _as_events(speaking, asked, started)
                return

            async def take(data: bytes) -> None:
                if not started:
                    await started.head(content_type(asked), _told(speaking))
                await started.body(data)

            await speaking.run(take)
            if not started:
                await started.head(content_type(asked), _told(speaking))
            await started.body(b"", last=True)


async def _as_events(speaking: Utterance | RelayedOpus, asked: Asked, started: Started) -> None:
    """OpenAI's events: `speech.audio.delta` with base64, at the end `speech.audio.done` with what it took."""

    async def take(data: bytes) -> None:
        if not started:
            await started.head("text/event-stream", {**_told(speaking), "cache-control": "no-cache"})
        await started.body(sse({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}))

    await speaking.run(take)
    if not started:
        await started.head("text/event-stream", _told(speaking))
    # No engine of ours counts tokens: characters in, packets of 20 ms out, so that a client's sums mean something.
    tokens_in, tokens_out = len(asked.text), round(speaking.stages.sound * 50)
    usage = {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    done = {"type": "speech.audio.done", "usage": usage, "timings": speaking.stages.as_json()}
    await started.body(sse(done), last=True)


async def synthesize(service: Service, request: Request) -> Response:
    """S5's `POST /synthesize`: the whole sound at once, with its stages."""
    fields = json_fields(await body_of(request, most=MOST_BODY_BYTES))
    asked = s5_speech(fields, usual=AudioFormat.WAV)
    if len(asked.text) > MOST_WHOLE_CHARACTERS:
        raise BadArgument(
            f"text has {len(asked.text):,} characters; at most {MOST_WHOLE_CHARACTERS:,} are spoken as a whole.",
            param="text",
            status=413,
            hint="Take it as a stream, from /v1/audio/speech or /ws/synthesize.",
        )
    return await while_there(request.receive, _whole(service, asked, id_of(request.scope)))


async def _whole(service: Service, asked: Asked, request_id: str) -> Response:
    sound = bytearray()

    async def take(data: bytes) -> None:
        sound.extend(data)

    async with service.utterance(
        "/synthesize", asked, asked.text, request_id=request_id, faded=True
    ) as speaking:
        await speaking.prepare()
        await speaking.run(take)
        if asked.audio_format is AudioFormat.WAV:
            # The stream's header says nothing of its length; here it is known.
            head = wav_header(SPEECH, len(sound) - len(wav_header(SPEECH)))
            sound[: len(head)] = head
        headers = {
            **_told(speaking),
            "x-audio-seconds": f"{speaking.stages.sound:.3f}",
            **{
                f"x-{name.replace('_', '-')}": str(value)
                for name, value in speaking.stages.as_json().items()
                if name.endswith("_ms")
            },
        }
    return Response(bytes(sound), media_type=content_type(asked), headers=headers)


def _told(speaking: Utterance | RelayedOpus) -> dict[str, str]:
    stages = speaking.stages
    told = {"x-backend": _printable(stages.engine), "x-voice": _printable(stages.voice)}
    timing = stages.as_header()
    return {**told, "server-timing": timing} if timing else told


def _printable(text: str) -> str:
    """A header is Latin-1 on one line."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)


class Started:
    """An answer over HTTP that has begun or not. True once its head is out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    def __bool__(self) -> bool:
        return self._begun

    async def head(self, media_type: str, headers: dict[str, str]) -> None:
        self._begun = True
        given = {"content-type": media_type, **headers}
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            }
        )

    async def body(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
