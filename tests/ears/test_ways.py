"""A way from a loudspeaker to a microphone that was found before is known again, in rooms made of numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.ears.rooms import Wave, at_level, echo, level, noise, sound, wave
from tests.ears.sounds import said
from voicemode.ears.blocks import BLOCK
from voicemode.ears.linear import LinearFilter
from voicemode.ears.ways import MOST_KNOWN, Way, Ways, read, written
from voicemode.pcm import LISTENING, SPEECH, Framer

RATE = LISTENING.rate
FIRST = (
    "The tests are green, and I have pushed the branch. There are two ways to go on, and both take an hour."
)
NEXT = "One warning is left, and it comes from a library that nobody here owns. Shall I look at it now?"
SOON = 0.35
"""Seconds from our first sound in the microphone."""

pytestmark = pytest.mark.spec("LSN-95")


def own_speech(text: str = NEXT) -> Wave:
    return at_level(wave(said(text=text)), -20)


def in_room(played: Wave, *, delay_ms: float, loss_db: float = 10, seed: int = 1) -> Wave:
    return echo(played, delay_ms=delay_ms, loss_db=loss_db, seed=seed) + noise(len(played), -72)


def filtered(linear: LinearFilter, played: Wave, heard: Wave) -> tuple[Wave, int | None]:
    """What is left, and with which frame the way was known again."""
    pieces, out, known = Framer(LISTENING, BLOCK).feed(sound(played)), b"", None
    for number, frame in enumerate(Framer(LISTENING, BLOCK).feed(sound(heard))):
        linear.played(pieces[number])
        out += linear.heard(frame).data
        if linear.known and known is None:
            known = number
    return wave(out), known


def found(*, loss_db: float = 10, seed: int = 1) -> Ways:
    ways, played = Ways(), own_speech(FIRST)
    linear = LinearFilter(ways)
    filtered(linear, played, in_room(played, delay_ms=60, loss_db=loss_db, seed=seed))
    linear.remember()
    return ways


def first_sound(heard: Wave) -> int:
    """The frame in which it is."""
    return next(each for each in range(len(heard) // BLOCK) if level(heard[each * BLOCK :][:BLOCK]) > -50)


@pytest.mark.parametrize(("delay_ms", "louder_db"), [(60.0, 0.0), (20.0, -6.0), (143.43, 0.0), (250.0, 3.0)])
def test_a_way_is_known_again_whatever_the_devices_hold_and_however_loud_they_are(
    delay_ms: float, louder_db: float
) -> None:
    played = own_speech()
    heard = in_room(played, delay_ms=delay_ms, loss_db=10 - louder_db)
    rest, known = filtered(LinearFilter(found()), played, heard)
    assert known is not None
    assert 0 < known - first_sound(heard) <= SOON * 100
    after = slice((known + 1) * BLOCK, (known + 1) * BLOCK + RATE // 2)
    assert level(rest[after]) < level(heard[after]) - 9
    unaware, _ = filtered(LinearFilter(), played, heard)
    assert level(rest[after]) < level(unaware[after]) - 4


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_another_room_is_not_taken_for_one_that_is_known(seed: int) -> None:
    played = own_speech()
    heard = in_room(played, delay_ms=60, seed=seed)
    rest, known = filtered(LinearFilter(found()), played, heard)
    assert known is None
    assert np.array_equal(rest, filtered(LinearFilter(), played, heard)[0])


def test_of_several_the_right_one_is_known_and_stays_one() -> None:
    ways = Ways([*found(seed=5).known, *found(seed=1).known])
    played = own_speech()
    linear = LinearFilter(ways)
    _, known = filtered(linear, played, in_room(played, delay_ms=100))
    assert known is not None
    linear.remember()
    assert len(ways.known) == 2


def test_who_begins_beside_our_first_words_is_not_taken_for_a_part_of_the_way() -> None:
    played, user = own_speech(), at_level(wave(said()), -20)
    heard = in_room(played, delay_ms=60)
    heard[: len(user)] += user[: len(heard)]
    _, known = filtered(LinearFilter(found()), played[: len(user)], heard[: len(user)])
    assert known is None


def test_what_was_not_found_well_is_not_remembered() -> None:
    ways, played = Ways(), own_speech(FIRST)
    linear = LinearFilter(ways)
    filtered(linear, played, noise(len(played), -50))
    linear.remember()
    short = LinearFilter(ways)
    filtered(short, played[: RATE // 2], in_room(played, delay_ms=60)[: RATE // 2])
    short.remember()
    assert ways.known == ()


def test_the_last_ones_are_kept_and_the_oldest_forgotten() -> None:
    told = []
    ways = Ways(remembered=lambda known: told.append(len(known)))
    for number in range(MOST_KNOWN + 2):
        ways.remember(Way(np.full(4, float(number))))
    assert [each.response[0] for each in ways.known] == [4.0, 3.0, 2.0]
    assert told == [1, 2, 3, 3, 3]


@pytest.mark.spec("LSN-93")
def test_ways_are_written_and_read_again() -> None:
    (way,) = found().known
    (again,) = read(written([way]))
    assert np.allclose(again.response, way.response, rtol=1e-6)


@pytest.mark.spec("LSN-93")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"ways": 3}),
        json.dumps({"ways": ["###", "AAAA", None, 7]}),
        written([Way(np.full(31 * 160, np.nan))]),
        written([Way(np.zeros(31 * 160))]),
    ],
)
def test_a_damaged_file_is_no_way(text: str) -> None:
    assert read(text) == []


def band_limited(samples: int, rate: int, highest: float) -> Wave:
    """Vowels and sibilants, more or less, and nothing above `highest` Hz."""
    random, at = np.random.default_rng(5), np.arange(samples) / rate
    vowels = np.convolve(random.standard_normal(samples), np.ones(12) / 12, "same")
    sibilants = random.standard_normal(samples) * np.clip(np.sin(2 * np.pi * 0.9 * at), 0, 1) ** 4
    spectrum = np.fft.rfft(vowels * np.clip(np.sin(2 * np.pi * 1.7 * at), 0, 1) ** 0.5 + 0.15 * sibilants)
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > highest] = 0.0
    return at_level(np.fft.irfft(spectrum, samples), -20)


@pytest.mark.parametrize("highest", [7_400.0, 3_900.0])
def test_what_a_voice_does_not_sound_in_stays_unknown_however_many_messages_it_speaks(highest: float) -> None:
    seconds, messages = 20, 5
    played = band_limited(seconds * SPEECH.rate, SPEECH.rate, highest)
    spectrum = np.fft.rfft(played)[: seconds * RATE // 2 + 1] * (RATE / SPEECH.rate)
    heard = in_room(np.fft.irfft(spectrum, seconds * RATE), delay_ms=80)
    ways, pieces = Ways(), Framer(SPEECH, SPEECH.samples(0.01)).feed(sound(played))
    less = []
    for _ in range(messages):
        linear, out = LinearFilter(ways), b""
        for piece, frame in zip(pieces, Framer(LISTENING, BLOCK).feed(sound(heard)), strict=True):
            linear.played(piece)
            out += linear.heard(frame).data
        linear.remember()
        less.append(level(heard[-5 * RATE :]) - level(wave(out)[-5 * RATE :]))
    response = np.abs(np.fft.rfft(ways.known[0].response)) ** 2
    edge = round(len(response) * highest / (RATE / 2))
    assert min(less) > 26
    assert max(less) - min(less) < 1.5
    assert np.sum(response[edge:]) < 0.02 * np.sum(response)
