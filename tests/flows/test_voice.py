"""The word-coded voice reads back what it says, through everything sound goes through."""

from __future__ import annotations

import numpy as np
import pytest
import webrtcvad
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.encoding import WavKind, WavSizes, convert, decode, encode, wav
from tests.support.voice import hear, hear_text, listen, speak, timetable, words
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

TEXT = (
    "Hello, world! The quick brown fox jumps over 13 lazy dogs; I don't mind a bookkeeper's llama. "
    "Aaaa bbbb 99999 — Straße, 你好, naïve?"
)
SPOKEN = Frame(data=speak(TEXT), format=SPEECH)
COMPRESSED = (AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC)


def _values(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.frombuffer(data, dtype="<i2").astype(np.float64) / 32768


def _bytes(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    return np.round(np.clip(values, -1, 1) * 32767).astype("<i2").tobytes()


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("  “Don’t stop”, she said — it's 'quoted' 3.5 times…") == (
        ["don't", "stop", "she", "said", "it's", "quoted", "3", "5", "times"]
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_back_exactly(text: str) -> None:
    assert hear(speak(text), 24_000) == words(text)


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789' .,", min_size=1, max_size=60),
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    before=st.integers(0, 30_000),
    gain=st.floats(-30, 0),
)
def test_rate_level_and_lead_in_do_not_matter(text: str, rate: int, before: int, gain: float) -> None:
    frame = convert(Frame(data=speak(text), format=SPEECH), PcmFormat(rate=rate))
    quiet = _bytes(_values(frame.data) * 10 ** (gain / 20))
    assert hear(bytes(2 * before) + quiet, rate) == words(text)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_it_can_be_spoken_at_any_rate(rate: int) -> None:
    assert hear(speak(TEXT, rate), rate) == words(TEXT)


@pytest.mark.parametrize("bit_rate", [16_000, 24_000, 64_000])
@pytest.mark.parametrize("to", COMPRESSED)
def test_it_survives_lossy_coding(to: AudioFormat, bit_rate: int) -> None:
    assert hear(decode(encode(SPOKEN, to, bit_rate=bit_rate)).data, 24_000) == words(TEXT)


def test_flac_gives_back_every_sample() -> None:
    assert decode(encode(SPOKEN, AudioFormat.FLAC)) == SPOKEN


@pytest.mark.parametrize("noise_db", [-40, -20])
def test_it_survives_noise(noise_db: int) -> None:
    noise = np.random.default_rng(1).normal(size=SPOKEN.samples) * 10 ** (noise_db / 20)
    assert hear(_bytes(_values(SPOKEN.data) + noise), 24_000) == words(TEXT)


def test_stereo_is_mixed_before_it_is_read() -> None:
    stereo = convert(SPOKEN, PcmFormat(rate=48_000, channels=2))
    assert hear(stereo.data, 48_000, 2) == words(TEXT)


@pytest.mark.parametrize("cut_ms", [10, 20, 30])
def test_trimming_up_to_30_ms_at_both_ends_costs_no_letter(cut_ms: int) -> None:
    sound = speak("hello")
    voiced = sound[: round(timetable("hello")[0].end * 24_000) * 2]
    cut = 24 * cut_ms * 2
    assert hear(voiced[cut:-cut], 24_000) == ["hello"]


def test_holes_of_silence_do_not_tear_words() -> None:
    step = 2 * 24 * 70
    holed = b"".join(SPOKEN.data[at : at + step] + bytes(4_800) for at in range(0, len(SPOKEN.data), step))
    assert hear(holed, 24_000) == words(TEXT)


def test_words_with_no_silence_between_them_stay_words() -> None:
    parts = [speak(word)[: round(timetable(word)[0].end * 24_000) * 2] for word in ("one", "two", "two")]
    assert hear(b"".join(parts), 24_000) == ["one", "two", "two"]


def test_a_word_cut_off_is_not_mistaken_for_another_word() -> None:
    word = timetable("listening")[0]
    half = round((word.start + word.end) / 2 * 24_000) * 2
    sound = speak("listening")
    (head,) = listen(sound[:half], 24_000)
    (tail,) = listen(sound[half:], 24_000)
    assert (head.text.endswith("…"), head.whole, "listening".startswith(head.text[:-1])) == (
        True,
        False,
        True,
    )
    assert (tail.text.startswith("…"), tail.whole, "listening".endswith(tail.text[1:])) == (True, False, True)


def test_a_letter_lost_inside_a_word_is_noticed() -> None:
    start = 0.048 + 2 * 0.032
    sound = speak("listening")
    lost = sound[: round(start * 24_000) * 2] + sound[round((start + 0.064) * 24_000) * 2 :]
    (word,) = listen(lost, 24_000)
    assert (word.whole, word.text[-1]) == (False, "?")


def test_the_timetable_says_where_words_are_heard() -> None:
    heard = listen(SPOKEN.data, 24_000)
    for said, found in zip(timetable(TEXT), heard, strict=True):
        assert said.text == found.text
        assert abs(said.start - found.start) <= 0.012
        assert abs(said.end - found.end) <= 0.012


@pytest.mark.parametrize("speed", [0.5, 1.3, 4.0])
def test_other_speeds_are_read_too(speed: float) -> None:
    sound = speak(TEXT, speed=speed)
    assert hear_text(sound, 24_000) == " ".join(words(TEXT))
    assert (len(sound) < len(SPOKEN.data)) is (speed > 1)


@pytest.mark.parametrize(
    "sound", [b"", b"\0", bytes(48_000), _bytes(np.random.default_rng(3).normal(size=48_000) * 0.2)]
)
def test_silence_and_noise_hold_no_words(sound: bytes) -> None:
    assert hear(sound, 24_000) == []


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_voice_activity_detection_takes_every_word_for_voice(frame_ms: int) -> None:
    vad, size = webrtcvad.Vad(2), 16 * frame_ms * 2
    sound = speak(TEXT, 16_000)
    for word in timetable(TEXT):
        first, last = (int(moment * 1000 / frame_ms) for moment in (word.start + frame_ms / 1000, word.end))
        assert all(vad.is_speech(sound[at * size : (at + 1) * size], 16_000) for at in range(first, last))


@pytest.mark.parametrize("sizes", WavSizes)
@pytest.mark.parametrize("kind", WavKind)
def test_every_shape_of_wav_reads_as_the_same_words(kind: WavKind, sizes: WavSizes) -> None:
    frame = convert(Frame(data=speak("every shape"), format=SPEECH), PcmFormat(rate=44_100, channels=2))
    for extensible in (False, True):
        file = wav(frame, kind=kind, sizes=sizes, extensible=extensible, before_data=b"LIST\4\0\0\0abcd")
        assert hear(decode(file).data, 24_000) == ["every", "shape"]
