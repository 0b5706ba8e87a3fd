"""How loud voices are, and what brings one of them to the level of another."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.pcm import SPEECH, Frame
from voicemode.sound.joins import Contour
from voicemode.sound.levelling import LEAST_BLOCKS, MOST_DB, Levels
from voicemode.sound.mixing import Louder

MOST = 10 ** (MOST_DB / 20)


def frame(*values: int) -> Frame:
    return Frame(data=array("h", values).tobytes(), format=SPEECH)


def values(frames: list[Frame]) -> list[int]:
    return [value for each in frames for value in array("h", each.data)]


def levels(**voices: int) -> Levels:
    known = Levels()
    for name, peak in voices.items():
        known.learn(name, [peak] * LEAST_BLOCKS)
    return known


@pytest.mark.spec("MIX-7")
@given(st.lists(st.integers(-32_768, 32_767), max_size=50), st.floats(0.25, MOST))
def test_every_sample_is_as_many_times_as_loud_and_none_wraps_round(
    samples: list[int], factor: float
) -> None:
    louder = Louder(factor)
    heard = values([*louder.feed(frame(*samples)), *louder.flush()])
    assert heard == [
        pytest.approx(min(max(value * factor, -32_768), 32_767), abs=4, rel=0.001) for value in samples
    ]


@pytest.mark.spec("MIX-7")
@given(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=50), st.integers(0, 50))
def test_the_cuts_of_the_input_do_not_matter(samples: list[int], cut: int) -> None:
    whole, parts = Louder(2.5), Louder(2.5)
    assert values(whole.feed(frame(*samples))) == values(
        [*parts.feed(frame(*samples[:cut])), *parts.feed(frame(*samples[cut:]))]
    )


@pytest.mark.spec("MIX-7")
def test_a_voice_is_brought_to_the_level_of_another_both_ways() -> None:
    known = levels(soft=2_000, loud=6_000)
    assert known.factor("soft", like="loud") == pytest.approx(3.0)
    assert known.factor("loud", like="soft") == pytest.approx(1 / 3)


@pytest.mark.spec("MIX-7")
def test_a_small_step_is_left_and_a_large_one_is_bounded() -> None:
    assert levels(one=4_000, other=4_600).factor("one", like="other") == 1.0
    assert levels(one=500, other=30_000).factor("one", like="other") == pytest.approx(MOST)
    assert levels(one=30_000, other=500).factor("one", like="other") == pytest.approx(1 / MOST)


@pytest.mark.spec("MIX-7")
def test_nobody_is_raised_beyond_full_scale() -> None:
    known = Levels()
    known.learn("sharp", [3_000] * LEAST_BLOCKS + [20_000])
    known.learn("loud", [12_000] * LEAST_BLOCKS)
    assert known.factor("sharp", like="loud") * 20_000 == pytest.approx(32_767)


@pytest.mark.spec("MIX-7")
def test_what_was_not_heard_for_long_enough_is_not_known() -> None:
    known = levels(one=4_000)
    known.learn("word", [16_000] * (LEAST_BLOCKS - 1))
    assert known.factor("one", like="word") == known.factor("word", like="one") == 1.0
    assert known.factor("nobody", like="one") == 1.0


@pytest.mark.spec("MIX-7")
def test_one_shouted_piece_moves_no_level() -> None:
    known = levels(one=4_000, other=8_000)
    for peak in (4_000, 12_000):
        known.learn("one", [peak] * LEAST_BLOCKS)
    assert known.factor("one", like="other") == pytest.approx(2.0)


def test_silence_is_no_part_of_a_voice() -> None:
    contour = Contour(SPEECH)
    block = SPEECH.samples(0.005)
    contour.feed(frame(*[0] * 20 * block, *[8_000, -8_000] * 5 * block, *[3] * 20 * block))
    assert len(contour.loud) == 10
    assert contour.loud == [pytest.approx(8_000, rel=0.02)] * 10
