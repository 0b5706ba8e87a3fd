from __future__ import annotations

import struct

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import chunk, decoder, floats, in_container, level_db, pitch, riff, s16, tone
from tests.support.encoding import WavKind, WavSizes, decode, wav
from tests.support.laws import assert_cuts_do_not_matter, run, sound_of
from voicemode.codecs.plain import Wav
from voicemode.codecs.samples import A_LAW, MU_LAW, TO_S16
from voicemode.errors import BadContent
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

TONE = s16(tone(0.25, 24_000))
PLAIN = riff(TONE, tag=1, channels=1, rate=24_000, bits=16)
LIST = chunk(b"LIST", b"INFOISFT\x0e\0\0\0Lavf62.12.102\0")


def decoded(data: bytes, label: AudioFormat = AudioFormat.WAV, *, pcm: PcmFormat = SPEECH) -> bytes:
    return sound_of(run(decoder(label, pcm=pcm), [data]))[0]


@pytest.mark.parametrize(
    ("label", "data"),
    [
        (AudioFormat.PCM, TONE),
        (AudioFormat.WAV, PLAIN),
        (AudioFormat.WAV, riff(TONE, tag=1, channels=1, rate=44_100, bits=16, before=LIST, after=LIST)),
        (AudioFormat.WAV, riff(TONE[:6000], tag=1, channels=2, rate=24_000, bits=24, data_size=0)),
        (AudioFormat.WAV, riff(TONE[:3001], tag=MU_LAW, channels=1, rate=8_000, bits=8, after=LIST)),
        (AudioFormat.WAV, PLAIN + PLAIN),
    ],
)
def test_cuts_do_not_matter(label: AudioFormat, data: bytes) -> None:
    whole = assert_cuts_do_not_matter(lambda: decoder(label), data, sound_of, examples=15, one_by_one=1500)
    assert whole != sound_of([])


def test_raw_pcm_at_the_wanted_rate_comes_out_as_it_went_in() -> None:
    assert decoded(TONE + b"\x01", AudioFormat.PCM) == TONE


def test_44_bytes_and_one_sample_are_enough_to_start() -> None:
    stage = decoder(AudioFormat.WAV)
    assert stage.feed(PLAIN[:44]) == []
    assert stage.feed(PLAIN[44:46]) == [Frame(data=TONE[:2], format=SPEECH)]


def test_raw_pcm_starts_after_six_samples() -> None:
    assert decoder(AudioFormat.PCM).feed(TONE[:12]) == [Frame(data=TONE[:12], format=SPEECH)]


@pytest.mark.parametrize("data_size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00, 2, 100, 11_999, 12_000])
@pytest.mark.parametrize("riff_size", [0, 0xFFFFFFFF, 36, 1_000_000])
def test_sizes_in_the_header_do_not_decide_what_is_heard(data_size: int, riff_size: int) -> None:
    data = riff(TONE, tag=1, channels=1, rate=24_000, bits=16, data_size=data_size, riff_size=riff_size)
    assert decoded(data) == TONE


@pytest.mark.parametrize("body", [TONE, TONE[:5001]])
@pytest.mark.parametrize(
    "after", [LIST, LIST + chunk(b"id3 ", b"ID3" + bytes(20)), chunk(b"abcd", b"\x7f" * 999)]
)
def test_chunks_behind_the_sound_are_not_heard(body: bytes, after: bytes) -> None:
    data = riff(body, tag=1, channels=1, rate=24_000, bits=16, after=after)
    assert decoded(data) == body[: len(body) // 2 * 2]


def test_chunks_before_the_sound_are_skipped() -> None:
    before = LIST + chunk(b"bext", bytes(601)) + chunk(b"fact", bytes(4))
    assert decoded(riff(TONE, tag=1, channels=1, rate=24_000, bits=16, before=before)) == TONE


def test_a_second_wav_behind_the_first_goes_on_in_its_own_format() -> None:
    other = riff(TONE, tag=1, channels=2, rate=24_000, bits=16)
    frames = run(Wav("kokoro"), [PLAIN + LIST + other])
    assert [frame.format.channels for frame in frames] == [1, 2]
    assert b"".join(frame.data for frame in frames) == TONE * 2


def test_rf64_takes_its_size_from_the_long_chunk() -> None:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, len(TONE), 0, 0))
    body = PLAIN[12:36] + b"data\xff\xff\xff\xff" + TONE + LIST
    assert decoded(b"RF64\xff\xff\xff\xffWAVE" + sizes + body) == TONE


