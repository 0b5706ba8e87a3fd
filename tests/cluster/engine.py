"""An engine for a real cluster: its words can be read back, its voice says which process spoke, and what it does stands
in files, since nobody can look into a replica."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.serve.house import WordVoice
from voicemode.engines.voice_cache import VoiceCache
from voicemode.speech import EncodedAudio, SpeechRequest

SLOWLY = "slowly"
"""As `instructions`: sound comes no faster than it is heard."""
CHUNK_SECONDS = 0.1
VOICES = ("ann", "bob", "cid", "dee", "eve")


def make(environment: Mapping[str, str]) -> ClusterVoice:
    """What the configuration file names."""
    return ClusterVoice(Path(environment["VOICEMODE_BASE_DIR"]))


class ClusterVoice(WordVoice):
    """Voices are recordings in `folder`/voices. In `folder`, every loading leaves a file `loaded-VOICE-…`, and every
    request is a file `open-…` while it lasts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="words", voices=VOICES)
        self._folder = folder
        self._number = 0
        self.cache: VoiceCache[object] = VoiceCache(self._load, engine=self.name, folders=[folder / "voices"])

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        at_work = self._mark("open")
        try:
            async with super().synthesize(request) as audio:
                chunks = _paced(audio.chunks) if request.instructions == SLOWLY else audio.chunks
                yield replace(audio, chunks=chunks, voice=f"{audio.voice}@{os.getpid()}")
        finally:
            at_work.unlink()

    async def close(self) -> None:
        await self.cache.close()

    async def _load(self, recording: bytes) -> object:
        self._mark(f"loaded-{recording.decode()}")
        return recording

    def _mark(self, what: str) -> Path:
        self._number += 1
        mark = self._folder / f"{what}-{os.getpid()}-{self._number}"
        mark.touch()
        return mark


async def _paced(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        await asyncio.sleep(CHUNK_SECONDS)
