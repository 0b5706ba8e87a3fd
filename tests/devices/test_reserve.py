"""What a device is given ahead of time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.devices.reserve import LEAST_SECONDS, QUIET_SECONDS, Reserve
from voicemode.playout.pulling import BLOCK_SECONDS as BLOCK
from voicemode.playout.pulling import GROWS_AFTER_SECONDS, GROWTH, lasts
from voicemode.playout.pulling import HELD_SECONDS as HELD

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


def pulls(
    device: Device, sounds_at: list[tuple[float, float]], seconds: float, late: float = 0.0
) -> list[Pull]:
    """What is pulled in `seconds` where sound is to be had in the spans of `sounds_at`."""
    reserve, now, made = Reserve(HELD, BLOCK), 0.0, []
    while now < seconds:
        until_room = max(device.stored - (HELD - BLOCK), 0.0)
        if until_room:
            device.play(until_room + late)
            now += until_room + late
        early = reserve.early(now)
        device.play(early)
        now += early
        made.append(Pull(now, device.stored))
        sound = any(start <= now < end for start, end in sounds_at)
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
def test_once_something_sounds_the_device_is_filled_and_asks_by_itself(start: float, drift: float) -> None:
    full_after = GROWS_AFTER_SECONDS + (HELD - BLOCK) / GROWTH + 2 * BLOCK
    late = [pull for pull in pulls(Device(drift), [(start, 99.0)], start + 2) if pull.at > start + full_after]
    assert min(pull.ahead for pull in late) >= HELD - BLOCK - 0.0005


@pytest.mark.spec("PLY-33")
@given(start=st.floats(0.2, 5.0))
def test_what_is_gathered_for_the_device_is_a_tenth_of_what_is_heard_at_most(start: float) -> None:
    sounding = [pull for pull in pulls(Device(), [(start, 99.0)], start + 1) if pull.at >= start]
    for number, pull in enumerate(sounding):
        heard = pull.at - sounding[0].at
        assert number * BLOCK <= heard * (1 + GROWTH) + BLOCK


@pytest.mark.spec("PLY-6", "PLY-33")
@given(start=st.floats(0.2, 5.0), drift=DRIFTS)
def test_a_link_is_believed_to_have_no_more_time_than_the_device_leaves_it(
    start: float, drift: float
) -> None:
    sounding = [pull for pull in pulls(Device(drift), [(start, 99.0)], start + 3) if pull.at >= start]
    for number, pull in enumerate(sounding):
        assert pull.at - sounding[0].at >= lasts(number * BLOCK) - 0.0003 * 8


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
