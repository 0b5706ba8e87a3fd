"""The echo canceller in rooms made of numbers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.rooms import Wave, at_level, echo, level, noise, sound, wave
from tests.ears.sounds import said
from tests.support.laws import cut
from voicemode.codecs.convert import Converter
from voicemode.ears.canceller import WebRtcCanceller
from voicemode.errors import EngineUnavailable
from voicemode.pcm import LISTENING, SPEECH, Frame, Framer, PcmFormat
from voicemode.ports import EchoCanceller

RATE = LISTENING.rate
TEN_MS = RATE // 100
OWN = "The tests are green, and I have pushed the branch. There are two ways to go on, and both take about an hour."
EXIT_LIMIT_SECONDS = 20.0


@pytest.fixture
def canceller() -> Iterator[EchoCanceller]:
    canceller = WebRtcCanceller()
    yield canceller
    canceller.close()


def own_speech() -> Wave:
    return at_level(wave(said(text=OWN)), -20)


def cleaned(canceller: EchoCanceller, played: Wave | None, heard: Wave) -> Wave:
    """Both in step, 10 ms at a time; without `played` the loudspeaker is not there."""
    far = Framer(LISTENING, TEN_MS).feed(sound(played)) if played is not None else []
    out = b""
    for number, frame in enumerate(Framer(LISTENING, TEN_MS).feed(sound(heard))):
        if number < len(far):
            canceller.far(far[number])
        out += canceller.near(frame).data
    return wave(out)


@pytest.mark.spec("LSN-70")
@pytest.mark.parametrize("delay_ms", [20, 80, 200])
@pytest.mark.parametrize("loss_db", [10, 20])
def test_own_speech_is_gone_from_the_microphone(
    canceller: EchoCanceller, delay_ms: float, loss_db: float
) -> None:
    played = own_speech()
    heard = echo(played, delay_ms=delay_ms, loss_db=loss_db) + noise(len(played), -72)
    left = cleaned(canceller, played, heard)
    assert level(left[:RATE]) < level(heard[:RATE]) - 15
    assert level(left[RATE:]) < level(heard[RATE : len(left)]) - 20


@pytest.mark.spec("LSN-71")
def test_the_users_speech_passes_while_nothing_is_played(canceller: EchoCanceller) -> None:
    user = at_level(wave(said()), -26)
    left = cleaned(canceller, None, user)
    assert abs(level(left) - level(user[: len(left)])) < 1.5


@pytest.mark.spec("LSN-71")
def test_the_users_speech_is_louder_than_what_is_left_of_the_echo_under_it(canceller: EchoCanceller) -> None:
    played = own_speech()
    user = np.zeros(len(played))
    words = at_level(wave(said()), -26)
    user[2 * RATE : 2 * RATE + len(words)] = words
    heard = echo(played, delay_ms=60, loss_db=20) + noise(len(played), -72)
    left = cleaned(canceller, played, heard + user)
    during = slice(2 * RATE, 2 * RATE + len(words))
    assert level(left[during]) > level(user[during]) - 12
    other = WebRtcCanceller()
    assert level(left[during]) > level(cleaned(other, played, heard)[during]) + 10


@pytest.mark.spec("LSN-72")
@settings(max_examples=8, deadline=None, database=None)
@given(st.lists(st.integers(0, 5 * TEN_MS), max_size=6))
def test_however_what_is_played_is_cut_the_same_is_left(places: list[int]) -> None:
    played = own_speech()[:RATE]
    blocks = Framer(LISTENING, 5 * TEN_MS)
    heard = Framer(LISTENING, TEN_MS).feed(sound(echo(played, delay_ms=40, loss_db=10)))
    whole, pieces = WebRtcCanceller(), WebRtcCanceller()
    for number, block in enumerate(blocks.feed(sound(played))):
        whole.far(block)
        for piece in cut(block.data, [2 * place for place in places]):
            pieces.far(Frame(data=piece, format=LISTENING))
        for frame in heard[5 * number : 5 * number + 5]:
            assert whole.near(frame) == pieces.near(frame)


@pytest.mark.spec("LSN-72")
@pytest.mark.parametrize("fmt", [SPEECH, PcmFormat(rate=48_000, channels=2), PcmFormat(rate=44_100)], ids=str)
def test_a_loudspeaker_of_any_format_is_taken_out(canceller: EchoCanceller, fmt: PcmFormat) -> None:
    played = own_speech()
    heard = echo(played, delay_ms=60, loss_db=10) + noise(len(played), -72)
    converter = Converter(fmt)
    frames = converter.feed(Frame(data=sound(played), format=LISTENING)) + converter.flush()
    far = Framer(fmt, fmt.samples(0.01)).feed(b"".join(frame.data for frame in frames))
    out = b""
    for number, frame in enumerate(Framer(LISTENING, TEN_MS).feed(sound(heard))):
        if number < len(far):
            canceller.far(far[number])
        out += canceller.near(frame).data
    assert level(wave(out)[RATE:]) < level(heard[RATE:]) - 20


@pytest.mark.spec("LSN-73")
def test_the_first_word_after_a_pause_in_which_nothing_was_pulled_is_taken_out_too(
    canceller: EchoCanceller,
) -> None:
    played = own_speech()[: 4 * RATE]
    pause = np.zeros(2 * RATE)
    both = np.concatenate((played, pause, played))
    heard = echo(both, delay_ms=60, loss_db=10) + noise(len(both), -72)
    far = Framer(LISTENING, TEN_MS).feed(sound(both))
    out = b""
    for number, frame in enumerate(Framer(LISTENING, TEN_MS).feed(sound(heard))):
        if not 4 * RATE <= number * TEN_MS < 6 * RATE:
            canceller.far(far[number])
        out += canceller.near(frame).data
    again = slice(6 * RATE, 7 * RATE)
    assert level(wave(out)[again]) < level(heard[again]) - 25


@pytest.mark.spec("LSN-74")
def test_a_loudspeaker_without_a_microphone_holds_no_more_than_half_a_second() -> None:
    canceller = WebRtcCanceller()
    block = Frame(data=sound(own_speech()[:TEN_MS]), format=LISTENING)
    for _ in range(1_000):
        canceller.far(block)
    assert canceller.lead_seconds <= 0.5
    canceller.near(block)
    assert canceller.lead_seconds == 0.0


@pytest.mark.spec("LSN-74")
def test_a_loudspeakers_thread_and_the_microphones_do_not_disturb_each_other(
    canceller: EchoCanceller,
) -> None:
    played = sound(own_speech()[: 2 * RATE])
    blocks = Framer(LISTENING, 64).feed(played)

    def play() -> None:
        for block in blocks:
            canceller.far(block)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    given = Framer(LISTENING, TEN_MS).feed(played)
    assert [canceller.near(frame).samples for frame in given] == [frame.samples for frame in given]
    thread.join(5.0)
    assert not thread.is_alive()


@pytest.mark.spec("LSN-75")
def test_a_closed_canceller_lets_everything_pass(canceller: EchoCanceller) -> None:
    frame = Framer(LISTENING, TEN_MS).feed(said())[20]
    canceller.far(frame)
    canceller.close()
    assert canceller.near(frame) == frame


@pytest.mark.spec("LSN-75")
@pytest.mark.parametrize(
    "frame", [Frame(data=bytes(640), format=LISTENING), Frame(data=bytes(480), format=SPEECH)]
)
def test_a_microphone_frame_of_another_kind_is_refused(canceller: EchoCanceller, frame: Frame) -> None:
    with pytest.raises(ValueError, match="are not 10 ms of"):
        canceller.near(frame)


@pytest.mark.spec("LSN-76")
def test_a_process_that_opened_a_canceller_ends_by_itself_and_wrote_nothing() -> None:
    program = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from voicemode.ears.canceller import WebRtcCanceller
from voicemode.pcm import LISTENING, Frame
canceller = WebRtcCanceller()
frame = Frame(data=bytes(320), format=LISTENING)
for _ in range(20):
    canceller.far(frame)
    canceller.near(frame)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=EXIT_LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.spec("LSN-77")
def test_a_canceller_that_cannot_be_loaded_is_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    with pytest.raises(EngineUnavailable, match="use headphones"):
        WebRtcCanceller()
