"""Turns: speak, listen, and speak-then-listen, one at a time on this machine. The doors call these."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

from voicemode import clock, metrics
from voicemode.calls import Call, retrieve
from voicemode.chimes import DONE_TONES, LISTENING_TONES, ChimeRules, chime
from voicemode.errors import Busy, DeviceError, InvalidRequest, VoiceModeError
from voicemode.events import (
    Emit,
    Event,
    FloorTaken,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from voicemode.listening import Captured, ListeningPorts, capture, transcribe
from voicemode.ports import Floor
from voicemode.speaking import SpeakingPorts, Utterance, play
from voicemode.speech import Exchange, Outcome, SpeechRequest, Spoken
from voicemode.turn import TurnRules, Why

LONGEST_QUEUE = 32
"""Calls that may wait for their turn; more are refused, since nobody will hear them in time."""

REMEMBERED = 50
"""Calls that `playback` still knows after they ended."""

LONGEST_CHIME_SECONDS = 1.0
"""A chime lasts a quarter of that; a device that holds it up holds up nothing else."""

LONGEST_LISTEN_SECONDS = 600.0

NOTHING_SAID = Spoken(heard="", unheard="", outcome=Outcome.FINISHED)


class Conversation:
    """All that this process says and hears. Calls take their turn in order, and hold the floor to their end."""

    def __init__(
        self,
        *,
        mouth: SpeakingPorts,
        ear: ListeningPorts,
        floor: Floor,
        emit: Emit,
        chimes: ChimeRules | None = None,
    ) -> None:
        self._emit = emit
        self._mouth = replace(mouth, emit=self._note)
        self._ear = replace(ear, emit=self._note)
        self._floor = floor
        self._chimes = chimes
        self._calls: dict[str, Call] = {}
        self._turns: dict[str, list[Event]] = {}
        self._sounding: set[asyncio.Task[None]] = set()

    # What can be asked for. Each raises `InvalidRequest` or `Busy` before anything happens.

    def speak(self, text: str | AsyncIterator[str], request: SpeechRequest) -> Call:
        """Says `text`; its exchange has no transcript."""
        return self._say(self._new_turn(), text, request)

    async def replace(self, text: str | AsyncIterator[str], request: SpeechRequest) -> Call:
        """Says `text` instead of all that is sounding or waiting, which is silenced once it is clear that `text` can
        be said."""
        before = [call for call in self._calls.values() if not call.over]
        call = self._say(secrets.token_hex(4), text, request)
        try:
            await _stop(before)
        except asyncio.CancelledError:
            await call.end()
            raise
        return call

    def _say(self, turn: str, text: str | AsyncIterator[str], request: SpeechRequest) -> Call:
        utterance = Utterance(self._mouth, text, request, turn=turn)
        return self._take(turn, utterance, self._speak(utterance))

    def converse(
        self,
        text: str,
        request: SpeechRequest,
        *,
        language: str | None = None,
        max_listen: float | None = None,
    ) -> Call:
        """Says `text`, then listens for at most `max_listen` seconds in `language` (BCP 47)."""
        rules = self.rules(max_listen)
        turn = self._new_turn()
        ready = chime(self._mouth.format, LISTENING_TONES, self._chimes) if self._chimes else None
        utterance = Utterance(self._mouth, text, request, turn=turn, kind="converse", chime=ready)
        return self._take(turn, utterance, self._speak_and_listen(utterance, rules, language))

    def listen(self, *, language: str | None = None, max_listen: float | None = None) -> Call:
        """Only listens."""
        rules = self.rules(max_listen)
        turn = self._new_turn()
        self._note(TurnStarted(at=clock.monotonic(), turn=turn, kind="listen", text=""))
        return self._take(turn, None, self._listen(turn, rules, language))

    def calls(self) -> list[Call]:
        """Those under way and the last that are over, oldest first."""
        return list(self._calls.values())

    def call(self, handle: str) -> Call:
        """Raises `InvalidRequest` with the known handles."""
        if handle not in self._calls:
            known = ", ".join(list(self._calls)[-5:]) or "none yet"
            raise InvalidRequest(
                f"There is no call {handle[:40]!r}; known are: {known}.",
                hint="Leave the handle out to mean everything that is sounding or waiting.",
            )
        return self._calls[handle]

    async def stop(self, handle: str | None = None) -> list[Call]:
        """Silences one call, or all that are under way or waiting."""
        chosen = [self.call(handle)] if handle else [call for call in self._calls.values() if not call.over]
        await _stop(chosen)
        return chosen

    async def close(self) -> None:
        """Silence, now, and everything put away."""
        calls = list(self._calls.values())
        for call in calls:
            if call.utterance is not None:
                call.utterance.stop()
        for chiming in self._sounding:
            chiming.cancel()
        await asyncio.gather(*(call.end() for call in reversed(calls)))
        if self._sounding:
            await asyncio.wait(self._sounding)

    # One turn.

    async def _speak(self, utterance: Utterance) -> Exchange:
        async with self._turn(utterance.turn, "speak", utterance):
            spoken = await utterance.run()
            return self._exchange(utterance.turn, Exchange(spoken=spoken, outcome=spoken.outcome))

    async def _speak_and_listen(
        self, utterance: Utterance, rules: TurnRules, language: str | None
    ) -> Exchange:
        """The microphone opens while the last words sound; what it hears of them is thrown away. It stays closed when
        the message broke off, was stopped or has no loudspeaker: nobody will be asked to answer."""

        async def listen() -> Captured | None:
            await utterance.ending.wait()
            await utterance.started.wait()
            if utterance.failed:
                return None
            return await capture(self._ear, turn=utterance.turn, rules=rules, ready=lambda: utterance.said)

        async with self._turn(utterance.turn, "converse", utterance):
            hearing = asyncio.create_task(listen())
            try:
                spoken = await utterance.run()
                if spoken.outcome is not Outcome.FINISHED:
                    return self._exchange(utterance.turn, Exchange(spoken=spoken, outcome=spoken.outcome))
                captured = await _heard_after(hearing)
                if captured is None:
                    return self._exchange(utterance.turn, Exchange(spoken=spoken, outcome=Outcome.CANCELLED))
                return await self._answer(utterance.turn, spoken, captured, language)
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])
                retrieve(hearing)

    async def _listen(self, turn: str, rules: TurnRules, language: str | None) -> Exchange:
        async with self._turn(turn, "listen"), self._chiming(LISTENING_TONES):
            captured = await capture(self._ear, turn=turn, rules=rules)
            return await self._answer(turn, NOTHING_SAID, captured, language)

    async def _answer(self, turn: str, spoken: Spoken, captured: Captured, language: str | None) -> Exchange:
        if captured.audio is None:
            return self._exchange(turn, Exchange(spoken=spoken, outcome=Outcome.NO_SPEECH))
        async with self._chiming(DONE_TONES):
            heard = await transcribe(self._ear, captured, turn=turn, language=language)
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
        return self._exchange(turn, exchange)

    def _exchange(self, turn: str, exchange: Exchange) -> Exchange:
        spoken = exchange.spoken
        self._note(
            TurnFinished(
                at=clock.monotonic(),
                turn=turn,
                outcome=exchange.outcome,
                heard=spoken.heard,
                unheard=spoken.unheard,
            )
        )
        return replace(exchange, timings=metrics.timings(self._turns[turn]))

    @asynccontextmanager
    async def _turn(self, turn: str, kind: str, utterance: Utterance | None = None) -> AsyncIterator[None]:
        try:
            async with self._floor.hold(kind) as waited:
                if self._sounding:  # The last turn's chime: one voice at a time.
                    await asyncio.wait(self._sounding, timeout=LONGEST_CHIME_SECONDS)
                self._note(FloorTaken(at=clock.monotonic(), turn=turn, waited=waited))
                yield
        except VoiceModeError as error:
            self._note(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
            raise
        except asyncio.CancelledError:
            self._note_cancelled(turn, utterance)
            raise

    def _note_cancelled(self, turn: str, utterance: Utterance | None) -> None:
        heard, unheard = utterance.split_text() if utterance else ("", "")
        outcome = Outcome.CANCELLED
        self._note(
            TurnFinished(at=clock.monotonic(), turn=turn, outcome=outcome, heard=heard, unheard=unheard)
        )

    @asynccontextmanager
    async def _chiming(self, tones: tuple[float, ...]) -> AsyncIterator[None]:
        """A chime beside the block, never waited for: one that cannot be played is left out."""
        if not self._chimes:
            yield
            return
        chiming = asyncio.create_task(play(self._mouth, chime(self._mouth.format, tones, self._chimes)))
        self._sounding.add(chiming)
        chiming.add_done_callback(self._sounding.discard)
        try:
            yield
        except BaseException:
            chiming.cancel()
            await asyncio.wait([chiming])
            raise

    # The book of calls.

    def _take(self, turn: str, utterance: Utterance | None, work: Awaitable[Exchange]) -> Call:
        over = [handle for handle, call in self._calls.items() if call.over]
        for handle in over[: max(len(self._calls) - REMEMBERED, 0)]:
            del self._calls[handle]
        call = Call(turn, utterance, work, self._turns[turn], self._put_away)
        self._calls[turn] = call
        return call

    def _new_turn(self) -> str:
        waiting = sum(not call.over for call in self._calls.values())
        if waiting >= LONGEST_QUEUE:
            raise Busy(
                f"{waiting} calls are waiting to be heard; no more than {LONGEST_QUEUE} may.",
                hint="Wait until some have been heard, or stop them with the playback tool.",
                retryable=True,
            )
        return secrets.token_hex(4)

    def _put_away(self, call: Call) -> None:
        """A call that was ended before it could begin has an end in the log all the same."""
        events = self._turns.get(call.handle, [])
        if not any(isinstance(event, TurnFinished | TurnFailed) for event in events):
            self._note_cancelled(call.handle, call.utterance)
        self._turns.pop(call.handle, None)

    def rules(self, max_listen: float | None) -> TurnRules:
        """The rules of a turn that may last `max_listen` seconds (None: as configured). Raises `InvalidRequest`."""
        if max_listen is None:
            return self._ear.rules
        if not 0.5 <= max_listen <= LONGEST_LISTEN_SECONDS:
            raise InvalidRequest(
                f"max_listen_seconds is {max_listen!r}; it must be between 0.5 and {LONGEST_LISTEN_SECONDS:g}.",
                hint="Leave it out for the configured limit.",
            )
        return replace(
            self._ear.rules, maximum=max_listen, no_speech=min(max_listen, self._ear.rules.no_speech)
        )

    def _note(self, event: Event) -> None:
        if isinstance(event, TurnStarted):
            self._turns[event.turn] = []
        if event.turn in self._turns:
            self._turns[event.turn].append(event)
        self._emit(event)


async def _stop(calls: list[Call]) -> None:
    """The last first, so that none moves up."""
    for call in reversed(calls):
        await call.stop()


async def _heard_after(hearing: asyncio.Task[Captured | None]) -> Captured | None:
    """A microphone that fails after the message was heard says so: the message need not be said again."""
    try:
        return await hearing
    except DeviceError as error:
        error.hint = f"{error.hint} The message itself was heard.".lstrip()
        raise
