"""A chime is heard and disturbs nothing."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from voicemode.pcm import LISTENING, SPEECH, PcmFormat
from voicemode.sound.chimes import DONE_TONES, LEVEL, LISTENING_TONES, ChimeRules, chime
from voicemode.turn_taking.turn import TurnRules

BARE = ChimeRules(lead=0.0, trail=0.0)

AUDIBLE = 103
"""−50 dBFS."""

pytestmark = pytest.mark.spec("SPK-36")

both = pytest.mark.parametrize("tones", [LISTENING_TONES, DONE_TONES])
formats = pytest.mark.parametrize(
    "fmt", [SPEECH, LISTENING, PcmFormat(rate=48_000)], ids=lambda fmt: str(fmt.rate)
)


def values(data: bytes) -> list[int]:
    return [value for (value,) in struct.iter_unpack("<h", data)]


@both
@formats
def test_a_chime_is_audible_and_stays_below_speech(tones: tuple[float, ...], fmt: PcmFormat) -> None:
    peak = max(abs(value) for value in values(chime(fmt, tones, BARE).data))
    assert AUDIBLE < peak <= round(32_767 * LEVEL)


@both
@formats
def test_a_chime_begins_ends_and_changes_tone_without_a_click(
    tones: tuple[float, ...], fmt: PcmFormat
) -> None:
    sound = [0, *values(chime(fmt, tones, BARE).data), 0]
    steepest = 32_767 * LEVEL * 2 * 3.15 * (max(tones) + 20) / fmt.rate
    assert max(abs(after - before) for before, after in pairwise(sound)) <= steepest + 1
    middle = len(sound) // 2
    assert max(abs(value) for value in [sound[1], sound[middle], sound[-2]]) < AUDIBLE


@both
def test_a_chime_that_the_microphone_hears_opens_no_turn(tones: tuple[float, ...]) -> None:
    loud = [at for at, value in enumerate(values(chime(LISTENING, tones, BARE).data)) if abs(value) > AUDIBLE]
    assert LISTENING.seconds(loud[-1] - loud[0]) < TurnRules().onset


def test_the_two_chimes_differ() -> None:
    assert chime(SPEECH, LISTENING_TONES, BARE) != chime(SPEECH, DONE_TONES, BARE)


def test_silence_surrounds_a_chime_for_devices_that_wake_slowly() -> None:
    bare = chime(SPEECH, DONE_TONES, BARE)
    padded = chime(SPEECH, DONE_TONES, ChimeRules(lead=0.1, trail=0.2))
    assert padded.data == SPEECH.silence(2_400) + bare.data + SPEECH.silence(4_800)


def test_all_channels_carry_the_same_sound() -> None:
    mono = values(chime(PcmFormat(rate=8_000), DONE_TONES, BARE).data)
    stereo = values(chime(PcmFormat(rate=8_000, channels=2), DONE_TONES, ChimeRules(lead=0.01)).data)
    assert stereo[160::2] == stereo[161::2] == mono
    assert stereo[:160] == [0] * 160
