"""The room itself: what is said is heard when it was to be heard, and the echo is what it is said to be."""

from __future__ import annotations

import json
import shutil
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from tests.support import noises
from tests.support.human_voice import HumanVoice
from tests.support.listening import best_offset, decibels, resampled, samples_of
from tests.support.room import Echo, Room
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speakers import SPEECH_DBFS, Speech, coded, counting, flite, recorded, survived

needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None, reason="flite is missing (scripts/system_packages.sh installs it)"
)
PATH_LIMIT_S = 5.0


@needs_flite
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_what_a_recording_has_lost_of_a_speech_is_known_to_the_word(rate: int) -> None:
    speech = counting(5)
    whole = np.round(resampled(speech.samples, speech.rate, rate)).astype(np.int16)
    everything = survived(whole, rate, speech)
    assert (everything.start_s, everything.end_s, everything.lost_words) == (0, 0, ())
    second, last = speech.words[1], speech.words[-1]
    cut = whole[round(second.start * rate) : round(last.start * rate)]
    rest = survived(cut, rate, speech)
    assert rest.lost_words == ("one", "five")
    assert rest.start_s == pytest.approx(second.start, abs=0.04)
    assert rest.end_s == pytest.approx(last.end - last.start + 0.06, abs=0.05)


@needs_flite
def test_of_silence_everything_is_lost() -> None:
    lost = survived(np.zeros(RATE, dtype=np.int16), RATE, counting(2))
    assert lost.lost_words == ("one", "two")
    assert lost.complete == 0


@needs_flite
@pytest.mark.parametrize("speech", [coded("all the same"), counting(3), recorded(1)], ids=lambda one: one.who)
def test_every_speaker_is_as_loud_as_the_others_and_ends_where_it_says(speech: Speech) -> None:
    start, end = (round(at * speech.rate) for at in (speech.starts_s, speech.ends_s))
    assert decibels(speech.samples[start:end]) == pytest.approx(SPEECH_DBFS, abs=3)
    assert 0 <= start < end <= len(speech.samples)
    peak = np.abs(speech.samples[start:end].astype(np.int32)).max()
    rest = np.abs(speech.samples[end + speech.rate // 50 :].astype(np.int32))
    assert not len(rest) or rest.max() < peak * 0.1


@needs_flite
def test_two_speeches_are_as_far_apart_as_was_asked() -> None:
    both = counting(2).then(counting(2, first=2), pause_s=0.7)
    second, third = both.words[1], both.words[2]
    assert third.start - second.end == pytest.approx(0.7, abs=0.001)
    silence = both.samples[round(second.end * both.rate) : round(third.start * both.rate)]
    assert not silence.any()
    assert [word.text for word in both.words] == ["one", "two", "three", "four"]


@pytest.mark.live
@pytest.mark.alone
@needs_flite
def test_what_is_said_is_heard_at_its_moment_and_whole(sound_card: VirtualSoundCard) -> None:
    speech = counting(3)
    wanted = resampled(speech.samples, speech.rate, RATE)
    with Room(sound_card) as room:
        before = room.microphone.position
        at = room.soonest + 0.3
        placed = room.say(speech, at=at)
        room.microphone.wait_for_sound(PATH_LIMIT_S, after=before)
        room.microphone.wait_for_silence(0.3, PATH_LIMIT_S)
        heard = room.microphone.samples()[before:]
        found = room.microphone.time_of(before + best_offset(heard.astype(np.float64), wanted))
    assert room.moment(placed) == pytest.approx(at, abs=0.001)
    assert found == pytest.approx(at, abs=0.005)
    assert survived(heard, RATE, speech).lost_words == ()
    assert room.underruns == 0


@pytest.mark.live
@pytest.mark.alone
@pytest.mark.parametrize(("loss_db", "delay_ms"), [(10, 200), (20, 60)])
def test_the_loudspeaker_comes_back_as_late_and_as_faint_as_was_asked(
    sound_card: VirtualSoundCard, loss_db: int, delay_ms: int
) -> None:
    with Room(sound_card, echo=Echo(loss_db=loss_db, delay_ms=delay_ms)) as room:
        path = room.path
        again = room.measure_path()
    assert path is not None
    assert path.delay_ms == pytest.approx(delay_ms, abs=5)
    assert path.loss_db == pytest.approx(loss_db, abs=1)
    assert again.delay_ms == pytest.approx(path.delay_ms, abs=5)
    assert room.underruns == 0


@pytest.mark.live
@pytest.mark.parametrize("noise", [noises.room, noises.fan, noises.music])
def test_noise_is_as_loud_as_it_says(sound_card: VirtualSoundCard, noise: object) -> None:
    assert callable(noise)
    with Room(sound_card, noise=noise(db_spl=60)) as room:
        before = room.microphone.wait_for_sound(PATH_LIMIT_S, after=room.microphone.position)
        room.microphone.wait_for_sound(PATH_LIMIT_S, after=before + RATE)
        level = decibels(room.microphone.samples()[before:])
    assert level == pytest.approx(60 - 96, abs=2.5)


@needs_flite
def test_the_human_voice_says_what_it_is_asked_to_and_refuses_other_formats() -> None:
    text = "Shall I delete the old branch?"
    with HumanVoice() as human:
        asked = {"input": text, "voice": "any", "model": "any", "response_format": "pcm"}
        said = samples_of(post(human.base_url, asked))
        with pytest.raises(HTTPError) as refused:
            post(human.base_url, {**asked, "response_format": "mp3"})
    refused.value.close()
    assert refused.value.code == 400
    assert survived(said, 24_000, flite(text)).complete == 1


def post(base_url: str, asked: dict[str, str]) -> bytes:
    request = Request(f"{base_url}/audio/speech", data=json.dumps(asked).encode(), method="POST")
    with urlopen(request, timeout=PATH_LIMIT_S) as answer:
        body: bytes = answer.read()
    return body
