from __future__ import annotations

import io
import subprocess
import sys
from functools import cache
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import Floats, decoder, floats, level_db, pitch, s16, tone
from tests.support.encoding import decode
from tests.support.laws import assert_cuts_do_not_matter, run, sound_of
from voicemode.codecs.encoding import BIT_RATES, open_encoder
from voicemode.codecs.ogg import Packet, Pages
from voicemode.codecs.ogg_pages import Paginator
from voicemode.errors import InvalidRequest
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Stage
from voicemode.speech import AudioFormat

COMPRESSED = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.FLAC]
EXACT = [AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC]
FIRST_SOUND_SECONDS = {
    AudioFormat.PCM: 0.001,
    AudioFormat.WAV: 0.001,
    AudioFormat.OPUS: 0.02,
    AudioFormat.FLAC: 0.024,
    AudioFormat.MP3: 0.048,
    AudioFormat.AAC: 0.086,
}
HEADER_BYTES = {AudioFormat.WAV: 44, AudioFormat.FLAC: 42, AudioFormat.OPUS: 47 + 53}
PRIMES = {AudioFormat.MP3: 1105, AudioFormat.AAC: 1024}
"""Samples at 24 kHz that decoders which are not told of them play before the sound."""


class FromSamples:
    """An encoder behind a cut of the samples, so that cuts can be tried on it."""

    def __init__(self, to: AudioFormat, source: PcmFormat = SPEECH) -> None:
        self._encoder, self._source, self._half = open_encoder(to, source), source, b""

    def feed(self, item: bytes) -> list[bytes]:
        data = self._half + item
        whole = len(data) - len(data) % self._source.bytes_per_sample
        self._half = data[whole:]
        return self._encoder.feed(Frame(data=data[:whole], format=self._source))

    def flush(self) -> list[bytes]:
        return self._encoder.flush()


@cache
def syllables(seconds: float = 0.7, rate: int = 24_000) -> Floats:
    at = np.arange(round(seconds * rate)) / rate
    shape = np.minimum(1, at * 50) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * at))
    glide = 2 * np.pi * (180 * at + 60 * at**2)
    return np.asarray(0.3 * shape * (np.sin(glide) + 0.4 * np.sin(3 * glide) + 0.2 * np.sin(7 * glide)))


def whole(to: AudioFormat, samples: bytes, source: PcmFormat = SPEECH) -> bytes:
    parts: list[bytes] = run(FromSamples(to, source), [samples])
    return b"".join(parts)


def encoded(to: AudioFormat, sound: Floats | None = None, source: PcmFormat = SPEECH) -> bytes:
    return whole(to, s16(syllables() if sound is None else sound), source)


def heard(data: bytes, to: AudioFormat) -> bytes:
    """Through our own decoder, which the tests of decoding hold against the reference."""
    return sound_of(run(decoder(to), [data]))[0]


def snr(sound: Floats, out: Floats) -> float:
    error = out[: len(sound)] - sound
    return float(10 * np.log10((sound @ sound) / (error @ error + 1e-12)))


@pytest.mark.spec("SPT-1")
@pytest.mark.parametrize("to", list(AudioFormat))
def test_the_same_sound_is_decoded_however_the_frames_were_cut(to: AudioFormat) -> None:
    data = s16(syllables(0.3))

    def decoded(parts: list[bytes]) -> bytes:
        return heard(b"".join(parts), to)

    assert_cuts_do_not_matter(lambda: FromSamples(to), data, decoded, examples=8, one_by_one=500)


@pytest.mark.spec("SPT-1")
@pytest.mark.parametrize("to", EXACT)
def test_what_is_not_lossy_comes_back_to_the_sample(to: AudioFormat) -> None:
    noise = np.random.default_rng(3).integers(-32768, 32768, 10_011).astype("<i2").tobytes()
    assert heard(whole(to, noise), to) == noise


