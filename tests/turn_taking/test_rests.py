"""What a canceller leaves of us beside what it says it may leave."""

from __future__ import annotations

import random

import pytest

from voicemode.turn_taking.rests import EVIDENCE, MARGIN, RestGate

pytestmark = pytest.mark.spec("LSN-92")

ROOM = -75.0
REST = -40.0
SOMEBODY = -22.0


def beside_us(
    gate: RestGate, seconds: float, *, beyond: float = -6.0, spread: float = 4.0, seed: int = 1
) -> int:
    """Frames in which somebody is found while a canceller leaves `beyond` dB more of us than it says it may."""
    random_ = random.Random(seed)
    return sum(gate.heard(REST + random_.gauss(beyond, spread), REST) for _ in range(round(seconds * 100)))


def quiet(gate: RestGate) -> None:
    assert not any(gate.heard(ROOM, -96.0) for _ in range(30))


def test_somebody_is_found_as_soon_as_there_was_a_third_of_a_second_of_us() -> None:
    gate = RestGate()
    quiet(gate)
    assert beside_us(gate, EVIDENCE / 100) == 0
    assert gate.heard(SOMEBODY, REST)


def test_before_that_nobody_is_but_where_the_way_was_known_again() -> None:
    gate = RestGate()
    quiet(gate)
    assert not gate.heard(SOMEBODY, REST)
    gate.begin(known=True)
    assert gate.heard(SOMEBODY, REST)


def test_a_rest_of_us_is_nobody() -> None:
    gate = RestGate()
    quiet(gate)
    assert beside_us(gate, 30.0) <= 15


def test_how_much_more_a_loudspeaker_that_distorts_leaves_is_learnt() -> None:
    gate = RestGate()
    quiet(gate)
    beside_us(gate, 3.0, beyond=10.0)
    assert beside_us(gate, 10.0, beyond=10.0, seed=2) <= 20
    assert not gate.heard(SOMEBODY, REST), "12 dB above what is left of us, 18 above what the filter says"
    assert gate.heard(REST + 10.0 + 2 * 4.0 + MARGIN, REST)


def test_somebody_who_goes_on_is_not_learnt_as_a_rest_of_us() -> None:
    gate = RestGate()
    quiet(gate)
    beside_us(gate, 1.0)
    assert all(gate.heard(SOMEBODY, REST) for _ in range(100))


def test_while_we_are_silent_what_stands_out_of_the_room_is_somebody() -> None:
    gate = RestGate()
    quiet(gate)
    beside_us(gate, 1.0)
    assert not gate.heard(ROOM + 3.0, -96.0)
    assert gate.heard(ROOM + MARGIN + 6.0, -96.0)
