"""From text to frames: pieces → engine → decoder. Who plays or keeps the frames takes them as fast as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from voicemode import clock
from voicemode.errors import BadContent, InvalidRequest, StreamBroken, VoiceModeError
from voicemode.events import Emit, FirstByte, SpeechBroken, SpeechRequested, SpeechReworded
from voicemode.flows.ahead import ReadAhead
from voicemode.flows.receiving import Give, Receiving
from voicemode.flows.telling import telling
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.breaks import Breaks, Heard
from voicemode.playout.ledger import Ledger, longest_seconds
from voicemode.playout.links import HeadStart, Links
from voicemode.ports import OpenDecoder, Stage, TtsEngine
from voicemode.sound.joins import PAUSE_SECONDS, Joint, PassOver, pause_after
from voicemode.speech import EncodedAudio, Speaker, SpeechRequest
from voicemode.text.pieces import LONGEST_MESSAGE_CHARACTERS, Splitter

Write = Callable[[int, Frame], Awaitable[None]]
"""Takes a frame of a piece (by its number); waiting in it holds the decoder back."""

MOST_REWORDINGS_TOLD = 3
"""In the result; the log has them all."""

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

    `engine` and `voice` say who spoke last, `speakers` who spoke at all, `notes` what the listener has to know about
    that; `on_fill` is told how much to gather before the first sample.
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
        on_fill: Callable[[HeadStart], None] = lambda start: None,
    ) -> None:
        self.ledger = Ledger(ports.format.rate, speed=request.speed, voices=ports.links.voices)
        self.engine = self.voice = ""
        self.speakers: list[Speaker] = []
        self.notes: list[str] = []
        self._usual = ""
        """The engine that will say what is asked for next, once that is known."""
        self._opened = False
        """A piece has been said whole, or who began has been doubted."""
        self._rewordings = 0
        self._mixed = False
        """Somebody begins for somebody else."""
        self._ports = ports
        self._request = request
        self._turn = turn
        self._emit = emit
        self._on_fill = on_fill
        self._breaks = Breaks(self.ledger, least_pause=self._least_pause)
        self._pause: tuple[int, Frame] | None = None
        """What is still to be added after a piece, if another one follows."""
        self._running: Receiving | None = None
        self._next: ReadAhead | None = None
        self._wanted: int | None = None
        self._written = asyncio.Event()
        self._text: AsyncIterator[str] | None = None
        self._reading: asyncio.Task[None] | None = None
        if isinstance(text, str):
            for piece in pieces_of(text, ports.new_splitter(request)):
                self.ledger.add(piece)
        else:
            self._text = text

    async def prepare(self) -> None:
        """Asks for the first sound before `run`, which goes on with it. Raises `VoiceModeError` when there will be
        none. Of a text that is still being written it waits for the first piece."""
        self._begin_reading()
        if not await self._has(0):
            raise nothing_to_say()
        self._next = self._ask(0, opening=True)
        await self._next.opened()

    async def run(self, write: Write) -> None:
        """Gives every frame to `write`, in order. Raises `VoiceModeError` where it breaks off for good; cancelling
        closes the connections."""
        reading = self._begin_reading()
        try:
            number = 0
            while await self._has(number):
                if self._pause is not None:
                    await write(*self._pause)
                number = await self._say(number, write)
            await reading
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Closes what was asked for and is not wanted any more, and reads no further."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._close_next()

    async def _close_next(self) -> None:
        ahead, self._next = self._next, None
        if ahead is not None:
            await ahead.close()

    def _begin_reading(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_text())
        return self._reading

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
        ahead, self._next = self._next or self._ask(number, opening=not self._opened), None
        if ahead.read:
            self._ask_next(number + 1)
        self._pause = None
        ports = self._ports
        longest = longest_seconds(self.ledger.pieces[number], speed=self._request.speed)
        piece = self._running = Receiving(ahead, ports.format, chunk_bytes=ports.chunk_bytes, longest=longest)
        joint = Joint(ports.format)
        way: list[Stage[Frame, Frame]] = [joint]

        async def give(frame: Frame) -> None:
            for part in _through(way, [frame]):
                await write(number, part)

        async with ahead:
            try:
                audio = await ahead.opened()
                self._note_first_byte(number, audio)
                if audio.rest is not None:
                    self._ask_next(number + 1)  # Of another engine, which is idle.
                    way[:0] = self._levelled(audio.rest)
                if (begun := self._breaks.begun(self._speaker)) is None:
                    self.ledger.timed(number, audio.words)
                else:
                    way.insert(0, PassOver(ports.format, begun, pause=self._least_pause))
                await self._receive(number, audio, piece, give)
            except VoiceModeError as error:
                for frame in joint.fade():
                    await write(number, frame)
                await self._close_next()
                self._running = None
                return self._break_off(number, piece, error)
        for frame in _ending(way):
            await write(number, frame)
        self._complete(number, audio, piece)
        if not audio.kept:
            ports.links.learn(audio.engine, ahead.arrivals, piece.seconds)
            ports.links.latest = self._usual
        self._running = None
        return number + 1

    async def _receive(self, number: int, audio: EncodedAudio, piece: Receiving, give: Give) -> None:
        heard = Heard(speaker=self._speaker, contour=piece.contour)
        try:
            await piece.run(audio, self._ports.open_decoder, give)
        except BadContent:  # Perhaps only because it ended too early.
            self._doubt(number, audio, heard)
            raise
        self._doubt(number, audio, heard)

    def _doubt(self, number: int, audio: EncodedAudio, heard: Heard) -> None:
        """Raises `StreamBroken`. Who only begins is doubted whatever ended the stream: there is one who is preferred,
        and that one is asked next."""
        if not audio.unsealed and audio.rest is None:
            return
        try:
            self._breaks.doubt(number, heard, engine=audio.engine)
        except StreamBroken:
            self._opened = self._opened or audio.rest is not None
            raise

    def _complete(self, number: int, audio: EncodedAudio, piece: Receiving) -> None:
        heard = Heard(speaker=self._speaker, contour=piece.contour)
        voiced = piece.contour.voiced(pause=self._least_pause)
        doubtful = self._breaks.too_short(number, heard)
        self._breaks.said()
        self._opened = True
        if self._mixed:
            self._ports.links.levels.learn(self._speaker, piece.contour.loud)
        self.ledger.complete(number, voice=self._speaker, voiced=None if doubtful else voiced)
        fmt, text = self._ports.format, self.ledger.pieces[number]
        samples = fmt.samples(pause_after(text) - piece.contour.quiet_at_end)
        if samples > 0:
            self._pause = (number, Frame(data=fmt.silence(samples), format=fmt))
        self._emit(piece.received(turn=self._turn, piece=number))
        how = audio.reworded()
        if how is not None:
            now = clock.monotonic()
            self._emit(SpeechReworded(at=now, turn=self._turn, piece=number, engine=audio.engine, how=how))
            self._rewordings += 1
            if self._rewordings <= MOST_REWORDINGS_TOLD:
                self.notes.append(f"{audio.engine} used other words than the text's: {how}.")

    def _ask(self, number: int, *, opening: bool = False) -> ReadAhead:
        self._wanted = None
        links, turn = self._ports.links, self._turn
        text = self.ledger.pieces[number]
        running = self._running.speed if self._running is not None and self._usual == self.engine else None
        wanted = links.format(self._usual or links.latest, self._request.format, running=running)
        tell = telling(self._emit, turn=turn, piece=number)
        request = replace(
            self._request, text=text, format=wanted, tell=tell, turn=turn, piece=number, opening=opening
        )
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
        self._usual = audio.rest.engine if audio.rest is not None else audio.engine
        self._mixed = self._mixed or audio.rest is not None
        speaker = Speaker(engine=audio.engine, voice=audio.voice)
        if speaker not in self.speakers:
            self.speakers.append(speaker)
        if audio.note and audio.note not in self.notes:
            self.notes.append(audio.note)
        if first:
            self._on_fill(self._ports.links.head_start(audio.engine))
        self._emit(
            FirstByte(
                at=clock.monotonic(),
                turn=self._turn,
                piece=number,
                engine=audio.engine,
                voice=audio.voice,
                format=audio.format,
                kept=audio.kept,
                begins=audio.rest is not None,
            )
        )

    @property
    def _least_pause(self) -> float:
        """A slow voice is silent between words for longer, too."""
        return PAUSE_SECONDS / min(self._request.speed, 1.0)

    @property
    def _speaker(self) -> str:
        return self._named(self.engine, self.voice)

    def _named(self, engine: str, voice: str) -> str:
        return f"{engine}/{voice}/{self._request.speed}"

    def _levelled(self, rest: Speaker) -> list[Stage[Frame, Frame]]:
        """What makes the first words as loud as the rest will be."""
        factor = self._ports.links.levels.factor(self._speaker, like=self._named(rest.engine, rest.voice))
        if factor == 1.0:
            return []
        from voicemode.sound.mixing import Louder

        return [Louder(factor)]

    def _break_off(self, number: int, piece: Receiving, error: VoiceModeError) -> int:
        """What came is played; what is missing is asked for again, unless it is hopeless."""
        following, rest = number, ""
        hopeless = not self._breaks.may_pass(error, spoken=bool(self.engine))
        if not hopeless:
            heard = Heard(speaker=self._speaker, contour=piece.contour)
            following = self._breaks.go_on_at(number, heard, speed=piece.speed)
            rest = self.ledger.pieces[following]
        now = clock.monotonic()
        self._emit(
            SpeechBroken(
                at=now, turn=self._turn, piece=number, code=error.code, reason=str(error), again=rest
            )
        )
        if hopeless:
            raise error
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


def pieces_of(text: str, splitter: Splitter) -> list[str]:
    """The pieces of a whole text. Raises `InvalidRequest` when there is nothing to say or too much."""
    if len(text) > LONGEST_MESSAGE_CHARACTERS:
        raise InvalidRequest(
            f"The message has {len(text):,} characters; at most {LONGEST_MESSAGE_CHARACTERS:,} are spoken at once.",
            hint="Say it in parts, or say a summary.",
            about="text",
        )
    pieces = splitter.feed(text) + splitter.flush()
    if not pieces:
        raise nothing_to_say(text)
    return pieces


def nothing_to_say(text: str | None = None) -> InvalidRequest:
    """`text` None: it was read in parts, and nothing of it is kept."""
    shown = "the text" if text is None else repr(text.strip()[:40])
    return InvalidRequest(
        f"There is nothing to say in {shown}." if text is None or text.strip() else "The message is empty.",
        hint="Give a message with words in it.",
        about="text",
    )
