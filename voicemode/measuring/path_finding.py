"""Finds the way from the loudspeaker to the microphone: plays the sweep on the one and listens with the other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from voicemode import clock
from voicemode.errors import DeviceError, VoiceModeError
from voicemode.pcm import LISTENING, SPEECH, Frame
from voicemode.ports import OpenSink, OpenSource
from voicemode.sound.sweep import LONGEST_DELAY, SECONDS, Found, find, sweep

ROOM_SECONDS = 0.8
"""Of silence first: the room's own level, and time for devices to wake up."""
AFTER_SECONDS = SECONDS + LONGEST_DELAY + 0.1
LIMIT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was `found` in what was `heard` at the rate of listening; the sweep was pulled `expected` seconds after its
    first sample."""

    found: Found
    heard: Frame
    expected: float


class _Script:
    """A `Pull`: silence, the sweep once, silence. `began` is when the sweep's first sample was pulled."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.began: float | None = None
        self._rest = SPEECH.silence(SPEECH.samples(ROOM_SECONDS)) + sweep(SPEECH).data
        self._silent = SPEECH.samples(ROOM_SECONDS) * SPEECH.bytes_per_sample
        self._now = now

    def __call__(self, samples: int) -> bytes:
        size = samples * SPEECH.bytes_per_sample
        data, self._rest = self._rest[:size], self._rest[size:]
        if self.began is None and size > self._silent:
            self.began = self._now() + SPEECH.seconds(self._silent // SPEECH.bytes_per_sample)
        self._silent -= len(data)
        return data + bytes(size - len(data))


async def find_echo_path(
    open_sink: OpenSink, open_source: OpenSource, *, now: Callable[[], float] = clock.monotonic
) -> Measured:
    """Takes about three seconds. Raises `DeviceError`; a microphone of zeros is `MicrophoneSilent`."""
    script = _Script(now)
    lost: list[VoiceModeError] = []
    heard = bytearray()
    first = math.inf
    try:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            open_source(LISTENING) as source,
            open_sink(SPEECH, script, lost.append),
        ):
            async for frame in source:
                if lost:
                    raise lost[0]
                heard += frame.data
                # Frames come in bursts, and none before its last sample has been heard.
                first = min(first, now() - LISTENING.seconds(len(heard) // LISTENING.bytes_per_sample))
                if script.began is not None and now() > script.began + AFTER_SECONDS:
                    break
    except TimeoutError:
        raise DeviceError("The loudspeaker or the microphone did not move.", retryable=True) from None
    if script.began is None:
        raise DeviceError("The microphone ended before the loudspeaker began.", retryable=True)
    recording, expected = Frame(data=bytes(heard), format=LISTENING), script.began - first
    return Measured(found=find(recording, expected), heard=recording, expected=expected)
