"""Recordings of voices that lie elsewhere: `BASE/NAME.wav`, over HTTP."""

from __future__ import annotations

from voicemode.engines.http_download import fetched
from voicemode.engines.voice_cache import FetchVoice
from voicemode.errors import EndpointRefused

_NOT_THERE = (404, 410)


def far_voices(base: str) -> FetchVoice:
    """What looks for a voice at `base`. Raises `EngineError` where the place itself does not answer."""

    async def fetch(name: str, most: int) -> bytes | None:
        data = bytearray()
        try:
            async with fetched(f"{base.rstrip('/')}/{name}.wav") as body:
                async for chunk in body.chunks:
                    data += chunk
                    if len(data) > most:
                        break  # Larger than is taken, which whoever asked says with the name.
        except EndpointRefused as error:
            if error.status in _NOT_THERE:
                return None
            raise
        return bytes(data)

    return fetch
