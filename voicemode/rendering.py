"""From text to frames: pieces → engine → decoder. Who plays or keeps the frames takes them as fast as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from voicemode import clock
from voicemode.ahead import ReadAhead
from voicemode.errors import EngineError, InvalidRequest, StreamBroken, VoiceModeError
from voicemode.events import Emit, FirstByte, SpeechBroken, SpeechReceived, SpeechRequested
from voicemode.joins import PAUSE_SECONDS, Contour, Joint, Voiced
from voicemode.ledger import Ledger
from voicemode.links import Links
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenDecoder, Stage, TtsEngine
from voicemode.speech import EncodedAudio, SpeechRequest
from voicemode.text import LONGEST_MESSAGE_CHARACTERS, Splitter

MOST_BREAKS = 6
"""Streams of one message that may break off before it is given up."""

Write = Callable[[int, Frame], Awaitable[None]]
"""Takes a frame of a piece (by its number); waiting in it holds the decoder back."""


NewSplitter = Callable[[SpeechRequest], Splitter]
"""How the text of a request is read: its language, whether markdown is read, the pronunciations in force."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderingPorts:
    """`chunk_bytes` is what is decoded at a time, so that a large chunk does not hold up the loop."""

    engine: TtsEngine
    open_decoder: OpenDecoder
    format: PcmFormat
    chunk_bytes: int
    links: Links
    new_splitter: NewSplitter


