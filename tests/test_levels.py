"""How loud a frame is, and how far it stands out of the room."""

from __future__ import annotations

import math
from array import array

import pytest

from voicemode.levels import KNOWN_ROOM, QUIETEST, Room, decibels
from voicemode.pcm import LISTENING, Frame


def square(value: int, samples: int = 160) -> Frame:
    return Frame(data=array("h", [value, -value] * (samples // 2)).tobytes(), format=LISTENING)


@pytest.mark.spec("LSN-37")
@pytest.mark.parametrize("value", [1, 103, 3277, 32767])
def test_a_level_is_that_of_a_square_wave_against_full_scale(value: int) -> None:
    assert decibels(square(value)) == pytest.approx(20 * math.log10(value / 32768), abs=0.01)


@pytest.mark.spec("LSN-37")
def test_silence_and_nothing_at_all_are_the_quietest() -> None:
    assert decibels(square(0)) == decibels(Frame(data=b"", format=LISTENING)) == QUIETEST


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
def test_a_long_speech_is_not_the_room_since_there_are_gaps_between_words() -> None:
    room = Room()
    for number in range(1_000):
        room.feed(-60.0 if number % 30 == 0 else -25.0, 0.01, voice=number % 30 != 0)
    assert room.feed(-25.0, 0.01, voice=True) > 25.0
