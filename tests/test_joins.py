"""Where sound breaks off."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.laws import assert_cuts_do_not_matter
from voicemode.joins import FADE_SECONDS, Joint
from voicemode.pcm import SPEECH, Frame, PcmFormat

STEREO = PcmFormat(rate=24_000, channels=2)


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
