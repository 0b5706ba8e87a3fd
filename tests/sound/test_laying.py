"""Blocks lie where they were heard: late ones are late, missing ones are silence, and doubt waits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.pcm import LISTENING, PcmFormat
from voicemode.sound.laying import DOUBT_SECONDS, GAP_SECONDS, Timeline

BLOCK = LISTENING.samples(0.01)
STEREO = PcmFormat(rate=16_000, channels=2)


def block(number: int, fmt: PcmFormat = LISTENING) -> bytes:
    return (number % 30_000 + 1).to_bytes(2, "little") * fmt.channels * BLOCK


def place_of(number: int, laid: bytes, fmt: PcmFormat = LISTENING) -> float:
    """Seconds from the first sample laid down to the first of this block."""
    at = laid.index(block(number, fmt))
    return fmt.seconds(at // fmt.bytes_per_sample)


@pytest.mark.spec("REC-11")
@given(st.lists(st.floats(0.0, GAP_SECONDS * 0.9), min_size=1, max_size=400))
def test_blocks_that_only_come_late_lie_behind_each_other(late: list[float]) -> None:
    line = Timeline(LISTENING)
    laid = b"".join(
        part for n, by in enumerate(late) for part in line.feed(block(n), 5.0 + n * 0.01 + by)
    ) + b"".join(line.flush())
    assert laid == b"".join(block(n) for n in range(len(late)))
    assert line.position is not None
    assert 5.0 - 1e-9 <= line.position <= 5.0 + late[0] + 1e-9


@pytest.mark.spec("REC-11")
@pytest.mark.parametrize("fmt", [LISTENING, STEREO])
def test_a_hole_is_as_much_silence_as_is_missing(fmt: PcmFormat) -> None:
    chance = random.Random(3)
    line = Timeline(fmt)
    laid = b""
    for n in range(300):
        hole = 0.7 if n >= 100 else 0.0
        laid += b"".join(line.feed(block(n, fmt), 2.0 + n * 0.01 + hole + chance.uniform(0, 0.02)))
    laid += b"".join(line.flush())
    for n in (0, 99, 100, 299):
        expected = n * 0.01 + (0.7 if n >= 100 else 0.0)
        assert place_of(n, laid, fmt) == pytest.approx(expected, abs=0.02)
    assert fmt.seconds(line.missing) == pytest.approx(0.7, abs=0.02)


@pytest.mark.spec("REC-11")
def test_a_burst_behind_a_delay_leaves_no_hole() -> None:
    """A busy machine looked late at a device that had everything in store."""
    line = Timeline(LISTENING)
    laid = b""
    for n in range(200):
        at = 2.0 + n * 0.01
        laid += b"".join(line.feed(block(n), max(at, 3.15) if 100 <= n < 115 else at))
    laid += b"".join(line.flush())
    assert laid == b"".join(block(n) for n in range(200))
    assert line.missing == 0


@pytest.mark.spec("REC-11")
def test_no_more_than_a_quarter_of_a_second_waits_in_doubt() -> None:
    line = Timeline(LISTENING)
    line.feed(block(0), 1.0)
    laid = 0
    for n in range(1, 100):
        laid += sum(any(part) for part in line.feed(block(n), 3.0 + n * 0.01))
        assert (n - laid) * 0.01 <= DOUBT_SECONDS


@pytest.mark.spec("REC-11")
def test_the_first_blocks_that_a_device_takes_ahead_do_not_move_the_beginning() -> None:
    """A loudspeaker fills its store at once: its third block says better than its first when all of it is heard."""
    line = Timeline(LISTENING)
    for n in range(300):
        line.feed(block(n), 1.03 if n < 3 else 1.0 + n * 0.01 + 0.011)
    assert line.position == pytest.approx(1.01, abs=0.002)


@pytest.mark.spec("REC-11")
def test_a_device_whose_clock_drifts_makes_no_holes_and_does_not_move_the_beginning() -> None:
    for drift in (-2e-4, 2e-4):
        line = Timeline(LISTENING)
        laid = b"".join(
            part for n in range(60_000) for part in line.feed(block(n), 1.0 + n * 0.01 * (1 + drift))
        )
        assert len(laid) == 60_000 * len(block(0))
        assert line.missing == 0
        assert line.position == pytest.approx(1.0, abs=0.001)


@pytest.mark.spec("REC-11")
@pytest.mark.parametrize("away", [0.015, 1.3])
def test_after_another_device_was_opened_what_is_missing_is_told_by_its_own_blocks(away: float) -> None:
    line = Timeline(LISTENING)
    laid = b"".join(part for n in range(50) for part in line.feed(block(n), 1.0 + n * 0.01))
    laid += b"".join(line.resume())
    for n in range(50, 100):
        # It fills its store, too.
        stated = 1.0 + away + n * 0.01 + (0.02 if n < 53 else 0.0)
        laid += b"".join(line.feed(block(n), stated))
    laid += b"".join(line.flush())
    assert place_of(99, laid) == pytest.approx(0.99 + away, abs=0.002)
    assert line.position == pytest.approx(1.0)


@pytest.mark.spec("REC-11")
def test_a_device_that_is_opened_so_soon_that_it_overlaps_follows_without_a_hole() -> None:
    line = Timeline(LISTENING)
    laid = b"".join(part for n in range(50) for part in line.feed(block(n), 1.0 + n * 0.01))
    laid += b"".join(line.resume())
    for n in range(50, 200):
        laid += b"".join(line.feed(block(n), 0.95 + n * 0.01))
    laid += b"".join(line.flush())
    assert laid == b"".join(block(n) for n in range(200))
    assert line.position == pytest.approx(1.0)
