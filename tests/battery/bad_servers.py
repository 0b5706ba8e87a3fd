"""Everything that can listen on an address and still be no speech server."""

from __future__ import annotations

from contextlib import ExitStack

from tests.support.speech_server import Accept, Behaviour, Content, SpeechServer

BAD = {
    "stays silent": (Behaviour(accept=Accept.NEVER), "timeout"),
    "closes": (Behaviour(accept=Accept.CLOSE), "unreachable"),
    "resets": (Behaviour(accept=Accept.RESET), "unreachable"),
    "is no HTTP": (Behaviour(accept=Accept.JUNK), "bad_content"),
    "HTML": (Behaviour(content=Content.HTML), "bad_content"),
    "JSON": (Behaviour(content=Content.JSON), "bad_content"),
    "nothing": (Behaviour(content=Content.EMPTY), "bad_content"),
    "bad gzip": (Behaviour(bad_gzip=True), "bad_content"),
    "huge headers": (Behaviour(huge_headers_bytes=300_000), "bad_content"),
    "a circle": (Behaviour(status=307, location="self"), "refused"),
    "400": (Behaviour(status=400), "refused"),
    "401": (Behaviour(status=401), "refused"),
    "403": (Behaviour(status=403), "refused"),
    "404": (Behaviour(status=404), "refused"),
    "429 for long": (Behaviour(status=429, retry_after="60"), "refused"),
    "500 for ever": (Behaviour(status=500), "refused"),
    "503 for ever": (Behaviour(status=503), "refused"),
}
"""What a server does, and the code under which it is told."""


def bad_servers(stack: ExitStack) -> dict[str, SpeechServer]:
    return {name: stack.enter_context(SpeechServer(behaviour)) for name, (behaviour, _) in BAD.items()}
