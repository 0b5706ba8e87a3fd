"""A running server, and the clients that ask it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.speech_server.asking import LIMIT_S
from tests.support.speech_server import (
    Behaviour,
    Route,
    SpeechServer,
)


@pytest.fixture(scope="module")
def running() -> Iterator[SpeechServer]:
    with SpeechServer() as server:
        yield server


@pytest.fixture
def server(running: SpeechServer) -> SpeechServer:
    """A good server, whatever the test before made of it."""
    for route in Route:
        running.behave(Behaviour(), route)
    return running


@pytest.fixture
def client(server: SpeechServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=LIMIT_S) as client:
        yield client


@pytest.fixture
def http(server: SpeechServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.origin, timeout=LIMIT_S) as client:
        yield client
