"""What an endpoint's past says about the next request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.links import LEAST_FILL_SECONDS, SMALL, Arrivals, Links
from voicemode.speech import AudioFormat

Chunks = list[tuple[float, int]]
CHUNKS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5_000)), min_size=1, max_size=40)


def arrived(chunks: Chunks) -> Arrivals:
    """Chunks as (seconds since the last one, bytes)."""
    arrivals = Arrivals()
    at = 100.0
    for gap, size in chunks:
        at += gap
        arrivals.came(at, size)
    return arrivals


def runs_dry(chunks: Chunks, sound: float, fill: float) -> bool:
    """Plays the stream with `fill` seconds in hand at the first byte: is there a moment without sound in it?"""
    total = sum(size for _, size in chunks)
    there, clock = 0.0, -chunks[0][0]
    for gap, size in chunks:
        clock += gap
        if clock > there + fill + 1e-9:
            return True
        there += size / total * sound
    return False


@given(CHUNKS, st.floats(0.1, 30))
@pytest.mark.spec("PLY-6")
def test_with_what_was_needed_the_stream_never_runs_dry_and_with_less_it_does(
    chunks: Chunks, sound: float
) -> None:
    needed = arrived(chunks).needed(sound)
    assert not runs_dry(chunks, sound, needed)
    if needed > 0.01:
        assert runs_dry(chunks, sound, needed - 0.005)


@pytest.mark.spec("PLY-5")
def test_an_unknown_endpoint_gets_the_configured_fill() -> None:
    assert Links(fill_seconds=0.15, limit_seconds=2.0).fill("server:1") == 0.15


@pytest.mark.spec("PLY-5")
def test_a_fast_endpoint_gets_the_least_and_a_late_one_more() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    links.learn("fast:1", arrived([(0.0, 1000), (0.01, 1000), (0.01, 1000)]), 3.0)
    assert links.fill("fast:1") == LEAST_FILL_SECONDS
    links.learn("late:1", arrived([(0.0, 100), (0.6, 1000)]), 1.1)
    assert links.fill("late:1") == pytest.approx(0.75)
    links.learn("hopeless:1", arrived([(0.0, 1), (60.0, 1000)]), 5.0)
    assert links.fill("hopeless:1") == 2.0


@pytest.mark.spec("PLY-5")
def test_a_bad_moment_is_forgotten_after_a_few_good_streams() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    links.learn("server:1", arrived([(0.0, 100), (1.0, 1000)]), 1.1)
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000), (0.01, 1000)]), 2.0)
    assert links.fill("server:1") == LEAST_FILL_SECONDS


@pytest.mark.spec("PLY-7")
def test_a_link_slower_than_its_sound_is_asked_for_a_small_format() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM
    links.learn("server:1", arrived([(0.0, 1000)] + [(1.0, 1000)] * 9), 5.0)
    for wanted in (AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC):
        assert links.format("server:1", wanted) is SMALL
    assert links.format("server:1", AudioFormat.OPUS) is AudioFormat.OPUS
    assert links.format("other:1", AudioFormat.PCM) is AudioFormat.PCM
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000)] + [(0.1, 1000)] * 9), 5.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM


@pytest.mark.spec("PLY-7")
def test_a_stream_that_is_still_running_counts_as_one_more() -> None:
    links = Links(fill_seconds=0.15, limit_seconds=2.0)
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is SMALL
    assert links.format("server:1", AudioFormat.PCM, running=3.0) is AudioFormat.PCM
    for _ in range(5):
        links.learn("server:1", arrived([(0.0, 1000)] + [(0.1, 1000)] * 9), 5.0)
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is AudioFormat.PCM
    for _ in range(2):
        links.learn("server:1", arrived([(0.0, 1000)] + [(1.0, 1000)] * 9), 5.0)
    assert links.format("server:1", AudioFormat.PCM) is AudioFormat.PCM
    assert links.format("server:1", AudioFormat.PCM, running=0.6) is SMALL


@pytest.mark.spec("PLY-5")
def test_what_comes_after_we_stopped_reading_says_nothing_about_the_link() -> None:
    arrivals = arrived([(0.0, 1000), (0.1, 1000)])
    arrivals.hold()
    arrivals.came(200.0, 1000)
    assert arrivals.needed(3.0) == 0.0
    assert arrivals.speed(3.0) == pytest.approx(10.0)
