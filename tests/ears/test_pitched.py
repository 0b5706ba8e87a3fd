"""A voice has a pitch: what has none opens no turn where WebRTC's detector judges alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.measuring import sounds
from tests.ears.rooms import Wave, at_level, noise, sound
from tests.ears.sounds import said, silence
from tests.ears.test_detectors import probabilities
from tests.support import voice
from voicemode.ears.pitched import HOLD_SECONDS, RECENT_SECONDS, Pitch, PitchedVad
from voicemode.ears.webrtc import FRAME_SECONDS, WebRtcVad
from voicemode.pcm import LISTENING, Frame, Framer
from voicemode.ports import VOICELIKE
from voicemode.sound.chimes import DONE_TONES, LISTENING_TONES, ChimeRules, chime

RATE = LISTENING.rate
ROOM_DB = -66.0


class Sure(WebRtcVad):
    """Takes all for a voice."""

    def feed(self, frame: Frame) -> float:
        return 1.0


def buzz(hertz: float, seconds: float, decibels: float = -30.0) -> Wave:
    """A throat: overtones that grow fainter."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * each * time + each) / each for each in range(1, 12))
    return at_level(np.asarray(wave), decibels)


def pitched(wave: Wave) -> list[bool]:
    pitch, found = Pitch(), []
    for frame in Framer(LISTENING, LISTENING.samples(FRAME_SECONDS)).feed(sound(wave)):
        pitch.feed(frame)
        found.append(pitch.found)
    return found


@pytest.mark.spec("LSN-67")
@settings(max_examples=60, deadline=None, database=None)
@given(st.floats(72.0, 395.0), st.floats(-55.0, -10.0))
def test_every_pitch_of_a_voice_is_found_however_faint(hertz: float, decibels: float) -> None:
    wave = buzz(hertz, 0.2, decibels)
    assert all(pitched(wave + noise(len(wave), decibels - 15))[5:])


@pytest.mark.spec("LSN-67")
@settings(max_examples=20, deadline=None, database=None)
@given(st.integers(0, 10_000), st.floats(-60.0, -10.0))
def test_noise_has_next_to_none(seed: int, decibels: float) -> None:
    assert sum(pitched(noise(RATE, decibels, seed=seed))) <= 5
    assert not any(pitched(np.zeros(RATE // 4)))


@pytest.mark.spec("LSN-67")
@pytest.mark.parametrize("level", [1.0, 0.1])
def test_a_voice_that_was_one_without_asking_for_a_pitch_is_one_with_it(level: float) -> None:
    for spoken in (said(level), voice.speak("go on with the second one", RATE)):
        alone = probabilities(WebRtcVad(2), silence(0.5) + spoken)
        asked = probabilities(PitchedVad(WebRtcVad(2)), silence(0.5) + spoken)
        assert len(asked) == len(alone)
        heard = sum(each > VOICELIKE for each in asked)
        assert heard >= 0.85 * sum(each >= VOICELIKE for each in alone) > 0
        assert all(each >= VOICELIKE for each, before in zip(asked, alone, strict=True) if before)


@pytest.mark.spec("LSN-67")
@pytest.mark.parametrize("made", [sounds.breaths, sounds.coughs, sounds.keys, sounds.music])
@pytest.mark.parametrize("decibels", [-40.0, -26.0])
def test_breaths_coughs_keys_and_chords_are_only_like_a_voice(
    made: Callable[[int], Wave], decibels: float
) -> None:
    count = 6 * RATE
    heard = sound(at_level(made(count), decibels) + noise(count, ROOM_DB))
    assert max(probabilities(WebRtcVad(2), heard)) == 1.0
    assert max(probabilities(PitchedVad(WebRtcVad(2)), heard)) <= VOICELIKE


@pytest.mark.spec("LSN-67")
@pytest.mark.parametrize("tones", [LISTENING_TONES, DONE_TONES])
@pytest.mark.parametrize("louder_db", [6.0, -10.0, -20.0])
@pytest.mark.parametrize("reverberation", [0.02, 0.3, 0.6])
def test_our_chimes_are_only_like_a_voice_however_the_room_prolongs_them(
    tones: tuple[float, ...], louder_db: float, reverberation: float
) -> None:
    samples = np.frombuffer(chime(LISTENING, tones, ChimeRules()).data, "<i2")
    random = np.random.default_rng(3)
    tail = random.standard_normal(round(reverberation * RATE))
    tail *= 10 ** (-3 * np.arange(len(tail)) / len(tail))
    room = np.concatenate(([1.0], np.zeros(39), 0.7 * tail / np.sqrt((tail**2).sum())))
    heard = 10 ** (louder_db / 20) * np.convolve(samples, room)
    wave = np.concatenate((np.zeros(RATE // 2), heard, np.zeros(RATE // 2)))
    probable = probabilities(PitchedVad(WebRtcVad(2)), sound(wave + noise(len(wave), ROOM_DB)))
    assert max(probable) <= VOICELIKE


@pytest.mark.spec("LSN-67")
def test_a_hiss_that_ends_a_word_is_the_voice_for_a_while_and_one_that_goes_on_is_not() -> None:
    hiss = noise(RATE, -35.0)
    answers = probabilities(PitchedVad(Sure()), sound(np.concatenate((buzz(120.0, 0.3), hiss))))
    ends = 30 + round((HOLD_SECONDS + RECENT_SECONDS) / FRAME_SECONDS)
    assert set(answers[10 : 30 + round(HOLD_SECONDS / FRAME_SECONDS)]) == {1.0}
    assert set(answers[ends + 5 :]) == {VOICELIKE}
