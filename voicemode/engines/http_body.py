"""Sound as it comes out of an HTTP answer: no buffering, limits on every wait, a cap on the whole."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from voicemode import clock
from voicemode.engines import http_errors
from voicemode.engines.http_endpoint import Endpoint
from voicemode.errors import StreamBroken
from voicemode.speech import AudioFormat, SpeechRequest

if TYPE_CHECKING:
    import httpx2

HEAD_BYTES = 64
"""Enough to tell every container, and a page from noise; 1.3 ms of raw sound at 24 kHz."""

_SLOWEST_S_PER_LETTER = 0.075
_LEAD_S = 2.0
_BYTES_PER_S = {
    AudioFormat.PCM: 48_000,
    AudioFormat.WAV: 192_000,
    AudioFormat.FLAC: 192_000,
    AudioFormat.MP3: 40_000,
    AudioFormat.OPUS: 32_000,
    AudioFormat.AAC: 40_000,
}
"""Bytes per second at the highest rates in use: 24 kHz mono, 48 kHz stereo, 320 and 256 kbit/s."""


def most_seconds(request: SpeechRequest) -> float:
    """The longest that an ordinary voice takes to say the text."""
    return _LEAD_S + _SLOWEST_S_PER_LETTER * len(request.text) / request.speed


def _ends_by_closing(response: httpx2.Response) -> bool:
    """HTTP/1 without a length and without chunks (RFC 9112, 6.3)."""
    headers = response.headers
    framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
    return not framed and response.http_version in ("HTTP/1.0", "HTTP/1.1")


class SoundBody:
    """The body of one answer, chunk by chunk as the network gives them.

    `head` reads ahead without consuming. Closing it closes the connection at once unless the answer had ended,
    in which case the connection is kept.
    """

    def __init__(self, endpoint: Endpoint, response: httpx2.Response) -> None:
        self.received = 0
        self._cap: int | None = None
        self._whole_s = endpoint.limits.whole_s
        self._endpoint = endpoint
        self._response = response
        self.unsealed = _ends_by_closing(response)
        """A connection that was lost ends it just as its end does."""
        self._chunks = response.aiter_bytes()
        self._held: deque[bytes] = deque()
        self._ended = False
        self._reading = False
        self._waited = 0.0

    async def head(self) -> bytes:
        """The first `HEAD_BYTES` or more, or all there is. The caller limits the time."""
        while self.received < HEAD_BYTES:
            chunk = await self._read()
            if chunk is None:
                break
            self._held.append(chunk)
        return b"".join(self._held)

    def expect(self, seconds: float, fmt: AudioFormat) -> None:
        """Bounds the rest by the sound that the text needs: its bytes, and its time if it comes as fast as it plays."""
        self._cap = int(self._endpoint.limits.excess * seconds * _BYTES_PER_S[fmt])
        self._whole_s = self._endpoint.limits.whole_s + seconds

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = self._held.popleft() if self._held else await self._read_in_time()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._ended = True
        self._held.clear()
        if not self._reading:
            await self._chunks.aclose()
        await self._response.aclose()

    async def _read_in_time(self) -> bytes | None:
        limits = self._endpoint.limits
        left = self._whole_s - self._waited
        began = clock.monotonic()
        try:
            async with asyncio.timeout(min(limits.gap_s, left)):
                return await self._read()
        except TimeoutError as error:
            late = (
                f"fell silent for {limits.gap_s:g} s"
                if limits.gap_s <= left
                else f"was not done within {self._whole_s:.3g} s"
            )
            raise StreamBroken(
                f"{self._endpoint.name} {late} after {self.received} bytes.",
                engine=self._endpoint.name,
                retryable=True,
            ) from error
        finally:
            self._waited += clock.monotonic() - began

    async def _read(self) -> bytes | None:
        """The next chunk that is not empty; None at the end."""
        while not self._ended:
            self._reading = True
            try:
                with http_errors.within_answer(self._endpoint, self.received):
                    chunk = await anext(self._chunks, None)
            finally:
                self._reading = False
            if chunk is None:
                self._ended = True
            elif chunk:
                return self._counted(chunk)
        return None

    def _counted(self, chunk: bytes) -> bytes:
        self.received += len(chunk)
        if self._cap is not None and self.received > self._cap:
            self._ended = True
            raise StreamBroken(
                f"{self._endpoint.name} sent more than {self._cap} bytes, several times what the text can need.",
                engine=self._endpoint.name,
                hint="The voice has run away: try another model or voice.",
            )
        return chunk
