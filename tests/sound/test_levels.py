"""How loud a frame is, and how far it stands out of the room."""

from __future__ import annotations

import math
import random
from array import array

import pytest

from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.sound.levels import (
    AUDIBLE,
    KNOWN_ROOM,
    QUIETEST,
    Room,
    audible_to,
    decibels,
    mean_decibels,
    part_decibels,
    stands_out,
)


def square(value: int, samples: int = 160) -> Frame:
    return Frame(data=array("h", [value, -value] * (samples // 2)).tobytes(), format=LISTENING)


@pytest.mark.spec("LSN-37")
@pytest.mark.parametrize("value", [1, 103, 3277, 32767])
def test_a_level_is_that_of_a_square_wave_against_full_scale(value: int) -> None:
    assert decibels(square(value)) == pytest.approx(20 * math.log10(value / 32768), abs=0.01)


@pytest.mark.spec("LSN-37")
def test_silence_and_nothing_at_all_are_the_quietest() -> None:
    assert decibels(square(0)) == decibels(Frame(data=b"", format=LISTENING)) == QUIETEST


@pytest.mark.spec("LSN-15")
@pytest.mark.parametrize(("samples", "parts"), [(512, 4), (160, 1), (320, 2), (480, 4), (8, 1)])
def test_the_parts_of_a_frame_are_as_loud_together_as_all_of_it(samples: int, parts: int) -> None:
    generator = random.Random(samples)
    values = array("h", [generator.randrange(-at - 1, at + 1) for at in range(samples)])
    frame = Frame(data=values.tobytes(), format=LISTENING)
    found = part_decibels(frame)
    assert len(found) == parts
    assert mean_decibels(found) == pytest.approx(decibels(frame), abs=0.01)


@pytest.mark.spec("LSN-15")
def test_no_parts_and_parts_of_nothing_are_the_quietest() -> None:
    nothing = Frame(data=b"", format=LISTENING)
    assert mean_decibels(()) == mean_decibels(part_decibels(nothing)) == QUIETEST


@pytest.mark.spec("LSN-42")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("last", [0, 159, 160, 1_000, 2_399])
def test_a_sound_is_audible_to_its_last_sample_above_50_decibels_below_full_scale(
    last: int, channels: int
) -> None:
    samples = array("h", [AUDIBLE, -AUDIBLE] * (1_200 * channels))
    samples[last * channels] = -AUDIBLE - 1
    frame = Frame(data=samples.tobytes(), format=PcmFormat(rate=16_000, channels=channels))
    assert last < audible_to(frame) <= last + 160


@pytest.mark.spec("LSN-42")
def test_what_stays_below_that_and_nothing_at_all_are_not_audible() -> None:
    assert audible_to(square(AUDIBLE, 2_400)) == audible_to(Frame(data=b"", format=LISTENING)) == 0


@pytest.mark.spec("LSN-42")
def test_what_stands_out_does_so_of_the_quietest_moment_or_of_a_quiet_room_where_there_was_none() -> None:
    assert stands_out([-80.0, -71.0, -69.0], 10.0) == [False, False, True]
    assert stands_out([-30.0, -30.0], 10.0) == [True, True]
    assert stands_out([], 10.0) == []


@pytest.mark.spec("LSN-37")
def test_a_voice_stands_out_of_a_quiet_room_from_the_first_frame_on() -> None:
    assert Room().feed(-30.0, 0.01, voice=True) == pytest.approx(-30.0 - KNOWN_ROOM)


@pytest.mark.spec("LSN-37")
def test_a_fan_is_the_room_after_two_seconds_whether_or_not_it_is_taken_for_a_voice_now_and_then() -> None:
    room = Room()
    for number in range(200):
        room.feed(-40.0, 0.01, voice=number % 10 == 0)
    assert room.feed(-40.0, 0.01, voice=True) < 6.0
    assert room.feed(-20.0, 0.01, voice=True) > 15.0


@pytest.mark.spec("LSN-37")
def test_a_room_that_falls_quiet_is_known_for_quiet_within_a_fifth_of_a_second() -> None:
    room = Room()
    for level, frames in ((-40.0, 200), (-70.0, 20)):
        for _ in range(frames):
            room.feed(level, 0.01, voice=False)
    assert room.level == pytest.approx(-70.0, abs=1.0)


@pytest.mark.spec("LSN-37")
@pytest.mark.parametrize("seconds", [0.01, 0.032])
def test_a_fan_whose_hum_swells_does_not_stand_out_of_itself_behind_a_long_speech(seconds: float) -> None:
    room, generator = Room(), random.Random(5)
    margins = []
    for number in range(round(10.0 / seconds)):
        speaking = 3.0 <= number * seconds < 8.0
        fan = generator.gauss(-40.0, 2.0)
        margin = room.feed(-20.0 if speaking and number % 10 else fan, seconds, voice=speaking)
        if number * seconds >= 8.0:
            margins.append(margin)
    assert sum(margin >= 6.0 for margin in margins) < 0.05 * len(margins)


@pytest.mark.spec("LSN-37")
def test_a_long_speech_is_not_the_room_since_there_are_gaps_between_words() -> None:
    room = Room()
    for number in range(1_000):
        room.feed(-60.0 if number % 30 == 0 else -25.0, 0.01, voice=number % 30 != 0)
    assert room.feed(-25.0, 0.01, voice=True) > 25.0
