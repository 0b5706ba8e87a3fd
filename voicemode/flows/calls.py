"""A call that was taken: what can be asked of it while it goes on, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from voicemode import clock
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.events import (
    AudioSaved,
    ControlAsked,
    Emit,
    Event,
    FirstAudio,
    FloorTaken,
    MicrophoneOpened,
    TurnEnded,
)
from voicemode.flows.speaking import Utterance
from voicemode.playout.playback import State
from voicemode.ports import Recording, TurnsKept
from voicemode.speech import Exchange, Outcome, SpeechRequest, Spoken, Timings
from voicemode.turn_story import metrics
from voicemode.turn_taking.doing import Doing, Sign, moved

LONGEST_PAUSE_SECONDS = 300.0
"""A paused message has the floor, and others wait for it: then it is stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallStatus:
    """A call as `playback` shows it. `state` is what it is doing (`Doing`), and once it is over failed or an `Outcome`;
    `note` is what else the caller should know, `record` the JSON of what is kept of its turn."""

    handle: str
    state: str
    heard: str
    unheard: str
    note: str = ""
    record: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What a call was asked to say. `text` is empty where it was written while it was spoken."""

    text: str
    request: SpeechRequest


class Call:
    """A call that was taken: waiting for the floor, under way, or over.

    It goes on by itself; `async with call:` ties it to a block, and leaving the block ends it. `message` is None when
    it only listens.
    """

    def __init__(
        self,
        handle: str,
        utterance: Utterance | None,
        work: Awaitable[Exchange],
        events: list[Event],
        on_over: Callable[[Call], object],
        *,
        emit: Emit,
        message: Message | None = None,
        kept: TurnsKept | None = None,
    ) -> None:
        self.handle = handle
        self.utterance = utterance
        self.message = message
        self._kept = kept
        self.pending = False
        """Its caller was told to come back for the answer, and has not got it yet."""
        self.awaited_by = 0
        """Callers that wait for the answer now."""
        self.answer: Recording | None = None
        """What was said, where it is kept."""
        self.kept_in: Path | None = None
        """Where that is, once it is known of a call that was ended."""
        self._naming: asyncio.Task[None] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._note = ""
        self._doing = Doing.WAITING
        self._events = events
        self._emit = emit
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(retrieve)
        self._task.add_done_callback(lambda task: on_over(self))
        self._task.add_done_callback(lambda task: self._name_answer())

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    @property
    def over(self) -> bool:
        return self._task.done()

    @property
    def mistake(self) -> BaseException | None:
        """What ended the call and is no error of ours to tell: voicemode's own mistake."""
        if not self.over or self._task.cancelled():
            return None
        problem = self._task.exception()
        return None if isinstance(problem, VoiceModeError) else problem

    async def until_started(self) -> None:
        """Returns when sound is audible or the call is over. Raises what `result` raises."""
        if self.utterance is not None:
            started = asyncio.ensure_future(self.utterance.started.wait())
            await asyncio.wait({started, self._task}, return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            if FirstAudio not in {type(event) for event in self._events}:
                # It is certain that there will be no sound; why, is known when the call has put everything away.
                await asyncio.wait([self._task])
        if self.over:
            await self.result()

    async def result(self) -> Exchange:
        """What became of it; raises `VoiceModeError`. Giving up the wait does not end the call.

        A call that someone else ended has an answer too: whoever waits for it must not be taken for cancelled.
        """
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            exchange = self._task.result()
            note = f"{exchange.note} {self._note}".strip()
            return replace(exchange, timings=self.timings(), note=note, files=await self._files())
        now = self.status()
        spoken = Spoken(heard=now.heard, unheard=now.unheard, outcome=Outcome.CANCELLED)
        outcome, timings = Outcome.CANCELLED, self.timings()
        await self.named()
        return Exchange(
            spoken=spoken,
            outcome=outcome,
            timings=timings,
            recording=self.kept_in,
            files=await self._files(),
            note=self._kept_note(),
        )

    async def named(self, limit_seconds: float | None = None) -> None:
        """Returns when it is known where the answer is that this call's end cut short, or after the limit."""
        self._name_answer()
        if self._naming is not None:
            await asyncio.wait([self._naming], timeout=limit_seconds)

    def _name_answer(self) -> None:
        """Of a call that was ended; the others tell it themselves."""
        if self._task.cancelled() and self.answer is not None and self._naming is None:
            self._naming = asyncio.ensure_future(self._name(self.answer))

    async def _name(self, answer: Recording) -> None:
        self.kept_in = path = await answer.saved()
        told = any(isinstance(event, AudioSaved) and event.kind == "stt" for event in self._events)
        if path is not None and not told:
            self._emit(AudioSaved(at=clock.monotonic(), turn=self.handle, kind="stt", path=str(path)))

    def _kept_note(self) -> str:
        return f"What the user had said until then is kept in {self.kept_in}." if self.kept_in else ""

    async def _files(self) -> dict[str, Path]:
        return await self._kept.saved(self.handle) if self._kept is not None else {}

    def pause(self, longest_seconds: float = LONGEST_PAUSE_SECONDS) -> None:
        """Silence until `resume`; a message that is paused for longer is stopped. Raises `InvalidRequest` when
        nothing is sounding or about to sound."""
        if not self._paused():
            raise InvalidRequest(
                f"Call {self.handle} {self._is()}; only a message that is sounding can be paused.",
                hint="Stop it instead, or leave it alone.",
            )
        self._tell("pause")
        if self._pause is None:
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(longest_seconds, self._end_pause, longest_seconds)
            self._task.add_done_callback(lambda task: self._forget_pause())

    def _paused(self) -> bool:
        """Pauses the message; False where nothing of it is left to be heard, or it has not got the floor. What the
        loudspeaker was given in the very moment of the pause is looked at too: a message that has been heard and does
        not end would keep the answer waiting."""
        if self.utterance is None or self._state() not in (
            Doing.STARTING,
            Doing.SPEAKING,
            Doing.PAUSED,
        ):
            return False
        playback = self.utterance.playback
        playback.pause()
        if self.utterance.given_out:
            playback.resume()
        return playback.state is State.PAUSED

    def _is(self) -> str:
        state = self._state()
        said = state == Doing.SPEAKING and self.utterance is not None and self.utterance.given_out
        return "has just been said" if said else f"is {state}"

    def resume(self) -> None:
        """Goes on at the sample where `pause` came. Raises `InvalidRequest` when it is not paused."""
        state = self._state()
        if self.utterance is None or state != Doing.PAUSED:
            raise InvalidRequest(
                f"Call {self.handle} is {state}, not paused: there is nothing to resume.",
                hint="Action replay says its message again." if self.over and self.message else "",
            )
        self._tell("resume")
        self._forget_pause()
        self.utterance.playback.resume()

    def _end_pause(self, after: float) -> None:
        if self._state() != Doing.PAUSED:
            return
        self._note = (
            f"It was paused for {after:g} s and then stopped, since a paused message keeps others waiting."
        )
        self._tell("pause_limit")
        if self.utterance is not None:
            self.utterance.stop()

    def _forget_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    async def stop(self, action: str = "stop", *, by: str = "") -> None:
        """Silence at once; `result` then says what was heard, if anything was. `action` and `by` as `ControlAsked` has
        them."""
        if not self.over:
            self._tell(action, by)
        if self.utterance is not None and self.utterance.started.is_set() and not self.utterance.said:
            self.utterance.stop()
            await asyncio.wait([self._task])
        else:
            await self._end()

    def give_way(self) -> None:
        """The user takes the word: the message ends, and they are listened to. The call keeps its place, and the
        floor."""
        if self.utterance is not None and not self.over:
            self._tell("talk")
            self._forget_pause()
            self.utterance.give_way()

    async def end(self, action: str = "cancel") -> None:
        """Silence, a closed microphone and a free floor."""
        if not self.over:
            self._tell(action)
        await self._end()

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def _tell(self, action: str, other: str = "") -> None:
        self._emit(ControlAsked(at=clock.monotonic(), turn=self.handle, action=action, other=other))

    def timings(self) -> Timings:
        """As far as the call has come."""
        return metrics.timings(self._events)

    def status(self) -> CallStatus:
        heard, unheard = self.utterance.split_text() if self.utterance else ("", "")
        record = self._kept.record(self.handle) if self._kept is not None else None
        return CallStatus(
            handle=self.handle,
            state=self._state(),
            heard=heard,
            unheard=unheard,
            note=self._told(),
            record=str(record or ""),
        )

    def _told(self) -> str:
        notes = [*self._why(), self._note, self._kept_note()]
        if self.pending:
            got = "its result waits" if self.over else "its caller comes back for the answer"
            notes.append(f"{got}: converse with this handle")
        return " ".join(note for note in notes if note)

    def _why(self) -> list[str]:
        """What a call that is over has to say about its end."""
        if not self.over or self._task.cancelled():
            return []
        if (failure := self._task.exception()) is not None:
            return [str(failure)]
        exchange = self._task.result()
        return [exchange.spoken.note, exchange.note]

    def _state(self) -> str:
        self._doing = moved(self._doing, self._signs())
        if self._doing is not Doing.OVER:
            return self._doing
        if self._task.cancelled():
            return Outcome.CANCELLED
        return "failed" if self._task.exception() else self._task.result().outcome

    def _signs(self) -> set[Sign]:
        happened = {type(event) for event in self._events}
        utterance = self.utterance
        held_back = utterance is not None and utterance.playback.state is State.PAUSED
        signs = {Sign.PAUSE if held_back else Sign.RESUME}
        if FloorTaken in happened:
            signs.add(Sign.FLOOR)
        if utterance is not None and utterance.started.is_set():
            signs.add(Sign.SOUND)
        if MicrophoneOpened in happened and (utterance is None or utterance.silent):
            signs.add(Sign.MICROPHONE)
        if TurnEnded in happened:
            signs.add(Sign.TURN_ENDED)
        if self.over:
            signs.add(Sign.END)
        return signs


def retrieve(task: asyncio.Future[Any]) -> None:
    """Looks at a task's failure so that asyncio does not report it as forgotten: whoever asks gets it from `result`."""
    if not task.cancelled():
        task.exception()
