"""From text to frames: pieces → engine → decoder. Who plays or keeps the frames takes them as fast as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from voicemode import clock
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.events import Emit, FirstByte, SpeechBroken, SpeechReceived, SpeechRequested
from voicemode.ledger import Ledger
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenDecoder, TtsEngine
from voicemode.speech import SpeechRequest
from voicemode.text import LONGEST_MESSAGE_CHARACTERS, Splitter, split

Write = Callable[[int, Frame], Awaitable[None]]
"""Takes a frame of a piece (by its number); waiting in it holds the engine back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderingPorts:
    """`chunk_bytes` is what is decoded at a time, so that a large chunk does not hold up the loop."""

    engine: TtsEngine
    open_decoder: OpenDecoder
    format: PcmFormat
    chunk_bytes: int


class Rendering:
    """One message becoming sound. Its pieces are in `ledger` from the start, or as they are written.

    `engine` and `voice` say who spoke last. Raises `InvalidRequest` when there is nothing to say or too much.
    """

    def __init__(
        self,
        ports: RenderingPorts,
        text: str | AsyncIterator[str],
        request: SpeechRequest,
        *,
        turn: str,
        emit: Emit,
    ) -> None:
        self.ledger = Ledger(ports.format.rate)
        self.engine = self.voice = ""
        self._ports = ports
        self._text = text
        self._request = request
        self._turn = turn
        self._emit = emit
        for piece in _pieces_of(text) if isinstance(text, str) else ():
            self.ledger.add(piece)

    async def run(self, write: Write) -> None:
        """Gives every frame to `write`, in order, one request at a time. Raises `VoiceModeError` where it breaks off;
        cancelling closes the connection."""
        async for number, piece in self._pieces():
            await self._say(number, piece, write)
            self.ledger.complete(number)

    async def _pieces(self) -> AsyncIterator[tuple[int, str]]:
        if isinstance(self._text, str):
            for number, piece in enumerate(self.ledger.pieces):
                yield number, piece
            return
        splitter = Splitter()
        async for part in self._text:
            for piece in splitter.feed(part):
                yield self.ledger.add(piece), piece
        for piece in splitter.flush():
            yield self.ledger.add(piece), piece

    async def _say(self, number: int, piece: str, write: Write) -> None:
        ports, turn = self._ports, self._turn
        request = replace(self._request, text=piece)
        engine = ports.engine.name
        self._emit(
            SpeechRequested(
                at=clock.monotonic(),
                turn=turn,
                piece=number,
                text=piece,
                engine=engine,
                format=request.format,
            )
        )
        chunks = received = samples = 0
        try:
            async with ports.engine.synthesize(request) as audio:
                self.engine, self.voice = audio.engine, audio.voice
                self._emit(
                    FirstByte(
                        at=clock.monotonic(),
                        turn=turn,
                        piece=number,
                        engine=audio.engine,
                        voice=audio.voice,
                        format=audio.format,
                    )
                )
                decoder = ports.open_decoder(audio, ports.format)
                async for chunk in audio.chunks:
                    chunks, received = chunks + 1, received + len(chunk)
                    for start in range(0, len(chunk), ports.chunk_bytes):
                        for frame in decoder.feed(chunk[start : start + ports.chunk_bytes]):
                            samples += frame.samples
                            await write(number, frame)
                for frame in await asyncio.to_thread(decoder.flush):
                    samples += frame.samples
                    await write(number, frame)
        except VoiceModeError as error:
            now = clock.monotonic()
            self._emit(SpeechBroken(at=now, turn=turn, piece=number, code=error.code, reason=str(error)))
            raise
        self._emit(
            SpeechReceived(
                at=clock.monotonic(),
                turn=turn,
                piece=number,
                chunks=chunks,
                bytes_received=received,
                seconds=ports.format.seconds(samples),
            )
        )


def _pieces_of(text: str) -> list[str]:
    if len(text) > LONGEST_MESSAGE_CHARACTERS:
        raise InvalidRequest(
            f"The message has {len(text):,} characters; at most {LONGEST_MESSAGE_CHARACTERS:,} are spoken at once.",
            hint="Say it in parts, or say a summary.",
        )
    pieces = split(text)
    if not pieces:
        shown = text.strip()[:40]
        raise InvalidRequest(
            f"There is nothing to say in {shown!r}." if shown else "The message is empty.",
            hint="Give a message with words in it.",
        )
    return pieces
