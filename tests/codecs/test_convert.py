from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import floats, level_db, pitch, s16, tone
from tests.support.laws import run, sound_of
from voicemode.codecs.convert import Converter, to_mono
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.ports import Stage


class FromBytes:
    """The converter behind a cut of bytes into frames of one format, so that cuts can be tried on it."""

    def __init__(self, source: PcmFormat, wanted: PcmFormat) -> None:
        self._source, self._stage = source, Converter(wanted)

    def feed(self, item: bytes) -> list[Frame]:
        return self._stage.feed(Frame(data=item, format=self._source))

    def flush(self) -> list[Frame]:
        return self._stage.flush()


def test_loading_the_codecs_loads_no_decoder_and_pcm_needs_none() -> None:
    program = (
        "import sys; from voicemode.codecs import open_decoder; from voicemode.codecs.convert import Converter;"
        "from voicemode.pcm import SPEECH, Frame; f = Frame(data=bytes(8), format=SPEECH);"
        "assert Converter(SPEECH).feed(f) == [f]; sys.exit('av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_equal_formats_pass_through_untouched() -> None:
    frame = Frame(data=s16(tone(0.1, 24_000)), format=SPEECH)
    stage = Converter(SPEECH)
    assert stage.feed(frame)[0] is frame
    assert stage.flush() == []


@pytest.mark.parametrize("source", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("wanted", [SPEECH, LISTENING, PcmFormat(rate=48_000, channels=2)])
def test_pitch_length_and_level_stay(source: int, wanted: PcmFormat) -> None:
    sound = tone(0.5, source)
    frames = run(FromBytes(PcmFormat(rate=source), wanted), [s16(sound)])
    assert {frame.format for frame in frames} == {wanted}
    out = floats(b"".join(frame.data for frame in frames))[:: wanted.channels]
    assert len(out) == round(len(sound) * wanted.rate / source)
    assert pitch(out, wanted.rate) == pytest.approx(440, abs=2)
    assert level_db(out) == pytest.approx(level_db(sound), abs=0.1)


@settings(max_examples=30, deadline=None)
@given(
    source=st.sampled_from([8_000, 22_050, 24_000, 44_100, 48_000]),
    samples=st.integers(0, 3_000),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
)
def test_cuts_of_samples_do_not_matter_and_no_sample_is_lost(
    source: int, samples: int, cuts: list[int]
) -> None:
    data = s16(tone(0.5, source))[: samples * 2]
    marks = [0, *sorted(min(place, samples) for place in cuts), samples]
    pieces = [data[2 * start : 2 * end] for start, end in pairwise(marks)]
    whole = sound_of(run(FromBytes(PcmFormat(rate=source), SPEECH), [data]))
    assert sound_of(run(FromBytes(PcmFormat(rate=source), SPEECH), pieces)) == whole
    assert len(whole[0]) // 2 == round(len(data) // 2 * 24_000 / source)


def test_the_format_may_change_in_mid_stream() -> None:
    stage: Stage[Frame, Frame] = Converter(SPEECH)
    out: list[Frame] = []
    for rate in (44_100, 24_000, 48_000, 24_000):
        out += stage.feed(Frame(data=s16(tone(0.25, rate)), format=PcmFormat(rate=rate)))
    out += stage.flush()
    sound = floats(b"".join(frame.data for frame in out))
    assert len(sound) == 24_000
    assert pitch(sound, 24_000) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("channels", [2, 3, 6, 9])
def test_what_all_channels_carry_keeps_its_level_in_one(channels: int) -> None:
    extremes = b"\xff\x7f" * channels + b"\x00\x80" * channels
    assert (
        to_mono(Frame(data=extremes, format=PcmFormat(rate=24_000, channels=channels))).data
        == b"\xff\x7f\x00\x80"
    )
