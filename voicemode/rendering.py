"""From text to frames: pieces → engine → decoder. Who plays or keeps the frames takes them as fast as it likes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from voicemode import clock
from voicemode.ahead import ReadAhead
from voicemode.errors import BadContent, EngineError, InvalidRequest, StreamBroken, VoiceModeError
from voicemode.events import Emit, FirstByte, SpeechBroken, SpeechRequested, SpeechReworded
from voicemode.joins import PAUSE_SECONDS, Contour, Joint, PassOver, Voiced, pause_after
from voicemode.ledger import Ledger
from voicemode.links import Links
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenDecoder, Stage, TtsEngine
from voicemode.receiving import Receiving
from voicemode.speech import EncodedAudio, SpeechRequest
from voicemode.text import LONGEST_MESSAGE_CHARACTERS, Splitter

MOST_BREAKS = 6
"""Streams of one message that may break off before it is given up."""

PATIENCE_SECONDS = 3.0
"""Hearing a piece again from its beginning is better than a silence that is longer."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """What `speaker` had said of a piece when its stream broke."""

    speaker: str
    contour: Contour


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
        self._begun: _Begun | None = None
        """What was said already of the piece that comes next."""
        self._believed = -1
        """The piece that is not doubted a second time, however short its sound."""
        self._hasty = ""
        """The speaker that is believed to read faster than anybody."""
        self._pause: tuple[int, Frame] | None = None
        """What is still to be added after a piece, if another one follows."""
        self._running: Receiving | None = None
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
                if self._pause is not None:
                    await write(*self._pause)
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
        begun, self._begun, self._pause = self._begun, None, None
        ports = self._ports
        piece = self._running = Receiving(ahead, ports.format, chunk_bytes=ports.chunk_bytes)
        joint = Joint(ports.format)
        way: list[Stage[Frame, Frame]] = [joint]

        async def give(frame: Frame) -> None:
            for part in _through(way, [frame]):
                await write(number, part)

        async with ahead:
            try:
                audio = await ahead.opened()
                self._note_first_byte(number, audio)
                if begun is not None and begun.speaker == self._speaker:
                    way.insert(0, PassOver(ports.format, begun.contour, pause=self._least_pause))
                try:
                    await piece.run(audio, ports.open_decoder, give)
                except BadContent:
                    self._doubt(number, audio, piece.contour)  # Too little to be decoded at all.
                    raise
                self._doubt(number, audio, piece.contour)
            except VoiceModeError as error:
                for frame in joint.fade():
                    await write(number, frame)
                await self._drop_next()
                self._running = None
                return self._break_off(number, piece, begun, error)
        for frame in _ending(way):
            await write(number, frame)
        self._complete(number, audio, piece)
        if not audio.kept:
            ports.links.learn(audio.engine, ahead.arrivals, piece.seconds)
        self._running = None
        return number + 1

    def _complete(self, number: int, audio: EncodedAudio, piece: Receiving) -> None:
        voiced = self._voiced(piece.contour)
        hasty = self.ledger.too_short(number, voice=self._speaker, voiced=voiced)
        self.ledger.complete(number, voice=self._speaker, voiced=None if hasty else voiced)
        fmt, text = self._ports.format, self.ledger.pieces[number]
        samples = fmt.samples(pause_after(text) - piece.contour.quiet_at_end)
        if samples > 0:
            self._pause = (number, Frame(data=fmt.silence(samples), format=fmt))
        self._emit(piece.received(turn=self._turn, piece=number))
        how = audio.reworded()
        if how is not None:
            now = clock.monotonic()
            self._emit(SpeechReworded(at=now, turn=self._turn, piece=number, engine=audio.engine, how=how))

    def _doubt(self, number: int, audio: EncodedAudio, contour: Contour) -> None:
        """A stream that only its closing ends, and that cannot have said its text, has broken off; where it is as
        short the second time, the voice is believed to be so fast."""
        if not audio.unsealed or self._hasty == self._speaker:
            return
        if not self.ledger.too_short(number, voice=self._speaker, voiced=self._voiced(contour)):
            return
        if number == self._believed:
            self._hasty = self._speaker
            return
        self._believed = number
        raise StreamBroken(
            f"{audio.engine} closed the connection after {contour.seconds:.1f} s of sound, too little for its text.",
            engine=audio.engine,
            retryable=True,
        )

    def _ask(self, number: int) -> ReadAhead:
        self._wanted = None
        links, turn = self._ports.links, self._turn
        text = self.ledger.pieces[number]
        running = self._running.speed if self._running is not None else None
        wanted = links.format(self.engine or links.latest, self._request.format, running=running)
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

    def _may_pass(self, error: VoiceModeError) -> bool:
        """Whether asking again is worth it: after a stream that broke, and once where nobody gives any sound who gave
        some a moment ago."""
        if not isinstance(error, EngineError) or not error.retryable:
            return False
        if isinstance(error, StreamBroken):
            return True
        first, self._asked_again = not self._asked_again, True
        return first and bool(self.engine)

    @property
    def _least_pause(self) -> float:
        """A slow voice is silent between words for longer, too."""
        return PAUSE_SECONDS / min(self._request.speed, 1.0)

    def _voiced(self, contour: Contour) -> Voiced:
        return contour.voiced(pause=self._least_pause)

    @property
    def _speaker(self) -> str:
        return f"{self.engine}/{self.voice}/{self._request.speed}"

    def _break_off(self, number: int, piece: Receiving, begun: _Begun | None, error: VoiceModeError) -> int:
        """What came is played; what is missing is asked for again, unless it is hopeless."""
        self._breaks += 1
        hopeless = not self._may_pass(error) or self._breaks > MOST_BREAKS
        following = number if hopeless else self._go_on_at(number, piece, begun)
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

    def _go_on_at(self, number: int, piece: Receiving, begun: _Begun | None) -> int:
        """The number of the piece to go on with: the rest from the clause in which it broke, or the same piece, of
        which what was heard will be passed over if the same voice says it again."""
        broken = _Begun(speaker=self._speaker, contour=piece.contour)
        if begun is not None and begun.speaker == broken.speaker:
            broken = max(begun, broken, key=lambda each: each.contour.seconds)
        voiced = self._voiced(broken.contour)
        silence = broken.contour.seconds / (piece.speed or math.inf)
        unsure = self.ledger.may_repeat(number, voice=broken.speaker)
        if unsure and voiced.pauses and silence <= PATIENCE_SECONDS:
            self._begun = broken
            self.ledger.say_again(number)
            return number
        following = self.ledger.break_off(number, voice=broken.speaker, voiced=voiced)
        if number == self._believed:
            self._believed = following
        return following


def _through(stages: Sequence[Stage[Frame, Frame]], frames: list[Frame]) -> list[Frame]:
    for stage in stages:
        frames = [part for frame in frames for part in stage.feed(frame)]
    return frames


def _ending(stages: Sequence[Stage[Frame, Frame]]) -> list[Frame]:
    frames: list[Frame] = []
    for stage in stages:
        frames = [*_through([stage], frames), *stage.flush()]
    return frames


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
