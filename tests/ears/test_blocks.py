"""What is played, at the rate of the microphone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.rooms import Wave, level, sound
from voicemode.ears.blocks import BLOCK, LATER_SECONDS, Blocks
from voicemode.pcm import LISTENING, Framer, PcmFormat

RATE = LISTENING.rate
LOUD = 8_000.0
RATES = [24_000, 44_100, 48_000]

pytestmark = pytest.mark.spec("LSN-78")


def tone(rate: int, hertz: float, seconds: float = 0.5, later: float = 0.0) -> Wave:
    return LOUD * np.sin(2 * np.pi * hertz * (np.arange(round(rate * seconds)) / rate - later))


def blocks_of(played: Wave, format: PcmFormat) -> Wave:  # noqa: A002  (as everywhere)
    blocks = Blocks()
    pieces = Framer(format, format.samples(0.01)).feed(sound(played))
    return np.concatenate([blocks.block(piece) for piece in pieces])


@pytest.mark.parametrize("rate", RATES)
@given(hertz=st.floats(60.0, 7_200.0))
@settings(max_examples=10, deadline=None, database=None)
def test_what_both_rates_have_is_the_same_two_milliseconds_later(rate: int, hertz: float) -> None:
    out = blocks_of(tone(rate, hertz), PcmFormat(rate=rate))
    wanted = tone(RATE, hertz, later=LATER_SECONDS)
    settled = slice(BLOCK, len(out))
    assert level(out[settled] - wanted[settled]) < level(wanted[settled]) - 40


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [8_300.0, 9_700.0, 11_500.0])
def test_what_only_the_higher_rate_has_is_gone(rate: int, hertz: float) -> None:
    out = blocks_of(tone(rate, hertz), PcmFormat(rate=rate))
    assert level(out[BLOCK:]) < level(tone(RATE, 1_000.0)) - 40


def test_at_the_rate_of_the_microphone_nothing_is_changed_and_nothing_is_later() -> None:
    played = np.round(tone(RATE, 1_000.0))
    assert np.array_equal(blocks_of(played, LISTENING), played)


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_channels_are_averaged(rate: int) -> None:
    left, right = tone(rate, 300.0), tone(rate, 2_000.0)
    both = np.stack((left, right), axis=1).ravel()
    apart = blocks_of(both, PcmFormat(rate=rate, channels=2)) - blocks_of(
        (left + right) / 2, PcmFormat(rate=rate)
    )
    assert np.max(np.abs(apart)) < 2.0


def test_after_a_pause_nothing_is_left_of_what_was_played_before_it() -> None:
    blocks, format_ = Blocks(), PcmFormat(rate=48_000)
    loud, silent = (
        Framer(format_, 480).feed(sound(wave))[0] for wave in (tone(48_000, 500.0), np.zeros(480))
    )
    blocks.block(loud)
    assert blocks.block(silent).any()
    blocks.block(loud)
    blocks.begin()
    assert not blocks.block(silent).any()
