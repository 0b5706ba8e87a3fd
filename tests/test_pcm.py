"""Samples are whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import assert_cuts_do_not_matter, run
from voicemode.pcm import LISTENING, SPEECH, Frame, Framer, PcmFormat

pytestmark = pytest.mark.spec("SPK-37")

STEREO = PcmFormat(rate=8_000, channels=2)


@pytest.mark.parametrize("fmt", [SPEECH, STEREO], ids=["mono", "stereo"])
@pytest.mark.parametrize("samples", [1, 7, 160])
def test_frames_are_the_same_however_the_bytes_arrive(fmt: PcmFormat, samples: int) -> None:
    whole = bytes(range(1, 252)) * 7
    frames = assert_cuts_do_not_matter(lambda: Framer(fmt, samples), whole, list)
    assert isinstance(frames, list)
    assert {frame.samples for frame in frames[:-1]} == {samples}
    assert 0 < frames[-1].samples <= samples
    kept = len(whole) - len(whole) % fmt.bytes_per_sample
    assert b"".join(frame.data for frame in frames) == whole[:kept]


@pytest.mark.parametrize("data", [b"", b"x"])
def test_no_sample_makes_no_frame(data: bytes) -> None:
    assert run(Framer(SPEECH, 4), [data]) == []


def test_half_a_sample_is_no_frame() -> None:
    with pytest.raises(ValueError, match="3 bytes are not whole samples"):
        Frame(data=b"abc", format=SPEECH)
    with pytest.raises(ValueError, match="2 bytes are not whole samples"):
        Frame(data=b"ab", format=STEREO)


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, 1), (-1, 1), (999, 1), (768_001, 1), (8_000, 0), (8_000, 33)]
)
def test_what_is_no_sound_format_is_refused(rate: int, channels: int) -> None:
    with pytest.raises(ValueError, match="not a sound format"):
        PcmFormat(rate=rate, channels=channels)


@settings(database=None)
@given(st.integers(0, 10**9), st.sampled_from([8_000, 11_025, 16_000, 24_000, 44_100, 48_000]))
def test_samples_survive_the_way_through_seconds(samples: int, rate: int) -> None:
    fmt = PcmFormat(rate=rate)
    assert fmt.samples(fmt.seconds(samples)) == samples


def test_a_frame_knows_its_length_whatever_its_channels() -> None:
    frame = Frame(data=STEREO.silence(80), format=STEREO)
    assert (frame.samples, frame.seconds, len(frame.data)) == (80, 0.01, 320)


def test_speech_and_listening_are_mono_at_their_rates() -> None:
    assert (SPEECH.rate, SPEECH.channels, LISTENING.rate, LISTENING.channels) == (24_000, 1, 16_000, 1)
