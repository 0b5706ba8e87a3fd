"""One turn from beginning to end: the floor, the message, the microphone, the transcript, and how it all went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from voicemode import clock
from voicemode.chimes import DONE_TONES, LISTENING_TONES, ChimeRules, chime
from voicemode.errors import DeviceError, VoiceModeError
from voicemode.events import Emit, FloorTaken, TurnFailed, TurnFinished
from voicemode.listening import Captured, ListeningPorts, capture, transcribe
from voicemode.ports import Floor
from voicemode.speaking import SpeakingPorts, Utterance, play
from voicemode.speech import Exchange, Outcome, Spoken
from voicemode.turn import TurnRules, Why

LONGEST_CHIME_SECONDS = 1.0
"""A chime lasts a quarter of that; a device that holds it up holds up nothing else."""

NOTHING_SAID = Spoken(heard="", unheard="", outcome=Outcome.FINISHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanges:
    """What a turn needs, and the turns themselves: each takes the floor and holds it to its end.

    Each gives an `Exchange` without its timings and raises `VoiceModeError`; cancelling is silence, a closed
    microphone and a free floor.
    """

    mouth: SpeakingPorts
    ear: ListeningPorts
    floor: Floor
    emit: Emit
    chimes: ChimeRules | None = None
    _sounding: set[asyncio.Task[None]] = field(default_factory=set)

    async def speak(self, utterance: Utterance) -> Exchange:
        async with self._turn(utterance.turn, "speak", utterance):
            spoken = await utterance.run()
            return self._ended(utterance.turn, Exchange(spoken=spoken, outcome=spoken.outcome))

    async def speak_and_listen(
        self, utterance: Utterance, rules: TurnRules, language: str | None
    ) -> Exchange:
        """The microphone opens while the last words sound; what it hears of them is thrown away. It stays closed when
        the message broke off, was stopped or has no loudspeaker: nobody will be asked to answer."""

        async def listen() -> Captured | None:
            await utterance.ending.wait()
            await utterance.started.wait()
            if utterance.failed:
                return None
            return await capture(self.ear, turn=utterance.turn, rules=rules, ready=lambda: utterance.said)

        async with self._turn(utterance.turn, "converse", utterance):
            hearing = asyncio.create_task(listen())
            try:
                spoken = await utterance.run()
                if spoken.outcome is not Outcome.FINISHED:
                    return self._ended(utterance.turn, Exchange(spoken=spoken, outcome=spoken.outcome))
                captured = await _heard_after(hearing)
                if captured is None:
                    return self._ended(utterance.turn, Exchange(spoken=spoken, outcome=Outcome.CANCELLED))
                return await self._answer(utterance.turn, spoken, captured, language)
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])
                _retrieve(hearing)

    async def listen(self, turn: str, rules: TurnRules, language: str | None) -> Exchange:
        async with self._turn(turn, "listen"), self._chiming(LISTENING_TONES):
            captured = await capture(self.ear, turn=turn, rules=rules)
            return await self._answer(turn, NOTHING_SAID, captured, language)

    def silence(self) -> None:
        """Chimes that still sound end now; `settled` waits for them."""
        for chiming in self._sounding:
            chiming.cancel()

    async def settled(self) -> None:
        if self._sounding:
            await asyncio.wait(self._sounding)

    def note_cancelled(self, turn: str, utterance: Utterance | None) -> None:
        heard, unheard = utterance.split_text() if utterance else ("", "")
        outcome = Outcome.CANCELLED
        self.emit(
            TurnFinished(at=clock.monotonic(), turn=turn, outcome=outcome, heard=heard, unheard=unheard)
        )

    async def _answer(self, turn: str, spoken: Spoken, captured: Captured, language: str | None) -> Exchange:
        if captured.audio is None:
            return self._ended(turn, Exchange(spoken=spoken, outcome=Outcome.NO_SPEECH))
        async with self._chiming(DONE_TONES):
            heard = await transcribe(self.ear, captured, turn=turn, language=language)
        exchange = Exchange(
            spoken=spoken,
            outcome=Outcome.TIMED_OUT if captured.why is Why.MAXIMUM else Outcome.ANSWERED,
            transcript=heard.transcript,
            recording=heard.recording,
        )
        if heard.failure is not None:
            exchange = replace(exchange, outcome=Outcome.NOT_TRANSCRIBED, note=str(heard.failure))
        elif heard.transcript is None or not heard.transcript.text:
            exchange = replace(
                exchange, outcome=Outcome.NO_SPEECH, note="There was a sound, but no words in it."
            )
        return self._ended(turn, exchange)

    def _ended(self, turn: str, exchange: Exchange) -> Exchange:
        spoken = exchange.spoken
        self.emit(
            TurnFinished(
                at=clock.monotonic(),
                turn=turn,
                outcome=exchange.outcome,
                heard=spoken.heard,
                unheard=spoken.unheard,
            )
        )
        return exchange

    @asynccontextmanager
    async def _turn(self, turn: str, kind: str, utterance: Utterance | None = None) -> AsyncIterator[None]:
        try:
            async with self.floor.hold(kind) as waited:
                if self._sounding:  # The last turn's chime: one voice at a time.
                    await asyncio.wait(self._sounding, timeout=LONGEST_CHIME_SECONDS)
                self.emit(FloorTaken(at=clock.monotonic(), turn=turn, waited=waited))
                yield
        except VoiceModeError as error:
            self.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
            raise
        except asyncio.CancelledError:
            self.note_cancelled(turn, utterance)
            raise

    @asynccontextmanager
    async def _chiming(self, tones: tuple[float, ...]) -> AsyncIterator[None]:
        """A chime beside the block, never waited for: one that cannot be played is left out."""
        if not self.chimes:
            yield
            return
        chiming = asyncio.create_task(play(self.mouth, chime(self.mouth.format, tones, self.chimes)))
        self._sounding.add(chiming)
        chiming.add_done_callback(self._sounding.discard)
        try:
            yield
        except BaseException:
            chiming.cancel()
            await asyncio.wait([chiming])
            raise


async def _heard_after(hearing: asyncio.Task[Captured | None]) -> Captured | None:
    """A microphone that fails after the message was heard says so: the message need not be said again."""
    try:
        return await hearing
    except DeviceError as error:
        error.hint = f"{error.hint} The message itself was heard.".lstrip()
        raise


def _retrieve(task: asyncio.Task[Captured | None]) -> None:
    """Looks at a failure that came with another one, so that asyncio does not report it as forgotten."""
    if not task.cancelled():
        task.exception()
