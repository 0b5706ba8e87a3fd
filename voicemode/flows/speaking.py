"""One message, from text to heard sound: `feeding` brings its sound into a buffer, `loudspeakers` pull it out.

Both run at once; the buffer between them is bounded in seconds. Here is what can be asked of the message and done to
it meanwhile, and what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from voicemode import clock
from voicemode.errors import NoDevice, VoiceModeError
from voicemode.events import AudioSaved, Emit, Event, FirstAudio, TurnStarted
from voicemode.flows.feeding import Feeding
from voicemode.flows.loudspeakers import WHOLE, Loudspeakers
from voicemode.flows.rendering import NewSplitter, RenderingPorts
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playout.links import Links
from voicemode.playout.playback import State
from voicemode.ports import BeginRecording, OpenDecoder, OpenSink, Recording, TtsEngine
from voicemode.speech import Outcome, RecordingNote, SpeechRequest, Spoken
from voicemode.text.pieces import Splitter
from voicemode.turn_story import metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeakingPorts:
    """What speaking needs of the world. Times in seconds, `chunk_bytes` is what is decoded at a time."""

    engine: TtsEngine
    open_decoder: OpenDecoder
    open_sink: OpenSink
    begin_recording: BeginRecording
    emit: Emit
    links: Links
    format: PcmFormat = SPEECH
    streaming: bool = True
    limit_seconds: float = 2.0
    chunk_bytes: int = 4096
    keep_recording: bool = False
    new_splitter: NewSplitter = lambda request: Splitter()

    @property
    def rendering(self) -> RenderingPorts:
        return RenderingPorts(
            engine=self.engine,
            open_decoder=self.open_decoder,
            format=self.format,
            chunk_bytes=self.chunk_bytes,
            links=self.links,
            new_splitter=self.new_splitter,
        )


class Utterance:
    """One message on its way to the loudspeaker, and what can be asked of it and done to it meanwhile.

    `text` may still be written (an async iterator). `request` carries voice, speed and the rest; its text is ignored.
    `chime` is sound that follows the last word. Raises `InvalidRequest` when there is nothing to say or too much.
    """

    def __init__(
        self,
        ports: SpeakingPorts,
        text: str | AsyncIterator[str],
        request: SpeechRequest,
        *,
        turn: str,
        kind: str = "speak",
        chime: Frame | None = None,
    ) -> None:
        self.turn = turn
        self.events: list[Event] = []
        self.refused: VoiceModeError | None = None
        """Why it will not be said: known before its turn came."""
        self.gave_way = False
        """The user took the word while something was left to be said."""
        self._begun = False
        self._ports = ports
        self._recording: Recording | None = None
        limit = ports.limit_seconds if ports.streaming else WHOLE
        self._speakers = Loudspeakers(
            ports.open_sink, ports.format, limit_seconds=limit, turn=turn, emit=self._emit
        )
        self._feeding = Feeding(
            ports.rendering,
            text,
            request,
            into=self._speakers,
            turn=turn,
            emit=self._emit,
            keep=self._keep,
            streaming=ports.streaming,
            chime=chime,
        )
        self._rendering = self._feeding.rendering
        self.playback = self._speakers.playback
        self.started = self._speakers.started
        """Set when the first sample is audible, or when it is certain that none will be."""
        self.ending = self._feeding.ended
        """Set when all sound is in the buffer (at most `limit_seconds` are left to be heard), or none will come."""
        spoken = " ".join(self._rendering.ledger.pieces)
        self._emit(TurnStarted(at=clock.monotonic(), turn=turn, kind=kind, text=spoken))

    # What others ask.

    @property
    def said(self) -> bool:
        """The last word has been heard (a chime may still sound), or nothing more will be."""
        return self.playback.over or self._said_it_all

    @property
    def silent(self) -> bool:
        """Its last audible sample has been heard: others may speak in the silence behind it. Or nothing more will
        be."""
        heard_all = self.ending.is_set() and self.playback.heard >= self._feeding.last_audible
        return self.playback.over or heard_all

    @property
    def given_out(self) -> bool:
        """Its last audible sample is with the loudspeaker, heard or not: nothing is left to be held back."""
        return self._feeding.given_out

    @property
    def failed(self) -> bool:
        """It is certain that not all of it will be heard."""
        return self._outcome is not Outcome.FINISHED

    def split_text(self) -> tuple[str, str]:
        """(heard, unheard), now."""
        return self._rendering.ledger.split(0 if self._speakers.missing else self.playback.heard)

    def stop(self) -> None:
        """Silence at once. `run` then gives what was heard."""
        self.playback.cut()

    def give_way(self) -> None:
        """The same for somebody who wants to talk: it was interrupted, and the turn goes on with them."""
        self.gave_way = not self.said
        self.stop()

    # The flow.

    @asynccontextmanager
    async def prepared(self, then: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Beside the block the first sound is asked for, and when it is there, `then` is called. When there will be
        none, a block that has not come to `run` is cancelled and `VoiceModeError` raised."""
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()

        async def prepare() -> None:
            try:
                await self._rendering.prepare()
            except VoiceModeError as error:
                if not self._begun:  # Otherwise `run` meets it.
                    self.refused = error
                    task.cancel()
            else:
                await then()

        preparing = asyncio.create_task(prepare())
        try:
            yield
        except asyncio.CancelledError:
            if self.refused is not None and task.uncancel() <= before:
                raise self.refused from None
            raise
        finally:
            await _settle(preparing)
            await self._rendering.drop()

    async def run(self) -> Spoken:
        """Says it all and gives what became of it. Cancelling is silence at once.

        Raises `VoiceModeError` when nothing could be played and nothing was left behind.
        """
        self._begun = True
        if self._ports.keep_recording:
            self._begin_recording()
        feeding = asyncio.create_task(self._feeding.run())
        try:
            try:
                await self._speakers.play()
                if self.playback.state is State.DONE:
                    await feeding
            except NoDevice as error:
                self._keep_instead(self._speakers.do_without(error))
                await feeding
        finally:
            self._speakers.end()
            await _settle(feeding)
            self._finish_recording()
            self.started.set()
        spoken = await self._spoken()
        self.ending.set()
        return spoken

    # Endings.

    @property
    def _said_it_all(self) -> bool:
        known = self.ending.is_set() and not self._feeding.cut_off
        return known and self.playback.heard >= self._feeding.speech_samples

    @property
    def _outcome(self) -> Outcome:
        if self.gave_way:
            return Outcome.INTERRUPTED
        if self._feeding.broken is not None:
            return Outcome.BROKEN
        if self._speakers.missing:
            return Outcome.NOT_PLAYED
        if self._speakers.lost is not None:
            return Outcome.BROKEN
        cut = self.playback.state is State.CUT and not self._said_it_all
        return Outcome.CANCELLED if cut else Outcome.FINISHED  # As far as is known now.

    async def _spoken(self) -> Spoken:
        outcome, problem = self._outcome, self._feeding.broken or self._speakers.lost
        recording = await self._recording.saved() if self._recording is not None else None
        if recording is not None:
            self._emit(AudioSaved(at=clock.monotonic(), turn=self.turn, kind="tts", path=str(recording)))
        seconds = 0.0 if self._speakers.missing else self._ports.format.seconds(self.playback.heard)
        if problem is not None and not seconds and (outcome is Outcome.BROKEN or recording is None):
            raise problem
        heard, unheard = self.split_text()
        return Spoken(
            heard=heard,
            unheard=unheard,
            outcome=outcome,
            timings=metrics.timings(self.events),
            engine=self._rendering.engine,
            voice=self._rendering.voice,
            speakers=tuple(self._rendering.speakers),
            metrics=metrics.figures(self.events),
            seconds_heard=round(seconds, 3),
            recording=recording,
            note=" ".join(([str(problem)] if problem is not None else []) + self._rendering.notes),
        )

    # The recording of it.

    def _begin_recording(self) -> Recording:
        self._recording = self._ports.begin_recording(kind="tts", turn=self.turn, format=self._ports.format)
        return self._recording

    def _keep(self, sound: Frame) -> None:
        if self._recording is not None:
            self._recording.write(sound)

    def _keep_instead(self, sound: Frame) -> None:
        """Nobody can hear it: it goes into a file instead, from its first sample on."""
        if self._recording is None:
            self._begin_recording().write(sound)

    def _finish_recording(self) -> None:
        if self._recording is None:
            return
        heard, unheard = self.split_text()
        self._recording.finish(
            RecordingNote(
                kind="tts",
                turn=self.turn,
                text=f"{heard} {unheard}".strip(),
                engine=self._rendering.engine,
                voice=self._rendering.voice,
                outcome=self._outcome,
                heard=heard,
                unheard=unheard,
                position=self._audible_at,
                metrics=metrics.figures(self.events),
            )
        )

    @property
    def _audible_at(self) -> float:
        """When its first sample was; when it was asked for, where nobody heard it."""
        return next((event.at for event in self.events if isinstance(event, FirstAudio)), self.events[0].at)

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self._ports.emit(event)


async def _settle(task: asyncio.Task[None]) -> None:
    """Cancels `task` and waits until it has closed what it held; its failure has been dealt with already."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
