"""What the tests of HTTP engines share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.support.speech_server import RequestSeen, SpeechServer
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import TtsEngine
from voicemode.speech import SpeechRequest, TranscriptionRequest

KEY = "k-Zq81xT77wLp0"
TEXT = "the harbour is quiet tonight"
HELLO = SpeechRequest(text=TEXT)
RECORDING = TranscriptionRequest(audio=Frame(data=LISTENING.silence(8_000), format=LISTENING))
WAIT_S = 10.0

IMPATIENT = Limits(first_byte_s=1.0, gap_s=0.5, list_s=0.5)
"""Short, and long enough for a good answer on a busy machine."""


@asynccontextmanager
async def speech(
    server: SpeechServer, *, key: str = "", voices: tuple[str, ...] = ("alloy",), limits: Limits | None = None
) -> AsyncIterator[OpenAiSpeech]:
    """An engine for `server`. One preferred voice, so that no list is asked for."""
    endpoint = Endpoint(base_url=server.base_url, api_key=key, voices=voices, limits=limits or Limits())
    engine = OpenAiSpeech(endpoint)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def transcription(
    server: SpeechServer, *, limits: Limits | None = None
) -> AsyncIterator[OpenAiTranscription]:
    engine = OpenAiTranscription(Endpoint(base_url=server.base_url, api_key=KEY, limits=limits or Limits()))
    try:
        yield engine
    finally:
        await engine.close()


async def said(engine: TtsEngine, request: SpeechRequest = HELLO) -> bytes:
    async with asyncio.timeout(WAIT_S), engine.synthesize(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks])


def overheard(request: SpeechRequest = HELLO) -> tuple[SpeechRequest, list[tuple[str, float | None]]]:
    """A request, and a list of the trouble it will meet: (code, seconds after which the same one is asked again)."""
    told: list[tuple[str, float | None]] = []
    return replace(request, tell=lambda trouble: told.append((trouble.code, trouble.after))), told


async def seen(server: SpeechServer, true: Callable[[list[RequestSeen]], bool]) -> list[RequestSeen]:
    """The server's log once it fulfils a condition; TimeoutError when it does not within 5 s."""
    return await asyncio.to_thread(server.wait_until, true)


def asked(server: SpeechServer, path: str = "/v1/audio/speech") -> list[RequestSeen]:
    return [request for request in server.requests if request.path == path]
