from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import Floats, decoder, floats, in_container, level_db, pitch, s16, tone
from tests.support.encoding import decode, encode
from tests.support.laws import assert_cuts_do_not_matter, cut, run, sound_of
from voicemode.codecs.ogg import roars
from voicemode.errors import BadContent
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.sound.sniff import id3_size
from voicemode.speech import AudioFormat

LOSSY = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC]
ALL = [*LOSSY, AudioFormat.FLAC]
ID3 = b"ID3\x04\x00\x00\x00\x00\x0f\x00" + b"\xff\xfb\x90\x64" * 480


@cache
def syllables(seconds: float = 1.5, rate: int = 24_000) -> Floats:
    """A gliding voice that rises and falls four times a second: every place of it is different."""
    at = np.arange(round(seconds * rate)) / rate
    shape = np.minimum(1, at * 50) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * at))
    glide = 2 * np.pi * (180 * at + 60 * at**2)
    return np.asarray(0.3 * shape * (np.sin(glide) + 0.4 * np.sin(3 * glide) + 0.2 * np.sin(7 * glide)))


@cache
def material(kind: AudioFormat, seconds: float = 1.5, rate: int = 24_000, channels: int = 1) -> bytes:
    sound = np.repeat(syllables(seconds, rate), channels)
    return encode(Frame(data=s16(sound), format=PcmFormat(rate=rate, channels=channels)), kind)


def decoded(data: bytes, label: AudioFormat) -> Floats:
    return floats(sound_of(run(decoder(label), [data]))[0])


def similarity(one: Floats, other: Floats) -> float:
    """1.0 for the same sound at the same place, whatever the level."""
    length = min(len(one), len(other))
    a, b = one[:length], other[:length]
    return float((a @ b + 1e-9) / np.sqrt((a @ a) * (b @ b) + 1e-18))


@pytest.mark.parametrize("kind", ALL)
def test_cuts_do_not_matter(kind: AudioFormat) -> None:
    data = material(kind, 0.5)
    assert_cuts_do_not_matter(lambda: decoder(kind), data, sound_of, examples=10, one_by_one=2500)


@pytest.mark.parametrize("kind", ALL)
def test_cuts_do_not_matter_where_bytes_are_missing(kind: AudioFormat) -> None:
    data = material(kind, 0.5)
    holed = data[: len(data) // 3] + data[len(data) // 3 + 301 :]
    assert_cuts_do_not_matter(lambda: decoder(kind), holed, sound_of, examples=10, one_by_one=2500)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_keeps_its_place_its_length_and_its_level(kind: AudioFormat, rate: int, channels: int) -> None:
    if kind is AudioFormat.OPUS and rate == 44_100:
        pytest.skip("Opus has no 44.1 kHz")
    out = decoded(material(kind, 1.5, rate, channels), kind)
    slack = 1024 * 24_000 / rate if kind is AudioFormat.AAC else 1
    assert 0 <= len(out) - 36_000 + 1 <= slack + 1
    assert similarity(out, syllables()) > 0.995
    lowered = 0.45 if kind is AudioFormat.MP3 else 0.0  # the encoder multiplies by 0.95
    assert level_db(out[:36_000]) == pytest.approx(level_db(syllables()) - lowered, abs=0.15)


@pytest.mark.parametrize("kind", ALL)
def test_the_reference_decodes_the_same(kind: AudioFormat) -> None:
    ours = decoded(material(kind), kind)
    theirs = floats(decode(material(kind)).data)
    if kind is AudioFormat.AAC:
        theirs = theirs[1024:]  # the reference plays the encoder's primes
    assert len(ours) == len(theirs)
    assert similarity(ours, theirs) > 0.9999


def test_flac_is_exact_to_the_sample() -> None:
    noise = np.random.default_rng(3).integers(-32768, 32768, 30_011).astype("<i2").tobytes()
    data = encode(Frame(data=noise, format=SPEECH), AudioFormat.FLAC)
    assert sound_of(run(decoder(AudioFormat.FLAC), cut(data, range(0, len(data), 700))))[0] == noise


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (AudioFormat.MP3, 1_300),
        (AudioFormat.AAC, 1_600),
        (AudioFormat.OPUS, 1_200),
        (AudioFormat.FLAC, 20_000),
    ],
)
def test_sound_comes_while_the_bytes_still_arrive(kind: AudioFormat, most: int) -> None:
    data = material(kind)
    stage = decoder(kind)
    needed = next(end for end in range(1, len(data)) if stage.feed(data[end - 1 : end]))
    assert needed <= most


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("label", list(AudioFormat))
def test_content_goes_before_the_label(kind: AudioFormat, label: AudioFormat) -> None:
    data = material(kind, 0.5)
    expected = sound_of(run(decoder(kind), [data]))
    assert sound_of(run(decoder(label), cut(data, range(1, 60)))) == expected


