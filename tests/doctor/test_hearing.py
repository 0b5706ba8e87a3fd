"""What the doctor hears through the microphone, and what that means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from voicemode.doctor.finding import State
from voicemode.doctor.hearing import Level, examine_microphone, judged, level_of
from voicemode.errors import DeviceError, MicrophoneSilent, NoDevice
from voicemode.pcm import Frame, PcmFormat

pytestmark = [pytest.mark.anyio, pytest.mark.spec("DOC-6")]


def square(height: int, fmt: PcmFormat, seconds: float) -> Frame:
    one = height.to_bytes(2, "little", signed=True) + (-height).to_bytes(2, "little", signed=True)
    return Frame(data=one * (fmt.samples(seconds) // 2), format=fmt)


class Microphone:
    """Gives a square wave of `height` for as long as it is asked; counts how often it is open."""

    def __init__(self, height: int, *, fault: Exception | None = None, at_the_end: bool = False) -> None:
        self.open = self.opened = self.given = 0
        self._height, self._fault, self._at_the_end = height, fault, at_the_end

    @asynccontextmanager
    async def __call__(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        if self._fault is not None and not self._at_the_end:
            raise self._fault
        self.open += 1
        self.opened += 1
        try:
            yield self._frames(format)
        finally:
            self.open -= 1
        if self._fault is not None:
            raise self._fault

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        while True:
            self.given += 1
            yield square(self._height, fmt, 0.01)


async def test_a_second_is_heard_and_the_microphone_is_closed_again() -> None:
    microphone = Microphone(328)
    finding = await examine_microphone(microphone)
    assert finding.state is State.OK
    assert finding.figures == {"rms_dbfs": -40.0, "peak_dbfs": -40.0}
    assert (microphone.open, microphone.opened, microphone.given) == (0, 1, 100)


@pytest.mark.parametrize(
    ("height", "state", "words"),
    [
        (1, State.WARN, ("next to nothing", "raise its level")),
        (30, State.OK, ("it hears",)),
        (32_767, State.WARN, ("overdriven", "Lower its level")),
    ],
)
async def test_what_is_too_faint_or_too_loud_is_told(
    height: int, state: State, words: tuple[str, ...]
) -> None:
    finding = await examine_microphone(Microphone(height))
    assert finding.state is state
    assert [word for word in words if word not in f"{finding.found} {finding.mend}"] == []


@pytest.mark.parametrize(
    ("microphone", "zeros"),
    [
        (Microphone(0, fault=MicrophoneSilent("It gives zeros.", hint="Allow it."), at_the_end=True), True),
        (Microphone(9, fault=NoDevice("There is none.", hint="Allow it.")), False),
        (Microphone(9, fault=DeviceError("It is busy.", hint="Allow it.")), False),
    ],
)
async def test_a_microphone_that_gives_nothing_fails_with_its_own_words(
    microphone: Microphone, zeros: bool
) -> None:
    finding = await examine_microphone(microphone)
    assert finding.state is State.FAIL
    assert finding.mend == "Allow it."
    assert bool(finding.figures.get("zeros")) is zeros


async def test_one_knock_on_a_table_is_not_overdriven() -> None:
    fmt = PcmFormat(rate=16_000)
    knock = level_of(Frame(data=square(300, fmt, 0.999).data + square(32_767, fmt, 0.0005).data, format=fmt))
    assert knock.peak == pytest.approx(0.0, abs=0.1)
    assert judged(knock).state is State.OK
    assert level_of(Frame(data=b"", format=fmt)) == Level(rms=-96.0, peak=-96.0, clipped=0.0)
