"""Failover: the first engine of a chain that works, and a memory of those that did not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

from voicemode import clock
from voicemode.engines.http_errors import model_has_ended
from voicemode.engines.http_voices import near
from voicemode.errors import (
    EndpointRefused,
    EndpointUnreachable,
    EngineError,
    EngineUnavailable,
    UnknownLanguage,
    UnknownVoice,
    VoiceModeError,
)
from voicemode.ports import SttEngine, TtsEngine
from voicemode.sound.passing import Passing
from voicemode.speech import (
    EncodedAudio,
    SpeechRequest,
    Tell,
    Transcript,
    TranscriptionRequest,
    Trouble,
    Voice,
)

FIRST_REST_S = 30.0
LONGEST_REST_S = 300.0
_VOICES_S = 2.0
_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
"""Refusals that say something about one request and nothing about the engine."""


_NOT_THERE = (EndpointUnreachable, EngineUnavailable)
"""Whoever is not there knows no language."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    async def close(self) -> None: ...


E = TypeVar("E", bound=_Named)
A = TypeVar("A")


@dataclass(kw_only=True, slots=True)
class _Record:
    """Failures in a row, the clock's time until which an engine is not asked first, streams broken in a row; `told` is
    the refusal that a result has named already."""

    failures: int = 0
    until: float = 0.0
    breaks: int = 0
    told: str = ""


