"""miniaudio: how much a loudspeaker is asked to hold, from one message to the next."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Protocol

import pytest

from voicemode.devices.feed import Feed
from voicemode.devices.mini import PATIENT_MILLISECONDS, PERIOD_MILLISECONDS, Mini
from voicemode.errors import VoiceModeError
from voicemode.pcm import SPEECH


class Asked(Protocol):
    def send(self, samples: int) -> bytes: ...


class FakeDevice:
    def __init__(self, *, buffersize_msec: int, **others: object) -> None:
        self.period = buffersize_msec
        self.asked: Asked | None = None

    def start(self, asked: Asked) -> None:
        self.asked = asked


class World:
    """A loudspeaker whose clock is ours: it asks for one period after the other."""

    def __init__(self) -> None:
        self.now = 100.0
        self.devices: list[FakeDevice] = []
        library = ModuleType("miniaudio")
        library.__dict__.update(
            Backend=SimpleNamespace(PULSEAUDIO=1, ALSA=2), PlaybackDevice=self._device, MiniaudioError=OSError
        )
        self._mini = Mini(library)

    def _device(self, **settings: int) -> FakeDevice:
        self.devices.append(FakeDevice(**settings))
        return self.devices[-1]

    def message(self, *, late: float = 0.0, sound: bytes = b"ab") -> tuple[int, Feed]:
        """A message of 20 periods, the eleventh of which is asked for `late` seconds too late; its period and feed."""
        feed = Feed(SPEECH, lambda samples: sound * samples, lost, lambda: self.now)
        self._mini.open_output(None, feed)
        device = self.devices[-1]
        assert device.asked is not None
        for number in range(20):
            self.now += device.period / 1000 + (late if number == 10 else 0.0)
            device.asked.send(SPEECH.samples(device.period / 1000))
        return device.period, feed


def lost(error: VoiceModeError) -> None:
    pytest.fail(f"lost: {error}")


def test_a_loudspeaker_whose_sound_ran_dry_holds_more_next_time_and_less_again_when_all_is_well() -> None:
    world = World()
    periods = [world.message(late=late)[0] for late in (0.0, 0.05, 0.09, 0.0, 0.0, 0.0, 0.0, 0.0)]
    assert periods[:4] == [PERIOD_MILLISECONDS, PERIOD_MILLISECONDS, 80, PATIENT_MILLISECONDS]
    assert periods[4:] == [75, 56, 42, PERIOD_MILLISECONDS]


def test_silence_that_ran_dry_changes_nothing() -> None:
    world = World()
    _, feed = world.message(late=0.05, sound=b"\0\0")
    assert feed.underflows == 1
    assert world.message()[0] == PERIOD_MILLISECONDS


def test_the_stated_latency_is_two_periods() -> None:
    world = World()
    assert world.message(late=0.05)[1].latency == pytest.approx(0.08)
    assert world.message()[1].latency == pytest.approx(0.16)
