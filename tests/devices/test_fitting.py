"""A loudspeaker that refuses the flow's format plays all of it in its own."""

from __future__ import annotations

from array import array
from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.devices.fake_sounddevice import FakeSoundDevice
from tests.support.listening import compare, tone
from voicemode.codecs.convert import Converter
from voicemode.devices.feed import Feed
from voicemode.devices.fitting import Fitted, own_formats
from voicemode.devices.portaudio import PortAudio
from voicemode.errors import DeviceError, DeviceLost, VoiceModeError
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Stage

HELD_SAMPLES = 36
"""What the conversion may keep back, at the lower of the two rates: PyAV's resampler keeps 16, and wants 33 before it
gives its first."""
HELD_SECONDS = HELD_SAMPLES / SPEECH.rate

CARD = PcmFormat(rate=48_000, channels=2)
SOUND = tone(SPEECH.rate, 0.5, 440.0).astype("<i2").tobytes()


def resample(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
    return Converter(wanted)


class Flow:
    """A `pull`: the sound once, then silence for ever."""

    def __init__(self, fmt: PcmFormat, sound: bytes) -> None:
        self.pulled = 0
        self._format = fmt
        self._rest = sound

    def __call__(self, samples: int) -> bytes:
        self.pulled += samples
        size = samples * self._format.bytes_per_sample
        data, self._rest = self._rest[:size], self._rest[size:]
        return data + bytes(size - len(data))


def channels_of(data: bytes, channels: int) -> list[bytes]:
    values = array("h", data)
    return [values[channel::channels].tobytes() for channel in range(channels)]


def whole(sound: bytes, target: PcmFormat) -> bytes:
    """All of it through the converter at once."""
    stage = Converter(PcmFormat(rate=target.rate))
    frames = [*stage.feed(Frame(data=sound, format=SPEECH)), *stage.flush()]
    return b"".join(frame.data for frame in frames)


@pytest.mark.spec("PLY-19")
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_sample_comes_once_and_in_order_on_every_channel(rate: int, channels: int) -> None:
    target = PcmFormat(rate=rate, channels=channels)
    expected = whole(SOUND, target)

    @settings(max_examples=12, deadline=None, database=None)
    @given(st.lists(st.integers(1, 2_000), min_size=1, max_size=40))
    def however_it_is_asked(blocks: list[int]) -> None:
        flow = Flow(SPEECH, SOUND)
        fitted = Fitted(SPEECH, target, flow, resample)
        heard = b"".join(fitted(samples) for samples in blocks)
        assert len(heard) == sum(blocks) * target.bytes_per_sample
        assert 0.0 <= fitted.held <= HELD_SAMPLES / min(rate, SPEECH.rate)
        for channel in channels_of(heard, channels):
            # Beyond the sound's end the flow goes on with silence, where the whole conversion ends.
            there = min(len(channel), len(expected) - 2 * 64)
            assert channel[:there] == expected[:there]

    however_it_is_asked()


@pytest.mark.spec("PLY-19")
def test_the_last_sample_is_audible_within_the_latency_that_is_stated() -> None:
    sound = tone(SPEECH.rate, 0.25, 1_000.0).astype("<i2").tobytes() + (20_000).to_bytes(2, "little") * 24
    flow = Flow(SPEECH, sound)
    fitted = Fitted(SPEECH, CARD, flow, resample)
    heard = b""
    while flow.pulled * 2 < len(sound):
        heard += fitted(64)
    held = fitted.held
    heard += fitted(CARD.samples(held) + 1)
    left = np.frombuffer(channels_of(heard, 2)[0], "<i2")
    found = compare(left, CARD.rate, np.frombuffer(sound, "<i2"), SPEECH.rate)
    assert len(left) / CARD.rate == pytest.approx(flow.pulled / SPEECH.rate, abs=HELD_SECONDS)
    assert found.complete == 1.0


@pytest.mark.spec("PLY-19")
def test_two_channels_keep_their_places_among_more() -> None:
    left, right = tone(SPEECH.rate, 0.1, 300.0).astype("<i2"), tone(SPEECH.rate, 0.1, 700.0).astype("<i2")
    wide = PcmFormat(rate=SPEECH.rate, channels=2)
    flow = Flow(wide, np.column_stack([left, right]).tobytes())
    target = PcmFormat(rate=48_000, channels=4)
    heard = channels_of(Fitted(wide, target, flow, resample)(4_000), 4)
    assert heard[0] == whole(left.tobytes(), target)[:8_000]
    assert heard[1] == whole(right.tobytes(), target)[:8_000]
    assert heard[2] == heard[3] == bytes(8_000)


@pytest.mark.spec("PLY-19")
def test_where_only_the_channels_differ_nothing_is_converted() -> None:
    def never(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
        raise AssertionError("there is nothing to convert")

    stereo = PcmFormat(rate=SPEECH.rate, channels=2)
    fitted = Fitted(SPEECH, stereo, Flow(SPEECH, SOUND), never)
    assert channels_of(fitted(1_000), 2) == [SOUND[:2_000]] * 2
    assert fitted.held == 0.0


@pytest.mark.spec("PLY-19")
def test_a_flow_that_gives_too_little_and_a_converter_that_gives_nothing_are_lost_devices() -> None:
    class Mute:
        def feed(self, item: Frame) -> list[Frame]:
            return []

        def flush(self) -> list[Frame]:
            return []

    def mute(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
        return Mute()

    for pull, way in ((lambda samples: b"ab", resample), (Flow(SPEECH, SOUND), mute)):
        lost: list[VoiceModeError] = []
        feed = Feed(SPEECH, pull, lost.append, lambda: 1.0)
        feed.convert_to(CARD, way)
        assert feed.fill(100) == bytes(400)
        assert feed.over
        assert [type(error) for error in lost] == [DeviceLost]


def test_a_devices_own_rate_comes_first_and_never_fewer_channels() -> None:
    formats = list(own_formats(SPEECH, rate=96_000, channels=8))
    assert formats[:3] == [PcmFormat(rate=96_000, channels=count) for count in (2, 1, 8)]
    assert SPEECH not in formats
    assert len(set(formats)) == len(formats)
    assert list(own_formats(PcmFormat(rate=24_000, channels=2), rate=48_000, channels=1)) == []
    assert {fmt.channels for fmt in own_formats(SPEECH, rate=48_000, channels=1)} == {1}
    assert [fmt.rate for fmt in own_formats(SPEECH, rate=0, channels=1)] == [48_000, 44_100]


class Opened:
    """The fake card's loudspeaker, opened for `SPEECH`."""

    def __init__(self, library: FakeSoundDevice, *, convert: bool = True) -> None:
        self.lost: list[VoiceModeError] = []
        self.flow = Flow(SPEECH, SOUND)
        self.feed = Feed(SPEECH, self.flow, self.lost.append, self.now)
        self.backend = PortAudio(library, resample if convert else None, now=self.now)

    def now(self) -> float:
        """The fake plays as fast as it is asked to: time is what was pulled."""
        return SPEECH.seconds(self.flow.pulled)

    def __enter__(self) -> Self:
        self.stream = self.backend.open_output(None, self.feed)
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.stop()
        self.stream.close()


@pytest.mark.spec("PLY-19")
def test_a_loudspeaker_that_refuses_is_driven_at_its_own_rate_and_channels() -> None:
    library = FakeSoundDevice(CARD)
    with Opened(library) as opened:
        assert library.tried == [SPEECH, CARD]
        heard = b"".join(library.streams[0].play(256) for _ in range(100))
        expected = whole(SOUND, CARD)[:-128]
        for channel in channels_of(heard, 2):
            assert channel[: len(expected)] == expected
        block = 256 / CARD.rate
        assert 0.02 + block <= opened.feed.latency <= 0.02 * 1.25 + block + HELD_SECONDS
        assert opened.lost == []


def test_a_loudspeaker_that_has_refused_is_not_asked_again_until_it_refuses_its_own_rate_too() -> None:
    library = FakeSoundDevice(CARD)
    with Opened(library) as opened:
        backend = opened.backend

    def again() -> list[PcmFormat]:
        library.tried.clear()
        feed = Feed(SPEECH, Flow(SPEECH, SOUND), lambda error: None, lambda: 0.0)
        backend.open_output(None, feed).close()
        return library.tried

    assert again() == [CARD]
    library.takes = None
    with pytest.raises(DeviceError, match="24000 Hz, mono"):
        again()
    library.takes = SPEECH
    assert again() == [SPEECH]


@pytest.mark.spec("PLY-19")
def test_an_abort_is_silence_in_the_very_next_block() -> None:
    library = FakeSoundDevice(CARD)
    with Opened(library) as opened:
        library.streams[0].play(256)
        before = opened.flow.pulled
        opened.feed.stop()
        with pytest.raises(StopIteration):
            library.streams[0].play(256)
        assert opened.flow.pulled == before
        assert opened.feed.fill(256) == bytes(1_024)


@pytest.mark.spec("PLY-19")
@pytest.mark.parametrize("code", [-9997, -9998, -9994])
def test_a_loudspeaker_that_takes_nothing_is_told_with_the_format_that_was_wanted(code: int) -> None:
    opened = Opened(FakeSoundDevice(None, code))
    with pytest.raises(DeviceError, match="24000 Hz, mono"), opened:
        pytest.fail("opened")
    assert opened.feed.format == SPEECH
    assert opened.feed.fill(100) == SOUND[:200]


@pytest.mark.parametrize(("code", "convert"), [(-9985, True), (-9997, False)])
def test_a_busy_device_and_one_without_a_converter_are_tried_once(code: int, convert: bool) -> None:
    library = FakeSoundDevice(None, code)
    with pytest.raises(DeviceError), Opened(library, convert=convert):
        pytest.fail("opened")
    assert library.tried == [SPEECH]


def test_a_loudspeaker_that_takes_the_format_gets_it_untouched() -> None:
    library = FakeSoundDevice(SPEECH)
    with Opened(library):
        assert library.streams[0].play(300) == SOUND[:600]
    assert library.tried == [SPEECH]
