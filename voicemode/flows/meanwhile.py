"""A quiet sound while the assistant works: from the user's answer until the assistant's next call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from voicemode.errors import DeviceError, VoiceModeError
from voicemode.events import Event, FloorTaken, TurnFinished, TurnStarted
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import OpenSink
from voicemode.sound.mixing import Mixer
from voicemode.speech import Outcome

LONGEST_SECONDS = 120.0
"""An assistant that never comes back does not hum for ever."""

FADING_SECONDS = 0.5
"""A device that no longer pulls is not waited for."""


class Meanwhile:
    """`watch` is an `Emit`: the sound begins when a turn has brought an answer and ends when the next turn
    starts or has the floor.

    `bed` makes one round of the sound. Without a loudspeaker there is no sound, and that is all.
    """

    def __init__(
        self,
        open_sink: OpenSink,
        bed: Callable[[PcmFormat], Frame],
        *,
        fmt: PcmFormat = SPEECH,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._open_sink = open_sink
        self._bed = bed
        self._format = fmt
        self._longest = longest_seconds
        self._leave: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sounding(self) -> bool:
        """A sound is on, or fading."""
        return bool(self._tasks)

    def watch(self, event: Event) -> None:
        if isinstance(
            event, TurnStarted | FloorTaken
        ):  # A call that waited behind the answer has started before it.
            self.end()
        elif isinstance(event, TurnFinished) and event.outcome == Outcome.ANSWERED:
            self.end()
            self._leave = asyncio.Event()
            task = asyncio.get_running_loop().create_task(self._sound(self._leave))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Silence at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def end(self) -> None:
        """It fades out, if it sounds."""
        if self._leave is not None:
            self._leave.set()

    async def _sound(self, leave: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        mixer = Mixer(self._bed(self._format))
        faded = asyncio.Event()
        latency = 0.0
        silent = 0

        def pull(samples: int) -> bytes:
            nonlocal silent
            silent = silent + samples if mixer.silent else 0
            if leave.is_set() and silent >= self._format.samples(latency):
                loop.call_soon_threadsafe(faded.set)
            return mixer.mix(self._format.silence(samples))

        def lost(error: VoiceModeError) -> None:
            loop.call_soon_threadsafe(leave.set)

        with suppress(DeviceError):
            async with self._open_sink(self._format, pull, lost) as sink:
                latency = sink.latency
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._longest):
                        await leave.wait()
                leave.set()
                mixer.fade_out()
                with suppress(TimeoutError):
                    async with asyncio.timeout(FADING_SECONDS):
                        await faded.wait()
