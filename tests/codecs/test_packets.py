from __future__ import annotations

import math

import av
import numpy as np
import pytest

from voicemode.codecs.packets import KNOWN_PACKETS, LOUDEST, MonoFrames, PacketDecoder, peak


def av_frame(values: list[float], *, channels: int = 1) -> av.AudioFrame:
    layout = "mono" if channels == 1 else f"{channels} channels"
    frame = av.AudioFrame(format="fltp", layout=layout, samples=len(values))
    if channels == 1:
        frame.planes[0].update(np.array(values, "<f4").tobytes())
    frame.sample_rate = 24_000
    return frame


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, -0.5, 0.125], 0.5),
        ([0.0, math.nan, 0.1], math.inf),
        ([math.inf, 0.0], math.inf),
        ([-3.0], 3.0),
    ],
)
def test_the_peak_is_the_largest_value_either_way(values: list[float], expected: float) -> None:
    assert peak(av_frame(values)) == expected


def test_a_frame_of_more_planes_than_the_library_can_count_is_wreckage_and_not_touched() -> None:
    frame = av_frame([0.0] * 1024, channels=29)
    assert peak(frame) == math.inf
    assert MonoFrames().take(frame).data == bytes(2048)


def test_far_beyond_full_scale_is_silence_and_a_little_beyond_is_sound() -> None:
    assert MonoFrames().take(av_frame([LOUDEST + 0.1] * 10)).data == bytes(20)
    assert MonoFrames().take(av_frame([1.2] * 10)).data == b"\xff\x7f" * 10


def test_after_damage_a_sudden_burst_is_silence() -> None:
    mono = MonoFrames()
    assert any(mono.take(av_frame([0.2] * 10)).data)
    assert any(mono.take(av_frame([0.9] * 10)).data)
    mono = MonoFrames()
    for _ in range(KNOWN_PACKETS):
        assert any(mono.take(av_frame([0.2] * 10)).data)
    mono.damaged = True
    for _ in range(3):
        assert mono.take(av_frame([0.9] * 10)).data == bytes(20)
    assert any(mono.take(av_frame([0.3] * 10)).data)


def test_damage_before_the_sound_is_known_silences_two_packets_of_it_and_not_all() -> None:
    mono = MonoFrames()
    mono.damaged = True
    silenced = [not any(mono.take(av_frame([0.9] * 10)).data) for _ in range(6)]
    assert silenced == [True, True, False, False, False, False]


def test_a_packet_that_fails_before_any_sound_gives_nothing() -> None:
    assert PacketDecoder("aac").decode(b"\xff\xf1\x58\x40\x01\x00\x00garbage") == []
