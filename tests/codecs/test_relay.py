from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.codecs.material import Floats, decoder, floats, pitch, s16, tone
from tests.support.encoding import decode, encode
from tests.support.laws import assert_cuts_do_not_matter, run, sound_of
from voicemode.codecs.encoding import open_encoder
from voicemode.codecs.ogg import Packet, Pages, packet_samples
from voicemode.codecs.ogg_pages import OPUS_RATE, Paginator, opus_head
from voicemode.codecs.relay import SILENT_PACKETS, OpusRelay
from voicemode.errors import BadContent
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

PRE_SKIP_SECONDS = 0.0065


def opus(sound: Floats) -> bytes:
    """As libavformat writes it: pages of a second."""
    return encode(Frame(data=s16(sound), format=SPEECH), AudioFormat.OPUS)


def streamed(sound: Floats) -> bytes:
    """As our own encoder writes it."""
    encoder = open_encoder(AudioFormat.OPUS)
    return b"".join([*encoder.feed(Frame(data=s16(sound), format=SPEECH)), *encoder.flush()])


def relayed(*sources: bytes, pause: float = 0.0) -> bytes:
    relay, out = OpusRelay("kokoro"), []
    for number, source in enumerate(sources):
        if number:
            relay.next_source(pause=pause)
        out += relay.feed(source)
    return b"".join(out + relay.flush())


def sound_packets(data: bytes) -> list[Packet]:
    return [each for each in Pages().feed(data) if isinstance(each, Packet) and each.data[:4] != b"Opus"]


def joined(parts: list[bytes]) -> list[Packet]:
    return sound_packets(b"".join(parts))


@pytest.mark.spec("SPT-60")
@pytest.mark.parametrize("write", [opus, streamed])
@pytest.mark.parametrize("seconds", [0.001, 0.3, 2.34])
def test_what_is_relayed_sounds_like_its_source_to_the_sample(write: object, seconds: float) -> None:
    data = (opus if write is opus else streamed)(tone(seconds, 24_000))
    out = relayed(data)
    assert decode(out) == decode(data)
    assert sound_of(run(decoder(AudioFormat.OPUS), [out])) == sound_of(run(decoder(AudioFormat.OPUS), [data]))


@pytest.mark.spec("SPT-60")
def test_packets_go_on_untouched_whatever_the_cuts() -> None:
    data = opus(tone(1.5, 24_000))
    out = assert_cuts_do_not_matter(lambda: OpusRelay("kokoro"), data, joined, examples=15, one_by_one=600)
    assert isinstance(out, list)
    assert [packet.data for packet in out] == [packet.data for packet in sound_packets(data)]


@pytest.mark.spec("SPT-60")
def test_a_packet_leaves_within_sixty_milliseconds_of_sound_though_its_page_is_longer() -> None:
    data, relay = opus(tone(3.0, 24_000)), OpusRelay("kokoro")
    first_page = data.index(b"OggS", data.index(b"OpusTags"))
    second_page = data.index(b"OggS", first_page + 4)
    sent = b"".join(
        part for at in range(0, second_page, 50) for part in relay.feed(data[at : min(at + 50, second_page)])
    )
    came = sum(packet_samples(packet.data) for packet in sound_packets(data[:second_page]))
    out = sum(packet_samples(packet.data) for packet in sound_packets(sent))
    assert came == OPUS_RATE
    assert came - out < 0.06 * OPUS_RATE


@pytest.mark.spec("SPT-61")
@pytest.mark.parametrize("write", [opus, streamed])
def test_several_sources_are_one_stream_with_one_pair_of_headers(write: object) -> None:
    sources = [
        (opus if write is opus else streamed)(tone(seconds, 24_000, hertz=hertz))
        for seconds, hertz in ((1.23, 440.0), (0.7, 660.0), (0.51, 880.0))
    ]
    out = relayed(*sources)
    assert out.count(b"OpusHead") == out.count(b"OpusTags") == 1
    assert len({out[at + 14 : at + 18] for at in page_starts(out)}) == 1
    kinds = [out[at + 5] for at in page_starts(out)]
    assert kinds == [2] + [0] * (len(kinds) - 2) + [4]
    granules = [int.from_bytes(out[at + 6 : at + 14], "little") for at in page_starts(out)]
    assert granules == sorted(granules)
    sound = floats(decode(out).data)
    due = 24_000 * (1.23 + 0.7 + 0.51)
    assert due - 1 <= len(sound) <= due + 2 * 24_000 * (PRE_SKIP_SECONDS + 0.021)
    for start, hertz in ((2_000, 440.0), (33_000, 660.0), (50_000, 880.0)):
        assert pitch(sound[start : start + 10_000], 24_000) == pytest.approx(hertz, abs=3)


