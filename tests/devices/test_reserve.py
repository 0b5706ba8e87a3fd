"""What a device is given ahead of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.devices.reserve import LEAST_SECONDS, QUIET_SECONDS, Reserve
from voicemode.playout.pulling import BLOCK_SECONDS as BLOCK
from voicemode.playout.pulling import HELD_SECONDS as HELD
from voicemode.playout.pulling import lasts

LATE = 0.004

DRIFTS = st.floats(-0.0003, 0.0003)
"""Crystals differ by less."""


@dataclass
class Device:
    """Plays what it has by a clock of its own and asks for a block as soon as it has room for one."""

    drift: float = 0.0
    stored: float = 0.0
    dry: float = 0.0
    """Seconds it had nothing."""

    def play(self, seconds: float) -> None:
        seconds *= 1 + self.drift
        self.dry += max(seconds - self.stored, 0.0)
        self.stored = max(self.stored - seconds, 0.0)


@dataclass(frozen=True)
class Pull:
    at: float
    ahead: float
    """What the device still had: after so long the block is heard."""
    sound: bool = False
    torn: bool = False
    """There was not a whole block of sound to be had."""


def pulls(
    device: Device,
    sounds_at: list[tuple[float, float]],
    seconds: float,
    late: float = 0.0,
    *,
    late_once: tuple[float, int, float] = (math.inf, 0, 0.0),
    there: float = math.inf,
) -> list[Pull]:
    """What is pulled in `seconds` where sound is to be had in the spans of `sounds_at`, in all no more than `there`.
    `late_once` is a moment, and by how much the thread is late the how manieth time it comes after it."""
    reserve, now, made, (when, number, by) = Reserve(HELD, BLOCK), 0.0, list[Pull](), late_once
    while now < seconds:
        number -= now >= when
        held_up = by if number == 0 and now >= when else late
        until_room = max(device.stored - (HELD - BLOCK), 0.0)
        if until_room:
            device.play(until_room + held_up)
            now += until_room + held_up
        sounding = any(pull.sound for pull in made[-1:])
        early = reserve.early(now, short=sounding and there < BLOCK - 1e-9)
        device.play(early)
        now += early
        sound = any(start <= now < end for start, end in sounds_at)
        made.append(Pull(now, device.stored, sound=sound, torn=sound and there < BLOCK - 1e-9))
        there -= BLOCK if sound else 0.0
        reserve.given(now, BLOCK, sound=sound)
        device.stored = min(device.stored + BLOCK, HELD)
    return made


@pytest.mark.spec("PLY-33")
@given(start=st.floats(0.2, 20.0), drift=DRIFTS)
def test_the_first_sound_waits_for_hardly_anything_to_be_played(start: float, drift: float) -> None:
    first = next(pull for pull in pulls(Device(drift), [(start, 99.0)], start + 1) if pull.at >= start)
    # Somebody who has something to say asks for nothing: it waits for the next block.
    assert first.at - start + first.ahead <= LEAST_SECONDS + BLOCK + 0.0003 * start + 1e-9


@pytest.mark.spec("PLY-33")
@given(start=st.floats(0.2, 5.0), drift=DRIFTS)
def test_once_something_sounds_the_device_is_filled_at_once_and_asks_by_itself(
    start: float, drift: float
) -> None:
    sounding = [pull for pull in pulls(Device(drift), [(start, 99.0)], start + 2) if pull.at > start]
    assert min(pull.ahead for pull in sounding[2:]) >= HELD - BLOCK - 0.0005


@pytest.mark.spec("PLY-33")
@given(start=st.floats(0.2, 5.0), late=st.floats(LATE, HELD - BLOCK - LATE), number=st.integers(1, 40))
def test_a_thread_that_is_late_once_tears_no_sound_not_even_the_first(
    start: float, late: float, number: int
) -> None:
    made = pulls(Device(), [(start, 99.0)], start + 2, late_once=(start, number, late))
    assert all(pull.ahead > 0.0 for pull in made if pull.at > start + BLOCK)


@pytest.mark.spec("PLY-6", "PLY-33")
@given(start=st.floats(0.2, 5.0), sound=st.floats(0.021, 2.0), drift=DRIFTS)
def test_sound_that_is_there_lasts_as_long_in_the_device_as_before_it(
    start: float, sound: float, drift: float
) -> None:
    made = pulls(Device(drift), [(start, 99.0)], start + 3, there=sound)
    first = next(pull.at for pull in made if pull.at >= start)
    torn = next(pull.at for pull in made if pull.torn)
    assert torn - first >= lasts(sound) - 0.0003 * 8
    assert torn - first <= lasts(sound) + BLOCK + 0.0003 * 8


@given(start=st.floats(0.2, 2.0), length=st.floats(0.05, 2.0), drift=DRIFTS)
def test_after_a_pause_the_next_sound_waits_as_little_as_the_first(
    start: float, length: float, drift: float
) -> None:
    again = start + length + QUIET_SECONDS + 0.5
    made = pulls(Device(drift), [(start, start + length), (again, 99.0)], again + 0.5)
    first = next(pull for pull in made if pull.at >= again)
    assert first.at - again + first.ahead <= LEAST_SECONDS + BLOCK + 0.0003 * again + 1e-9


@given(start=st.floats(0.2, 5.0), length=st.floats(0.05, 2.0))
def test_a_thread_that_wakes_late_does_not_let_the_device_run_dry(start: float, length: float) -> None:
    device = Device()
    pulls(device, [(start, start + length)], start + length + 1, late=LATE)
    assert device.dry == 0.0


@pytest.mark.spec("PLY-33")
@given(pause=st.floats(0.05, 0.9))
def test_a_pause_between_sentences_changes_nothing_of_what_is_held(pause: float) -> None:
    made = pulls(Device(), [(0.5, 2.0), (2.0 + pause, 99.0)], 4.0)
    held = [pull.ahead for pull in made if pull.at > 1.5]
    assert min(held) >= HELD - BLOCK - 0.0005
