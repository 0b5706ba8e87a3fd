from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import Floats, floats, level_db, pitch, s16, tone
from tests.support.laws import assert_cuts_do_not_matter, run
from voicemode.codecs.samples import MU_LAW, TO_S16
from voicemode.codecs.telephone import PACKET_BYTES, PACKET_SECONDS, Telephone, mu_law
from voicemode.pcm import SPEECH, Frame, PcmFormat

SILENCE = b"\xff"
EVERY_VALUE = np.arange(-32_768, 32_768).astype("<i2")


class FromSamples:
    def __init__(self, source: PcmFormat = SPEECH) -> None:
        self._telephone, self._source, self._half = Telephone(source), source, b""

    def feed(self, item: bytes) -> list[bytes]:
        data = self._half + item
        whole = len(data) - len(data) % self._source.bytes_per_sample
        self._half = data[whole:]
        return self._telephone.feed(Frame(data=data[:whole], format=self._source))

    def flush(self) -> list[bytes]:
        return self._telephone.flush()


def packets(sound: Floats, source: PcmFormat = SPEECH) -> list[bytes]:
    return run(FromSamples(source), [s16(sound)])


def heard(sound: Floats, source: PcmFormat = SPEECH) -> Floats:
    return floats(TO_S16[MU_LAW, 1](b"".join(packets(sound, source))))


def ideal(sound: Floats, rate: int) -> Floats:
    """The sound at 8 kHz as a filter without any slope would leave it: the spectrum cut off at 4 kHz."""
    samples = round(len(sound) * 8_000 / rate)
    return np.fft.irfft(np.fft.rfft(sound)[: samples // 2 + 1], samples) * samples / len(sound)


def standard_levels() -> npt.NDArray[np.int64]:
    """ITU-T G.711, table 2: the value at the decoder's output for each code, in 14 bits."""
    codes = np.arange(256)
    segment, step = (~codes >> 4) & 7, ~codes & 15
    size = (2 * step + 33) * 2**segment - 33
    return np.where(codes & 0x80, size, -size)


@pytest.mark.spec("SPT-10")
def test_packets_are_160_bytes_of_20_ms_and_the_last_is_filled_with_silence() -> None:
    came = packets(tone(0.05, 24_000))
    assert [len(packet) for packet in came] == [PACKET_BYTES] * 3
    assert PACKET_BYTES == 160
    assert PACKET_SECONDS == 0.02
    assert came[-1].endswith(SILENCE * 80)
    assert not came[-1].startswith(SILENCE * 4)


@pytest.mark.spec("SPT-10")
def test_no_sound_is_no_packet() -> None:
    assert Telephone().flush() == []


@pytest.mark.spec("SPT-10")
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5_000), st.sampled_from([8_000, 24_000, 44_100]))
def test_there_are_as_many_packets_as_the_sound_is_long(samples: int, rate: int) -> None:
    due = round(samples * 8_000 / rate)
    assert len(packets(np.zeros(samples), PcmFormat(rate=rate))) == -(-due // 160)


@pytest.mark.spec("SPT-10")
def test_cuts_do_not_matter() -> None:
    assert_cuts_do_not_matter(FromSamples, s16(tone(0.2, 24_000)), bytes_of, examples=15, one_by_one=800)


def bytes_of(parts: list[bytes]) -> bytes:
    return b"".join(parts)


@pytest.mark.spec("SPT-10")
def test_no_more_than_a_packet_and_five_milliseconds_are_held_back() -> None:
    telephone, came = Telephone(), 0
    for number in range(1, 101):
        came += len(telephone.feed(Frame(data=s16(tone(0.01, 24_000)), format=SPEECH)))
        assert number * 0.01 - came * PACKET_SECONDS <= PACKET_SECONDS + 0.005


@pytest.mark.spec("SPT-11")
@pytest.mark.parametrize("hertz", [4_200, 4_600, 5_000, 6_500, 7_900, 8_100, 9_300, 11_900])
def test_nothing_above_the_telephones_band_is_folded_back_into_it(hertz: int) -> None:
    sound = tone(0.5, 24_000, hertz=hertz, level=0.9)
    assert level_db(heard(sound)[200:-400]) - level_db(sound) < -60


@pytest.mark.spec("SPT-11")
@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100, 48_000])
def test_folding_stays_below_60_db_from_every_rate(rate: int) -> None:
    for hertz in (4_300, 5_200, 7_300):
        sound = tone(0.5, rate, hertz=hertz, level=0.9)
        assert level_db(heard(sound, PcmFormat(rate=rate))[200:-400]) - level_db(sound) < -60