@pytest.mark.spec("SPT-1")
@pytest.mark.parametrize("to", COMPRESSED)
@pytest.mark.parametrize("samples", [1, 479, 480, 481, 1_024, 10_000])
def test_not_a_sample_is_missing_at_the_end(to: AudioFormat, samples: int) -> None:
    sound = syllables()[:samples]
    got = len(heard(encoded(to, sound), to)) // 2
    exact = to in (AudioFormat.OPUS, AudioFormat.FLAC)
    assert got == samples if exact else samples <= got <= samples + 2_048


@pytest.mark.spec("SPT-1")
@pytest.mark.parametrize("to", COMPRESSED)
def test_a_foreign_player_hears_the_same_sound_at_the_same_place(to: AudioFormat) -> None:
    sound = syllables()
    out = floats(decode(encoded(to)).data)[PRIMES.get(to, 0) :]
    assert len(out) >= len(sound)
    # LAME multiplies by 0.95; whatever the level, the shape is the same.
    out = out[: len(sound)] * float(sound @ sound / (sound @ out[: len(sound)]))
    assert snr(sound, out) > 15
    assert level_db(out) == pytest.approx(level_db(sound), abs=0.3)


@pytest.mark.spec("SPT-2")
@pytest.mark.parametrize("to", list(AudioFormat))
def test_the_first_sound_leaves_after_so_much_of_it(to: AudioFormat) -> None:
    encoder, sent = open_encoder(to), 0
    data, step = s16(syllables()), 24
    for end in range(step, len(data) // 2, step):
        sent += sum(map(len, encoder.feed(Frame(data=data[2 * (end - step) : 2 * end], format=SPEECH))))
        if sent > HEADER_BYTES.get(to, 0):
            break
    assert end / SPEECH.rate <= FIRST_SOUND_SECONDS[to] + 0.001


@pytest.mark.spec("SPT-2")
@pytest.mark.parametrize("to", COMPRESSED)
def test_no_more_than_a_tenth_of_a_second_is_held_back(to: AudioFormat) -> None:
    # By encoder and decoder together: some decoders wait for the next frame to know where one ends.
    encoder, listener = open_encoder(to), decoder(to)
    data, step, came = s16(syllables()), 480, 0
    for end in range(step, len(data) // 2, step):
        frame = Frame(data=data[2 * (end - step) : 2 * end], format=SPEECH)
        came += sum(out.samples for part in encoder.feed(frame) for out in listener.feed(part))
        assert end - came <= 0.1 * SPEECH.rate + PRIMES.get(to, 0)


@pytest.mark.spec("SPT-3")
@pytest.mark.parametrize("to", list(AudioFormat))
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_any_rate_goes_into_any_format(to: AudioFormat, rate: int) -> None:
    sound = tone(0.5, rate)
    data = encoded(to, sound, PcmFormat(rate=rate))
    out = floats(sound_of(run(decoder(to, pcm=PcmFormat(rate=rate)), [data]))[0])
    assert pitch(out[2_000:11_000], 24_000) == pytest.approx(440, abs=2)


@pytest.mark.spec("SPT-3")
@pytest.mark.parametrize("to", list(AudioFormat))
def test_frames_of_another_format_become_the_streams(to: AudioFormat) -> None:
    encoder: Stage[Frame, bytes] = open_encoder(to)
    out = encoder.feed(Frame(data=s16(tone(0.5, 48_000)), format=PcmFormat(rate=48_000)))
    out += encoder.feed(
        Frame(data=s16(np.repeat(tone(0.5, 24_000), 2)), format=PcmFormat(rate=24_000, channels=2))
    )
    sound = floats(heard(b"".join(out + encoder.flush()), to))
    assert 24_000 <= len(sound) <= 26_500
    assert pitch(sound[2_000:22_000], 24_000) == pytest.approx(440, abs=2)


@pytest.mark.spec("SPT-3")
@pytest.mark.parametrize("to", list(AudioFormat))
def test_a_stream_without_sound_is_an_empty_file(to: AudioFormat) -> None:
    data = b"".join(open_encoder(to).flush())
    assert data == b"" or heard(data, to) == b""


@pytest.mark.spec("SPT-3")
def test_wav_keeps_the_channels_and_says_that_its_length_is_unknown() -> None:
    stereo = PcmFormat(rate=44_100, channels=2)
    data = encoded(AudioFormat.WAV, np.repeat(tone(0.1, 44_100), 2), stereo)
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert decode(data, None).format == stereo


@pytest.mark.spec("SPT-3")
@pytest.mark.parametrize(
    ("to", "bit_rate", "said"),
    [
        (AudioFormat.OPUS, 5_999, "6,000 to 256,000"),
        (AudioFormat.MP3, 160_001, "16,000 to 160,000"),
        (AudioFormat.FLAC, 64_000, "mp3, opus, aac"),
        (AudioFormat.PCM, 1, "mp3, opus, aac"),
    ],
)
def test_a_bit_rate_that_the_format_has_not_is_refused(to: AudioFormat, bit_rate: int, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        open_encoder(to, bit_rate=bit_rate)


@pytest.mark.spec("SPT-3")
@pytest.mark.parametrize("to", list(BIT_RATES))
def test_a_bit_rate_is_kept(to: AudioFormat) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000).clip(-1, 1)
    for wanted in (24_000, *BIT_RATES[to]):
        encoder = open_encoder(to, bit_rate=wanted)
        data = b"".join([*encoder.feed(Frame(data=s16(noise), format=SPEECH)), *encoder.flush()])
        container = 6_000 if to is AudioFormat.OPUS else 1_500
        assert 0.5 * wanted < len(data) * 8 / 2.0 < 1.25 * wanted + container
        assert heard(data, to)


@pytest.mark.spec("SPT-4")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=1_300).filter(lambda packet: b"OggS" not in packet),
            st.sampled_from([120, 960, 2_880]),
        ),
        max_size=40,
    )
)
def test_pages_hold_the_packets_and_their_checksum_is_right(packets: list[tuple[bytes, int]]) -> None:
    paginator, data = Paginator(7), b""
    for packet, samples in packets:
        data += b"".join(paginator.add(packet, samples))
    data += paginator.end()
    assert [packet.data for packet in packets_of(data)] == [packet for packet, _ in packets]
    assert all(slow_checksum(page) == int.from_bytes(page[22:26], "little") for page in pages_of(data))
    numbers = [int.from_bytes(page[18:22], "little") for page in pages_of(data)]
    assert numbers == list(range(len(numbers)))


