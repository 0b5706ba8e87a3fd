"""Where sound breaks off."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import Passing
from tests.support.laws import assert_cuts_do_not_matter
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.sound.joins import (
    BLOCK_SECONDS,
    CLAUSE_PAUSE_SECONDS,
    FADE_SECONDS,
    PAUSE_SECONDS,
    SENTENCE_PAUSE_SECONDS,
    Contour,
    Joint,
    PassOver,
    pause_after,
)

STEREO = PcmFormat(rate=24_000, channels=2)
BLOCK = SPEECH.samples(BLOCK_SECONDS)
LEAST = round(PAUSE_SECONDS / BLOCK_SECONDS)
"""Blocks of silence that are a pause."""


def sound(samples: int, fmt: PcmFormat = SPEECH) -> Frame:
    return Frame(data=array("h", [20_000] * (samples * fmt.channels)).tobytes(), format=fmt)


def joined(frames: list[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames)


@given(st.lists(st.integers(0, 500), max_size=20))
@pytest.mark.spec("PLY-8")
def test_sound_that_ends_as_it_should_is_untouched(sizes: list[int]) -> None:
    joint = Joint(SPEECH)
    frames = [frame for size in sizes for frame in joint.feed(sound(size))] + joint.flush()
    assert joined(frames) == sound(sum(sizes)).data


@pytest.mark.parametrize("fmt", [SPEECH, STEREO])
@pytest.mark.spec("PLY-8")
def test_sound_that_breaks_off_fades_without_a_step(fmt: PcmFormat) -> None:
    joint = Joint(fmt)
    values = array("h", joined([*joint.feed(sound(1_000, fmt)), *joint.fade()]))
    assert len(values) == 1_000 * fmt.channels
    left = values[:: fmt.channels]
    fade = fmt.samples(FADE_SECONDS)
    assert set(left[:-fade]) == {20_000}
    assert left[-1] == 0
    steps = [before - after for before, after in zip(left[-fade - 1 :], left[-fade:], strict=False)]
    assert all(0 <= step <= 2 * 20_000 / fade for step in steps)


@pytest.mark.spec("PLY-8")
def test_less_sound_than_a_fade_fades_all_the_same() -> None:
    joint = Joint(SPEECH)
    assert joint.feed(sound(10)) == []
    values = array("h", joined(joint.fade()))
    assert len(values) == 10
    assert values[-1] == 0


def test_the_cuts_of_the_input_do_not_matter() -> None:
    class Cut:
        def __init__(self) -> None:
            self._joint = Joint(SPEECH)
            self._rest = b""

        def feed(self, item: bytes) -> list[Frame]:
            data = self._rest + item
            whole = len(data) - len(data) % 2
            self._rest = data[whole:]
            return self._joint.feed(Frame(data=data[:whole], format=SPEECH))

        def flush(self) -> list[Frame]:
            return self._joint.flush()

    assert_cuts_do_not_matter(Cut, bytes(range(256)) * 4, joined)


@pytest.mark.spec("SPK-52")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("It is done.", SENTENCE_PAUSE_SECONDS),
        ("“Is it done?”", SENTENCE_PAUSE_SECONDS),
        ("(It is!) ", SENTENCE_PAUSE_SECONDS),
        ("你好。", SENTENCE_PAUSE_SECONDS),
        ("Once it is done,", CLAUSE_PAUSE_SECONDS),
        ("two things:", CLAUSE_PAUSE_SECONDS),
        ("and then —", CLAUSE_PAUSE_SECONDS),
        ("世界，", CLAUSE_PAUSE_SECONDS),
        ("a phrase that was cut", 0.0),
        ("你好世界", 0.0),
        ("", 0.0),
    ],
)
def test_the_quiet_after_a_piece_is_that_of_its_last_mark(text: str, seconds: float) -> None:
    assert pause_after(text) == seconds


PARTS = st.lists(st.tuples(st.integers(4, 200), st.integers(0, 60)), min_size=1, max_size=12)
"""(blocks of voice, blocks of silence after it)."""


def said(parts: list[tuple[int, int]], levels: Sequence[int] = (9_000, 5_000, 12_000)) -> Frame:
    """Blocks of 5 ms; a voice whose loudness changes from block to block."""
    values = array("h")
    for voiced, silent in parts:
        for block in range(voiced):
            values.extend([levels[block % len(levels)]] * BLOCK)
        values.extend([3] * (BLOCK * silent))
    return Frame(data=values.tobytes(), format=SPEECH)


def cut_at(frame: Frame, samples: int) -> Frame:
    return Frame(data=frame.data[: 2 * samples], format=frame.format)


def contour_of(frame: Frame) -> Contour:
    contour = Contour(frame.format)
    contour.feed(frame)
    return contour


def going_on(heard: Frame, again: Frame) -> int:
    """The sample at which `again` goes on."""
    stage = PassOver(SPEECH, contour_of(heard))
    out = joined([*stage.feed(again), *stage.flush()])
    assert again.data.endswith(out)
    return (len(again.data) - len(out)) // 2


@given(PARTS)
@pytest.mark.spec("SPK-52")
def test_the_quiet_at_the_end_is_what_follows_the_last_voice(parts: list[tuple[int, int]]) -> None:
    assert contour_of(said(parts)).quiet_at_end == pytest.approx(parts[-1][1] * 0.005)


@given(PARTS, st.floats(0.0, 1.0))
@pytest.mark.spec("PLY-12")
def test_the_same_sound_goes_on_at_the_last_pause_before_the_break(
    parts: list[tuple[int, int]], share: float
) -> None:
    whole = said(parts)
    broken = int(whole.samples * share)
    start = going_on(cut_at(whole, broken), whole)
    ends = [sum(map(sum, parts[:number])) + voiced for number, (voiced, _) in enumerate(parts)]
    pauses = [end * BLOCK for end, (_, silent) in zip(ends, parts, strict=True) if silent >= LEAST]
    sure = [at for at in pauses if at + LEAST * BLOCK <= broken - BLOCK]
    assert start in {0, *pauses}
    assert max(sure, default=0) <= start <= broken


@given(
    PARTS,
    st.floats(0.84, 1.2),
    st.lists(st.floats(0.97, 1.03), min_size=12, max_size=12),
    st.tuples(st.integers(0, 11), st.integers(0, 60)),
    st.sampled_from([(9_000, 5_000, 12_000), (8_000,), (2_000, 15_000)]),
)
@pytest.mark.spec("PLY-12")
def test_another_saying_of_the_text_never_goes_on_after_the_break(
    parts: list[tuple[int, int]],
    tempo: float,
    uneven: list[float],
    before: tuple[int, int],
    levels: tuple[int, ...],
) -> None:
    """It breaks off in a part, so many blocks before the end of its voice."""
    part, left = before[0] % len(parts), min(before[1], parts[before[0] % len(parts)][0])
    broken = sum(map(sum, parts[:part])) + parts[part][0] - left
    otherwise = [
        (max(round(voiced * by * tempo), 1), silent)
        for (voiced, silent), by in zip(parts, uneven, strict=False)
    ]
    start = going_on(cut_at(said(parts), broken * BLOCK), said(otherwise, levels)) // BLOCK
    at, passed = 0, -1
    for number, (voiced, silent) in enumerate(otherwise):
        if start >= at + voiced:
            passed = number
        at += voiced + silent
    assert passed < part or (passed == part and left == 0)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_where_it_goes_on_does_not_depend_on_how_the_sound_is_cut(share: float) -> None:
    slow = PcmFormat(rate=1_000)
    values = array("h", said([(3, 25), (20, 22), (6, 1)]).data)
    whole = Frame(data=values[:: BLOCK // 5].tobytes(), format=slow)
    heard = Contour(slow)
    heard.feed(cut_at(whole, int(whole.samples * share)))

    class Cut:
        def __init__(self) -> None:
            self._stage = PassOver(slow, heard)
            self._passing = Passing(slow)

        def feed(self, item: bytes) -> list[Frame]:
            return [part for frame in self._passing.feed(item) for part in self._stage.feed(frame)]

        def flush(self) -> list[Frame]:
            return self._stage.flush()

    assert_cuts_do_not_matter(Cut, whole.data, joined)
