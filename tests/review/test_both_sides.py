"""Both sides of a turn in one WAV on their clock."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.review.material import archive, record, write
from tests.support import voice
from tests.turn_story.test_turn_story import GOOD
from voicemode.errors import InvalidRequest
from voicemode.logs.logbook import LoggedTurn
from voicemode.pcm import LISTENING, SPEECH, PcmFormat
from voicemode.review.archive import Archive
from voicemode.review.both_sides import Mixed, both_sides

pytestmark = pytest.mark.spec("REV-15")

QUESTION, ANSWER = "shall i deploy now", "yes please do"


def turn_of(reader: Archive) -> LoggedTurn:
    found = reader.turn("t1")
    assert found is not None
    return found


def mixed(folder: Path) -> Mixed:
    reader = archive(folder)
    return both_sides(reader.sounds.of("t1"), turn_of(reader))


def channels(made: Mixed) -> tuple[int, npt.NDArray[np.int16]]:
    with wave.open(io.BytesIO(made.wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        data = file.readframes(file.getnframes())
        return file.getframerate(), np.frombuffer(data, "<i2").reshape(-1, 2)


def said(text: str, fmt: PcmFormat) -> bytes:
    return voice.speak(text, fmt.rate)


def begins(samples: npt.NDArray[np.int16], rate: int) -> float:
    return float(np.flatnonzero(np.abs(samples) > 200)[0]) / rate


def test_the_assistant_is_left_and_the_user_right_each_at_its_time(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="tts", turn="t1", data=said(QUESTION, SPEECH), at=100.3, fmt=SPEECH)
    record(tmp_path, kind="stt", turn="t1", data=said(ANSWER, LISTENING), at=103.0)
    made = mixed(tmp_path)
    rate, samples = channels(made)
    assert rate == SPEECH.rate
    left, right = samples[:, 0], samples[:, 1]
    assert voice.hear(left.tobytes(), rate) == voice.words(QUESTION)
    assert voice.hear(right.tobytes(), rate) == voice.words(ANSWER)
    assert begins(right, rate) - begins(left, rate) == pytest.approx(2.7, abs=0.005)
    assert made.seconds == pytest.approx(2.7 + len(said(ANSWER, LISTENING)) / 32_000, abs=0.01)
    assert made.left.endswith("_t1_tts.wav")
    assert made.right.endswith("_t1_stt.wav")


def test_what_was_really_heard_goes_before_what_was_meant(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    for kind, text in (("tts", "meant"), ("sink", "heard")):
        record(tmp_path, kind=kind, turn="t1", data=said(text, SPEECH), at=100.3, fmt=SPEECH)
    stereo = PcmFormat(rate=48_000, channels=2)
    doubled = np.repeat(np.frombuffer(said("room", stereo), "<i2"), 2).tobytes()
    record(tmp_path, kind="mic", turn="t1", data=doubled, at=100.1, fmt=stereo)
    for kind in ("clean", "stt"):
        record(tmp_path, kind=kind, turn="t1", data=said("later", LISTENING), at=100.4)
    made = mixed(tmp_path)
    rate, samples = channels(made)
    assert rate == 48_000
    assert voice.hear(samples[:, 0].tobytes(), rate) == ["heard"]
    assert voice.hear(samples[:, 1].tobytes(), rate) == ["room"]


def test_a_side_that_was_not_kept_is_silent(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="stt", turn="t1", data=said(ANSWER, LISTENING), at=103.0)
    made = mixed(tmp_path)
    _, samples = channels(made)
    assert not samples[:, 0].any()
    assert made.left == ""


def test_several_recordings_of_a_side_are_all_there(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    for text, at in (("one", 100.0), ("two", 101.0)):
        record(tmp_path, kind="tts", turn="t1", data=said(text, SPEECH), at=at, fmt=SPEECH)
    rate, samples = channels(mixed(tmp_path))
    assert voice.hear(samples[:, 0].tobytes(), rate) == ["one", "two"]


def test_without_a_sound_the_way_to_one_is_told(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(InvalidRequest, match=r"No sound of turn t1 was kept.*VOICEMODE_SAVE_AUDIO"):
        mixed(tmp_path)


def test_times_that_cannot_be_are_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="tts", turn="t1", data=said("one", SPEECH), at=100.0, fmt=SPEECH)
    record(tmp_path, kind="stt", turn="t1", data=said("two", LISTENING), at=101.0, position=9e8)
    with pytest.raises(InvalidRequest, match="apart"):
        mixed(tmp_path)
