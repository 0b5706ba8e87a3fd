"""The gate that knows what is played: what it learns of a room, and which frames it takes for somebody else."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.rooms import Wave, at_level, echo, noise, sound, wave
from tests.ears.sounds import said
from voicemode.ears.canceller import WebRtcCanceller
from voicemode.pcm import LISTENING, Framer
from voicemode.turn_taking.echo import STEP_SECONDS, EchoGate, EchoRules, Path, Spread, Verdict

RATE = LISTENING.rate
TEN_MS = RATE // 100
OWN = (
    "The tests are green, and I have pushed the branch. There are two ways to go on, and both take about an hour. "
    "I could write the new module first, or clean up what we left behind yesterday."
)
USER = "Wait, not that one. Stop please."
START = 1_234.5
"""Clocks begin anywhere."""


def own_speech() -> Wave:
    return at_level(wave(said(text=OWN)), -20)


def user_at(*seconds: float, level: float, of: int) -> Wave:
    words = at_level(wave(said(text=USER)), level)
    out = np.zeros(of)
    for each in seconds:
        start = round(each * RATE)
        out[start : start + len(words)] = words[: max(of - start, 0)]
    return out


def levels(samples: Wave) -> list[float]:
    count = len(samples) // TEN_MS
    power = np.mean(samples[: count * TEN_MS].reshape(count, TEN_MS) ** 2, axis=1) / 32_768**2
    return [float(each) for each in np.maximum(10 * np.log10(power + 1e-12), -96.0)]


def verdicts(gate: EchoGate, played: Wave, heard: Wave, start: float = START) -> list[Verdict]:
    out = []
    for step, (out_level, in_level) in enumerate(zip(levels(played), levels(heard), strict=True)):
        gate.played(out_level, start + step * STEP_SECONDS, STEP_SECONDS)
        out.append(gate.heard(in_level, start + step * STEP_SECONDS))
    return out


def cancelled(played: Wave, heard: Wave) -> Wave:
    canceller = WebRtcCanceller()
    out = b""
    far, near = (Framer(LISTENING, TEN_MS).feed(sound(each)) for each in (played, heard))
    for one, other in zip(far, near, strict=True):
        canceller.far(one)
        out += canceller.near(other).data
    canceller.close()
    return wave(out)


def share(found: list[Verdict]) -> float:
    return sum(each.more for each in found) / len(found)


@pytest.mark.spec("LSN-80")
@pytest.mark.parametrize("delay_ms", [20, 90, 200, 350])
@pytest.mark.parametrize("loss_db", [10, 20, 30])
def test_the_way_of_an_echo_is_learnt_from_three_seconds_of_speech(delay_ms: float, loss_db: float) -> None:
    gate = EchoGate()
    played = own_speech()[: 3 * RATE]
    verdicts(gate, played, echo(played, delay_ms=delay_ms, loss_db=loss_db) + noise(len(played), -66))
    assert gate.path is Path.ECHO
    assert gate.delay is not None
    assert gate.loss is not None
    assert abs(gate.delay - delay_ms / 1000) <= 0.04
    assert abs(gate.loss - loss_db) <= 4


@pytest.mark.spec("LSN-81")
@pytest.mark.parametrize("delay_ms", [20, 60, 200, 380])
@pytest.mark.parametrize("loss_db", [0, 10, 20, 30, 50])
@pytest.mark.parametrize("reverb_s", [0.1, 0.5])
def test_own_speech_is_not_taken_for_somebody_else(delay_ms: float, loss_db: float, reverb_s: float) -> None:
    played = own_speech()
    heard = echo(played, delay_ms=delay_ms, loss_db=loss_db, reverb_s=reverb_s) + noise(len(played), -66)
    found = verdicts(EchoGate(), played, heard)
    assert share(found) <= 0.01
    assert share(found[:150]) <= 0.02


@pytest.mark.spec("LSN-81")
@pytest.mark.parametrize("loss_db", [10, 20])
def test_what_a_canceller_leaves_is_not_taken_for_somebody_else(loss_db: float) -> None:
    played = own_speech()
    heard = echo(played, delay_ms=60, loss_db=loss_db) + noise(len(played), -66)
    assert share(verdicts(EchoGate(), played, cancelled(played, heard))) <= 0.01


@pytest.mark.spec("LSN-82")
@pytest.mark.parametrize("loss_db", [25, 35])
def test_a_user_who_is_louder_than_the_echo_is_found(loss_db: float) -> None:
    played = own_speech()
    user = user_at(4.0, level=-20, of=len(played))
    heard = echo(played, delay_ms=60, loss_db=loss_db) + noise(len(played), -66) + user
    found = verdicts(EchoGate(), played, heard)
    assert soon(found, user) <= 0.1
    assert share(found[:390]) <= 0.01


@pytest.mark.spec("LSN-82")
def test_behind_a_canceller_a_user_is_found_who_is_fainter_than_what_is_played() -> None:
    played = own_speech()
    user = user_at(4.0, level=-26, of=len(played))
    heard = echo(played, delay_ms=60, loss_db=15) + noise(len(played), -66) + user
    found = verdicts(EchoGate(), played, cancelled(played, heard))
    assert soon(found, user) <= 0.1


def soon(found: list[Verdict], user: Wave) -> float:
    """Seconds of voice until three frames in five hold more than the echo."""
    voiced = [step for step, level in enumerate(levels(user)) if level > -40]
    for count, step in enumerate(voiced):
        if sum(each.more for each in found[step - 4 : step + 1]) >= 3:
            return count * STEP_SECONDS
    return math.inf


@pytest.mark.spec("LSN-83")
def test_with_headphones_the_path_is_open_and_a_faint_user_is_found() -> None:
    played = own_speech()
    user = user_at(4.0, level=-40, of=len(played))
    gate = EchoGate()
    found = verdicts(gate, played, noise(len(played), -66) + user)
    assert gate.path is Path.OPEN
    assert (gate.delay, gate.loss) == (None, None)
    assert found[200].path is Path.OPEN
    voiced = [step for step, level in enumerate(levels(user)) if level > -50]
    assert share([found[step] for step in voiced]) > 0.9


@pytest.mark.spec("LSN-84")
def test_a_volume_that_is_turned_up_is_learnt() -> None:
    played = own_speech()
    heard = echo(played, delay_ms=60, loss_db=30)
    heard[3 * RATE :] *= 10 ** (12 / 20)
    found = verdicts(EchoGate(), played, heard + noise(len(played), -66))
    assert share(found[:300]) <= 0.01
    assert share(found[700:]) <= 0.01


@pytest.mark.spec("LSN-84")
def test_headphones_that_come_off_are_noticed() -> None:
    gate = EchoGate()
    played = own_speech()
    before = verdicts(gate, played[: 3 * RATE], noise(3 * RATE, -66))
    later = played[3 * RATE :]
    heard = echo(later, delay_ms=60, loss_db=15) + noise(len(later), -66)
    after = verdicts(gate, later, heard, START + 3.0)
    assert (before[-1].path, after[-1].path) == (Path.OPEN, Path.ECHO)
    assert share(after[400:]) <= 0.02


@pytest.mark.spec("LSN-85")
@settings(max_examples=10, deadline=None, database=None)
@given(
    st.lists(st.sampled_from([64, 100, 160, 480, 640]), min_size=20, max_size=20),
    st.lists(st.floats(0.0, 0.02), min_size=20, max_size=20),
)
def test_the_cut_and_the_jitter_of_what_is_played_change_next_to_nothing(
    sizes: list[int], late: list[float]
) -> None:
    played = own_speech()[: 4 * RATE]
    microphone = echo(played, delay_ms=60, loss_db=20) + noise(len(played), -66)
    heard, plain = levels(microphone), EchoGate()
    expected = verdicts(plain, played, microphone)
    gate, found = EchoGate(), []
    blocks = pulled(played, sizes, late)
    waiting = next(blocks, None)
    for step, level in enumerate(heard):
        while waiting is not None and waiting[1] <= START + (step + 1) * STEP_SECONDS:
            gate.played(*waiting)
            waiting = next(blocks, None)
        found.append(gate.heard(level, START + step * STEP_SECONDS))
    assert gate.path is plain.path is Path.ECHO
    assert gate.loss is not None
    assert plain.loss is not None
    assert abs(gate.loss - plain.loss) < 2
    assert sum(one.more != other.more for one, other in zip(found, expected, strict=True)) <= 8


def pulled(played: Wave, sizes: list[int], late: list[float]) -> Iterator[tuple[float, float, float]]:
    """(level, at, seconds) of blocks as a device pulls them."""
    at = number = 0
    while at < len(played):
        block = played[at : at + sizes[number % len(sizes)]]
        power = float(np.mean(block**2)) / 32_768**2
        seconds = len(block) / RATE
        yield 10 * math.log10(power + 1e-12), START + at / RATE + late[number % len(late)], seconds
        at, number = at + len(block), number + 1


@pytest.mark.spec("LSN-86")
def test_while_nothing_is_played_what_stands_out_of_the_room_is_more() -> None:
    gate = EchoGate()
    room = [gate.heard(-60.0, START + step * STEP_SECONDS) for step in range(200)]
    assert not any(each.more for each in room)
    voice = gate.heard(-40.0, START + 2.0)
    assert voice.more
    assert voice.excess == pytest.approx(20, abs=1)
    assert gate.path is Path.UNKNOWN


@pytest.mark.spec("LSN-86")
@settings(max_examples=100, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.floats(-200.0, 20.0), st.floats(0.0, 3.0) | st.just(0.0), st.floats(0.0, 0.3)
        ),
        max_size=60,
    )
)
def test_any_levels_in_order_are_answered(told: list[tuple[bool, float, float, float]]) -> None:
    gate = EchoGate(EchoRules(evidence=0.05))
    now = START
    for is_played, level, pause, seconds in told:
        now += pause
        if is_played:
            gate.played(level, now, seconds)
        else:
            verdict = gate.heard(level, now)
            assert math.isfinite(verdict.expected)
            assert verdict.excess == pytest.approx(level - verdict.expected)
            assert verdict.more == (verdict.excess > EchoRules().margin)


@pytest.mark.spec("LSN-86")
def test_what_was_played_long_ago_is_forgotten() -> None:
    gate = EchoGate()
    for step in range(5_000):
        gate.played(-20.0, START + step * STEP_SECONDS, STEP_SECONDS)
        gate.heard(-60.0, START + step * STEP_SECONDS)
    assert gate.steps_held <= 100
    for step in range(5_000, 15_000):
        gate.played(-20.0, START + step * STEP_SECONDS, STEP_SECONDS)
    assert gate.steps_held <= 1_100
    gate.heard(-60.0, START + 150.0)
    assert not gate.heard(-60.0, START + 151.0).more
    assert gate.steps_held <= 100


@pytest.mark.spec("LSN-86")
@given(
    value=st.floats(-96.0, 96.0),
    memory=st.floats(0.1, 60.0),
    weights=st.lists(st.sampled_from([0.1, 1.0]), min_size=1),
)
def test_values_that_are_all_the_same_do_not_deviate(
    value: float, memory: float, weights: list[float]
) -> None:
    """Their sum of squares may be a hair below nothing."""
    spread = Spread(memory)
    for number, weight in enumerate(weights):
        spread.feed(value + number * 1e-15, weight)
    assert spread.deviation == pytest.approx(0.0, abs=1e-6)
