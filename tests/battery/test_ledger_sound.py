"""Sound that is not what it should be: another shape than its name says, damaged, too short, or without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.battery.at_the_sink import REQUEST, Heard, say
from tests.battery.reading_back import loudness, steepest, walk
from tests.support import voice
from tests.support.encoding import WavKind, WavSizes
from tests.support.speech_server import Behaviour, Cut, SpeechServer
from tests.support.speech_service import sound_of
from voicemode.codecs.opening import open_decoder
from voicemode.errors import BadContent
from voicemode.pcm import SPEECH
from voicemode.playout.links import Links
from voicemode.speech import AudioFormat, EncodedAudio, Outcome
from voicemode.text.pieces import split

TEXT = "Harbour quiet tonight seven boats wait there nobody sails the wind is north and cold."
WORDS = voice.words(TEXT)
SOURCE = voice.speak(TEXT)
SECONDS = len(SOURCE) / 48_000
COMPRESSED = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.FLAC]
LOSSLESS = [AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC]
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)

PHASES = [Phase.explicit, Phase.generate]
"""Shrinking what is heard in 0.2 s takes minutes; the texts are short as they are."""

BLOCK_SECONDS = 0.1
FULL_SCALE = 0.5
"""Of a block, as its mean power: 8 dB above the voice at its loudest, 5 dB under noise at full scale."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SpeechServer, SpeechServer]]:
    """One that does as it is told, and a good one behind it."""
    with SpeechServer() as first, SpeechServer() as second:
        yield first, second


def heard_from(urls: list[str], fmt: AudioFormat) -> Heard:
    return asyncio.run(say(TEXT, urls, request=replace(REQUEST, format=fmt)))


shapes = st.builds(
    Behaviour,
    sent_as=st.sampled_from(["wav", "wav", "wav", "mp3", "aac", "flac", "opus"]),
    sound_rate=st.sampled_from([16_000, 24_000, 48_000]),
    sound_channels=st.sampled_from([1, 2]),
    wav_kind=st.sampled_from(list(WavKind)),
    wav_sizes=st.sampled_from(list(WavSizes)),
    content_type=st.sampled_from(
        ["", "audio/mpeg", "audio/wav", "audio/pcm", "audio/L16;rate=8000", "text/plain", "video/mp4"]
    ),
    chunk_bytes=st.sampled_from([997, 4096, 65_536]),
)


@pytest.mark.spec("BAT-4")
@settings(max_examples=16, deadline=None, database=None, phases=PHASES, suppress_health_check=SLOW)
@given(shape=shapes, at_44100=st.booleans(), asked=st.sampled_from(list(AudioFormat)))
def test_sound_of_any_shape_under_any_name_is_heard_word_for_word_at_its_length_and_level(
    servers: tuple[SpeechServer, SpeechServer], shape: Behaviour, at_44100: bool, asked: AudioFormat
) -> None:
    if at_44100 and shape.sent_as != "opus":  # Opus has no such rate.
        shape = replace(shape, sound_rate=44_100)
    servers[0].behave(shape)
    heard = heard_from([servers[0].base_url], asked)
    assert heard.words == WORDS
    assert heard.spoken.outcome is Outcome.FINISHED
    # AAC has no note of what its encoder filled the last frame with, and the one after it.
    padding = 2 * 1_024 / shape.sound_rate if shape.sent_as == "aac" else 0.002
    assert -0.002 <= heard.spoken.seconds_heard - SECONDS <= padding
    # What makes stereo of mono gives each side half the power.
    level = 0.5**0.5 if shape.sound_channels == 2 else 1.0
    heard_level = loudness(heard.samples, SPEECH.rate) / loudness(SOURCE, SPEECH.rate)
    assert heard_level == pytest.approx(level, rel=0.08)


REACH = {AudioFormat.MP3: 0.5, AudioFormat.AAC: 0.9, AudioFormat.FLAC: 0.5, AudioFormat.OPUS: 2.2}
"""Seconds before and behind a damaged stretch in which words may be lost with it. An Ogg page holds a second, and a
hole in one costs the page and the beginning of the next."""

HEAD_BYTES = 200
"""Damage in the marks and headers at the very beginning leaves nothing to decode: a clear error."""


def body_of(fmt: AudioFormat) -> bytes:
    return sound_of(TEXT, 1.0, fmt, SPEECH, WavKind.S16, WavSizes.STREAMING, 0).body


async def _nothing() -> Iterator[bytes]:  # type: ignore[misc]
    return
    yield b""


def seconds_in(fmt: AudioFormat, begin: bytes) -> float:
    """The sound that a decoder gives for the beginning of a file."""
    audio = EncodedAudio(chunks=_nothing(), format=fmt, engine="", voice="")  # type: ignore[arg-type]
    return sum(frame.seconds for frame in open_decoder(audio, SPEECH).feed(begin))


