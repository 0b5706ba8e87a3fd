"""The way from loudspeaker to microphone is solved from the sound that the doctor plays, in rooms made of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ears.rooms import Wave, at_level, echo, level, noise, sound, wave
from tests.ears.sounds import said
from voicemode.ears.blocks import BLOCK
from voicemode.ears.linear import LinearFilter
from voicemode.ears.solving import remember_way
from voicemode.ears.ways import MOST_KNOWN, Ways
from voicemode.pcm import LISTENING, Frame, Framer
from voicemode.sound.sweep import sweep

RATE = LISTENING.rate
QUIET_S, AFTER_S = 0.8, 0.7
NOISE_DB = -60.0
FIRST_WORDS = (
    "One warning is left, and it comes from a library that nobody here owns. Shall I look at it now?"
)
SOON = 0.35
"""Seconds from our first sound in the microphone."""

pytestmark = pytest.mark.spec("LSN-101")


def listened(
    *,
    loss_db: float = 10,
    delay_ms: float = 60,
    seed: int = 1,
    noise_db: float = NOISE_DB,
    late_s: float = 0.0,
) -> tuple[Frame, Frame, float]:
    """As `remember_way` takes it; the sound is thought to come by `late_s` later than it did."""
    played = sweep(LISTENING)
    silence, after = np.zeros(round(QUIET_S * RATE)), np.zeros(round(AFTER_S * RATE))
    everything = np.concatenate((silence, wave(played.data), after))
    heard = echo(everything, delay_ms=delay_ms, loss_db=loss_db, seed=seed)
    heard += noise(len(heard), noise_db, seed + 50)
    return played, Frame(data=sound(heard), format=LISTENING), QUIET_S + late_s


def first_message(ways: Ways, *, loss_db: float, delay_ms: float, seed: int = 1) -> tuple[float, float]:
    """Seconds from its first sound in the microphone until the way was known again, and dB taken off in the next half
    second."""
    played = at_level(wave(said(text=FIRST_WORDS)), -20)
    heard = echo(played, delay_ms=delay_ms, loss_db=loss_db, seed=seed) + noise(len(played), NOISE_DB, seed)
    begins = next(each for each in range(len(heard) // BLOCK) if level(_frame(heard, each)) > -50)
    linear, left = LinearFilter(ways), b""
    known = None
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        linear.played(pieces[number])
        left += linear.heard(frame).data
        known = number if known is None and linear.known else known
    assert known is not None
    after = slice((known + 1) * BLOCK, (known + 1) * BLOCK + RATE // 2)
    return (known - begins) / 100, level(heard[after]) - level(wave(left)[after])


def _frame(heard: Wave, number: int) -> Wave:
    return heard[number * BLOCK :][:BLOCK]


@pytest.mark.parametrize(("loss_db", "less_db"), [(10.0, 25.0), (20.0, 16.0)])
@pytest.mark.parametrize(("delay_ms", "then_ms"), [(20.0, 143.4), (60.3, 20.0), (200.0, 60.0)])
def test_the_first_message_after_it_knows_the_room(
    loss_db: float, less_db: float, delay_ms: float, then_ms: float
) -> None:
    ways = Ways()
    assert remember_way(ways, *listened(loss_db=loss_db, delay_ms=delay_ms))
    known_after, less = first_message(ways, loss_db=loss_db, delay_ms=then_ms)
    assert 0 < known_after <= SOON
    assert less >= less_db


@pytest.mark.parametrize("late_s", [-0.02, 0.04])
def test_when_the_sound_came_need_not_be_known_to_the_millisecond(late_s: float) -> None:
    ways = Ways()
    assert remember_way(ways, *listened(late_s=late_s))
    assert first_message(ways, loss_db=10, delay_ms=100)[1] >= 25


def test_a_way_ends_where_the_sound_ended_and_adds_nothing_there() -> None:
    ways = Ways()
    remember_way(ways, *listened(noise_db=-96))
    power = np.abs(np.fft.rfft(ways.known[0].response)) ** 2
    hertz = np.arange(len(power)) * RATE / 2 / len(power)
    inside, outside = power[(hertz > 200) & (hertz < 7_000)].mean(), power[hertz > 7_800].mean()
    assert outside < inside / 10


@pytest.mark.parametrize(
    ("loss_db", "noise_db"),
    [(90.0, NOISE_DB), (35.0, NOISE_DB), (20.0, -40.0)],
)
def test_a_room_that_is_louder_than_the_echo_is_not_remembered(loss_db: float, noise_db: float) -> None:
    ways = Ways()
    assert not remember_way(ways, *listened(loss_db=loss_db, noise_db=noise_db))
    assert ways.known == ()


def test_the_same_room_is_remembered_once_and_another_beside_it() -> None:
    ways = Ways()
    for delay_ms in (60, 90, 120, 150):
        assert remember_way(ways, *listened(delay_ms=delay_ms))
    assert len(ways.known) == 1
    for seed in range(2, 2 + MOST_KNOWN):
        assert remember_way(ways, *listened(seed=seed))
    assert len(ways.known) == MOST_KNOWN


@pytest.mark.parametrize("seconds", [0.0, 0.5, QUIET_S + 1.0])
def test_a_recording_that_is_too_short_is_no_way(seconds: float) -> None:
    played, heard, expected = listened()
    part = heard.data[: round(seconds * RATE) * 2]
    assert not remember_way(Ways(), played, Frame(data=part, format=LISTENING), expected)


def test_zeros_are_no_way() -> None:
    played, heard, expected = listened()
    silent = Frame(data=bytes(len(heard.data)), format=LISTENING)
    assert not remember_way(Ways(), played, silent, expected)