@pytest.mark.spec("SPT-62")
@pytest.mark.parametrize("write", [opus, streamed])
@pytest.mark.parametrize("pause", [0.05, 0.1, 0.25])
def test_with_pauses_all_of_it_lasts_as_long_as_its_sources_and_pauses(write: object, pause: float) -> None:
    lengths = (1.23, 0.71, 0.513, 0.3, 0.44, 0.39, 0.62, 0.81)
    sources = [(opus if write is opus else streamed)(tone(seconds, 24_000)) for seconds in lengths]
    out = relayed(*sources, pause=pause)
    sound = floats(decode(out).data)
    due = 24_000 * (sum(lengths) + pause * (len(lengths) - 1))
    assert len(sound) == pytest.approx(due, abs=0.0025 * 24_000 + 2)
    assert granules_of(out) == counted_granules(out)
    at = round(24_000 * (lengths[0] + pause * 0.6))
    assert np.abs(sound[at : at + 200]).max() < 0.001


@pytest.mark.spec("SPT-62")
@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_silent_packets_are_silent_after_every_voice(rate: int) -> None:
    """Narrow sound is coded in another way than the silence: what rings on is short, and nothing is louder."""
    encoder = open_encoder(AudioFormat.OPUS, PcmFormat(rate=rate), bit_rate=12_000)
    frame = Frame(data=s16(tone(0.6, rate)), format=PcmFormat(rate=rate))
    source = b"".join([*encoder.feed(frame), *encoder.flush()])
    sound = floats(decode(relayed(source, source, pause=0.25)).data)
    start = round(24_000 * 0.65)
    assert np.abs(sound[start : start + 4_000]).max() < 0.003
    assert np.abs(sound).max() < 1.5 * np.abs(tone(0.6, rate)).max()
    assert pitch(sound[-10_000:], 24_000) == pytest.approx(440, abs=3)


@pytest.mark.spec("SPT-62")
def test_each_silent_packet_says_its_length() -> None:
    assert [packet_samples(each) for each in SILENT_PACKETS] == [960, 480, 240, 120]


@pytest.mark.spec("SPT-61")
def test_a_chained_file_is_seen_without_being_told() -> None:
    one, other = opus(tone(0.5, 24_000)), opus(tone(0.4, 24_000, hertz=660))
    assert joined([relayed(one + other)]) == joined([relayed(one, other)])


@pytest.mark.spec("SPT-61")
def test_a_source_that_breaks_off_is_followed_by_the_next() -> None:
    one, other = opus(tone(2.5, 24_000)), opus(tone(0.5, 24_000, hertz=660))
    out = relayed(one[: len(one) * 2 // 3], other)
    sound = floats(decode(out).data)
    assert pitch(sound[2_000:20_000], 24_000) == pytest.approx(440, abs=3)
    assert pitch(sound[-10_000:], 24_000) == pytest.approx(660, abs=3)


@pytest.mark.spec("SPT-61")
def test_a_stream_that_ends_without_its_last_page_is_closed_where_its_packets_end() -> None:
    data = opus(tone(2.5, 24_000))
    cut = relayed(data[: data.rindex(b"OggS")])
    assert cut[page_starts(cut)[-1] + 5] == 4
    assert len(floats(decode(cut).data)) == pytest.approx(48_000 - 156, abs=2)


@pytest.mark.spec("SPT-61")
@pytest.mark.parametrize(
    ("head", "said"),
    [
        (opus_head(channels=1, pre_skip=312, rate=24_000, gain=256), "output gain"),
        (opus_head(channels=6, pre_skip=312, rate=24_000)[:-1] + b"\1", "6 channels in mapping family 1"),
    ],
)
def test_what_does_not_fit_the_stream_is_refused(head: bytes, said: str) -> None:
    relay = OpusRelay("kokoro")
    relay.feed(opus(tone(0.1, 24_000)))
    relay.next_source()
    with pytest.raises(BadContent, match=said) as caught:
        relay.feed(Paginator(1).head(head))
    assert caught.value.hint


@pytest.mark.spec("SPT-61")
@pytest.mark.parametrize("junk", [b"", b"\0" * 5_000, b"OggS" * 100, np.random.default_rng(1).bytes(20_000)])
def test_what_is_no_opus_is_no_stream(junk: bytes) -> None:
    with pytest.raises(BadContent, match="kokoro"):
        relayed(junk)


def granules_of(data: bytes) -> list[int]:
    """Of every page but the last, which may end inside a packet."""
    return [int.from_bytes(data[at + 6 : at + 14], "little") for at in page_starts(data)][:-1]


def counted_granules(data: bytes) -> list[int]:
    """What they are due to be: the samples of all packets so far."""
    samples, found = 0, []
    starts = page_starts(data)
    for start, end in itertools.pairwise(starts):
        samples += sum(packet_samples(each.data) for each in sound_packets(data[start:end]))
        found.append(samples)
    return found


def page_starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        starts.append(at)
        at += 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
    return starts
