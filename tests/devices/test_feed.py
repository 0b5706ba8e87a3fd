"""The sound card's side of `pull`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.devices.feed import Dryness, Feed
from voicemode.errors import DeviceLost, VoiceModeError
from voicemode.pcm import PcmFormat

MONO = PcmFormat(rate=24_000)


def feed_of(pull: object, lost: list[VoiceModeError], fmt: PcmFormat = MONO) -> Feed:
    assert callable(pull)
    return Feed(fmt, pull, lost.append, lambda: 7.0)


def test_the_device_gets_what_was_pulled_and_its_moment_is_known() -> None:
    feed = feed_of(lambda samples: b"ab" * samples, [])
    assert feed.last_at is None
    assert feed.fill(3) == b"ababab"
    assert feed.last_at == 7.0


def test_after_a_stop_nothing_is_pulled_and_silence_is_given() -> None:
    asked: list[int] = []

    def pull(samples: int) -> bytes:
        asked.append(samples)
        return b"ab" * samples

    feed = feed_of(pull, [])
    feed.stop()
    assert feed.fill(2) == bytes(4)
    assert asked == []


def test_a_pull_that_raises_never_reaches_the_library_and_is_a_lost_device() -> None:
    lost: list[VoiceModeError] = []

    def pull(samples: int) -> bytes:
        raise ZeroDivisionError("beyond")

    feed = feed_of(pull, lost)
    assert feed.fill(2) == bytes(4)
    assert feed.fill(2) == bytes(4)
    assert [type(error) for error in lost] == [DeviceLost]
    assert "ZeroDivisionError: beyond" in lost[0].message
    assert isinstance(lost[0].__cause__, ZeroDivisionError)
    assert feed.over


@pytest.mark.parametrize("given", [b"", b"ab", b"abcdef"])
def test_a_pull_of_the_wrong_length_is_a_lost_device_and_not_noise(given: bytes) -> None:
    lost: list[VoiceModeError] = []
    feed = feed_of(lambda samples: given, lost)
    assert feed.fill(2) == bytes(4)
    assert f"{len(given)} bytes for 2 samples" in lost[0].message


def test_stereo_silence_has_both_channels() -> None:
    feed = feed_of(lambda samples: b"", [], PcmFormat(rate=48_000, channels=2))
    feed.stop()
    assert feed.fill(5) == bytes(20)


def test_a_loss_is_told_once_and_not_at_all_after_a_stop() -> None:
    lost: list[VoiceModeError] = []
    feed = feed_of(MONO.silence, lost)
    feed.lose(DeviceLost("first"))
    feed.lose(DeviceLost("second"))
    assert [error.message for error in lost] == ["first"]
    stopped = feed_of(MONO.silence, lost)
    stopped.stop()
    stopped.lose(DeviceLost("third"))
    assert [error.message for error in lost] == ["first"]


def test_the_latency_rises_at_once_and_falls_slowly() -> None:
    feed = feed_of(MONO.silence, [])
    feed.delay(0.05)
    feed.delay(0.08)
    assert feed.latency == 0.08
    feed.delay(0.05)
    assert 0.079 < feed.latency < 0.08


@pytest.mark.parametrize("nonsense", [0.0, -0.2, 1e6, float("nan"), float("inf")])
def test_a_device_clock_that_does_not_run_yet_does_not_change_the_latency(nonsense: float) -> None:
    feed = feed_of(MONO.silence, [])
    feed.delay(0.05)
    feed.delay(nonsense)
    assert feed.latency == 0.05


def test_a_device_without_a_clock_is_lost_before_it_swallows_the_message() -> None:
    lost: list[VoiceModeError] = []
    feed = feed_of(MONO.silence, lost)
    for _ in range(100):
        feed.fill(2_400)
    assert [type(error) for error in lost] == [DeviceLost]
    assert "faster than time" in lost[0].message


def test_a_device_whose_clock_is_a_little_fast_is_not_lost() -> None:
    seconds = 0.0
    feed = Feed(MONO, MONO.silence, lambda error: pytest.fail(str(error)), lambda: seconds)
    for _ in range(10_000):
        feed.fill(2_400)
        seconds += 0.0995
    assert not feed.over


def asked_every(gaps: Sequence[float], *, block: float = 0.04) -> list[bool]:
    """What is made of requests for `block` seconds each, `gaps` seconds apart."""
    dryness, at = Dryness(0.01), 0.0
    found = [dryness.asked(at, block)]
    for gap in gaps:
        at += gap
        found.append(dryness.asked(at, block))
    return found


@given(st.lists(st.floats(min_value=-0.004, max_value=0.004), min_size=30, max_size=120))
def test_a_device_that_asks_in_time_has_not_run_dry(jitter: list[float]) -> None:
    moments = [0.04 * number + 0.005 + wobble for number, wobble in enumerate(jitter)]
    assert not any(asked_every([after - before for before, after in pairwise(moments)]))


def test_a_device_that_asks_too_late_has_run_dry_once() -> None:
    found = asked_every([0.0, *[0.04] * 40, 0.1, 0.03, *[0.04] * 40])
    assert found.count(True) == 1
    assert found[42]


def test_what_a_device_holds_is_time_it_may_be_late() -> None:
    assert not any(asked_every([0.0, 0.0, *[0.04] * 40, 0.11, 0.0, *[0.04] * 40]))


def test_a_device_that_starts_late_has_not_run_dry() -> None:
    assert not any(asked_every([0.3, *[0.04] * 40]))
