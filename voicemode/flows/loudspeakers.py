"""From a playback buffer to the ear: one loudspeaker after another pulls from it, and what their threads report becomes
events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from voicemode import clock
from voicemode.errors import DeviceError, NoDevice, VoiceModeError
from voicemode.events import (
    Emit,
    FirstAudio,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    SinkLost,
    SinkMissing,
    SinkOpened,
    Underrun,
    Warned,
)
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.playback import Moment, Playback, State
from voicemode.ports import OpenSink

logger = logging.getLogger(__name__)

REOPENING_SECONDS = 3.0
"""How long another loudspeaker is looked for when one has gone: a headset that comes back takes 2 s."""

LOOK_AGAIN_SECONDS = 0.1

MOST_LOSSES = 5
"""Loudspeakers that may go away during one message."""

WHOLE = 24 * 3600.0
"""A buffer without a limit, in seconds: the whole message is there before playback starts."""


class Loudspeakers:
    """Those of one message, and `playback`, the buffer that they pull from: at most `limit_seconds` of it are asked
    for ahead. Nothing sounds before it is filled or ended."""

    def __init__(
        self,
        open_sink: OpenSink,
        fmt: PcmFormat,
        *,
        limit_seconds: float,
        turn: str,
        emit: Emit,
    ) -> None:
        self.started = asyncio.Event()
        """Set when the first sample is audible."""
        self.lost: VoiceModeError | None = None
        """Why the last one went away, unless another one has followed it; or why there was none."""
        self.missing = False
        """There was none to begin with: nobody will hear anything."""
        self.playback = Playback(fmt, fill_seconds=WHOLE, limit_seconds=limit_seconds, watch=self._watch)
        self._open_sink = open_sink
        self._format = fmt
        self._turn = turn
        self._emit = emit
        self._opened = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._dry: Underrun | None = None
        """The loudspeaker ran dry; that it is an underrun shows when sound goes on."""

    async def play(self) -> None:
        """Plays to the end: when one goes away, the next goes on at the first sample that was not heard. Raises
        `DeviceError` when there was none to begin with."""
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
                self.lost = gone
            else:
                if self.lost is None:
                    return
                gone = self.lost
                losses += 1
                until = clock.monotonic() + REOPENING_SECONDS
                position = self.playback.rewind()
                now = clock.monotonic()
                self._emit(SinkLost(at=now, turn=self._turn, reason=str(self.lost), position=position))
            if self.playback.over or losses > MOST_LOSSES or clock.monotonic() > until:
                return
            self.lost = None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _play_on_one(self) -> None:
        self._changed.clear()
        async with self._open_sink(self._format, self.playback.pull, self._on_lost) as sink:
            self.playback.device_latency = lambda: sink.latency
            sink.ask(lambda: self.playback.short)
            self._opened = True
            self._emit(
                SinkOpened(
                    at=clock.monotonic(),
                    turn=self._turn,
                    device=sink.name,
                    rate=self._format.rate,
                    channels=self._format.channels,
                    latency=sink.latency,
                )
            )
            try:
                while not self.playback.over and self.lost is None:
                    await self._changed.wait()
                    self._changed.clear()
            finally:
                sink.abort()

    async def room(self) -> None:
        """Waits until the buffer has room, or nobody pulls from it any more."""
        while not (self.playback.has_room or self.missing or self.playback.over):
            self._room.clear()
            await self._room.wait()

    def do_without(self, error: NoDevice) -> Frame:
        """There is none to begin with. Gives what the buffer holds; what still comes has no business in it."""
        self._emit(SinkMissing(at=clock.monotonic(), turn=self._turn, code=error.code, reason=str(error)))
        self.lost = error
        self.missing = True
        self._room.set()
        return self.playback.take()

    def end(self) -> None:
        """Silence at once, if anything is left, and how it went."""
        playback, seconds = self.playback, self._format.seconds
        playback.cut()
        if not self._opened:
            return
        outcome = "lost" if self.lost else "cut" if playback.state is State.CUT else "finished"
        self._emit(
            PlaybackEnded(
                at=clock.monotonic(),
                turn=self._turn,
                outcome=outcome,
                heard=seconds(playback.heard),
                written=seconds(playback.written),
                blocks=playback.blocks,
                buffered=round(playback.average_buffer, 4),
            )
        )

    # What the device reports, from its thread.

    def _watch(self, moment: Moment, position: int, after: int) -> None:
        _tell(self._loop, partial(self._on_moment, moment, position, after, clock.monotonic()))

    def _on_lost(self, error: VoiceModeError) -> None:
        _tell(self._loop, partial(self._device_lost, error))

    def _on_moment(self, moment: Moment, position: int, after: int, at: float) -> None:
        # When it is heard: a device's latency is that of the last sample it pulled.
        at += max(self.playback.latency - self._format.seconds(after), 0.0)
        if moment is Moment.OVER:
            self._changed.set()
        elif moment is Moment.FIRST_AUDIO:
            self._emit(FirstAudio(at=at, turn=self._turn))
            self.started.set()
        elif moment is Moment.RAN_DRY:
            refill = self.playback.refill_seconds
            self._dry = Underrun(at=at, turn=self._turn, position=position, refill=refill)
        elif moment is Moment.RESUMED:
            if self._dry is not None:
                self._emit(self._dry)
                self._dry = None
            self._emit(PlaybackResumed(at=at, turn=self._turn, position=position))
        elif moment is Moment.PAUSED:
            self._emit(PlaybackPaused(at=at, turn=self._turn, position=position))
        self._room.set()

    def _device_lost(self, error: VoiceModeError) -> None:
        self.lost = error
        self._changed.set()


async def play(open_sink: OpenSink, sound: Frame, emit: Emit) -> None:
    """A short sound, heard to its end. One that cannot be played is left out, and told."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch(moment: Moment, position: int, after: int) -> None:
        if moment is Moment.OVER:
            _tell(loop, over.set)

    playback = Playback(sound.format, fill_seconds=0.0, limit_seconds=WHOLE, watch=watch)
    playback.write(sound)
    playback.end()
    try:
        async with open_sink(sound.format, playback.pull, lambda error: _tell(loop, over.set)) as sink:
            playback.device_latency = lambda: sink.latency
            await over.wait()
    except DeviceError as error:
        emit(Warned(at=clock.monotonic(), turn="", what=f"A chime was left out: {error}"))


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From a device's thread to the loop's."""
    with suppress(RuntimeError):  # The loop has closed: nobody is left to tell.
        loop.call_soon_threadsafe(function)
