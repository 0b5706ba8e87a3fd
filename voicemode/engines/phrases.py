"""Phrases that come again are answered from disk: at once, without a request, byte for byte as they came.

What was said once is never written: of it a salted hash is kept in memory, and nothing outlives the process. When the
same is said again, its sound is kept; from the next time on it is played from disk, by whichever process.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from pathlib import Path

from voicemode.engines.phrase_files import MOST_PHRASE_BYTES, Phrase, PhraseFiles
from voicemode.errors import EngineError
from voicemode.machine.background import Background
from voicemode.pcm import SPEECH
from voicemode.ports import OpenDecoder, TtsEngine
from voicemode.sound.passing import Passing
from voicemode.speech import EncodedAudio, Speaker, SpeechRequest, Voice

LONGEST_CHARACTERS = 200
"""Longer pieces are not said twice."""
REMEMBERED = 1_000
"""Phrases said once of which the hash is kept: 100 kB."""
READ_SECONDS = 0.1
"""A disk that needs longer is slower than a server; it has the phrase ready the next time."""
CHUNK_BYTES = 8_192
WAITING = 16
"""Phrases waiting to be read or written; beyond it they are not, until the disk is back."""
CLOSE_SECONDS = 0.05
"""What is being written then is left as a part and deleted by the next process."""
AGREEMENT = 0.1
"""How far two sayings of a phrase may differ in length. More, and one of them is taken to be cut off: the end of a raw
stream without a length looks the same as its breaking off."""


class PhraseCache:
    """A `TtsEngine` in front of `engine`, which is asked for everything that is not on disk.

    `asked_of` says who is asked and how: addresses and models of all endpoints, anything else that changes the sound.
    Only sound of `worth_keeping` (names of engines) is kept: one that speaks without a network needs no copy.
    Sound is kept when its stream ended well and `open_decoder` makes sound of it; sound of another engine than the one
    that spoke last is not played, unless that one says the rest where the other begins. `max_bytes` 0 keeps nothing,
    and deletes what was kept.
    """

    def __init__(
        self,
        engine: TtsEngine,
        folder: Path,
        *,
        max_bytes: int,
        open_decoder: OpenDecoder,
        asked_of: str,
        worth_keeping: Collection[str],
    ) -> None:
        self._engine = engine
        self._files = PhraseFiles(folder, max_bytes=max_bytes)
        self._max_bytes = max_bytes
        self._open_decoder = open_decoder
        self._asked_of = asked_of
        self._worth_keeping = frozenset(worth_keeping)
        self._secret = secrets.token_bytes(32)
        self._said: OrderedDict[bytes, int] = OrderedDict()
        """Salted hash of what was said → bytes of its sound."""
        self._speaker = ""
        """The engine that spoke last; not one that only begins."""
        self._begins: dict[str, Speaker] = {}
        """Engines that begin, and who says the rest."""
        self._tidied = False
        self._reading = Background("voicemode phrases read", capacity=WAITING)
        self._writing = Background("voicemode phrases kept", capacity=WAITING)

    @property
    def name(self) -> str:
        return self._engine.name

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        self._tidy_once()
        asked = self._asked(request)
        if asked is None:
            async with self._engine.synthesize(request) as audio:
                self._spoke(audio)
                yield audio
            return
        phrase = await self._load(asked)
        kept = self._fitting(phrase, request) if phrase is not None else None
        if kept is not None:
            self._spoke(kept)
            yield kept
            return
        async with self._engine.synthesize(request) as audio:
            self._spoke(audio)
            yield replace(audio, chunks=self._noted(asked, audio))

    async def voices(self) -> list[Voice]:
        return await self._engine.voices()

    async def close(self) -> None:
        for background in (self._reading, self._writing):
            await asyncio.to_thread(background.close, CLOSE_SECONDS)
        await self._engine.close()

    async def settled(self, limit_seconds: float = 5.0) -> bool:
        """Waits until what was to be written is; False when that took too long."""
        return await asyncio.to_thread(self._writing.flush, limit_seconds)

    def _spoke(self, audio: EncodedAudio) -> None:
        if audio.rest is None:
            self._speaker = audio.engine
        else:
            self._begins[audio.engine] = audio.rest

    def _fitting(self, phrase: Phrase, request: SpeechRequest) -> EncodedAudio | None:
        """The phrase as it is played, where its voice is the one that is heard now."""
        if self._speaker in ("", phrase.engine):
            return _as_audio(phrase)
        rest = self._begins.get(phrase.engine) if request.opening else None
        return replace(_as_audio(phrase), rest=rest) if rest and rest.engine == self._speaker else None

    def _asked(self, request: SpeechRequest) -> bytes | None:
        """All that the sound depends on; None for what is not kept."""
        if self._max_bytes <= 0 or len(request.text) > LONGEST_CHARACTERS:
            return None
        what = (
            self._asked_of,
            request.text,
            request.voice,
            request.speed,
            request.instructions,
            str(request.format),
            request.language,
            request.delivery and astuple(request.delivery),
        )
        return json.dumps(what).encode()

    async def _load(self, asked: bytes) -> Phrase | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Phrase | None] = loop.create_future()

        def settle(phrase: Phrase | None) -> None:
            if not answer.done():
                answer.set_result(phrase)

        def work() -> None:
            phrase = self._files.load(asked)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, phrase)

        self._reading.start()
        if not self._reading.submit(work):
            return None
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await answer
        except TimeoutError:
            return None

    def _noted(self, asked: bytes, audio: EncodedAudio) -> AsyncIterator[bytes]:
        """The chunks, and at the stream's good end a note of what it was."""
        mark = hashlib.blake2b(asked, key=self._secret, digest_size=16).digest()
        keep = mark in self._said and audio.engine in self._worth_keeping

        came = _Gathered(keep=keep)

        def ended() -> None:
            if audio.reworded() is not None:
                return
            before = self._said.pop(mark, 0)
            self._said[mark] = came.size
            if len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
            if came.data and abs(came.size - before) <= AGREEMENT * before:
                self._keep(asked, _as_phrase(audio, bytes(came.data)))

        return Passing(audio.chunks, passed=came.add, ended=ended)

    def _keep(self, asked: bytes, phrase: Phrase) -> None:
        def work() -> None:
            if self._is_sound(phrase):
                self._files.save(asked, phrase)

        self._writing.start()
        self._writing.submit(work)

    def _is_sound(self, phrase: Phrase) -> bool:
        decoder = self._open_decoder(_as_audio(phrase), SPEECH)
        try:
            frames = [*decoder.feed(phrase.data), *decoder.flush()]
        except EngineError:
            return False
        return any(frame.data for frame in frames)

    def _tidy_once(self) -> None:
        if not self._tidied:
            self._tidied = True
            self._writing.start()
            self._writing.submit(self._files.tidy)


class _Gathered:
    """How many bytes have come and, where they are wanted and not too many, which."""

    def __init__(self, *, keep: bool) -> None:
        self.size = 0
        self.data: bytearray | None = bytearray() if keep else None

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > MOST_PHRASE_BYTES:
            self.data = None
        elif self.data is not None:
            self.data += chunk


def _as_phrase(audio: EncodedAudio, data: bytes) -> Phrase:
    return Phrase(
        data=data,
        format=audio.format,
        engine=audio.engine,
        voice=audio.voice,
        model=audio.model,
        pcm=audio.pcm,
    )


def _as_audio(phrase: Phrase) -> EncodedAudio:
    return EncodedAudio(
        chunks=_chunks(phrase.data),
        format=phrase.format,
        engine=phrase.engine,
        voice=phrase.voice,
        model=phrase.model,
        pcm=phrase.pcm,
        kept=True,
    )


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
