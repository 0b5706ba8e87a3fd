"""What an endpoint's past says about the next request."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.playout.links import LEAST_FILL_SECONDS, SMALL, Arrivals, HeadStart, Links
from voicemode.playout.pulling import BLOCK_SECONDS, EARLY_SECONDS, lasts
from voicemode.speech import AudioFormat

Chunks = list[tuple[float, int]]
CHUNKS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5_000)), min_size=1, max_size=40)


def arrived(chunks: Chunks, sound: float) -> Arrivals:
    """Chunks as (seconds since the last one, bytes) that hold `sound` seconds in all."""
    arrivals = Arrivals()
    total = sum(size for _, size in chunks)
    at = 100.0
    for gap, size in chunks:
        at += gap
        arrivals.came(at, size)
        arrivals.decoded(arrivals.bytes / total * sound)
    return arrivals


def runs_dry(chunks: Chunks, sound: float, wait: float) -> bool:
    """Plays the stream from `wait` seconds after its first chunk on: is a block wanted before its sound is there?"""
    total = sum(size for _, size in chunks)
    there, came = 0.0, -chunks[0][0]
    for gap, size in chunks:
        came += gap
        if there and came - wait > lasts(there) + 1e-9:
            return True
        there += size / total * sound
    return False


@given(CHUNKS, st.floats(0.1, 30))
@pytest.mark.spec("PLY-6")
def test_begun_so_late_the_stream_never_runs_dry_and_begun_sooner_it_does(
    chunks: Chunks, sound: float
) -> None:
    late = arrived(chunks, sound).late()
    assert not runs_dry(chunks, sound, late.wait)
    if late.wait > 0.01:
        assert runs_dry(chunks, sound, late.wait - 0.005)
        assert late.sound == pytest.approx(chunks[0][1] / sum(size for _, size in chunks) * sound + late.wait)


@pytest.mark.spec("PLY-6")
def test_what_a_decoder_holds_back_is_not_there() -> None:
    arrivals = Arrivals()
    for at, seconds in ((0.0, 0.0), (0.1, 0.0), (0.3, 0.17), (0.6, 0.34)):
        arrivals.came(at, 1_000)
        arrivals.decoded(seconds)
    # 0.17 s are eight blocks; the ninth is wanted 0.16 s after the first and 5 ms too early.
    assert arrivals.late().wait == pytest.approx(0.3 - lasts(0.17))
    assert 0.14 < arrivals.late().wait < 0.16


@pytest.mark.spec("PLY-5")
def test_an_unknown_endpoint_gets_the_configured_fill() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    assert links.head_start("server:1") == HeadStart(sound=0.15, wait=math.inf)


@pytest.mark.spec("PLY-5")
def test_a_fast_endpoint_gets_the_least_and_a_late_one_more() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    links.learn("fast:1", arrived([(0.0, 1000), (0.01, 1000), (0.01, 1000)], 3.0), 3.0)
    assert links.head_start("fast:1") == HeadStart(sound=LEAST_FILL_SECONDS, wait=math.inf)
    links.learn("late:1", arrived([(0.0, 100), (0.6, 1000)], 1.1), 1.1)
    late = 0.6 - lasts(0.1)
    assert links.head_start("late:1").wait == pytest.approx(1.5 * late)
    assert links.head_start("late:1").sound == pytest.approx(0.1 + 1.5 * late)
    links.learn("hopeless:1", arrived([(0.0, 1), (60.0, 1000)], 5.0), 5.0)
    assert links.head_start("hopeless:1").sound == 2.0


@pytest.mark.spec("PLY-5")
def test_a_link_at_real_time_begins_as_soon_as_blocks_and_chunks_fit_together() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    links.learn("steady:1", arrived([(0.0, 100), *[(0.08, 100)] * 50], 51 * 0.08), 51 * 0.08)
    assert 0.0 < links.head_start("steady:1").wait <= 1.5 * (BLOCK_SECONDS + EARLY_SECONDS) + 1e-9


@pytest.mark.spec("PLY-5")
def test_a_bad_moment_is_forgotten_after_a_few_good_streams() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    links.learn("server:1", arrived([(0.0, 100), (1.0, 1000)], 1.1), 1.1)
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000), (0.01, 1000)], 2.0), 2.0)
    assert links.head_start("server:1").sound == LEAST_FILL_SECONDS


@pytest.mark.spec("PLY-7")
def test_a_link_slower_than_its_sound_is_asked_for_a_small_format() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM
    links.learn("server:1", arrived([(0.0, 1000)] + [(1.0, 1000)] * 9, 5.0), 5.0)
    for wanted in (AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC):
        assert links.format("server:1", wanted) is SMALL
    assert links.format("server:1", AudioFormat.OPUS) is AudioFormat.OPUS
    assert links.format("other:1", AudioFormat.PCM) is AudioFormat.PCM
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000)] + [(0.1, 1000)] * 9, 5.0), 5.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM


@pytest.mark.spec("PLY-7")
def test_a_stream_that_is_still_running_counts_as_one_more() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is SMALL
    assert links.format("server:1", AudioFormat.PCM, running=3.0) is AudioFormat.PCM
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000)] + [(0.1, 1000)] * 9, 5.0), 5.0)
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is AudioFormat.PCM
    for _ in range(2):
        links.learn("server:1", arrived([(0.0, 1000)] + [(1.0, 1000)] * 9, 5.0), 5.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is SMALL


@pytest.mark.spec("PLY-5")
def test_what_comes_after_we_stopped_reading_says_nothing_about_the_link() -> None:
    arrivals = arrived([(0.0, 1000), (0.1, 1000)], 2.0)
    arrivals.hold()
    arrivals.came(200.0, 1000)
    arrivals.decoded(3.0)
    assert arrivals.late() == HeadStart()
    assert arrivals.speed(3.0) == pytest.approx(10.0)


@pytest.mark.spec("SPK-62")
def test_a_stream_took_as_long_as_its_server_needed_and_not_as_long_as_nobody_read() -> None:
    arrivals = Arrivals()
    arrivals.came(100.0, 1_000)
    assert arrivals.elapsed == 0.0
    arrivals.came(101.0, 1_000)
    assert arrivals.elapsed == 1.0
    arrivals.hold()
    arrivals.waited(20.0)
    arrivals.came(122.0, 1_000)
    assert arrivals.elapsed == 2.0