@pytest.mark.parametrize("kind", ALL)
def test_a_tag_with_a_picture_in_front_is_not_heard(kind: AudioFormat) -> None:
    data = material(kind, 0.5)
    expected = sound_of(run(decoder(kind), [data]))
    assert sound_of(run(decoder(kind), cut(ID3 + ID3 + data, range(0, 4000, 7)))) == expected


@pytest.mark.parametrize("kind", [AudioFormat.MP3, AudioFormat.OPUS])
def test_one_file_behind_another_is_played_without_a_gap(kind: AudioFormat) -> None:
    data = material(kind, 0.5)
    once, twice = decoded(data, kind), decoded(data + data, kind)
    assert abs(len(twice) - 2 * len(once)) <= 1
    assert similarity(twice[len(once) :], once) > 0.999


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_what_came_before_the_stream_ended_is_played(kind: AudioFormat, share: float) -> None:
    data = material(kind)
    whole = decoded(data, kind)
    out = decoded(data[: round(len(data) * share)], kind)
    # FLAC's encoder writes 8 kB of nothing before the sound, so that a fifth of the file has hardly any.
    assert (share - 0.2) * len(whole) <= len(out) < (share + 0.15) * len(whole)
    usable = len(out) - 2_400 if kind is AudioFormat.FLAC else len(out)
    assert similarity(out[:usable], whole[:usable]) > 0.999


@pytest.mark.parametrize("kind", ALL)
def test_after_a_hole_the_rest_is_played(kind: AudioFormat) -> None:
    data = material(kind)
    whole = decoded(data, kind)
    at = len(data) * 6 // 10
    out = decoded(data[:at] + data[at + 500 :], kind)
    # A hole of 500 bytes costs three packets, and the rest of an Ogg page (a second) where it hits one.
    least = 0.5 if kind is AudioFormat.OPUS else 0.75
    assert least * len(whole) < len(out) <= len(whole) + 1
    assert similarity(out[:12_000], whole[:12_000]) > 0.999
    if kind is not AudioFormat.OPUS:
        tail = whole[-6_000:-2_000]
        assert max(similarity(out[-end:], tail) for end in range(6_000, 7_200)) > 0.99


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_flipped_bits_never_crash_nor_grow_the_sound(kind: AudioFormat, data: st.DataObject) -> None:
    whole = material(kind, 0.5)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        out = decoded(bytes(damaged), kind)
    except BadContent:
        return
    assert len(out) <= 0.5 * 24_000 * 4 + 4_800


@pytest.mark.parametrize("kind", ALL)
def test_wreckage_is_not_louder_than_the_sound(kind: AudioFormat) -> None:
    whole = material(kind)
    loudest = np.abs(decoded(whole, kind)).max()
    random = np.random.default_rng(5)
    loud = total = 0
    for _ in range(30):
        damaged = bytearray(whole)
        for place in random.integers(200, len(whole), 12):
            damaged[place] ^= 1 << int(random.integers(8))
        out = decoded(bytes(damaged), kind)
        loud += int((np.abs(out) > min(0.98, 2 * loudest)).sum())
        total += len(out)
    assert loud <= 0.001 * total


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("junk", ["noise", "zeros"])
def test_what_holds_no_frame_is_refused_with_the_engines_name(kind: AudioFormat, junk: str) -> None:
    noise = np.random.default_rng(2).integers(0, 255, 70_000).astype(np.uint8).tobytes()
    with pytest.raises(BadContent, match="kokoro") as caught:
        decoded(noise if junk == "noise" else bytes(70_000), kind)
    assert caught.value.engine == "kokoro"


CONTAINERS = [
    ("mp4", "aac", 24_000),
    ("webm", "libopus", 48_000),
    ("aiff", "pcm_s16be", 24_000),
    ("ogg", "flac", 24_000),
    ("mp2", "mp2", 48_000),
    ("mpegts", "mp2", 48_000),
    ("mpegts", "aac", 48_000),
    ("flv", "aac", 44_100),
    ("avi", "libmp3lame", 24_000),
    ("amr", "libopencore_amrnb", 8_000),
]


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS)
@pytest.mark.parametrize("label", [AudioFormat.AAC, AudioFormat.PCM])
@pytest.mark.spec("SPK-65")
def test_other_containers_are_played_at_their_end(
    container: str, codec: str, rate: int, label: AudioFormat
) -> None:
    out = decoded(in_container(container, codec, tone(1.0, rate), rate), label)
    assert abs(len(out) - 24_000) <= 1_400
    assert pitch(out[2_000:-2_000], 24_000) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS[:-1])
def test_of_a_container_without_sound_the_engine_is_named(container: str, codec: str, rate: int) -> None:
    data = in_container(container, codec, tone(1.0, rate), rate)
    with pytest.raises(BadContent, match="kokoro"):
        decoded(data[:40], AudioFormat.PCM)


