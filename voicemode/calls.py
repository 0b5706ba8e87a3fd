"""A call that was taken: what can be asked of it while it goes on, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from voicemode import metrics
from voicemode.events import Event, FirstAudio, FloorTaken, MicrophoneOpened, TranscriptionRequested
from voicemode.speaking import Utterance
from voicemode.speech import Exchange, Outcome, Spoken, Timings


@dataclass(frozen=True, kw_only=True, slots=True)
class CallStatus:
    """A call as `playback` shows it. `state` is waiting (for the floor), starting, speaking, listening, transcribing,
    failed or an `Outcome`."""

    handle: str
    state: str
    heard: str
    unheard: str


class Call:
    """A call that was taken: waiting for the floor, under way, or over.

    It goes on by itself; `async with call:` ties it to a block, and leaving the block ends it.
    """

    def __init__(
        self,
        handle: str,
        utterance: Utterance | None,
        work: Awaitable[Exchange],
        events: list[Event],
        on_over: Callable[[Call], object],
    ) -> None:
        self.handle = handle
        self.utterance = utterance
        self._events = events
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(retrieve)
        self._task.add_done_callback(lambda task: on_over(self))

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    @property
    def over(self) -> bool:
        return self._task.done()

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
            return replace(self._task.result(), timings=self.timings())
        now = self.status()
        spoken = Spoken(heard=now.heard, unheard=now.unheard, outcome=Outcome.CANCELLED)
        return Exchange(spoken=spoken, outcome=Outcome.CANCELLED, timings=self.timings())

    async def stop(self) -> None:
        """Silence at once; `result` then says what was heard, if anything was."""
        if self.utterance is not None and self.utterance.started.is_set() and not self.utterance.said:
            self.utterance.stop()
            await asyncio.wait([self._task])
        else:
            await self.end()

    async def end(self) -> None:
        """Silence, a closed microphone and a free floor."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def timings(self) -> Timings:
        """As far as the call has come."""
        return metrics.timings(self._events)

    def status(self) -> CallStatus:
        heard, unheard = self.utterance.split_text() if self.utterance else ("", "")
        return CallStatus(handle=self.handle, state=self._state(), heard=heard, unheard=unheard)

    def _state(self) -> str:
        if self._task.cancelled():
            return Outcome.CANCELLED
        if self.over:
            return "failed" if self._task.exception() else self._task.result().outcome
        happened = {type(event) for event in self._events}
        if FloorTaken not in happened:
            return "waiting"
        if TranscriptionRequested in happened:
            return "transcribing"
        hearing = MicrophoneOpened in happened
        if self.utterance is None:
            return "listening" if hearing else "starting"
        if not self.utterance.started.is_set():
            return "starting"
        return "listening" if hearing and self.utterance.said else "speaking"


def retrieve(task: asyncio.Future[Any]) -> None:
    """Looks at a task's failure so that asyncio does not report it as forgotten: whoever asks gets it from `result`."""
    if not task.cancelled():
        task.exception()
