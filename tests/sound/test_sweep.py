"""The sweep, and what is found of it in a recording: how late, how faint, over how loud a room."""

from __future__ import annotations

import random
import sys
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.sound.levels import decibels
from voicemode.sound.sweep import LONGEST_DELAY, SECONDS, find, sweep

pytestmark = pytest.mark.spec("CLI-14")

EXPECTED_S = 0.8
RECORDED_S = 3.2


def recording(
    *,
    loss_db: float | None,
    delay_s: float = 0.06,
    noise_db: float = -70.0,
    tail: tuple[tuple[float, float], ...] = (),
) -> Frame:
    """A room with noise in which the sweep comes once, and again for each (seconds later, dB fainter) of `tail`."""
    dice = random.Random(1)
    level = 32_768 * 10 ** (noise_db / 20)
    values = [dice.gauss(0, level) for _ in range(round(RECORDED_S * LISTENING.rate))]
    own = array("h", sweep(LISTENING).data)
    for later, fainter in ((0.0, 0.0), *tail) if loss_db is not None else ():
        start = round((EXPECTED_S + delay_s + later) * LISTENING.rate)
        gain = 10 ** (-((loss_db or 0.0) + fainter) / 20)
        for index, value in enumerate(own):
            values[start + index] += value * gain
    data = array("h", [max(min(round(value), 32_767), -32_768) for value in values])
    if sys.byteorder == "big":
        data.byteswap()
    return Frame(data=data.tobytes(), format=LISTENING)


@given(
    delay=some.floats(0.001, LONGEST_DELAY - 0.01),
    loss=some.floats(0.0, 40.0),
    noise=some.floats(-80.0, -50.0),
)
def test_an_echo_is_found_within_10_ms_and_1_db(delay: float, loss: float, noise: float) -> None:
    found = find(recording(loss_db=loss, delay_s=delay, noise_db=noise), EXPECTED_S)
    assert found.delay == pytest.approx(delay, abs=0.01)
    assert found.attenuation == pytest.approx(loss, abs=1.0)
    assert found.noise == pytest.approx(noise, abs=1.0)


def test_an_echo_far_below_the_room_is_found_all_the_same() -> None:
    found = find(recording(loss_db=35, noise_db=-45.0), EXPECTED_S)
    assert found.delay == pytest.approx(0.06, abs=0.01)
    assert found.attenuation == pytest.approx(35, abs=1.0)


def test_what_a_room_adds_counts_as_echo() -> None:
    walls = ((0.01, 0.0), (0.02, 0.0), (0.05, 0.0))
    found = find(recording(loss_db=20, tail=walls), EXPECTED_S)
    assert found.attenuation == pytest.approx(14, abs=1.5)


@pytest.mark.parametrize(("noise_db", "least"), [(-80.0, 70.0), (-60.0, 50.0), (-40.0, 30.0)])
def test_without_an_echo_it_is_known_how_faint_it_would_have_to_be(noise_db: float, least: float) -> None:
    found = find(recording(loss_db=None, noise_db=noise_db), EXPECTED_S)
    assert found.delay is None
    assert least < found.attenuation < least + 20
    heard = find(recording(loss_db=found.attenuation - 6, noise_db=noise_db), EXPECTED_S)
    assert heard.delay == pytest.approx(0.06, abs=0.01)


def test_a_recording_that_is_too_short_proves_nothing() -> None:
    short = Frame(data=bytes(2 * LISTENING.rate), format=LISTENING)
    assert (find(short, EXPECTED_S).delay, find(short, EXPECTED_S).attenuation) == (None, 0.0)


def test_zeros_are_no_echo() -> None:
    silent = Frame(data=bytes(2 * round(RECORDED_S * LISTENING.rate)), format=LISTENING)
    found = find(silent, EXPECTED_S)
    assert found.delay is None
    assert found.noise < -96


@pytest.mark.parametrize("fmt", [SPEECH, LISTENING, PcmFormat(rate=48_000, channels=2)])
def test_the_sweep_is_a_short_quiet_sound_that_begins_and_ends_softly(fmt: PcmFormat) -> None:
    heard = sweep(fmt)
    assert heard.seconds == pytest.approx(SECONDS, abs=0.001)
    assert SECONDS < 2
    assert -25 < decibels(heard) < -20
    for end in (heard.data[: 20 * fmt.bytes_per_sample], heard.data[-20 * fmt.bytes_per_sample :]):
        assert max(map(abs, array("h", end))) < 40


def test_it_is_the_same_sound_at_every_rate_and_rises_without_a_jump() -> None:
    at_48 = array("h", sweep(PcmFormat(rate=48_000)).data)
    at_24, at_16 = (array("h", sweep(fmt).data) for fmt in (SPEECH, LISTENING))
    begun = round(0.1 * 48_000)  # A fade is as long as a rate's samples have it.
    assert max(abs(a - b) for a, b in zip(at_48[begun::6], at_24[begun // 2 :: 3], strict=True)) < 20
    assert max(abs(a - b) for a, b in zip(at_48[begun::6], at_16[begun // 3 :: 2], strict=True)) < 20
    steepest = 3_277 * 2 * 3.15 * 7_600 / 48_000
    assert max(abs(b - a) for a, b in pairwise(at_48)) < steepest


@pytest.mark.spec("LSN-101")
def test_it_holds_every_frequency_of_speech() -> None:
    """Counted by how often it turns: as many Hz as in its second are there before and after it."""
    values = array("h", sweep(LISTENING).data)
    hertz = []
    for start in range(0, len(values) - 800, 400):
        part = values[start : start + 800]
        turns = sum((a < 0) != (b < 0) for a, b in pairwise(part))
        hertz.append(turns / 2 / 0.05)
    assert hertz == sorted(hertz)
    assert hertz[0] < 120
    assert hertz[-1] > 6_900
