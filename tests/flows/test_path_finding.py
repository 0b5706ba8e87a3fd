"""The flow that listens to its own loudspeaker, in air that is only numbers."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from voicemode.ears.solving import remember_way
from voicemode.ears.ways import Ways
from voicemode.errors import DeviceError, DeviceLost
from voicemode.measuring.path_finding import find_echo_path
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.ports import Lost, Pull, Sink
from voicemode.sound.sweep import sweep

pytestmark = [pytest.mark.anyio, pytest.mark.spec("CLI-14")]

BLOCK_S = 0.01


class OpenAir:
    """Loudspeaker and microphone on one clock: each microphone frame of 10 ms moves it, and pulls what is played.

    `delay_s` and `gain` are the way between them; at `lost_at` seconds the loudspeaker goes."""

    name = "air"
    latency = 0.0

    def __init__(
        self, *, delay_s: float = 0.1, gain: float = 0.1, lost_at: float = 1e9, ends_at: float = 1e9
    ) -> None:
        self.now = 100.0
        self._delayed = [0] * round(delay_s * LISTENING.rate)
        self._gain = gain
        self._lost_at = self.now + lost_at
        self._ends_at = self.now + ends_at
        self._pull: Pull | None = None
        self._lost: Lost | None = None

    def ask(self, short: Callable[[], bool]) -> None:
        """Nothing is pulled ahead of time."""

    def abort(self) -> None:
        self._pull = None

    @asynccontextmanager
    async def open_sink(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        assert format == SPEECH
        self._pull, self._lost = pull, lost
        yield self
        self.abort()

    @asynccontextmanager
    async def open_source(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        assert format == LISTENING
        yield self._frames()

    async def _frames(self) -> AsyncIterator[Frame]:
        noise = 0
        while self.now < self._ends_at:
            await asyncio.sleep(0)
            if self._pull is not None:
                played = array("h", self._pull(SPEECH.samples(BLOCK_S)))
                # Three samples of the loudspeaker are two of the microphone.
                for first, second, third in zip(played[::3], played[1::3], played[2::3], strict=True):
                    self._delayed += [first, (second + third) // 2]
            self.now += BLOCK_S
            if self.now >= self._lost_at and self._lost is not None:
                self._lost(DeviceLost("The loudspeaker has gone."))
            count = LISTENING.samples(BLOCK_S)
            heard, self._delayed = self._delayed[:count], self._delayed[count:]
            noise += 1
            values = [round(value * self._gain) + (noise + index) % 3 for index, value in enumerate(heard)]
            yield Frame(data=array("h", values + [1] * (count - len(values))).tobytes(), format=LISTENING)


@pytest.mark.parametrize("delay_s", [0.02, 0.1, 0.35])
async def test_the_way_is_found_on_the_clock_of_who_pulls_and_hears(delay_s: float) -> None:
    air = OpenAir(delay_s=delay_s)
    measured = await find_echo_path(air.open_sink, air.open_source, now=lambda: air.now)
    found = measured.found
    assert found.delay == pytest.approx(delay_s, abs=0.011)
    assert found.attenuation == pytest.approx(20, abs=0.5)
    ways = Ways()
    assert remember_way(ways, sweep(LISTENING), measured.heard, measured.expected)
    assert len(ways.known) == 1


async def test_a_loudspeaker_that_goes_is_no_measurement() -> None:
    air = OpenAir(lost_at=1.2)
    with pytest.raises(DeviceLost, match="gone"):
        await find_echo_path(air.open_sink, air.open_source, now=lambda: air.now)


async def test_a_microphone_that_ends_before_the_sweep_is_no_measurement() -> None:
    air = OpenAir(ends_at=0.3)
    with pytest.raises(DeviceError, match="before the loudspeaker began"):
        await find_echo_path(air.open_sink, air.open_source, now=lambda: air.now)
