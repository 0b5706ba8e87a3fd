"""What a device is given ahead of time that starts full of silence and takes its sound a quantum at a time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.devices.reserve import LEAST_SECONDS, Reserve
from voicemode.playout.pulling import BLOCK_SECONDS as BLOCK
from voicemode.playout.pulling import HELD_SECONDS as HELD

LATE = 0.004
QUANTA = st.sampled_from([256 / 48_000, 512 / 48_000, 1024 / 48_000])
"""PipeWire's usual ones: its own 1024, and 512 for a client that asks for 20 ms."""
LARGE = 0.035
"""More than is left for it where the store is nearly empty."""


@dataclass
class Device:
    """Filled with silence when it starts and whenever it finds too little; `next_at` is when it takes a quantum."""

    quantum: float
    next_at: float
    stored: float = HELD
    dry: int = 0
    flagged: bool = False

    def play_until(self, at: float) -> None:
        while self.next_at <= at:
            if self.stored < self.quantum - 1e-9:
                self.stored, self.flagged, self.dry = HELD, True, self.dry + 1
            else:
                self.stored -= self.quantum
            self.next_at += self.quantum


@dataclass(frozen=True)
class Pull:
    at: float
    heard_at: float
    dry: int
    """How often the device had run dry by then."""


def pulls(device: Device, sounds_at: float, seconds: float, late: float) -> list[Pull]:
    reserve, now, made = Reserve(HELD, BLOCK), 0.0, []
    while now < seconds:
        while device.stored > HELD - BLOCK + 1e-9:
            now = max(device.next_at + late, now)
            device.play_until(now)
        if device.flagged:
            reserve.ran_dry()
            device.flagged = False
        if early := reserve.early(now, device.stored + device.quantum):
            now += early + late
            device.play_until(now)
        made.append(Pull(now, device.next_at + device.stored, device.dry))
        reserve.given(now, BLOCK, sound=now >= sounds_at)
        device.stored += BLOCK
    return made


@pytest.mark.spec("PLY-33")
@given(quantum=QUANTA, phase=st.floats(0.001, 0.999), start=st.floats(0.15, 5.0), late=st.floats(0.0, LATE))
def test_its_silence_is_played_before_the_first_sound_comes_and_it_never_runs_dry(
    quantum: float, phase: float, start: float, late: float
) -> None:
    made = pulls(Device(quantum, phase * quantum), start, start + 2, late)
    first = next(pull for pull in made if pull.at >= start)
    assert first.heard_at - start <= LEAST_SECONDS + BLOCK + quantum + LATE
    assert made[-1].dry == 0


@pytest.mark.spec("PLY-33")
@given(phase=st.floats(0.001, 0.999), start=st.floats(0.3, 5.0))
def test_one_that_ran_dry_at_so_little_is_kept_full_from_then_on(phase: float, start: float) -> None:
    made = pulls(Device(LARGE, phase * LARGE), start, start + 2, 0.0)
    assert made[-1].dry == 1
    assert next(pull for pull in made if pull.dry).at < 0.3


@given(delay=st.floats(0.0, 0.3))
def test_one_that_starts_empty_far_from_the_ear_is_not_taken_for_a_full_one(delay: float) -> None:
    reserve, stored, given_at = Reserve(HELD, BLOCK), 0.0, []
    now = 0.0
    for _ in range(4):
        early = reserve.early(now, delay + stored)
        stored = max(stored - early, 0.0) + BLOCK
        now += early
        given_at.append(now)
        reserve.given(now, BLOCK, sound=False)
    assert given_at == pytest.approx(
        [0.0, BLOCK - LEAST_SECONDS, 2 * BLOCK - LEAST_SECONDS, 3 * BLOCK - LEAST_SECONDS]
    )
