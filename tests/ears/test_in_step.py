"""What is played, in step with the microphone, however late the loudspeaker pulls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.rooms import echo, level, noise, sound
from tests.ears.test_linear import own_speech
from voicemode.ears.blocks import BLOCK
from voicemode.ears.in_step import LATE_FRAMES, MOST_OWED, InStep
from voicemode.ears.linear import LinearFilter
from voicemode.pcm import LISTENING, SPEECH, Frame, Framer

FRAMES = 40

pytestmark = pytest.mark.spec("LSN-79")


def pieces(count: int, *, seed: int = 1) -> list[Frame]:
    return Framer(SPEECH, SPEECH.samples(0.01)).feed(sound(noise(count * SPEECH.samples(0.01), -20, seed)))


def evenly(played: list[Frame]) -> InStep:
    step = InStep(FRAMES)
    for piece in played:
        step.played(piece)
        step.step()
    return step


@given(st.lists(st.integers(0, MOST_OWED), max_size=8))
@settings(max_examples=60, deadline=None, database=None)
def test_pieces_that_come_late_are_where_they_would_have_been(late: list[int]) -> None:
    """Each of `late` is how many frames pass in which nothing comes; then all of it comes at once."""
    gaps = [0, *late, 0]
    played = pieces(sum(gaps) + len(gaps))
    step, rest = InStep(FRAMES), list(played)
    for gap in gaps:
        for _ in range(gap):
            step.step()
        for piece in rest[: gap + 1]:
            step.played(piece)
        del rest[: gap + 1]
        step.step()
    assert rest == []
    assert np.allclose(step.spectra, evenly(played).spectra)


@pytest.mark.parametrize("late", [1, 4, MOST_OWED - 1])
def test_pieces_that_are_late_for_good_are_soon_among_the_latest_again(late: int) -> None:
    """But for two: one is the cushion, one is filled in with each frame."""
    played = pieces(FRAMES + 5 * LATE_FRAMES)
    step, told = InStep(FRAMES), 0
    for number in range(len(played) + late):
        if number < FRAMES:
            step.played(played[number])
        elif number >= FRAMES + late:
            step.played(played[number - late])
        told += step.step()
    assert max(late - 2, 0) <= told <= late
    behind = late - told
    latest = evenly(played).spectra
    assert np.allclose(step.spectra[behind + 1 :], latest[1 : FRAMES - behind])


def test_after_a_pause_everything_begins_anew() -> None:
    step = InStep(FRAMES)
    for piece in pieces(10):
        step.played(piece)
        step.step()
    for _ in range(FRAMES + MOST_OWED):
        step.step()
    assert not step.spectra.any()
    again = pieces(10, seed=2)
    for piece in again:
        step.played(piece)
        step.step()
    assert np.allclose(step.spectra[:10], evenly(again).spectra[:10])


@pytest.mark.spec("LSN-87")
@pytest.mark.parametrize("late", [1, 3, 6])
def test_a_piece_that_comes_before_its_echo_leaves_no_more_than_one_in_time(late: int) -> None:
    own = own_speech()
    heard = echo(own, delay_ms=100, loss_db=10) + noise(len(own), -66)
    played, frames = (Framer(LISTENING, BLOCK).feed(sound(each)) for each in (own, heard))

    def rests(every: int) -> list[float]:
        """Of each frame, beside what may be left of it; each `every`th piece and those behind it come `late`."""
        linear, given, out = LinearFilter(), 0, []
        for number, frame in enumerate(frames):
            if not every or number < every or number % every >= late:
                for piece in played[given : number + 1]:
                    linear.played(piece)
                given = number + 1
            left = np.frombuffer(linear.heard(frame).data, "<i2").astype(float)
            out.append(level(left) - max(linear.rest, -60.0))
        return out

    even, uneven = rests(0)[200:], rests(50)[200:]
    assert max(uneven) < max(even) + 2
    assert np.mean(uneven) < np.mean(even) + 1
