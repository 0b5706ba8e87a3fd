"""Questions to the speech service of the tests, and what comes back."""

from __future__ import annotations

import httpx2

from tests.support.speech_server import (
    Behaviour,
    SpeechServer,
)
from tests.support.voice import speak
from voicemode.clock import monotonic

TEXT = "Hello there, this is the sound of a server."
LIMIT_S = 10.0
SPOKEN = speak(TEXT)


def ask(
    http: httpx2.Client, behaviour: Behaviour, server: SpeechServer, form: str = "pcm"
) -> httpx2.Response:
    server.then(behaviour)
    return http.post("/v1/audio/speech", json=question(form))


def question(form: str = "pcm") -> dict[str, str]:
    return {"model": "tts-1", "voice": "nova", "input": TEXT, "response_format": form}


def received(
    http: httpx2.Client, behaviour: Behaviour, server: SpeechServer
) -> tuple[bytes, list[tuple[float, int]]]:
    """What came until the end or the break, and (seconds since asking, bytes) of every piece."""
    server.then(behaviour)
    body, pieces, start = b"", [], monotonic()
    try:
        with http.stream("POST", "/v1/audio/speech", json=question()) as reply:
            for chunk in reply.iter_raw():
                body += chunk
                pieces.append((monotonic() - start, len(chunk)))
    except httpx2.TransportError:
        pieces.append((monotonic() - start, -1))
    return body, pieces
