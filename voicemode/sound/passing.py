"""Chunks on their way to who asked for them, told to somebody who stands beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Self

from voicemode.errors import EngineError


class Passing:
    """`chunks`, as they come. `passed` gets each, `ended` is called once when they have ended well, `broke` gets what
    they broke off with.

    No generator: one whose reader is cancelled is over, which would look like the end to whoever reads on.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        passed: Callable[[bytes], None] = lambda chunk: None,
        ended: Callable[[], None] = lambda: None,
        broke: Callable[[EngineError], None] = lambda error: None,
    ) -> None:
        self._chunks = chunks
        self._passed = passed
        self._ended = ended
        self._broke = broke
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            if not self._over:
                self._over = True
                self._ended()
            raise
        except EngineError as error:
            self._broke(error)
            raise
        self._passed(chunk)
        return chunk
