"""The sweep, and what is found of it in a recording: how late, how faint, over how loud a room."""

from __future__ import annotations

import random
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as some

from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.sound.levels import decibels
from voicemode.sound.sweep import LISTENING_RATE, LONGEST_DELAY, find, sweep

pytestmark = pytest.mark.spec("CLI-14")

HEARD = PcmFormat(rate=LISTENING_RATE)
EXPECTED_S = 0.8
SECONDS = 2.8


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
    values = [dice.gauss(0, level) for _ in range(round(SECONDS * LISTENING_RATE))]
    own = array("h", sweep(HEARD).data)
    for later, fainter in ((0.0, 0.0), *tail) if loss_db is not None else ():
        start = round((EXPECTED_S + delay_s + later) * LISTENING_RATE)
        gain = 10 ** (-((loss_db or 0.0) + fainter) / 20)
        for index, value in enumerate(own):
            values[start + index] += value * gain
    data = array("h", [max(min(round(value), 32_767), -32_768) for value in values])
    if sys.byteorder == "big":
        data.byteswap()
    return Frame(data=data.tobytes(), format=HEARD)


@given(
    delay=some.floats(0.0, LONGEST_DELAY - 0.01), loss=some.floats(0.0, 40.0), noise=some.floats(-80.0, -50.0)
)
def test_an_echo_is_found_within_10_ms_and_1_db(delay: float, loss: float, noise: float) -> None:
    found = find(recording(loss_db=loss, delay_s=delay, noise_db=noise), EXPECTED_S)
    assert found.delay == pytest.approx(delay, abs=0.01)
    assert found.attenuation == pytest.approx(loss, abs=1.0)
    assert found.noise == pytest.approx(noise, abs=1.0)


def test_an_echo_far_below_the_room_is_found_all_the_same() -> None:
    found = find(recording(loss_db=35, noise_db=-45.0), EXPECTED_S)
    assert found.delay == pytest.approx(0.06, abs=0.01)
    assert found.attenuation == pytest.approx(35, abs=2.5)


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
    short = Frame(data=bytes(2 * LISTENING_RATE), format=HEARD)
    assert (find(short, EXPECTED_S).delay, find(short, EXPECTED_S).attenuation) == (None, 0.0)


def test_zeros_are_no_echo() -> None:
    silent = Frame(data=bytes(2 * round(SECONDS * LISTENING_RATE)), format=HEARD)
    found = find(silent, EXPECTED_S)
    assert found.delay is None
    assert found.noise < -96


@pytest.mark.parametrize("fmt", [SPEECH, HEARD, PcmFormat(rate=48_000, channels=2)])
def test_the_sweep_is_a_second_of_quiet_sound_that_begins_and_ends_softly(fmt: PcmFormat) -> None:
    sound = sweep(fmt)
    assert sound.seconds == pytest.approx(1.0)
    assert -25 < decibels(sound) < -20
    for end in (sound.data[: 20 * fmt.bytes_per_sample], sound.data[-20 * fmt.bytes_per_sample :]):
        assert max(map(abs, array("h", end))) < 40
