"""A host as the tests need one: voicemode as a child process with a virtual sound card, and ways to end it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client, StdioServerParameters

from tests.support.sound_card import VirtualSoundCard

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "voicemode")


def environment(card: VirtualSoundCard | None, folder: Path, **settings: str) -> dict[str, str]:
    """The variables of a voicemode process that keeps its files in `folder`; `settings` without their prefix."""
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    named = {f"VOICEMODE_{name}": value for name, value in settings.items()}
    sound = card.environment if card is not None else {"XDG_RUNTIME_DIR": str(folder)}
    # What servers are asked is what these tests look at; what came from disk would not be.
    kept = {"VOICEMODE_BASE_DIR": str(folder), "VOICEMODE_PHRASE_CACHE_MB": "0"}
    # The word-coded voice is rows of tones: the neural detector knows that nobody speaks.
    heard = {"VOICEMODE_VAD": "webrtc"}
    # A speech server that its owner runs on this machine takes no part.
    alone = {"VOICEMODE_KOKORO_PORT": "1", "VOICEMODE_WHISPER_PORT": "1"}
    return {**base, **sound, **kept, **heard, **alone, **named}


@asynccontextmanager
async def client(variables: Mapping[str, str]) -> AsyncIterator[Client]:
    """A real MCP client on a real child process."""
    parameters = StdioServerParameters(command=COMMAND[0], args=list(COMMAND[1:]), env=dict(variables))
    async with Client(parameters) as connected:
        yield connected