def loud_seconds(samples: bytes) -> float:
    """How long it is as loud as noise at full scale."""
    values = np.frombuffer(samples, dtype="<i2") / 32_768
    size = SPEECH.samples(BLOCK_SECONDS)
    blocks = values[: len(values) // size * size].reshape(-1, size)
    return float((np.sqrt(np.square(blocks).mean(axis=1)) > FULL_SCALE).sum() * BLOCK_SECONDS)


@pytest.mark.spec("BAT-26")
@pytest.mark.parametrize("fmt", COMPRESSED)
@settings(max_examples=8, deadline=None, database=None, phases=PHASES, suppress_health_check=SLOW)
@given(
    start=st.floats(0.0, 1.0),
    share=st.sampled_from([0.0001, 0.01, 0.1, 0.25]),
    flips=st.sampled_from([0, 1, 17, 301]),
    bit=st.integers(0, 7),
    hole=st.sampled_from([0, 0, 1, 64, 700]),
)
def test_damage_costs_the_words_it_hits_and_never_roars(
    servers: tuple[SpeechServer, SpeechServer],
    fmt: AudioFormat,
    start: float,
    share: float,
    flips: int,
    bit: int,
    hole: int,
) -> None:
    body = body_of(fmt)
    begin = int(len(body) * start)
    end = min(begin + max(int(len(body) * share), 1), len(body))
    servers[0].behave(
        Behaviour(
            spoilt_from_bytes=begin,
            spoilt_to_bytes=end,
            flip_every_bytes=flips,
            flip_bit=bit,
            hole_every_bytes=200 if hole else 0,
            hole_bytes=hole or 64,
        )
    )
    try:
        heard = heard_from([server.base_url for server in servers], fmt)
    except BadContent:
        assert begin < HEAD_BYTES
        return
    assert heard.spoken.outcome is Outcome.FINISHED
    first = seconds_in(fmt, body[:begin]) - REACH[fmt]
    last = seconds_in(fmt, body[:end]) + REACH[fmt]
    hit = {word.text for word in voice.timetable(TEXT) if word.end > first and word.start < last}
    assert set(walk(heard.words, WORDS).lost) <= hit
    assert loud_seconds(heard.samples) == 0.0


@pytest.mark.spec("BAT-26")
@pytest.mark.parametrize("fmt", COMPRESSED)
@settings(max_examples=3, deadline=None, database=None, phases=PHASES, suppress_health_check=SLOW)
@given(share=st.floats(0.2, 1.0))
def test_of_a_file_that_ends_early_everything_that_came_is_heard(
    servers: tuple[SpeechServer, SpeechServer], fmt: AudioFormat, share: float
) -> None:
    body = body_of(fmt)
    over = int(len(body) * share)
    servers[0].behave(Behaviour(over_after_bytes=over))
    heard = heard_from([server.base_url for server in servers], fmt)
    came = seconds_in(fmt, body[:over])
    whole = [word.text for word in voice.timetable(TEXT) if word.end <= came]
    assert heard.words[: len(whole)] == whole
    assert loud_seconds(heard.samples) == 0.0


@pytest.mark.spec("PLY-26")
@settings(max_examples=8, deadline=None, database=None, phases=PHASES, suppress_health_check=SLOW)
@given(share=st.floats(0.0, 1.0), cut=st.sampled_from(list(Cut)), fmt=st.sampled_from(LOSSLESS))
def test_a_stream_that_breaks_anywhere_makes_no_click(
    servers: tuple[SpeechServer, SpeechServer], share: float, cut: Cut, fmt: AudioFormat
) -> None:
    at = max(int(len(body_of(fmt)) * share), HEAD_BYTES)
    servers[0].behave(Behaviour())
    servers[0].then(Behaviour(cut_after_bytes=at, cut=cut))
    # All of it is gathered first: a buffer that runs dry on a busy machine is another thing than a broken stream.
    gathered = Links(fill_seconds=60.0, limit_seconds=60.0)
    request = replace(REQUEST, format=fmt)
    heard = asyncio.run(say(TEXT, [servers[0].base_url], request=request, links=gathered, limit_seconds=60.0))
    assert not walk(heard.words, WORDS).lost
    assert steepest(heard.samples) <= steepest(SOURCE) * 1.01


@pytest.mark.spec("BAT-3")
@pytest.mark.parametrize("fmt", [AudioFormat.PCM, AudioFormat.MP3])
def test_a_stream_without_an_end_is_heard_up_to_a_cap_and_told(
    servers: tuple[SpeechServer, SpeechServer], fmt: AudioFormat
) -> None:
    """Small formats hold more sound in as many bytes: what counts is seconds."""
    servers[0].behave(Behaviour(endless=True, chunk_bytes=65_536 if fmt is AudioFormat.PCM else 2_048))
    heard = asyncio.run(say("Boats wait.", [servers[0].base_url], request=replace(REQUEST, format=fmt)))
    assert heard.words[:4] == ["boats", "wait"] * 2
    assert heard.spoken.outcome is Outcome.BROKEN
    assert "several times what the text can need" in heard.spoken.note
    assert heard.spoken.seconds_heard < 30.0


def test_the_text_is_one_piece() -> None:
    assert split(TEXT) == [TEXT]
