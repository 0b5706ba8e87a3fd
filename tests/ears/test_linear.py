"""The filter that only subtracts, in rooms made of numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.rooms import Wave, at_level, echo, level, noise, sound, wave
from tests.ears.sounds import said
from voicemode.ears.blocks import BLOCK
from voicemode.ears.in_step import MOST_OWED
from voicemode.ears.linear import LinearFilter
from voicemode.flows.own_sound import BEYOND_DECIBELS
from voicemode.pcm import LISTENING, SPEECH, Frame, Framer
from voicemode.sound.levels import decibels

RATE = LISTENING.rate
OWN = (
    "The tests are green, and I have pushed the branch. There are two ways to go on, and both take about an hour. "
    "Which of them shall it be?"
)
FROM_S = 3.5


def own_speech() -> Wave:
    return at_level(wave(said(text=OWN)), -20)


def left(played: bytes, heard: Wave, *, bursts: list[int] | None = None, samples: int = BLOCK) -> Wave:
    """`bursts`: how many pieces come at once, in turn; so many microphone frames follow."""
    fmt = LISTENING if samples == BLOCK else SPEECH
    pieces = Framer(fmt, samples).feed(played)
    frames = Framer(LISTENING, BLOCK).feed(sound(heard))
    linear = LinearFilter()
    out, number, turn = b"", 0, 0
    while number < len(frames):
        size = bursts[turn % len(bursts)] if bursts else 1
        for piece in pieces[number : number + size]:
            linear.played(piece)
        for frame in frames[number : number + size]:
            out += linear.heard(frame).data
        number, turn = number + size, turn + 1
    return wave(out)


@pytest.mark.spec("LSN-78")
@pytest.mark.parametrize("delay_ms", [20, 80, 200])
@pytest.mark.parametrize("loss_db", [10, 20])
def test_who_talks_over_us_is_left_as_they_spoke_and_the_echo_is_fainter(
    delay_ms: float, loss_db: float
) -> None:
    played = own_speech()
    words = at_level(wave(said()), -26)
    user = np.zeros(len(played))
    start = round(FROM_S * RATE)
    user[start : start + len(words)] = words
    echoed = echo(played, delay_ms=delay_ms, loss_db=loss_db) + noise(len(played), -72)
    other = left(sound(played), echoed + user) - user[: len(played) // BLOCK * BLOCK]
    during = slice(start, start + len(words))
    assert level(other[start - RATE : start]) < level(echoed[start - RATE : start]) - 8
    assert level(other[during]) < level(echoed[during]) - 8
    assert level(other[during]) < level(words) - 10


@pytest.mark.spec("LSN-78")
def test_what_is_played_at_another_rate_is_subtracted_too() -> None:
    played = own_speech()
    positions = np.arange(len(played) * 3 // 2) * 2 / 3
    faster = np.interp(positions, np.arange(len(played)), played)
    echoed = echo(played, delay_ms=60, loss_db=10)
    rest = left(sound(faster), echoed, samples=SPEECH.samples(0.01))
    assert level(rest[2 * RATE :]) < level(echoed[2 * RATE : len(rest)]) - 8


@pytest.mark.spec("LSN-79")
@settings(max_examples=6, deadline=None, database=None)
@given(st.lists(st.integers(1, MOST_OWED - 1), min_size=1, max_size=6))
def test_pieces_that_come_in_bursts_leave_the_same(bursts: list[int]) -> None:
    played = own_speech()[: 2 * RATE]
    heard = echo(played, delay_ms=60, loss_db=10)
    evenly = left(sound(played), heard)
    assert np.array_equal(evenly, left(sound(played), heard, bursts=bursts))


@pytest.mark.spec("LSN-79")
@pytest.mark.parametrize("late", [1, 3, MOST_OWED - 1])
def test_pieces_that_come_late_once_change_little(late: int) -> None:
    played = own_speech()
    heard = echo(played, delay_ms=120, loss_db=10)
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    frames = Framer(LISTENING, BLOCK).feed(sound(heard))
    linear, out = LinearFilter(), b""
    for number, frame in enumerate(frames):
        if not 300 <= number < 300 + late:
            for piece in pieces[300 : 300 + late + 1] if number == 300 + late else [pieces[number]]:
                linear.played(piece)
        out += linear.heard(frame).data
    after = slice(5 * RATE, 6 * RATE)
    assert level(wave(out)[after]) < level(heard[after]) - 8


@pytest.mark.spec("LSN-79")
def test_where_nothing_is_played_everything_passes_sample_for_sample() -> None:
    words = said()
    linear = LinearFilter()
    frames = Framer(LISTENING, BLOCK).feed(words)
    assert [linear.heard(frame) for frame in frames] == frames


@pytest.mark.spec("LSN-79")
def test_a_pause_in_what_is_pulled_is_silence_and_the_next_word_is_subtracted_as_well() -> None:
    played = own_speech()[: 3 * RATE]
    both = np.concatenate((played, np.zeros(RATE), played))
    heard = echo(both, delay_ms=60, loss_db=10)
    linear, out = LinearFilter(), b""
    pieces = Framer(LISTENING, BLOCK).feed(sound(both))
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        if not 300 <= number < 400:
            linear.played(pieces[number])
        out += linear.heard(frame).data
    again = slice(6 * RATE, 7 * RATE)
    assert level(wave(out)[again]) < level(heard[again]) - 8


def test_pieces_of_another_length_may_follow() -> None:
    linear = LinearFilter()
    frame = Frame(data=LISTENING.silence(BLOCK), format=LISTENING)
    linear.played(frame)
    linear.heard(frame)
    linear.played(Frame(data=SPEECH.silence(240), format=SPEECH))
    assert linear.heard(frame) == frame


@pytest.mark.spec("LSN-79")
@pytest.mark.parametrize("late", [1, 2, 3])
def test_blocks_that_come_later_from_some_moment_on_are_met_with_patience(late: int) -> None:
    """Two pieces at once, as a loudspeaker pulls them; each pair a hair too late for its frame would lose every other
    piece."""
    played = own_speech()
    heard = echo(played, delay_ms=120, loss_db=10)
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    linear, out, given = LinearFilter(), b"", 0
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        due = number - (late if number >= 100 else 0)
        while given <= due and given + 2 <= len(pieces):
            linear.played(pieces[given])
            linear.played(pieces[given + 1])
            given += 2
        out += linear.heard(frame).data
    after = slice(4 * RATE, 6 * RATE)
    assert level(wave(out)[after]) < level(heard[after]) - 8


@pytest.mark.spec("LSN-79")
def test_a_room_that_was_found_is_not_lost_when_one_more_piece_is_kept() -> None:
    """From the middle on each pair comes a hair too late for its frame."""
    played, middle = own_speech(), 350
    heard = echo(played, delay_ms=120, loss_db=10)
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    evenly, unevenly = left(sound(played), heard), b""
    linear, given = LinearFilter(), 0
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        due = number - (2 if number >= middle else 0)
        while given <= due and given + 2 <= len(pieces):
            for piece in pieces[given : given + 2]:
                linear.played(piece)
            given += 2
        unevenly += linear.heard(frame).data
    after = slice((middle + 30) * BLOCK, (middle + 130) * BLOCK)
    assert level(wave(unevenly)[after]) < level(evenly[after]) + 3


@pytest.mark.spec("LSN-79")
@pytest.mark.parametrize("late", [2, 5, MOST_OWED - 1])
def test_pieces_that_come_later_for_good_are_soon_believed(late: int) -> None:
    played, middle = own_speech(), 350
    heard = echo(played, delay_ms=120, loss_db=10)
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    evenly, unevenly = left(sound(played), heard), b""
    linear = LinearFilter()
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        if number < middle:
            linear.played(pieces[number])
        elif number >= middle + late:
            linear.played(pieces[number - late])
        unevenly += linear.heard(frame).data
    after = slice((middle + 60) * BLOCK, (middle + 160) * BLOCK)
    assert level(wave(unevenly)[after]) < level(evenly[after]) + 4


def moved(filtered: LinearFilter, played: Wave, heard: Wave) -> tuple[Wave, list[int]]:
    """What is left, and the frames with which the room was found to be another."""
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    out, anew = b"", []
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        filtered.played(pieces[number])
        out += filtered.heard(frame).data
        if filtered.anew:
            anew.append(number)
    return wave(out), anew


def beyond(played: Wave, heard: Wave) -> list[float]:
    """Of each frame: by how many decibels what is left of it is louder than the rest of us that was to be expected."""
    pieces = Framer(LISTENING, BLOCK).feed(sound(played))
    filtered, apart = LinearFilter(), []
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        filtered.played(pieces[number])
        words = filtered.heard(frame)
        apart.append(decibels(words) - filtered.rest)
    return apart


def longest_run(apart: list[float]) -> int:
    longest = run = 0
    for each in apart:
        run = run + 1 if each > BEYOND_DECIBELS else 0
        longest = max(longest, run)
    return longest


@pytest.mark.spec("LSN-87")
@pytest.mark.parametrize("loss_db", [10, 20])
@pytest.mark.parametrize("delay_ms", [60, 200])
def test_from_the_first_frame_on_the_rest_of_our_own_voice_is_no_louder_than_the_filter_expects(
    delay_ms: float, loss_db: float
) -> None:
    own = own_speech()
    alone = echo(own, delay_ms=delay_ms, loss_db=loss_db) + noise(len(own), -66)
    apart = [each for each, loud in zip(beyond(own, alone), blocks_above(own, -45), strict=False) if loud]
    assert sum(each > BEYOND_DECIBELS for each in apart) < 0.05 * len(apart)
    assert longest_run(apart) < 12, "less than what is taken for the beginning of a word"


@pytest.mark.spec("LSN-87")
@pytest.mark.parametrize("loss_db", [10, 20])
def test_who_talks_over_us_is_louder_than_the_rest_that_the_filter_expects(loss_db: float) -> None:
    own, words = own_speech(), at_level(wave(said()), -26)
    user, start = np.zeros(len(own)), round(FROM_S * RATE)
    user[start : start + len(words)] = words
    heard = echo(own, delay_ms=120, loss_db=loss_db) + noise(len(own), -66) + user
    voiced = [each for each, loud in zip(beyond(own, heard), blocks_above(user, -30), strict=False) if loud]
    assert sum(each > BEYOND_DECIBELS for each in voiced) > 0.8 * len(voiced)


def blocks_above(sounding: Wave, least: float) -> list[bool]:
    frames = Framer(LISTENING, BLOCK).feed(sound(sounding))
    return [decibels(frame) > least for frame in frames]


@pytest.mark.spec("LSN-88")
@pytest.mark.parametrize("loss_db", [10, 20])
def test_a_room_that_has_become_another_is_noticed_and_found_anew(loss_db: float) -> None:
    own, middle = own_speech(), 350
    edge = middle * BLOCK
    before, after = (echo(own, delay_ms=delay, loss_db=loss_db) for delay in (120, 150))
    heard = np.concatenate((before[:edge], after[edge:])) + noise(len(own), -72)
    rest, anew = moved(LinearFilter(), own, heard)
    assert [middle < number < middle + 35 for number in anew] == [True]
    late = slice(edge + 3 * RATE // 2, edge + 5 * RATE // 2)
    assert level(rest[late]) < level(heard[late]) - 6


@pytest.mark.spec("LSN-88")
@pytest.mark.parametrize("start", [20, 250])
def test_who_talks_over_us_is_not_taken_for_another_room(start: int) -> None:
    own = own_speech()
    words = at_level(wave(said()), -26)
    heard = echo(own, delay_ms=80, loss_db=15) + noise(len(own), -72)
    heard[start * BLOCK : start * BLOCK + len(words)] += words
    assert moved(LinearFilter(), own, heard)[1] == []