class Rendering:
    """One message becoming sound. Its pieces are in `ledger` from the start, or as they are written.

    `engine` and `voice` say who spoke last, `notes` what the listener has to know about that; `on_fill` is told how
    many seconds to gather before the first sample.
    Raises `InvalidRequest` when there is nothing to say or too much.
    """

    def __init__(
        self,
        ports: RenderingPorts,
        text: str | AsyncIterator[str],
        request: SpeechRequest,
        *,
        turn: str,
        emit: Emit,
        on_fill: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.ledger = Ledger(ports.format.rate, speed=request.speed, voices=ports.links.voices)
        self.engine = self.voice = ""
        self.notes: list[str] = []
        self._ports = ports
        self._request = request
        self._turn = turn
        self._emit = emit
        self._on_fill = on_fill
        self._breaks = 0
        self._asked_again = False
        self._next: ReadAhead | None = None
        self._wanted: int | None = None
        self._written = asyncio.Event()
        self._text: AsyncIterator[str] | None = None
        if isinstance(text, str):
            for piece in _pieces_of(text, ports.new_splitter(request)):
                self.ledger.add(piece)
        else:
            self._text = text

    async def run(self, write: Write) -> None:
        """Gives every frame to `write`, in order. Raises `VoiceModeError` where it breaks off for good; cancelling
        closes the connections."""
        reading = asyncio.create_task(self._read_text())
        try:
            number = 0
            while await self._has(number):
                number = await self._say(number, write)
            await reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await self._drop_next()

    async def _drop_next(self) -> None:
        if self._next is not None:
            await self._next.close()
        self._next = None

    async def _read_text(self) -> None:
        try:
            if self._text is not None:
                splitter = self._ports.new_splitter(self._request)
                async for part in self._text:
                    self._add(splitter.feed(part))
                self._add(splitter.flush())
        finally:
            self._text = None
            self._written.set()

    def _add(self, pieces: list[str]) -> None:
        for piece in pieces:
            self.ledger.add(piece)
            self._written.set()
        if self._wanted is not None:
            self._ask_next(self._wanted)

    async def _has(self, number: int) -> bool:
        """Waits for the piece, while text is still being written."""
        while number >= len(self.ledger.pieces) and self._text is not None:
            self._written.clear()
            await self._written.wait()
        return number < len(self.ledger.pieces)

    async def _say(self, number: int, write: Write) -> int:
        """One piece; gives the number of the piece to go on with, which after a break is the rest of this one."""
        ahead, self._next = self._next or self._ask(number), None
        if ahead.read:
            self._ask_next(number + 1)
        joint, contour = Joint(self._ports.format), Contour(self._ports.format)
        async with ahead:
            try:
                audio = await ahead.opened()
                self._note_first_byte(number, audio)
                received = await self._decode(number, ahead, audio, joint, contour, write)
            except VoiceModeError as error:
                for frame in joint.fade():
                    await write(number, frame)
                await self._drop_next()
                return self._break_off(number, contour, error)
        for frame in joint.flush():
            await write(number, frame)
        self.ledger.complete(number, voice=self._speaker, voiced=self._voiced(contour))
        self._emit(received)
        if not audio.kept:
            self._ports.links.learn(audio.engine, ahead.arrivals, received.seconds)
        return number + 1

    def _ask(self, number: int) -> ReadAhead:
        self._wanted = None
        links, turn = self._ports.links, self._turn
        text = self.ledger.pieces[number]
        wanted = links.format(self.engine or links.latest, self._request.format)
        request = replace(self._request, text=text, format=wanted)
        engine = self._ports.engine.name
        self._emit(
            SpeechRequested(
                at=clock.monotonic(), turn=turn, piece=number, text=text, engine=engine, format=wanted
            )
        )
        return ReadAhead(self._ports.engine, request, on_read=lambda: self._ask_next(number + 1))

    def _ask_next(self, number: int) -> None:
        """The last piece has been read: the next one is asked for while it is still being played, or as soon as it
        has been written; not before the last one is being played itself."""
        if self._next is not None:
            return
        self._wanted = number
        if number < len(self.ledger.pieces):
            self._next = self._ask(number)

    def _note_first_byte(self, number: int, audio: EncodedAudio) -> None:
        first = not self.engine
        self.engine, self.voice = audio.engine, audio.voice
        if audio.note and audio.note not in self.notes:
            self.notes.append(audio.note)
        if first:
            self._on_fill(self._ports.links.fill(audio.engine))
        self._emit(
            FirstByte(
                at=clock.monotonic(),
                turn=self._turn,
                piece=number,
                engine=audio.engine,
                voice=audio.voice,
                format=audio.format,
            )
        )

    async def _decode(
        self, number: int, ahead: ReadAhead, audio: EncodedAudio, joint: Joint, contour: Contour, write: Write
    ) -> SpeechReceived:
        began = clock.monotonic()
        decoder = _Timed(self._ports.open_decoder(audio, self._ports.format))
        size = self._ports.chunk_bytes
        chunks = received = samples = 0

        async def give(frames: list[Frame]) -> None:
            nonlocal samples
            for frame in frames:
                samples += frame.samples
                contour.feed(frame)
                for part in joint.feed(frame):
                    await write(number, part)

        try:
            async for chunk in ahead:
                chunks, received = chunks + 1, received + len(chunk)
                for start in range(0, len(chunk), size):
                    await give(decoder.feed(chunk[start : start + size]))
        except StreamBroken:
            # What came is played out; a decoder that cannot make sense of a torn end has given all it can.
            with suppress(EngineError):
                await give(decoder.flush())
            raise
        await give(await asyncio.to_thread(decoder.flush))
        now = clock.monotonic()
        return SpeechReceived(
            at=now,
            turn=self._turn,
            piece=number,
            chunks=chunks,
            bytes_received=received,
            seconds=self._ports.format.seconds(samples),
            elapsed=now - began,
            decoding=decoder.seconds,
        )

    def _may_pass(self, error: VoiceModeError) -> bool:
        """Whether asking again is worth it: after a stream that broke, and once where nobody gives any sound who gave
        some a moment ago."""
        if not isinstance(error, EngineError) or not error.retryable:
            return False
        if isinstance(error, StreamBroken):
            return True
        first, self._asked_again = not self._asked_again, True
        return first and bool(self.engine)

    def _voiced(self, contour: Contour) -> Voiced:
        """What was heard; a slow voice is silent between words for longer, too."""
        return contour.voiced(pause=PAUSE_SECONDS / min(self._request.speed, 1.0))

    @property
    def _speaker(self) -> str:
        return f"{self.engine}/{self.voice}/{self._request.speed}"

    def _break_off(self, number: int, contour: Contour, error: VoiceModeError) -> int:
        """What came is played; the rest is asked for again from the clause in which it broke, unless it is hopeless."""
        self._breaks += 1
        hopeless = not self._may_pass(error) or self._breaks > MOST_BREAKS
        voiced = self._voiced(contour)
        following = number if hopeless else self.ledger.break_off(number, voice=self._speaker, voiced=voiced)
        rest = "" if hopeless or following >= len(self.ledger.pieces) else self.ledger.pieces[following]
        now = clock.monotonic()
        self._emit(
            SpeechBroken(
                at=now, turn=self._turn, piece=number, code=error.code, reason=str(error), again=rest
            )
        )
        if hopeless:
            raise error
        return following


class _Timed:
    """A decoder, and the seconds it took."""

    def __init__(self, stage: Stage[bytes, Frame]) -> None:
        self.seconds = 0.0
        self._stage = stage

    def feed(self, data: bytes) -> list[Frame]:
        began = clock.monotonic()
        try:
            return self._stage.feed(data)
        finally:
            self.seconds += clock.monotonic() - began

    def flush(self) -> list[Frame]:
        began = clock.monotonic()
        try:
            return self._stage.flush()
        finally:
            self.seconds += clock.monotonic() - began


def _pieces_of(text: str, splitter: Splitter) -> list[str]:
    if len(text) > LONGEST_MESSAGE_CHARACTERS:
        raise InvalidRequest(
            f"The message has {len(text):,} characters; at most {LONGEST_MESSAGE_CHARACTERS:,} are spoken at once.",
            hint="Say it in parts, or say a summary.",
        )
    pieces = splitter.feed(text) + splitter.flush()
    if not pieces:
        shown = text.strip()[:40]
        raise InvalidRequest(
            f"There is nothing to say in {shown!r}." if shown else "The message is empty.",
            hint="Give a message with words in it.",
        )
    return pieces
