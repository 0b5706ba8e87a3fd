"""One stream of speech, read ahead of who decodes it: the network runs before playback, within a cap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from voicemode import clock
from voicemode.errors import VoiceModeError
from voicemode.playout.links import Arrivals
from voicemode.ports import TtsEngine
from voicemode.speech import EncodedAudio, SpeechRequest

AHEAD_BYTES = 1_000_000
"""Encoded sound held: 20 s of raw PCM, minutes of anything else. The server is made to wait beyond it, so that a long
text holds memory flat."""


class ReadAhead:
    """Asks `engine` at once and reads until the end or the cap; use as an async context manager, leaving it closes the
    connection. `on_read` is told when everything has been read: the time to ask for the next piece."""

    def __init__(
        self,
        engine: TtsEngine,
        request: SpeechRequest,
        *,
        on_read: Callable[[], None] = lambda: None,
        cap: int = AHEAD_BYTES,
    ) -> None:
        self.arrivals = Arrivals()
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._cap = cap
        self._on_read = on_read
        self._opened: asyncio.Future[EncodedAudio] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None
        self._task = asyncio.create_task(self._read(engine, request))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def read(self) -> bool:
        """Everything has come, as it should."""
        return self._ended and self._error is None

    async def opened(self) -> EncodedAudio:
        """Who speaks, and how the chunks are to be read. Raises `VoiceModeError` when no engine gave a sound."""
        return await asyncio.shield(self._opened)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk; raises `EngineError` once all that came before a break has been given."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        self._changed.set()
        return chunk

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()
        self._opened.cancel()
        if not self._task.cancelled() and (problem := self._task.exception()):
            raise problem

    async def _read(self, engine: TtsEngine, request: SpeechRequest) -> None:
        try:
            async with engine.synthesize(request) as audio:
                self._opened.set_result(audio)
                async for chunk in audio.chunks:
                    self.arrivals.came(clock.monotonic(), len(chunk))
                    await self._hold(chunk)
            self._ended = True
            self._on_read()
        except Exception as error:  # A mistake of our own, too, is for whoever waits for sound.
            self._error = error
            if not self._opened.done():
                self._opened.set_exception(error)
            if not isinstance(error, VoiceModeError):
                raise
        finally:
            self._ended = True
            self._changed.set()

    async def _hold(self, chunk: bytes) -> None:
        while self._chunks and self._held + len(chunk) > self._cap:
            self.arrivals.hold()
            before = clock.monotonic()
            self._changed.clear()
            await self._changed.wait()
            self.arrivals.waited(clock.monotonic() - before)
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._changed.set()
