"""Ogg/Opus from a speech server handed on packet by packet: not decoded, not encoded again, one stream for the client.

An engine that has no Opus is encoded on its way; a piece that breaks off before any of it was sent is asked for again.
Between two pieces there is the same pause as in the other formats.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from voicemode import clock
from voicemode.codecs import open_decoder
from voicemode.codecs.encoding import open_encoder
from voicemode.codecs.relay import OpusRelay
from voicemode.errors import BadContent, EngineError
from voicemode.flows.ahead import ReadAhead
from voicemode.flows.rendering import NewSplitter, pieces_of
from voicemode.pcm import SPEECH
from voicemode.ports import TtsEngine
from voicemode.sound.joins import pause_after
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest
from voicemode.speech_server.admission import Progress
from voicemode.speech_server.asked import Asked
from voicemode.speech_server.endings import OpusEnding, PcmEnding
from voicemode.speech_server.utterance import CHUNK_BYTES, READ_AT_ONCE, Stages, Take

MOST_TRIES = 3
OGG = b"OggS"


class RelayedOpus:
    """A whole text as one Ogg/Opus stream."""

    def __init__(
        self,
        engine: TtsEngine,
        asked: Asked,
        text: str,
        *,
        new_splitter: NewSplitter,
        progress: Progress,
        overlap: float = 0.0,
    ) -> None:
        """`overlap`: seconds of each piece that another format would lay over the one before."""
        self.stages = Stages()
        self._engine = engine
        self._progress = progress
        self._request = SpeechRequest(
            text="",
            voice=asked.voice,
            speed=asked.speed,
            instructions=asked.instructions,
            format=AudioFormat.OPUS,
            language=asked.language,
            delivery=asked.delivery,
        )
        self._text = text
        self._new_splitter = new_splitter
        self._pieces: list[str] = []
        self._relay = OpusRelay(engine.name)
        self._next: ReadAhead | None = None
        self._overlap = overlap
        self._pause = 0.0
        """Seconds of quiet to be added after the last piece, if another one follows."""

    async def prepare(self) -> None:
        """Returns when the first sound is there. Raises `VoiceModeError` when there will be none."""
        splitter = self._new_splitter(self._request)
        if len(self._text) > READ_AT_ONCE:
            self._pieces = await asyncio.to_thread(pieces_of, self._text, splitter)
        else:
            self._pieces = pieces_of(self._text, splitter)
        self._next = self._ask(0)
        try:
            await self._opened(self._next)
        except BaseException:
            await self.drop()
            raise

    async def run(self, take: Take) -> None:
        """Gives all the sound to `take`. Raises `EngineError` where it breaks off for good."""
        try:
            for number in range(len(self._pieces)):
                await self._say(number, take)
            for data in self._relay.flush():
                await take(data)
        finally:
            await self.drop()

    async def drop(self) -> None:
        ahead, self._next = self._next, None
        if ahead is not None:
            await ahead.close()
        self.stages.generation = self._progress.waited
        self.stages.total = clock.monotonic() - self._progress.began
        self.stages.sound = self._progress.sound

    async def _say(self, number: int, take: Take) -> None:
        for tried in range(1, MOST_TRIES + 1):
            sent = False
            ahead, self._next = self._next or self._ask(number), None
            if ahead.read:
                self._ask_next(number + 1)
            async with ahead:
                try:
                    audio = await self._opened(ahead)
                    self.stages.engine, self.stages.voice = audio.engine, audio.voice
                    ending = OpusEnding() if audio.format is AudioFormat.OPUS else PcmEnding()
                    async for data, seconds in self._packets(audio, ahead, ending):
                        if not sent and number:
                            gap = self._pause - self._overlap
                            self._relay.next_source(pause=gap)
                            self._progress.sound += gap
                        sent = True
                        await self._send(data, seconds, take)
                except EngineError:
                    self.stages.breaks += 1
                    self._progress.broke = True
                    if sent or tried == MOST_TRIES:
                        raise
                    continue
            self.stages.pieces += 1
            wanted = pause_after(self._pieces[number]) if number + 1 < len(self._pieces) else 0.0
            self._pause = max(wanted - await asyncio.to_thread(ending.quiet), 0.0) if wanted else 0.0
            return

    async def _opened(self, ahead: ReadAhead) -> EncodedAudio:
        began = clock.monotonic()
        try:
            return await ahead.opened()
        finally:
            self._progress.waited += clock.monotonic() - began

    async def _packets(
        self, audio: EncodedAudio, ahead: ReadAhead, ending: OpusEnding | PcmEnding
    ) -> AsyncIterator[tuple[bytes, float]]:
        """Ogg/Opus bytes of a piece, and the seconds of sound in them; encoded here where need be."""
        if isinstance(ending, PcmEnding):
            async for encoded in self._encoded(audio, ahead, ending):
                yield encoded
            return
        head = True
        async for chunk in self._chunks(ahead):
            if head and not (chunk.startswith(OGG) or OGG.startswith(chunk)):
                raise BadContent(
                    f"{audio.engine} answered with bytes that begin with {chunk[:8].hex(' ')} instead of Ogg/Opus.",
                    engine=audio.engine,
                )
            head = False
            yield chunk, ending.feed(chunk)

    async def _encoded(
        self, audio: EncodedAudio, ahead: ReadAhead, ending: PcmEnding
    ) -> AsyncIterator[tuple[bytes, float]]:
        decoder, encoder = open_decoder(audio, SPEECH), open_encoder(AudioFormat.OPUS)
        async for chunk in self._chunks(ahead):
            for start in range(0, len(chunk), CHUNK_BYTES):
                before = clock.monotonic()
                frames = decoder.feed(chunk[start : start + CHUNK_BYTES])
                data = b"".join(part for frame in frames for part in encoder.feed(frame))
                self.stages.transcoding += clock.monotonic() - before
                yield data, ending.feed(frames)
        frames = await asyncio.to_thread(decoder.flush)
        data = b"".join(part for frame in frames for part in encoder.feed(frame))
        yield data + b"".join(encoder.flush()), ending.feed(frames)

    async def _chunks(self, ahead: ReadAhead) -> AsyncIterator[bytes]:
        """What the engine sends; after each, the others have their turn."""
        began = clock.monotonic()
        async for chunk in ahead:
            self._progress.waited += clock.monotonic() - began
            yield chunk
            await asyncio.sleep(0)
            await self._progress.give_way(clock.monotonic())
            began = clock.monotonic()

    async def _send(self, data: bytes, seconds: float, take: Take) -> None:
        out = b"".join(self._relay.feed(data))
        if not out:
            self._progress.sound += seconds
            return
        now = clock.monotonic()
        if self.stages.first_chunk is None:
            self.stages.first_chunk = now - self._progress.began
        self._progress.sent(seconds, now)
        await take(out)

    def _ask(self, number: int) -> ReadAhead:
        request = replace(self._request, text=self._pieces[number])
        return ReadAhead(self._engine, request, on_read=lambda: self._ask_next(number + 1))

    def _ask_next(self, number: int) -> None:
        if self._next is None and number < len(self._pieces):
            self._next = self._ask(number)