class _Chain(Generic[E]):
    """Engines in order of preference; those that rest after a failure are asked last rather than never."""

    def __init__(self, engines: Sequence[E], now: Callable[[], float]) -> None:
        self.engines = tuple(engines)
        self._now = now
        self._records = [_Record() for _ in self.engines]

    async def ask(
        self,
        attempt: Callable[[E], Awaitable[A]],
        failures: list[VoiceModeError],
        tell: Tell,
        *,
        only: E | None = None,
    ) -> tuple[E, A, str] | None:
        """The first engine that answers (or `only` this one), its answer, and what the caller has to be told; None when
        nobody is left. `failures` is filled with what the others said. A voice that an engine does not have, or a
        language, is no failure of it."""
        order = self.order() if only is None else [only]
        news: list[str] = []
        for place, engine in enumerate(order, 1):
            try:
                answer = await attempt(engine)
            except (UnknownVoice, EngineError) as error:
                failures.append(error)
                if isinstance(error, EngineError) and not isinstance(error, UnknownLanguage):
                    self.failed(engine, error)
                    news += self._news(engine, error)
                following = order[place].name if place < len(order) else ""
                tell(Trouble(engine=engine.name, code=error.code, reason=str(error), following=following))
            else:
                record = self._record(engine)
                record.failures, record.until, record.told = 0, 0.0, ""
                note = f"{' '.join(news)} {engine.name} answers instead." if news else ""
                return engine, answer, note
        return None

    def order(self) -> list[E]:
        resting = [engine for engine in self.engines if self._rests(engine)]
        return [*self.awake(), *sorted(resting, key=lambda engine: self._record(engine).until)]

    def awake(self) -> list[E]:
        return [engine for engine in self.engines if not self._rests(engine)]

    def _rests(self, engine: E) -> bool:
        return self._record(engine).until > self._now()

    def failed(self, engine: E, error: EngineError) -> None:
        """A rest of 30 s, doubled with each failure in a row up to 5 min. A refusal of one request earns none, unless
        it is the model that is refused: that will be so for every request."""
        refused = isinstance(error, EndpointRefused) and error.status in _ABOUT_THE_REQUEST
        if refused and not model_has_ended(error):
            return
        record = self._record(engine)
        record.until = self._now() + min(FIRST_REST_S * 2**record.failures, LONGEST_REST_S)
        record.failures = min(record.failures + 1, 16)

    def _news(self, engine: E, error: EngineError) -> list[str]:
        """A refusal that only a person can mend (a key, a model, an address) is told once, until the engine has
        answered again."""
        record = self._record(engine)
        if not isinstance(error, EndpointRefused) or error.retryable or record.told == error.message:
            return []
        record.told = error.message
        return [str(error)]

    def broke(self, engine: E, error: EngineError) -> None:
        """One broken stream is bad luck, two in a row are a failure."""
        record = self._record(engine)
        record.breaks += 1
        if record.breaks > 1:
            self.failed(engine, error)

    def ended(self, engine: E) -> None:
        self._record(engine).breaks = 0

    def _record(self, engine: E) -> _Record:
        return self._records[next(at for at, known in enumerate(self.engines) if known is engine)]

    @property
    def name(self) -> str:
        return ", ".join(engine.name for engine in self.engines)

    async def close(self) -> None:
        results = await asyncio.gather(*(engine.close() for engine in self.engines), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


class FirstSpeech:
    """A `TtsEngine` that asks `engines` in turn until one gives sound.

    Nothing is asked twice for one request, and nobody else is asked once sound has begun: whoever plays it knows
    which words are still to be said. Who asks is told of every engine that gave up.
    """

    def __init__(
        self,
        engines: Sequence[TtsEngine],
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._chain = _Chain(engines, now)

    @property
    def engines(self) -> tuple[TtsEngine, ...]:
        """In order of preference."""
        return self._chain.engines

    @property
    def name(self) -> str:
        return self._chain.name

    @property
    def awake(self) -> tuple[TtsEngine, ...]:
        """Those that do not rest after a failure, in order of preference."""
        return tuple(self._chain.awake())

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with AsyncExitStack() as stack:
            yield await self._opened(stack, request)

    @asynccontextmanager
    async def synthesize_by(self, only: TtsEngine, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        """This one of its engines is asked and nobody else. What becomes of it is remembered as ever."""
        async with AsyncExitStack() as stack:
            yield await self._opened(stack, request, only)

    async def voices(self) -> list[Voice]:
        """The voices of every engine that can be asked within 2 s."""
        lists = await asyncio.gather(*(self._voices_of(engine) for engine in self._chain.engines))
        return [voice for voices in lists for voice in voices]

    async def close(self) -> None:
        await self._chain.close()

    async def _opened(
        self, stack: AsyncExitStack, request: SpeechRequest, only: TtsEngine | None = None
    ) -> EncodedAudio:
        failures: list[VoiceModeError] = []

        def attempt(engine: TtsEngine) -> Awaitable[EncodedAudio]:
            return stack.enter_async_context(engine.synthesize(request))

        found = await self._chain.ask(attempt, failures, request.tell, only=only)
        if found is None:
            raise failures[0] if only is not None else await self._nobody(request, failures)
        engine, audio, note = found
        return replace(_watched(audio, self._chain, engine), note=f"{note} {audio.note}".strip())

    async def _nobody(self, request: SpeechRequest, failures: list[VoiceModeError]) -> VoiceModeError:
        """Nobody speaks. Where one does not know the voice: one refusal with the near choices of all engines, and
        those that could not be asked."""
        unknown = [error for error in failures if isinstance(error, UnknownVoice)]
        if not unknown:
            return _none_left(failures, "speech")
        if len(self._chain.engines) == 1:
            return unknown[0]
        wanted = request.voice or ""
        choices = near(wanted, [voice.id for voice in await self.voices()])
        silent = "; ".join(
            f"{error.engine} could not be asked: {error.message}"
            for error in failures
            if isinstance(error, EngineError)
        )
        return UnknownVoice(
            f"No engine has the voice {wanted[:64]!r}." + (f" {silent}" if silent else ""),
            hint=f"Choose one of: {', '.join(choices)}; or leave the voice out. {UnknownVoice.LISTED_BY} lists all."
            if choices
            else "Leave the voice out.",
        )

    async def _voices_of(self, engine: TtsEngine) -> list[Voice]:
        try:
            async with asyncio.timeout(_VOICES_S):
                return await engine.voices()
        except (TimeoutError, EngineError):
            return []


class FirstTranscription:
    """An `SttEngine` that asks `engines` in turn until one gives a transcript."""

    def __init__(
        self,
        engines: Sequence[SttEngine],
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._chain = _Chain(engines, now)

    @property
    def engines(self) -> tuple[SttEngine, ...]:
        """In order of preference."""
        return self._chain.engines

    @property
    def name(self) -> str:
        return self._chain.name

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        failures: list[VoiceModeError] = []
        found = await self._chain.ask(lambda engine: engine.transcribe(request), failures, request.tell)
        if found is None:
            raise _none_left(failures, "transcription")
        _, transcript, note = found
        return replace(transcript, note=f"{note} {transcript.note}".strip())

    async def close(self) -> None:
        await self._chain.close()


def _watched(audio: EncodedAudio, chain: _Chain[TtsEngine], engine: TtsEngine) -> EncodedAudio:
    chunks = Passing(audio.chunks, ended=partial(chain.ended, engine), broke=partial(chain.broke, engine))
    return replace(audio, chunks=chunks)


def _none_left(failures: Sequence[VoiceModeError], what: str) -> EngineError:
    """The one failure itself, or one that lists them all. Each engine's name is in its own message."""
    errors = [error for error in failures if isinstance(error, EngineError)]
    if not errors:
        return EngineUnavailable(
            f"No {what} engine is set up.", engine=what, hint="See voice_status for what can be used."
        )
    if len(errors) == 1:
        return errors[0]
    reasons = " ".join(
        f"({at}) {error.message if error.engine in error.message else f'{error.engine}: {error.message}'}"
        for at, error in enumerate(errors, 1)
    )
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    unknown = [error for error in errors if isinstance(error, UnknownLanguage)]
    message = f"No {what} engine works: {reasons}"
    engines = ", ".join(error.engine for error in errors)
    hint = " ".join(hints) or "See voice_status with check for each one's state."
    if unknown and all(isinstance(error, _NOT_THERE) for error in errors):
        known = tuple(dict.fromkeys(each for error in unknown for each in error.languages))
        return UnknownLanguage(message, engine=engines, languages=known, hint=hint)
    retryable = any(error.retryable for error in errors)
    return EngineError(message, engine=engines, hint=hint, retryable=retryable)
