"""What all routes share: engines, places, voices held, and one account of every reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from voicemode import clock
from voicemode.engines.voice_cache import VoiceCache
from voicemode.errors import VoiceModeError
from voicemode.events import Emit, SpeechServed, TranscriptServed
from voicemode.flows.rendering import NewSplitter
from voicemode.ports import TtsEngine
from voicemode.sound.joins import FADE_SECONDS
from voicemode.speech import AudioFormat
from voicemode.speech_server.admission import Admission, Progress
from voicemode.speech_server.arriving import Arriving
from voicemode.speech_server.asked import Asked
from voicemode.speech_server.capped import TAKE_SECONDS, Left
from voicemode.speech_server.engines import STANDARD_VOICES, Bounded, Engines
from voicemode.speech_server.hearers import Hearers
from voicemode.speech_server.relayed import RelayedOpus
from voicemode.speech_server.utterance import OnSentence, Utterance, encoders

MOST_HEARINGS = 32
"""Recordings that are held in memory and transcribed at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """`source` is the format asked of speech servers; `new_splitter` cuts whole texts, `clauses` text that is still
    being written."""

    engines: Engines
    hearers: Hearers
    places: Admission
    hearings: Admission
    new_splitter: NewSplitter
    clauses: NewSplitter
    source: AudioFormat
    emit: Emit
    threads: Executor = field(default_factory=encoders)
    """Encode."""
    uploads: Arriving = field(default_factory=Arriving)
    take_seconds: float = TAKE_SECONDS
    now: Callable[[], float] = clock.monotonic

    @asynccontextmanager
    async def utterance(
        self,
        route: str,
        asked: Asked,
        text: str | AsyncIterator[str],
        *,
        request_id: str,
        clauses: bool = False,
        faded: bool = False,
        on_sentence: OnSentence = lambda number, text: None,
    ) -> AsyncIterator[Utterance | RelayedOpus]:
        """A place, a voice and what will say the text. Raises `Full` and whatever the engine says at once."""
        engine = self.engines.choose(asked.model)
        async with self._placed(engine) as progress:
            speaking: Utterance | RelayedOpus | None = None
            outcome = "finished"
            try:
                splitter = self.clauses if clauses else self.new_splitter
                loading = await self._load_voice(engine, asked.voice)
                if asked.audio_format is AudioFormat.OPUS and isinstance(text, str):
                    speaking = RelayedOpus(
                        engine,
                        asked,
                        text,
                        new_splitter=splitter,
                        progress=progress,
                        overlap=FADE_SECONDS if faded else 0.0,
                    )
                else:
                    speaking = Utterance(
                        engine,
                        asked,
                        text,
                        source=self.source,
                        new_splitter=splitter,
                        progress=progress,
                        threads=self.threads,
                        on_sentence=on_sentence,
                        faded=faded,
                    )
                speaking.stages.voice_load = loading
                yield speaking
            except BaseException as error:
                outcome = _outcome(error)
                raise
            finally:
                if speaking is not None:
                    try:
                        await speaking.drop()
                    finally:
                        self._tell(route, request_id, outcome, asked, speaking)

    @contextmanager
    def hearing(self, route: str, engine: str, *, request_id: str) -> Iterator[Hearing]:
        """The account of one transcription, from its upload on. Raises `Full`, `Draining` where it will have no
        place."""
        self.hearings.check()
        began = self.now()
        account = Hearing()
        outcome = "finished"
        try:
            yield account
        except BaseException as error:
            outcome = _outcome(error)
            raise
        finally:
            now = self.now()
            self.emit(
                TranscriptServed(
                    at=now,
                    turn=request_id,
                    route=route,
                    outcome=outcome,
                    engine=account.engine or engine,
                    seconds=account.seconds,
                    total=now - began,
                )
            )

    def caches(self, engine: TtsEngine | None = None) -> list[VoiceCache[object]]:
        """Of the engines for which loading a voice is work of its own; of `engine`, as clients name it, where given."""
        found = (getattr(each, "cache", None) for each in self.engines.behind(engine))
        return [each for each in found if isinstance(each, VoiceCache)]

    @asynccontextmanager
    async def _placed(self, engine: TtsEngine) -> AsyncIterator[Progress]:
        """A place here, and with the engine that is asked first, where that counts its texts. Raises `Full`."""
        first = self.engines.behind(engine)[0]
        with first.text() if isinstance(first, Bounded) else nullcontext():
            async with self.places.place() as progress:
                yield progress

    async def _load_voice(self, engine: TtsEngine, voice: str | None) -> float:
        """Seconds until the voice was there; 0 where there is nothing to load. What goes wrong with it is the engine's
        to tell: perhaps another one of its chain has the voice."""
        if voice is None or voice in STANDARD_VOICES:
            return 0.0
        seconds = 0.0
        for cache in self.caches(engine):
            with suppress(VoiceModeError):
                seconds += (await cache.get(voice)).seconds
        return seconds

    def _tell(
        self, route: str, request_id: str, outcome: str, asked: Asked, speaking: Utterance | RelayedOpus
    ) -> None:
        stages = speaking.stages
        self.emit(
            SpeechServed(
                at=self.now(),
                turn=request_id,
                route=route,
                outcome=outcome,
                engine=stages.engine,
                voice=stages.voice,
                format=asked.format,
                pieces=stages.pieces,
                breaks=stages.breaks,
                sound=round(stages.sound, 3),
                first=stages.first_chunk,
                voice_load=stages.voice_load,
                generation=stages.generation,
                transcoding=stages.transcoding,
                total=stages.total,
            )
        )


def _outcome(error: BaseException) -> str:
    """What `SpeechServed` and `TranscriptServed` call it."""
    if isinstance(error, Left | asyncio.CancelledError):
        return "left"
    return error.code if isinstance(error, VoiceModeError) else "failed"


@dataclass(slots=True)
class Hearing:
    """What becomes known of a transcription while it is made."""

    seconds: float = 0.0
    engine: str = ""
