"""What can be asked for: to speak, to listen, and both; and the book of the calls that were. The doors call these."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

from voicemode import clock
from voicemode.errors import Busy, InvalidRequest
from voicemode.events import ControlAsked, Emit, Event, TurnFailed, TurnFinished, TurnStarted
from voicemode.flows.calls import LONGEST_PAUSE_SECONDS, Call, Message
from voicemode.flows.exchanges import Exchanges
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.pcm import PcmFormat
from voicemode.ports import Floor, Recording, TurnsKept
from voicemode.sound.chimes import LISTENING_TONES, ChimeRules, chime
from voicemode.speech import Exchange, SpeechRequest
from voicemode.turn_taking.doing import Doing
from voicemode.turn_taking.turn import LONGEST_LISTEN_SECONDS, SHORTEST_LISTEN_SECONDS, TurnRules

LONGEST_QUEUE = 32
"""Calls that may wait for their turn; more are refused, since nobody will hear them in time."""

NAMING_SECONDS = 0.1
"""When the process ends, the log waits no longer for the files of the answers that this cut short."""

REMEMBERED = 50
"""Calls that `playback` still knows after they ended."""

LEAVE_OUT = "Leave the handle out to mean what is sounding or waiting."


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
        longest_pause: float = LONGEST_PAUSE_SECONDS,
        kept: TurnsKept | None = None,
    ) -> None:
        self._emit = emit
        self._kept = kept
        self._longest_pause = longest_pause
        self._mouth = replace(mouth, emit=self._note)
        self._begin_recording = ear.begin_recording
        self._ear = replace(ear, emit=self._note, awaited=self._awaited, begin_recording=self._begin_answer)
        self._chimes = chimes
        self._exchanges = Exchanges(
            mouth=self._mouth, ear=self._ear, floor=floor, emit=self._note, chimes=chimes
        )
        self._calls: dict[str, Call] = {}
        self._turns: dict[str, list[Event]] = {}

    # What can be asked for. Each raises `InvalidRequest` or `Busy` before anything happens.

    def speak(self, text: str | AsyncIterator[str], request: SpeechRequest) -> Call:
        """Says `text`; its exchange has no transcript."""
        turn = self._new_turn()
        utterance = Utterance(self._mouth, text, request, turn=turn)
        return self._take(turn, utterance, self._exchanges.speak(utterance), message=_message(text, request))

    def replace(self, text: str, request: SpeechRequest) -> Call:
        """Says `text` instead of all that is sounding or waiting, which is silenced when the first sound of `text` is
        there: a voice that nobody has silences nothing."""
        before = [call for call in self._calls.values() if not call.over]
        turn = self._new_turn(2 * LONGEST_QUEUE)
        utterance = Utterance(self._mouth, text, request, turn=turn)
        work = self._exchanges.speak_instead(utterance, lambda: _stop(before, "replace", by=turn))
        return self._take(turn, utterance, work, message=_message(text, request))

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
        work = self._exchanges.speak_and_listen(utterance, rules, language)
        return self._take(turn, utterance, work, message=_message(text, request))

    def listen(self, *, language: str | None = None, max_listen: float | None = None) -> Call:
        """Only listens."""
        rules = self.rules(max_listen)
        turn = self._new_turn()
        self._note(TurnStarted(at=clock.monotonic(), turn=turn, kind="listen", text=""))
        return self._take(turn, None, self._exchanges.listen(turn, rules, language))

    def calls(self) -> list[Call]:
        """Those under way and the last that are over, oldest first."""
        return list(self._calls.values())

    def call(self, handle: str, *, hint: str = LEAVE_OUT) -> Call:
        """Raises `InvalidRequest` with the known handles."""
        if handle not in self._calls:
            known = ", ".join(list(self._calls)[-5:]) or "none yet"
            raise InvalidRequest(
                f"There is no call {handle[:40]!r}; known are: {known}.",
                hint=hint,
            )
        return self._calls[handle]

    async def stop(self, handle: str | None = None) -> list[Call]:
        """Silences one call, or all that are under way or waiting."""
        chosen = [self.call(handle)] if handle else [call for call in self._calls.values() if not call.over]
        await _stop(chosen)
        return chosen

    def pause(self, handle: str | None = None) -> Call:
        """Silences a call, or the one that sounds, until it is resumed. Raises `InvalidRequest`."""
        call = self.call(handle) if handle else self._foremost("pause")
        call.pause(self._longest_pause)
        return call

    def resume(self, handle: str | None = None) -> Call:
        call = self.call(handle) if handle else self._foremost("resume")
        call.resume()
        return call

    async def skip(self, handle: str | None = None) -> Call:
        """Ends a call, or the one that has the floor; the next one begins. Raises `InvalidRequest`."""
        call = self.call(handle) if handle else self._foremost("skip")
        await call.stop("skip")
        return call

    def replay(self, handle: str | None = None) -> Call:
        """Says the message of a call again, or the last one that was begun: a new call, without listening."""
        begun = (
            call for call in reversed(self.calls()) if call.message and call.status().state != Doing.WAITING
        )
        call = self.call(handle) if handle else next(begun, None)
        if call is None or call.message is None:
            raise InvalidRequest(
                f"Call {handle} only listened." if handle else "Nothing has been said yet.",
                hint="Say a message with the speak tool.",
            )
        now = call.status()
        again = self.speak(call.message.text or f"{now.heard} {now.unheard}", call.message.request)
        at = clock.monotonic()
        self._note(ControlAsked(at=at, turn=again.handle, action="replay", other=call.handle))
        return again

    def _foremost(self, what: str) -> Call:
        """The call that has the floor."""
        for call in self._calls.values():
            if not call.over and call.status().state != Doing.WAITING:
                return call
        raise InvalidRequest(
            f"There is nothing to {what}: nothing is sounding here.",
            hint="playback status shows the last calls.",
        )

    async def close(self) -> None:
        """Silence, now, and everything put away."""
        calls = list(self._calls.values())
        for call in calls:
            if call.utterance is not None:
                call.utterance.stop()
        self._exchanges.silence()
        await asyncio.gather(*(call.end("close") for call in reversed(calls)))
        await self._exchanges.settled()
        await asyncio.gather(*(call.named(NAMING_SECONDS) for call in calls))

    # The book of calls.

    def _take(
        self,
        turn: str,
        utterance: Utterance | None,
        work: Awaitable[Exchange],
        *,
        message: Message | None = None,
    ) -> Call:
        over = [call for call in self._calls.values() if call.over]
        over.sort(key=lambda call: call.pending)  # An answer that nobody has fetched goes last.
        for old in over[: max(len(self._calls) - REMEMBERED, 0)]:
            del self._calls[old.handle]
        call = Call(
            turn,
            utterance,
            work,
            self._turns[turn],
            self._put_away,
            emit=self._note,
            message=message,
            kept=self._kept,
        )
        self._calls[turn] = call
        return call

    def _new_turn(self, most: int = LONGEST_QUEUE) -> str:
        waiting = sum(not call.over for call in self._calls.values())
        if waiting >= most:
            raise Busy(
                f"{waiting} calls are waiting to be heard; no more than {most} may.",
                hint="Wait until some have been heard, or stop them with the playback tool.",
                retryable=True,
            )
        return secrets.token_hex(4)

    def _awaited(self, turn: str) -> bool:
        return not (turn in self._calls and self._calls[turn].pending)

    def _begin_answer(self, *, kind: str, turn: str, format: PcmFormat) -> Recording:  # noqa: A002
        recording = self._begin_recording(kind=kind, turn=turn, format=format)
        if turn in self._calls:
            self._calls[turn].answer = recording
        return recording

    def _put_away(self, call: Call) -> None:
        """A call that was ended before it could begin, or by a mistake of ours, has an end in the log all the same."""
        events = self._turns.get(call.handle, [])
        ended = any(isinstance(event, TurnFinished | TurnFailed) for event in events)
        if (mistake := call.mistake) is not None:
            reason = f"{type(mistake).__name__}: {mistake}"
            self._note(TurnFailed(at=clock.monotonic(), turn=call.handle, code="mistake", reason=reason))
        elif not ended:
            self._exchanges.note_cancelled(call.handle, call.utterance)
        self._turns.pop(call.handle, None)

    def rules(self, max_listen: float | None) -> TurnRules:
        """The rules of a turn that may last `max_listen` seconds (None: as configured). Raises `InvalidRequest`."""
        if max_listen is None:
            return self._ear.rules
        if not SHORTEST_LISTEN_SECONDS <= max_listen <= LONGEST_LISTEN_SECONDS:
            raise InvalidRequest(
                f"max_listen_seconds is {max_listen!r}; it must be between {SHORTEST_LISTEN_SECONDS:g} and "
                f"{LONGEST_LISTEN_SECONDS:g}.",
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


def _message(text: str | AsyncIterator[str], request: SpeechRequest) -> Message:
    return Message(text=text if isinstance(text, str) else "", request=request)


async def _stop(calls: list[Call], action: str = "stop", *, by: str = "") -> None:
    """The last first, so that none moves up."""
    for call in reversed(calls):
        await call.stop(action, by=by)