@cache
def roaring() -> bytes:
    """Louder than any voice, as it was meant."""
    sound = 0.95 * np.sign(tone(2.5, 24_000, hertz=200.0))
    return encode(Frame(data=s16(sound), format=SPEECH), AudioFormat.OPUS)


@pytest.mark.spec("BAT-26")
def test_opus_that_is_meant_to_be_as_loud_as_damage_is_played_as_it_came() -> None:
    out = decoded(roaring(), AudioFormat.OPUS)
    assert len(out) == 60_000
    assert min(level_db(part) for part in np.array_split(out[240:-240], 50)) > -2.0


@pytest.mark.spec("BAT-26")
def test_opus_that_roars_on_a_page_whose_checksum_does_not_hold_is_silence_for_so_long() -> None:
    data = bytearray(roaring())
    data[len(data) // 10] ^= 0x10
    out = decoded(bytes(data), AudioFormat.OPUS)
    assert len(out) == 60_000
    silent = [level_db(part) < -60 for part in np.array_split(out, 125)]
    assert sum(silent) >= 5
    assert not any(silent[105:]), "a page is believed again when the one before it was whole"


@pytest.mark.spec("BAT-26")
def test_in_a_long_opus_packet_one_roar_is_enough() -> None:
    faint, loud = tone(0.12, 48_000, level=0.05), np.sign(tone(0.02, 48_000))
    at = PcmFormat(rate=48_000)
    assert not roars(Frame(data=s16(faint), format=at))
    assert roars(Frame(data=s16(np.concatenate([faint[:2_880], loud, faint[3_840:]])), format=at))


def test_cuts_do_not_matter_where_opus_roars_and_a_page_is_damaged() -> None:
    data = bytearray(roaring())
    data[len(data) // 2] ^= 0x10
    assert_cuts_do_not_matter(
        lambda: decoder(AudioFormat.OPUS), bytes(data), sound_of, examples=10, one_by_one=0
    )


@pytest.mark.spec("SPK-59")
def test_opus_that_was_coded_for_8_khz_is_the_voice_and_no_noise() -> None:
    quiet = Frame(data=s16(syllables(1.5, 8_000)), format=PcmFormat(rate=8_000))
    out = decoded(encode(quiet, AudioFormat.OPUS, bit_rate=8_000), AudioFormat.OPUS)
    assert len(out) == 36_000
    assert np.abs(out).max() < 1.5 * np.abs(syllables()).max()
    assert similarity(out, syllables()) > 0.9


@pytest.mark.spec("SPK-59")
@pytest.mark.parametrize("bit_rate", [8_000, 32_000])
def test_opus_in_a_webm_begins_where_its_sound_begins(bit_rate: int) -> None:
    sound = np.concatenate([np.zeros(800), syllables(1.0, 8_000)])
    out = floats(
        sound_of(
            run(decoder(AudioFormat.OPUS), [in_container("webm", "libopus", sound, 8_000, bit_rate=bit_rate)])
        )[0]
    )
    expected = np.concatenate([np.zeros(2_400), syllables(1.0, 24_000)])
    assert len(out) == len(expected)
    assert similarity(out, expected) > 0.9
    assert np.abs(out).max() < 1.5 * np.abs(expected).max()


@pytest.mark.spec("SPK-60")
@pytest.mark.parametrize("place", ["LAME's", "behind the checksum"])
def test_the_note_of_an_mp3_with_checksums_is_heeded(place: str) -> None:
    data = bytearray(material(AudioFormat.MP3))
    first = id3_size(bytes(data))
    data[first + 1] &= 0xFE
    if place != "LAME's":
        data[first + 6 : first + 192] = data[first + 4 : first + 190]
    assert len(decoded(bytes(data), AudioFormat.MP3)) == 36_000


@pytest.mark.spec("SPK-61")
def test_flac_files_one_behind_another_are_one_sound() -> None:
    one = encode(Frame(data=s16(syllables(0.5)), format=SPEECH), AudioFormat.FLAC)
    other = encode(Frame(data=s16(-syllables(0.7)), format=SPEECH), AudioFormat.FLAC)
    sound = s16(syllables(0.5)) + s16(-syllables(0.7))
    assert sound_of(run(decoder(AudioFormat.FLAC), [one + other]))[0] == sound
    assert_cuts_do_not_matter(
        lambda: decoder(AudioFormat.FLAC), one + other, sound_of, examples=10, one_by_one=0
    )


@pytest.mark.spec("SPK-61")
def test_flac_is_found_again_behind_a_long_hole() -> None:
    noise = np.random.default_rng(4).integers(-9_000, 9_000, 24_000 * 20).astype("<i2").tobytes()
    data = encode(Frame(data=noise, format=SPEECH), AudioFormat.FLAC)
    holed = data[: len(data) // 20] + data[len(data) * 19 // 20 :]
    out = sound_of(run(decoder(AudioFormat.FLAC), cut(holed, range(0, len(holed), 4096))))[0]
    assert out.endswith(noise[-24_000:])