@pytest.mark.parametrize("kind", list(WavKind))
@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("extensible", [False, True])
def test_every_wav_has_the_right_pitch_length_and_level(
    kind: WavKind, rate: int, channels: int, extensible: bool
) -> None:
    sound = np.repeat(tone(0.4, rate), channels)
    frame = Frame(data=s16(sound), format=PcmFormat(rate=rate, channels=channels))
    data = wav(frame, kind=kind, extensible=extensible, sizes=WavSizes.STREAMING)
    out = floats(decoded(data, AudioFormat.PCM))
    assert abs(len(out) - 0.4 * 24_000) <= 1
    assert pitch(out, 24_000) == pytest.approx(440, abs=2)
    assert level_db(out) == pytest.approx(level_db(sound), abs=0.1)


@pytest.mark.parametrize(
    "kind", [WavKind.U8, WavKind.S16, WavKind.S24, WavKind.S32, WavKind.F32, WavKind.F64]
)
def test_values_are_those_of_the_reference_decoder(kind: WavKind) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 4000).astype("<i2").tobytes()
    data = wav(Frame(data=noise, format=SPEECH), kind=kind)
    difference = np.frombuffer(decoded(data), "<i2").astype(int) - np.frombuffer(decode(data).data, "<i2")
    assert np.abs(difference).max() == 0


@pytest.mark.parametrize(("tag", "codec"), [(MU_LAW, "pcm_mulaw"), (A_LAW, "pcm_alaw")])
def test_g711_is_that_of_the_reference_decoder(tag: int, codec: str) -> None:
    codes = bytes(range(256))
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = 8_000
    context.layout = "mono"
    expected = b"".join(bytes(frame.planes[0])[:512] for frame in context.decode(av.Packet(codes)))
    assert TO_S16[tag, 1](codes) == expected


@given(st.floats(allow_nan=True, allow_infinity=True, width=32))
def test_a_float_beyond_full_scale_is_cut_and_no_number_is_silence(value: float) -> None:
    (out,) = struct.unpack("<h", TO_S16[3, 4](struct.pack("<f", value)))
    expected = 0.0 if value != value else max(-1.0, min(1.0, value)) * 32768
    assert abs(out - expected) <= 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "0 bytes"),
        (PLAIN[:30], "inside its header"),
        (PLAIN[:12] + b"data" + bytes(100), "before its format"),
        (riff(TONE, tag=0x161, channels=1, rate=24_000, bits=16), "0x0161"),
        (riff(TONE, tag=1, channels=0, rate=24_000, bits=16), "0 channels"),
        (riff(TONE, tag=1, channels=1, rate=5, bits=16), "5 Hz"),
        (riff(TONE, tag=1, channels=1, rate=24_000, bits=12 * 8), "96 bits"),
        (b"RIFF\x10\0\0\0WAVEfmt \xff\xff\0\0" + bytes(99), "65,535"),
        (b'{"error": "no such voice"}', "no such voice"),
        (b"<html><body>Bad Gateway", "HTML"),
    ],
)
def test_what_cannot_be_played_says_who_sent_what(data: bytes, found: str) -> None:
    with pytest.raises(BadContent, match="kokoro") as caught:
        decoded(data)
    assert found in caught.value.message
    assert caught.value.engine == "kokoro"
    assert caught.value.hint


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_wav_is_played_or_refused_and_never_grows(data: st.DataObject) -> None:
    damaged = bytearray(PLAIN[:2000])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 60) | st.integers(0, 1999))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        frames = run(Wav("kokoro"), [bytes(damaged)])
    except BadContent:
        return
    assert sum(frame.samples for frame in frames) <= len(damaged)


@pytest.mark.spec("SPK-64")
@pytest.mark.parametrize(
    ("codec", "rate"),
    [("adpcm_ima_wav", 24_000), ("adpcm_ms", 24_000), ("libmp3lame", 24_000), ("mp2", 24_000)],
)
def test_compressed_sound_in_a_wav_is_played_at_its_end(codec: str, rate: int) -> None:
    data = in_container("wav", codec, tone(1.0, rate), rate)
    out = floats(decoded(data))
    assert 24_000 <= len(out) <= 27_000
    assert pitch(out[2_000:22_000], 24_000) == pytest.approx(440, abs=2)
    assert_cuts_do_not_matter(lambda: decoder(AudioFormat.WAV), data, sound_of, examples=5, one_by_one=200)


@pytest.mark.spec("SPK-64")
@pytest.mark.parametrize("label", [AudioFormat.WAV, AudioFormat.PCM, AudioFormat.MP3])
def test_a_wav_for_broadcasting_is_known_by_its_mark(label: AudioFormat) -> None:
    assert decoded(b"BW64" + PLAIN[4:], label) == TONE
