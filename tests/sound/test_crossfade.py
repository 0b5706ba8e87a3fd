from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.sound.crossfade import Crossfade

Samples = npt.NDArray[np.int64]
OVERLAP = 120


def joined(chunks: list[bytes], *, step: int = 1 << 20, fmt: PcmFormat = SPEECH) -> bytes:
    """The chunks through the stage, in frames of `step` samples."""
    stage, out = Crossfade(fmt), []
    size = step * fmt.bytes_per_sample
    for number, chunk in enumerate(chunks):
        if number:
            out += stage.join()
        for start in range(0, len(chunk), size):
            out += stage.feed(Frame(data=chunk[start : start + size], format=fmt))
    return b"".join(frame.data for frame in out + stage.flush())


def reference(chunks: list[Samples], overlap: int = OVERLAP) -> Samples:
    """Overlap-add over the whole: each chunk laid over the end of what stands there."""
    whole = chunks[0]
    for chunk in chunks[1:]:
        size = min(overlap, len(whole), len(chunk))
        coming = np.arange(size)
        seam = (whole[len(whole) - size :] * (size - coming) + chunk[:size] * coming) // max(size, 1)
        whole = np.concatenate((whole[: len(whole) - size], seam, chunk[size:]))
    return whole


def s16(samples: Samples) -> bytes:
    return samples.astype("<i2").tobytes()


def noise(samples: int, seed: int) -> Samples:
    return np.random.default_rng(seed).integers(-32_768, 32_768, samples)


@pytest.mark.spec("SPT-20")
def test_a_join_is_five_milliseconds_of_overlap_add_and_the_rest_is_untouched() -> None:
    one, other = noise(1_000, 1), noise(700, 2)
    out = np.frombuffer(joined([s16(one), s16(other)]), "<i2")
    assert len(out) == 1_000 + 700 - OVERLAP
    assert (out == reference([one, other])).all()
    assert (out[:880] == one[:880]).all()
    assert (out[1_000:] == other[OVERLAP:]).all()


@pytest.mark.spec("SPT-20")
@pytest.mark.parametrize("value", [-32_768, -1, 0, 12_345, 32_767])
def test_what_both_chunks_carry_stays_as_it_is(value: int) -> None:
    constant = s16(np.full(500, value))
    assert joined([constant, constant]) == s16(np.full(880, value))


@pytest.mark.spec("SPT-20")
def test_chunks_that_overlap_in_the_same_sound_are_the_sound() -> None:
    sound = noise(5_000, 3)
    parts = [sound[:2_000], sound[2_000 - OVERLAP : 3_500], sound[3_500 - OVERLAP :]]
    assert joined([s16(part) for part in parts]) == s16(sound)


@pytest.mark.spec("SPT-20")
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(120, 900), min_size=1, max_size=5),
    step=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_cuts_do_not_matter_and_no_sample_differs(lengths: list[int], step: int, seed: int) -> None:
    chunks = [noise(length, seed + number) for number, length in enumerate(lengths)]
    assert joined([s16(chunk) for chunk in chunks], step=step) == s16(reference(chunks))


@pytest.mark.spec("SPT-20")
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 200), min_size=1, max_size=6),
    step=st.integers(1, 100),
)
def test_of_short_chunks_as_much_overlaps_as_there_is_and_cuts_do_not_matter(
    lengths: list[int], step: int
) -> None:
    chunks = [s16(noise(length, number)) for number, length in enumerate(lengths)]
    whole = joined(chunks)
    assert joined(chunks, step=step) == whole
    assert max(lengths) <= len(whole) // 2 <= sum(lengths)


@pytest.mark.spec("SPT-20")
def test_a_join_that_nothing_follows_takes_nothing_away() -> None:
    chunk = s16(noise(500, 4))
    assert joined([chunk, b""]) == chunk
    assert joined([chunk, b"", b""]) == chunk


@pytest.mark.spec("SPT-20")
def test_chunks_without_a_join_are_one_sound_and_only_the_overlap_is_held_back() -> None:
    stage = Crossfade(SPEECH)
    out = stage.feed(Frame(data=s16(noise(1_000, 5)), format=SPEECH))
    assert sum(frame.samples for frame in out) == 1_000 - OVERLAP


@pytest.mark.spec("SPT-20")
def test_every_channel_is_joined_by_itself() -> None:
    stereo = PcmFormat(rate=24_000, channels=2)
    one, other = noise(600, 6), noise(600, 7)
    pair = [s16(np.stack((one, -one - 1), 1).ravel()), s16(np.stack((other, -other - 1), 1).ravel())]
    out = np.frombuffer(joined(pair, fmt=stereo), "<i2").reshape(-1, 2)
    assert (out[:, 0] == reference([one, other])).all()
    assert np.abs(out[:, 0].astype(int) + out[:, 1] + 1).max() <= 1


def test_a_frame_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="16000"):
        Crossfade(SPEECH).feed(Frame(data=bytes(2), format=LISTENING))