def packets_of(data: bytes) -> list[Packet]:
    return [each for each in Pages().feed(data) if isinstance(each, Packet)]


def pages_of(data: bytes) -> list[bytes]:
    pages = []
    while data:
        lacing = data[26]
        size = 27 + lacing + sum(data[27 : 27 + lacing])
        pages.append(data[:size])
        data = data[size:]
    return pages


def slow_checksum(page: bytes) -> int:
    """RFC 3533, appendix A, bit by bit."""
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


@pytest.mark.spec("SPT-4")
def test_a_player_finds_neither_gap_nor_damage_in_the_pages() -> None:
    with av.open(io.BytesIO(encoded(AudioFormat.OPUS)), mode="r", format="ogg") as container:
        ends = [
            (packet.pts or 0, packet.duration or 0)
            for packet in container.demux(container.streams.audio[0])
            if packet.size
        ]
    assert len(ends) == 36
    assert all(end == start + length for (start, length), (end, _) in pairwise(ends))


def test_loading_the_encoders_loads_no_codec_and_pcm_and_wav_need_none() -> None:
    program = (
        "import sys; from voicemode.codecs.encoding import open_encoder; from voicemode.pcm import SPEECH, Frame;"
        "from voicemode.speech import AudioFormat; f = Frame(data=bytes(8), format=SPEECH);"
        "[open_encoder(to).feed(f) for to in (AudioFormat.PCM, AudioFormat.WAV)]; sys.exit('av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
