"""When PortAudio's callback lets the device wait for its block, and when it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.devices.fake_sounddevice import FakeOutput, FakeSoundDevice, Time
from voicemode.devices.feed import Feed
from voicemode.devices.portaudio import PortAudio
from voicemode.devices.reserve import LEAST_SECONDS
from voicemode.pcm import SPEECH
from voicemode.playout.pulling import BLOCK_SECONDS as BLOCK
from voicemode.playout.pulling import HELD_SECONDS

SAMPLES = SPEECH.samples(BLOCK)


class Patient(Feed):
    """Time passes only while it puts the device off."""

    def __init__(self, sound: Callable[[], bool]) -> None:
        self.at = 1.0
        self.waits: list[float] = []
        super().__init__(
            SPEECH, lambda samples: bytes([sound()] * 2 * samples), lambda error: None, lambda: self.at
        )

    def put_off(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds


@contextmanager
def opened(feed: Patient) -> Iterator[FakeOutput]:
    library = FakeSoundDevice(SPEECH)
    stream = PortAudio(library, platform="linux", now=lambda: feed.at).open_output(None, feed)
    yield library.streams[0]
    feed.stop()
    stream.close()


@pytest.mark.spec("PLY-30")
def test_blocks_that_go_to_the_device_together_are_not_waited_for_one_by_one() -> None:
    feed = Patient(lambda: False)
    with opened(feed) as device:
        for _ in range(2):
            device.play(SAMPLES, at=feed.at)
            feed.at += 1e-4
        for _ in range(5):
            moment, waited = feed.at, len(feed.waits)
            device.play(SAMPLES, at=moment)
            device.play(SAMPLES, at=moment)
            assert len(feed.waits) == waited + 1
            feed.at += 1e-4


@pytest.mark.spec("PLY-30", "REC-11")
def test_when_a_block_will_be_heard_is_known_as_it_is_pulled_counted_from_the_devices_own_moment() -> None:
    stated: list[float] = []

    def pulled() -> bool:
        stated.append(feed.latency)
        return False

    feed = Patient(pulled)
    with opened(feed) as device:
        for _ in range(2):
            device.play(SAMPLES, at=feed.at)
            feed.at += 1e-4
        for _ in range(5):
            moment = feed.at
            stated.clear()
            device.play(SAMPLES, at=moment)
            device.play(SAMPLES, at=moment)
            waited = feed.waits[-1]
            assert waited > BLOCK / 2
            assert stated == pytest.approx([Time(moment).outputBufferDacTime - moment + BLOCK - waited] * 2)
            feed.at += 1e-4


@pytest.mark.spec("PLY-33")
def test_once_something_sounds_no_block_waits_but_one_that_has_not_come() -> None:
    sounds, short = False, False
    feed = Patient(lambda: sounds)
    feed.short = lambda: short
    with opened(feed) as device:

        def play() -> float:
            waited = sum(feed.waits)
            device.play(SAMPLES, at=feed.at)
            feed.at += 1e-4
            return sum(feed.waits) - waited

        for _ in range(4):
            play()
        sounds = True
        assert play() == pytest.approx(BLOCK, abs=2e-3)
        assert play() == 0.0
        short = True
        assert play() == pytest.approx(min(2 * BLOCK, HELD_SECONDS - LEAST_SECONDS), abs=2e-3)
