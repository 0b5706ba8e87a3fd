"""The first words from an engine that begins sooner, the rest from the one that is preferred, where their voices match.

Who begins sooner is measured: the preferred engine by what it says, the others beside it, by asking them for the same
first words and listening to none of it. Until both are known, from a process's third message on, the preferred engine
says all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from voicemode import clock
from voicemode.configuration.voices_alike import VoicesAlike
from voicemode.engines.first import FirstSpeech
from voicemode.errors import EndpointTimeout, EngineError, UnknownVoice, VoiceModeError
from voicemode.ports import TtsEngine
from voicemode.speech import EncodedAudio, Speaker, SpeechRequest, Trouble, Voice, untold

logger = logging.getLogger(__name__)

ENOUGH, REMEMBERED = 2, 3
"""First sounds of an engine that it takes to know it, and that count. Their median (of two the sooner one) is not moved
by one that paid for a connection or a model."""
LEAST_GAIN_S = 0.05
"""Nobody hears a smaller difference."""
LEAST_PATIENCE_S = 0.25
"""So long an engine is waited for at least; not for ever where the preferred one begins at once, too."""
FRESH_S = 600.0
"""Voices are listed, and an engine that was not sooner is measured, again after so long."""
LATER_S = 30.0
"""And one that could not be asked."""
LISTING_S, MEASURING_S = 2.0, 10.0


@dataclass(slots=True)
class _Known:
    """Of one engine: its voices, None where nobody knows, and when its first sounds came, in seconds from the request.
    `until` is when it is to be asked again."""

    voices: frozenset[str] | None = None
    firsts: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    until: float = 0.0
    asking: bool = False

    @property
    def first(self) -> float | None:
        ordered = sorted(self.firsts)
        return ordered[(len(ordered) - 1) // 2] if len(ordered) >= ENOUGH else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Start:
    """`engine` says the first words with `voice`; after `patience` seconds without sound it is given up."""

    engine: TtsEngine
    voice: str
    patience: float
    rest: Speaker


class MixedStart:
    """A `TtsEngine` before `chain`, which answers all that is not `opening`. An opening may be said by one of
    `beginners` (engines of the chain); one that fails, or lets wait longer than the preferred one usually does, is
    followed by the chain."""

    def __init__(
        self,
        chain: FirstSpeech,
        beginners: Sequence[TtsEngine],
        alike: VoicesAlike,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._chain = chain
        self._beginners = tuple(beginners)
        self._alike = alike
        self._now = now
        self._known = {engine.name: _Known() for engine in chain.engines}
        self._spoken: dict[tuple[str, str | None], str] = {}
        """(engine, voice asked for) → voice that spoke."""
        self._begun: tuple[str, int, str] | None = None
        """(turn, piece, engine) of what was begun last."""
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self._chain.name

    def first_sound(self, engine: str) -> float | None:
        """Seconds from a request to the engine's first sound, usually; None where that is not known."""
        return self._known[engine].first if engine in self._known else None

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        if not request.opening:
            self._doubted(request)
        start = self._start(request) if request.opening else None
        async with AsyncExitStack() as stack:
            audio = await self._begin(stack, request, start) if start is not None else None
            yield audio or await self._say(stack, request)

    async def voices(self) -> list[Voice]:
        return await self._chain.voices()

    async def close(self) -> None:
        for task in self._asking:
            task.cancel()
        await self.settled()
        await self._chain.close()

    async def settled(self) -> None:
        """Returns when nobody is asked beside what is said."""
        if self._asking:
            await asyncio.wait(self._asking)

    async def _say(self, stack: AsyncExitStack, request: SpeechRequest) -> EncodedAudio:
        preferred = self._chain.awake[:1]
        began = self._now()
        audio = await stack.enter_async_context(self._chain.synthesize(request))
        took = self._now() - began
        self._spoken[audio.engine, request.voice] = audio.voice
        if [engine.name for engine in preferred] == [audio.engine]:
            firsts, usual = self._known[audio.engine].firsts, self.first_sound(audio.engine)
            # A later piece is longer, and some engines begin when all of it is made: only a sooner sound is news.
            if request.opening or (usual is not None and took < usual):
                firsts.append(took)
        # A process that says one sentence asks nobody for figures that it has no use for.
        if request.opening and not request.instructions and self.first_sound(audio.engine) is not None:
            self._ask_the_others(request, Speaker(engine=audio.engine, voice=audio.voice))
        return audio

    async def _begin(
        self, stack: AsyncExitStack, request: SpeechRequest, start: _Start
    ) -> EncodedAudio | None:
        """None where the chain has to do it."""
        engine, known = start.engine, self._known[start.engine.name]

        def tell(trouble: Trouble) -> None:
            following = start.rest.engine if trouble.after is None else trouble.following
            request.tell(replace(trouble, following=following))

        asked = replace(request, voice=start.voice, tell=tell)
        began = self._now()
        try:
            async with asyncio.timeout(start.patience):
                audio = await stack.enter_async_context(self._chain.synthesize_by(engine, asked))
        except TimeoutError:
            error = EndpointTimeout(
                f"{engine.name} did not begin within {start.patience:.2f} s, as it usually does.",
                engine=engine.name,
                retryable=True,
            )
            tell(Trouble(engine=engine.name, code=error.code, reason=str(error)))
            known.firsts.append(start.patience)
            return None
        except UnknownVoice:
            known.voices, known.until = None, 0.0
            return None
        except EngineError:
            return None
        known.firsts.append(self._now() - began)
        self._begun = (request.turn, request.piece, engine.name)
        return replace(audio, rest=start.rest)

    def _doubted(self, request: SpeechRequest) -> None:
        """A first piece that the others have to say after all: who cuts words short begins nothing for a while."""
        if self._begun is not None and self._begun[:2] == (request.turn, request.piece):
            known = self._known[self._begun[2]]
            known.voices, known.until, self._begun = None, self._now() + FRESH_S, None

    def _start(self, request: SpeechRequest) -> _Start | None:
        """Who begins, where that is not the one who says the rest. Instructions are followed by each in its own way."""
        awake = self._chain.awake
        preferred = awake[0] if awake else None
        voice = self._spoken.get((preferred.name, request.voice)) if preferred else None
        usual = self.first_sound(preferred.name) if preferred else None
        if preferred is None or voice is None or usual is None or request.instructions:
            return None
        soonest, begins = usual - LEAST_GAIN_S, None
        for engine in awake[1:]:
            first, its_own = self.first_sound(engine.name), self._voice_of(engine, voice)
            if engine in self._beginners and its_own is not None and first is not None and first <= soonest:
                soonest, begins = first, (engine, its_own)
        if begins is None:
            return None
        return _Start(
            engine=begins[0],
            voice=begins[1],
            patience=max(usual, LEAST_PATIENCE_S),
            rest=Speaker(engine=preferred.name, voice=voice),
        )

    def _voice_of(self, engine: TtsEngine, voice: str) -> str | None:
        """The voice of `engine` that is `voice`. One that lists none is believed to have what the user names."""
        there = self._known[engine.name].voices
        if there is None:
            return None
        if not there:
            return self._alike.named(voice)
        return next((name for name in self._alike.names(voice) if name in there), None)

    # Beside what is said.

    def _ask_the_others(self, request: SpeechRequest, speaker: Speaker) -> None:
        for engine in self._chain.awake:
            known = self._known[engine.name]
            wanted = engine in self._beginners and engine.name != speaker.engine and not known.asking
            unknown = known.first is None and self._voice_of(engine, speaker.voice) is not None
            if wanted and (unknown or known.until <= self._now()):
                known.asking = True
                task = asyncio.create_task(self._ask(engine, known, request, speaker))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _ask(self, engine: TtsEngine, known: _Known, request: SpeechRequest, speaker: Speaker) -> None:
        """Its voices, and when its first sound comes where one of them matches."""
        fresh = LATER_S
        try:
            async with asyncio.timeout(LISTING_S):
                known.voices = frozenset(
                    voice.id
                    for voice in await engine.voices()
                    # A name for the usual voice is no sign that two voices are alike, unless the user says so.
                    if not voice.usual or self._alike.named(voice.id) is not None
                )
            voice = self._voice_of(engine, speaker.voice)
            if voice is not None:
                asked = replace(request, voice=voice, tell=untold)
                for _ in range(ENOUGH):
                    known.firsts.append(await self._measured(engine, asked))
            fresh = FRESH_S
        except (TimeoutError, VoiceModeError) as error:
            logger.info("%s cannot be measured: %s", engine.name, error)
            known.voices = None
        finally:
            known.asking, known.until = False, self._now() + fresh

    async def _measured(self, engine: TtsEngine, request: SpeechRequest) -> float:
        began = self._now()
        async with asyncio.timeout(MEASURING_S), engine.synthesize(request):
            return self._now() - began
