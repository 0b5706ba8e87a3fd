"""Sums saturate, places keep the power, a bed makes way: compared with the plain arithmetic, sample by sample."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import cut
from voicemode.ears.webrtc import WebRtcVad
from voicemode.pcm import LISTENING, SPEECH, Frame, Framer, PcmFormat
from voicemode.sound.mixing import FULL, DuckingRules, Mixer, Panner, added, crossfade, fixed, looped, scaled
from voicemode.sound.thinking import LEVEL, thinking_sound
from voicemode.turn_taking.turn import Turn, TurnRules, TurnState

LOW, HIGH = -32_768, 32_767
STEREO = PcmFormat(rate=24_000, channels=2)
LOUD_VALUES = st.sampled_from([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH]) | st.integers(LOW, HIGH)
SOUNDS = st.lists(LOUD_VALUES, max_size=70)

properties = settings(max_examples=200, deadline=None, database=None)


def sound(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def values(data: bytes) -> list[int]:
    return [value for (value,) in struct.iter_unpack("<h", data)]


def wave(samples: int, level: float, frequency: float = 440.0, rate: int = 24_000) -> list[int]:
    return [round(HIGH * level * math.sin(2 * math.pi * frequency * i / rate)) for i in range(samples)]


def frame(*given: int, fmt: PcmFormat = SPEECH) -> Frame:
    return Frame(data=sound(*given), format=fmt)


# --- sums and gains ---


@pytest.mark.spec("TRK-1")
@properties
@given(st.lists(st.tuples(LOUD_VALUES, LOUD_VALUES), max_size=70))
def test_a_sum_is_exact_or_at_full_scale(pairs: list[tuple[int, int]]) -> None:
    first, second = sound(*(one for one, _ in pairs)), sound(*(other for _, other in pairs))
    expected = [max(LOW, min(HIGH, one + other)) for one, other in pairs]
    assert values(added(first, second)) == expected
    assert added(second, first) == added(first, second)


@pytest.mark.spec("TRK-1")
def test_sounds_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="4 and 2 bytes"):
        added(sound(1, 2), sound(1))


@pytest.mark.spec("TRK-2")
@properties
@given(SOUNDS, st.integers(0, FULL))
def test_a_gain_is_exact_to_the_nearest_step(given_values: list[int], gain: int) -> None:
    expected = [math.floor(value * gain / FULL + 0.5) for value in given_values]
    assert values(scaled(sound(*given_values), gain)) == expected


@pytest.mark.spec("TRK-2")
@properties
@given(SOUNDS)
def test_a_gain_of_one_changes_nothing_and_of_zero_is_silence(given_values: list[int]) -> None:
    whole = sound(*given_values)
    assert scaled(whole, fixed(1.0)) == whole
    assert scaled(whole, fixed(0.0)) == bytes(len(whole))


# --- places ---


@pytest.mark.spec("TRK-5")
@properties
@given(st.lists(LOUD_VALUES, min_size=1, max_size=40), st.floats(-1, 1), st.integers(2, 8))
def test_panning_keeps_the_power_of_every_sample(
    given_values: list[int], position: float, channels: int
) -> None:
    out = values(Panner(position, channels).pan(sound(*given_values)))
    assert len(out) == channels * len(given_values)
    for index, value in enumerate(given_values):
        sample = out[index * channels : (index + 1) * channels]
        assert sum(1 for each in sample if each) <= 2
        # Each gain and each product is rounded: half a step each, and 1/65,536 of the sample.
        assert math.sqrt(sum(each * each for each in sample)) == pytest.approx(abs(value), abs=2.0)


@pytest.mark.spec("TRK-5")
def test_the_ends_and_the_middle_are_where_they_should_be() -> None:
    assert values(Panner(-1.0).pan(sound(1000, HIGH))) == [1000, 0, HIGH, 0]
    assert values(Panner(1.0).pan(sound(1000, LOW))) == [0, 1000, 0, LOW]
    assert values(Panner(0.0).pan(sound(1000))) == [707, 707]
    assert values(Panner(0.0, 3).pan(sound(1000))) == [0, 1000, 0]
    assert values(Panner(0.5, 3).pan(sound(1000))) == [0, 707, 707]


@pytest.mark.spec("TRK-5")
@pytest.mark.parametrize(
    ("position", "channels"), [(1.01, 2), (-2.0, 2), (float("nan"), 2), (0.0, 1), (0.0, 33)]
)
def test_a_place_that_is_none_is_refused(position: float, channels: int) -> None:
    with pytest.raises(ValueError, match="no place"):
        Panner(position, channels)


# --- a bed under speech ---

BED = frame(*wave(2_400, 0.02, 300.0))
QUICK = DuckingRules(gain=0.25, attack=0.02, release=0.05, hold=0.03)


def mixed(speech: bytes, *, bed: Frame = BED, rules: DuckingRules = QUICK) -> bytes:
    return Mixer(bed, rules).mix(speech)


@pytest.mark.spec("TRK-3")
@pytest.mark.parametrize(
    "fmt", [SPEECH, STEREO, PcmFormat(rate=11_025)], ids=lambda fmt: f"{fmt.rate}x{fmt.channels}"
)
@settings(max_examples=40, deadline=None, database=None)
@given(places=st.lists(st.integers(0, 4_800), max_size=40))
def test_a_bed_sounds_the_same_however_the_speech_is_cut(fmt: PcmFormat, places: list[int]) -> None:
    quiet, loud = [0] * 1_600 * fmt.channels, wave(1_600 * fmt.channels, 0.9)
    speech = sound(*quiet, *loud, *quiet)
    bed = frame(*wave(700 * fmt.channels, 0.2, 500.0), fmt=fmt)
    whole = Mixer(bed, QUICK).mix(speech)
    mixer = Mixer(bed, QUICK)
    assert b"".join(map(mixer.mix, cut(speech, [place * fmt.bytes_per_sample for place in places]))) == whole


@pytest.mark.spec("TRK-4")
def test_a_bed_fades_in_makes_way_and_comes_back() -> None:
    level = 655
    bed = frame(*[level] * 48)
    speech = [0] * 4_800 + [3_000] * 4_800 + [0] * 4_800
    under = [out - said for out, said in zip(values(mixed(sound(*speech), bed=bed)), speech, strict=True)]
    assert under[0] == 0
    assert under[1_200 + 48 : 4_800] == [level] * (4_800 - 1_248)
    down = 4_800 + 480 + 2 * 48
    assert under[down:9_600] == [164] * (9_600 - down)
    assert under[9_600 + 720 - 48] == 164
    assert under[9_600 + 720 + 1_200 + 48 :] == [level] * (4_800 - 720 - 1_248)


@pytest.mark.spec("TRK-4")
def test_a_bed_stays_down_between_two_words() -> None:
    bed = frame(*[655] * 48)
    word, gap = [3_000] * 2_400, [0] * 600
    speech = [0] * 4_800 + word + gap + word
    out = values(mixed(sound(*speech), bed=bed))
    assert out[4_800 + 2_400 : 4_800 + 3_000] == [164] * 600


@pytest.mark.spec("TRK-4")
def test_a_bed_changes_in_steps_too_small_to_be_heard() -> None:
    bed = frame(*[round(HIGH * LEVEL)] * 48)
    speech = sound(*[0] * 48_000, *[3_000] * 24_000, *[0] * 48_000)
    rules = DuckingRules()
    under = [a - b for a, b in zip(values(mixed(speech, bed=bed, rules=rules)), values(speech), strict=True)]
    steps = {abs(after - before) for before, after in pairwise(under)}
    assert len(steps) > 2
    assert max(steps) <= HIGH * 0.001


@pytest.mark.spec("TRK-4")
@properties
@given(st.lists(LOUD_VALUES, min_size=1, max_size=300))
def test_speech_under_which_a_bed_lies_is_itself_plus_at_most_the_bed(speech: list[int]) -> None:
    highest = max(abs(value) for value in values(BED.data))
    mixer = Mixer(BED, DuckingRules(attack=0.002, release=0.002, hold=0.0))
    mixer.mix(SPEECH.silence(480))
    for said, out in zip(speech, values(mixer.mix(sound(*speech))), strict=True):
        assert abs(out - said) <= highest


@pytest.mark.spec("TRK-4")
def test_a_bed_that_is_told_to_leave_fades_and_stays_away() -> None:
    mixer = Mixer(frame(*[655] * 48), QUICK)
    assert mixer.silent
    mixer.mix(SPEECH.silence(4_800))
    assert not mixer.silent
    mixer.fade_out()
    mixer.mix(SPEECH.silence(600))
    assert mixer.silent
    assert not any(mixer.mix(SPEECH.silence(24_000)))


@pytest.mark.spec("TRK-4")
def test_what_is_no_bed_and_no_way_to_duck_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Mixer(frame())
    with pytest.raises(ValueError, match="not a way to duck"):
        DuckingRules(gain=1.5)
    with pytest.raises(ValueError, match="not a way to duck"):
        DuckingRules(attack=0.0)


# --- seams ---


@pytest.mark.spec("TRK-6")
def test_a_crossfade_goes_from_the_first_sound_to_the_second() -> None:
    before, after = frame(*[1000] * 100), frame(*[-1000] * 100)
    out = values(crossfade(before, after).data)
    assert out[0] == 1000
    assert out[50] == 0
    assert out[99] == -980
    assert out == sorted(out, reverse=True)
    assert crossfade(before, before).data == before.data
    stereo = crossfade(frame(*[8, 80] * 4, fmt=STEREO), frame(*[0, 0] * 4, fmt=STEREO))
    assert values(stereo.data) == [8, 80, 6, 60, 4, 40, 2, 20]


@pytest.mark.spec("TRK-6")
def test_a_crossfade_of_sounds_that_do_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="no crossfade"):
        crossfade(frame(1, 2), frame(1))


@pytest.mark.spec("TRK-6")
def test_a_looped_bed_begins_again_without_a_click() -> None:
    rough = frame(*wave(5_000, 0.5, 401.0))
    loop = looped(rough, 0.02)
    assert loop.samples == 5_000 - 480
    twice = values(loop.data * 2)
    steepest = HIGH * 0.5 * 2 * math.pi * 401.0 / 24_000
    assert max(abs(after - before) for before, after in pairwise(twice)) <= steepest + HIGH / 480 + 2
    assert loop.data[2 * 480 :] == rough.data[2 * 480 : -2 * 480]


# --- the thinking sound ---


@pytest.mark.spec("TRK-7")
@pytest.mark.parametrize("fmt", [SPEECH, LISTENING, STEREO, PcmFormat(rate=22_050)], ids=str)
def test_the_thinking_sound_is_quiet_and_begins_and_ends_in_silence(fmt: PcmFormat) -> None:
    out = values(thinking_sound(fmt).data)
    assert 103 < max(abs(value) for value in out) <= HIGH * LEVEL + 1
    assert out[: fmt.channels] == [0] * fmt.channels
    assert not any(out[-fmt.rate * fmt.channels :])
    assert out[0 :: fmt.channels] == out[fmt.channels - 1 :: fmt.channels]


@pytest.mark.spec("TRK-7")
@pytest.mark.parametrize("aggressiveness", [2, 3])
def test_the_thinking_sound_opens_no_turn_in_a_microphone_that_hears_it(aggressiveness: int) -> None:
    vad = WebRtcVad(aggressiveness)
    turn = Turn(TurnRules(no_speech=60.0))
    framer = Framer(LISTENING, vad.frame_samples)
    sound_heard = 0
    for each in framer.feed(thinking_sound(LISTENING).data * 4):
        voice = vad.feed(each) > 0.5
        sound_heard += voice
        turn.feed(each.seconds, voice=voice, zeros=not any(each.data))
        assert turn.state is TurnState.WAITING
    assert sound_heard