@pytest.mark.spec("SPT-11")
def test_within_the_band_it_is_the_reference_resamplers_sound() -> None:
    spectrum = np.fft.rfft(np.random.default_rng(5).normal(0, 0.1, 24_000))
    spectrum[3_400:4_200] = 0  # the slope, where filters may differ; above it is what has to go
    sound = np.fft.irfft(spectrum, 24_000)
    # Before µ-law, which has noise of its own.
    telephone = Telephone()
    frame = Frame(data=s16(sound), format=SPEECH)
    narrow = floats(telephone._narrow(frame) + (telephone._rates.flush() if telephone._rates else b""))
    reference = ideal(sound, 24_000)
    error = (narrow - reference)[200:-200]
    assert level_db(error) - level_db(reference) < -60


@pytest.mark.spec("SPT-11")
@pytest.mark.parametrize("hertz", [300, 1_000, 3_000, 3_400])
def test_what_a_telephone_carries_keeps_pitch_and_level(hertz: int) -> None:
    sound = tone(0.5, 24_000, hertz=hertz)
    out = heard(sound)[200:3_800]
    assert pitch(out, 8_000) == pytest.approx(hertz, abs=3)
    assert level_db(out) == pytest.approx(level_db(sound), abs=0.1)


@pytest.mark.spec("SPT-12")
def test_decoded_mu_law_is_the_standards_table() -> None:
    levels = np.frombuffer(TO_S16[MU_LAW, 1](bytes(range(256))), "<i2")
    assert (levels == 4 * standard_levels()).all()


@pytest.mark.spec("SPT-12")
def test_every_value_gets_the_code_of_the_standards_decision_values() -> None:
    first = np.concatenate(([0], np.arange(1, 32, 2)))
    steps = np.repeat([4, 8, 16, 32, 64, 128, 256], 16)
    decisions = np.concatenate((first, 31 + np.cumsum(steps)))
    assert decisions[[16, 32, 48, 64, 80, 96, 112, 128]].tolist() == [31, 95, 223, 479, 991, 2015, 4063, 8159]
    value = (EVERY_VALUE >> 2).astype(int)
    number = np.searchsorted(decisions[:-1], np.abs(value), side="right") - 1
    codes = np.frombuffer(mu_law(EVERY_VALUE.tobytes()), np.uint8)
    assert (codes == np.where(value >= 0, 255, 127) - number).all()


@pytest.mark.spec("SPT-12")
def test_every_level_is_its_own_code_again_and_zero_is_positive() -> None:
    again = mu_law((4 * standard_levels()).astype("<i2").tobytes())
    assert again == bytes(0xFF if code == 0x7F else code for code in range(256))


@pytest.mark.spec("SPT-12")
def test_the_reference_codec_decodes_the_same_and_codes_within_a_step() -> None:
    codes = mu_law(EVERY_VALUE.tobytes())
    reader, writer = (av.CodecContext.create("pcm_mulaw", mode) for mode in ("r", "w"))
    for context in (reader, writer):
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate, context.layout = 8_000, "mono"
    assert isinstance(reader, av.AudioCodecContext)
    assert isinstance(writer, av.AudioCodecContext)
    writer.format = "s16"
    decoded = b"".join(bytes(frame.planes[0]) for frame in reader.decode(av.Packet(codes)))
    assert TO_S16[MU_LAW, 1](codes) == decoded[: 2 * len(codes)]
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(EVERY_VALUE))
    frame.planes[0].update(EVERY_VALUE.tobytes())
    frame.sample_rate = 8_000
    theirs = b"".join(bytes(packet) for item in (frame, None) for packet in writer.encode(item))
    # Its table puts a boundary between two levels a few of 65,536 values higher than the standard does.
    assert sum(one != other for one, other in zip(codes, theirs, strict=True)) <= 1_024
