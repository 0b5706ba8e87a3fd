"""From text to heard sound: rendering → playback → loudspeaker.

An `Utterance` is one message on that way. Two things run at once: `_feed` brings sound from the engine into the
playback buffer, and the device pulls it out in its own thread; the buffer between them is bounded in seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from voicemode import clock, metrics
from voicemode.errors import DeviceError, NoDevice, VoiceModeError
from voicemode.events import (
    AudioSaved,
    Emit,
    Event,
    FirstAudio,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    SinkLost,
    SinkMissing,
    SinkOpened,
    SpeechBroken,
    SpeechReceived,
    SpeechRequested,
    TurnStarted,
    Underrun,
    Warned,
)
from voicemode.levels import audible_to
from voicemode.links import Links
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playback import Moment, Playback, State
from voicemode.ports import BeginRecording, OpenDecoder, OpenSink, Recording, TtsEngine
from voicemode.rendering import NewSplitter, Rendering, RenderingPorts
from voicemode.speech import Outcome, RecordingNote, SpeechRequest, Spoken
from voicemode.text import Splitter

logger = logging.getLogger(__name__)

WRITE_SECONDS = 0.1
"""Decoded sound is handed to the buffer in parts of this size, so that a large frame cannot overfill it."""

REOPENING_SECONDS = 3.0
"""How long another loudspeaker is looked for when one has gone: a headset that comes back takes 2 s."""

LOOK_AGAIN_SECONDS = 0.1

MOST_LOSSES = 5
"""Loudspeakers that may go away during one message."""

WHOLE = 24 * 3600.0
"""A buffer without a limit, in seconds: the whole message is there before playback starts."""


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
        self.started = asyncio.Event()
        """Set when the first sample is audible, or when it is certain that none will be."""
        self.ending = asyncio.Event()
        """Set when all sound is in the buffer (at most `limit_seconds` are left to be heard), or none will come."""
        self.events: list[Event] = []
        self.refused: VoiceModeError | None = None
        """Why it will not be said: known before its turn came."""
        self.gave_way = False
        """The user took the word while something was left to be said."""
        self._begun = False
        self._ports = ports
        self._chime = chime
        rendering = RenderingPorts(
            engine=ports.engine,
            open_decoder=ports.open_decoder,
            format=ports.format,
            chunk_bytes=ports.chunk_bytes,
            links=ports.links,
            new_splitter=ports.new_splitter,
        )
        self._rendering = Rendering(
            rendering, text, request, turn=turn, emit=self._rendered, on_fill=self._fill
        )
        self._ledger = self._rendering.ledger
        self._speech_samples = 0
        self._audible_samples = 0
        """Written up to the end of the last audible one of them; 0 where there is none."""
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._broken: VoiceModeError | None = None
        self._lost: VoiceModeError | None = None
        self._recording: Recording | None = None
        self._unplayed = False
        self._asked = 0
        """The last piece that sound was asked for."""
        self._dry: Underrun | None = None
        """The loudspeaker ran dry; that it is an underrun shows when sound goes on."""
        self.playback = Playback(
            ports.format,
            fill_seconds=WHOLE,
            limit_seconds=ports.limit_seconds if ports.streaming else WHOLE,
            watch=self._watch,
        )
        spoken = " ".join(self._ledger.pieces)
        self._emit(TurnStarted(at=clock.monotonic(), turn=turn, kind=kind, text=spoken))

    # What others ask.

    @property
    def said(self) -> bool:
        """The last word has been heard (a chime may still sound), or nothing more will be."""
        return self.playback.over or self._said_it_all

    @property
    def silent(self) -> bool:
        """Its last audible sample has been heard: voices end in a quarter of a second of silence, in which others may
        speak. Or nothing more will be."""
        last = self._audible_samples or self._speech_samples
        return self.playback.over or (self.ending.is_set() and self.playback.heard >= last)

    @property
    def given_out(self) -> bool:
        """Its last audible sample is with the loudspeaker, heard or not: nothing is left to be held back."""
        last = self._audible_samples or self._speech_samples
        return self.playback.over or (self.ending.is_set() and self.playback.given >= last)

    @property
    def failed(self) -> bool:
        """It is certain that not all of it will be heard."""
        return self._outcome is not Outcome.FINISHED

    def split_text(self) -> tuple[str, str]:
        """(heard, unheard), now."""
        return self._ledger.split(0 if self._unplayed else self.playback.heard)

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
        feeding = asyncio.create_task(self._feed())
        try:
            try:
                await self._play()
                if self.playback.state is State.DONE:
                    await feeding
            except NoDevice as error:
                self._note_no_device(error)
                await feeding
        finally:
            self.playback.cut()
            if any(isinstance(event, SinkOpened) for event in self.events):
                self._emit_end()
            await _settle(feeding)
            self._finish_recording()
            self.started.set()
        spoken = await self._spoken()
        self.ending.set()
        return spoken

    async def _play(self) -> None:
        """Plays on one loudspeaker after another: when one goes away, the next goes on at the first sample that was
        not heard. Raises `DeviceError` when there was none to begin with."""
        losses = 0
        until = 0.0
        gone: VoiceModeError | None = None
        while not self.playback.over:
            try:
                await self._play_on_one()
            except DeviceError as error:
                if gone is None:
                    raise
                logger.info("No loudspeaker to go on with yet: %s", error)
                self._lost = gone
            else:
                if self._lost is None:
                    return
                gone = self._lost
                losses += 1
                until = clock.monotonic() + REOPENING_SECONDS
                position = self.playback.rewind()
                now = clock.monotonic()
                self._emit(SinkLost(at=now, turn=self.turn, reason=str(self._lost), position=position))
            if self.playback.over or losses > MOST_LOSSES or clock.monotonic() > until:
                return
            self._lost = None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _play_on_one(self) -> None:
        ports = self._ports
        self._changed.clear()
        async with ports.open_sink(ports.format, self.playback.pull, self._on_lost) as sink:
            self.playback.device_latency = lambda: sink.latency
            self._emit(
                SinkOpened(
                    at=clock.monotonic(),
                    turn=self.turn,
                    device=sink.name,
                    rate=ports.format.rate,
                    channels=ports.format.channels,
                    latency=sink.latency,
                )
            )
            try:
                while not self.playback.over and self._lost is None:
                    await self._changed.wait()
                    self._changed.clear()
            finally:
                sink.abort()

    async def _feed(self) -> None:
        """Engine → decoder → buffer. The first failure ends it; what came is still played."""
        try:
            await self._rendering.run(self._write)
            self._speech_samples = self.playback.written
            if self._chime is not None and self._speech_samples:
                await self._write(None, self._chime)
        except VoiceModeError as error:
            self._broken = error
        finally:
            self._speech_samples = self._speech_samples or self.playback.written
            self.playback.end()
            self.ending.set()
            if self.given_out:
                # Paused where only silence followed: whoever listens for an answer need not wait.
                self.playback.resume()

    async def _write(self, piece: int | None, frame: Frame) -> None:
        for part in _parts(frame):
            while not (self.playback.has_room or self._unplayed or self.playback.over):
                self._room.clear()
                await self._room.wait()
            if piece is not None:
                self._ledger.sound(piece, at=self.playback.written, samples=part.samples)
                if audible := audible_to(part):
                    self._audible_samples = self.playback.written + audible
            if self._recording is not None:
                self._recording.write(part)
            if not self._unplayed:
                self.playback.write(part)

    # What the device reports, from its thread.

    def _watch(self, moment: Moment, position: int, after: int) -> None:
        _tell(self._loop, partial(self._on_moment, moment, position, after, clock.monotonic()))

    def _on_lost(self, error: VoiceModeError) -> None:
        _tell(self._loop, partial(self._device_lost, error))

    def _on_moment(self, moment: Moment, position: int, after: int, at: float) -> None:
        # When it is heard: a device's latency is that of the last sample it pulled.
        at += max(self.playback.latency - self.playback.format.seconds(after), 0.0)
        if moment is Moment.OVER:
            self._changed.set()
        elif moment is Moment.FIRST_AUDIO:
            self._emit(FirstAudio(at=at, turn=self.turn))
            self.started.set()
        elif moment is Moment.RAN_DRY:
            refill = self.playback.refill_seconds
            self._dry = Underrun(at=at, turn=self.turn, position=position, refill=refill)
        elif moment is Moment.RESUMED:
            if self._dry is not None:
                self._emit(self._dry)
                self._dry = None
            self._emit(PlaybackResumed(at=at, turn=self.turn, position=position))
        elif moment is Moment.PAUSED:
            self._emit(PlaybackPaused(at=at, turn=self.turn, position=position))
        self._room.set()

    def _device_lost(self, error: VoiceModeError) -> None:
        self._lost = error
        self._changed.set()

    def _fill(self, seconds: float) -> None:
        if self._ports.streaming:
            self.playback.fill(seconds)

    # Endings.

    @property
    def _said_it_all(self) -> bool:
        return self.ending.is_set() and self.playback.heard >= self._speech_samples

    @property
    def _outcome(self) -> Outcome:
        if self.gave_way:
            return Outcome.INTERRUPTED
        if self._broken is not None:
            return Outcome.BROKEN
        if self._unplayed:
            return Outcome.NOT_PLAYED
        if self._lost is not None:
            return Outcome.BROKEN
        cut = self.playback.state is State.CUT and not self._said_it_all
        return Outcome.CANCELLED if cut else Outcome.FINISHED  # As far as is known now.

    def _note_no_device(self, error: NoDevice) -> None:
        """Nobody can hear it: the sound goes into a file instead, from its first sample on."""
        now = clock.monotonic()
        self._emit(SinkMissing(at=now, turn=self.turn, code=error.code, reason=str(error)))
        self._lost = error
        self._unplayed = True
        if self._recording is None:
            self._begin_recording().write(self.playback.take())
        self._room.set()

    async def _spoken(self) -> Spoken:
        outcome, problem = self._outcome, self._broken or self._lost
        recording = await self._recording.saved() if self._recording is not None else None
        if recording is not None:
            self._emit(AudioSaved(at=clock.monotonic(), turn=self.turn, kind="tts", path=str(recording)))
        seconds = 0.0 if self._unplayed else self._ports.format.seconds(self.playback.heard)
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
            metrics=metrics.figures(self.events),
            seconds_heard=round(seconds, 3),
            recording=recording,
            note=" ".join(([str(problem)] if problem is not None else []) + self._rendering.notes),
        )

    def _begin_recording(self) -> Recording:
        self._recording = self._ports.begin_recording(kind="tts", turn=self.turn, format=self._ports.format)
        return self._recording

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

    def _emit_end(self) -> None:
        outcome = "lost" if self._lost else "cut" if self.playback.state is State.CUT else "finished"
        seconds = self._ports.format.seconds
        playback = self.playback
        self._emit(
            PlaybackEnded(
                at=clock.monotonic(),
                turn=self.turn,
                outcome=outcome,
                heard=seconds(playback.heard),
                written=seconds(playback.written),
                blocks=playback.blocks,
                buffered=round(playback.average_buffer, 4),
            )
        )

    def _rendered(self, event: Event) -> None:
        """While no sound is on order, a silence waits for text to be written."""
        if isinstance(event, SpeechRequested):
            self._asked = event.piece
            self.playback.expecting = True
        elif isinstance(event, SpeechReceived):
            self.playback.expecting = self._asked > event.piece
        elif isinstance(event, SpeechBroken):
            self.playback.expecting = bool(event.again)
        self._emit(event)

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self._ports.emit(event)


async def play(ports: SpeakingPorts, sound: Frame) -> None:
    """A short sound, heard to its end. One that cannot be played is left out, and told."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch(moment: Moment, position: int, after: int) -> None:
        if moment is Moment.OVER:
            _tell(loop, over.set)

    playback = Playback(ports.format, fill_seconds=0.0, limit_seconds=WHOLE, watch=watch)
    playback.write(sound)
    playback.end()
    try:
        async with ports.open_sink(ports.format, playback.pull, lambda error: _tell(loop, over.set)) as sink:
            playback.device_latency = lambda: sink.latency
            await over.wait()
    except DeviceError as error:
        ports.emit(Warned(at=clock.monotonic(), turn="", what=f"A chime was left out: {error}"))


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From a device's thread to the loop's."""
    with suppress(RuntimeError):  # The loop has closed: nobody is left to tell.
        loop.call_soon_threadsafe(function)


def _parts(frame: Frame) -> Iterator[Frame]:
    size = frame.format.samples(WRITE_SECONDS) * frame.format.bytes_per_sample
    for start in range(0, len(frame.data), size):
        yield Frame(data=frame.data[start : start + size], format=frame.format)


async def _settle(task: asyncio.Task[None]) -> None:
    """Cancels `task` and waits until it has closed what it held; its failure has been dealt with already."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
