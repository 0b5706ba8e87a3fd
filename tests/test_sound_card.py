"""The instruments first: what the virtual sound card and the arithmetic of listening say is what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.listening import (
    Samples,
    Span,
    audible_spans,
    chirp,
    compare,
    decibels,
    gaps,
    samples_of,
    strongest_frequency,
    tone,
)
from tests.support.looking import look_for
from tests.support.sound_card import MICROPHONE, RATE, VirtualSoundCard, what_is_missing
from voicemode import clock

PLAY = """
import sys, sounddevice
with sounddevice.RawOutputStream(samplerate=int(sys.argv[1]), channels=1, dtype="int16", latency=0.2) as speaker:
    speaker.write(sys.stdin.buffer.read())
"""

CAPTURE = """
import sys, sounddevice
rate = int(sys.argv[1])
with sounddevice.RawInputStream(samplerate=rate, channels=1, dtype="int16", latency=0.2) as microphone:
    microphone.read(rate // 10)
    print("open", flush=True)
    sys.stdout.buffer.write(microphone.read(round(rate * float(sys.argv[2])))[0])
"""

PLAY_UNTIL_IT_ENDS = """
import threading, sounddevice
ended = threading.Event()
def pull(out, frames, time, status):
    out[:] = bytes((0, 32)) * frames
with sounddevice.RawOutputStream(
    samplerate=48000, channels=1, dtype="int16", callback=pull, finished_callback=ended.set
):
    print("ended" if ended.wait(20) else "went on")
"""

HOLD_A_CARD = """
import json, sys
from tests.support.looking import look_for
from tests.support.sound_card import VirtualSoundCard
with VirtualSoundCard() as card:
    print(json.dumps({"pid": card.pid, "folder": str(card.folder)}), flush=True)
    sys.stdin.read()
"""


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), dtype=np.int16)


def python(script: str, *words: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


# --- listening ---


def test_a_sound_is_found_where_it_was_put() -> None:
    recorded = np.concatenate(
        (silence(0.2), tone(RATE, 0.1, 440), silence(0.05), tone(RATE, 0.3, 440), silence(1))
    )
    first, second = audible_spans(recorded, RATE)
    assert abs(first.start - 9_600) < 10
    assert abs(second.end - 31_200) < 10
    (gap,) = gaps(recorded, RATE)
    assert abs(gap.samples - 2_400) < 20


def test_quiet_below_minus_fifty_decibels_is_not_audible() -> None:
    assert audible_spans(np.full(480, 103, dtype=np.int16), RATE) == []
    assert audible_spans(np.full(480, -104, dtype=np.int16), RATE) == [Span(start=0, end=480)]
    assert gaps(silence(1), RATE) == []


def test_levels_are_in_decibels_below_full_scale() -> None:
    assert decibels(tone(RATE, 1, 1_000, level=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert decibels(silence(1)) == float("-inf")


def test_a_perfect_copy_is_complete_and_without_noise() -> None:
    source = chirp(RATE, 0.5)
    found = compare(np.concatenate((silence(0.123), source, silence(0.2))), RATE, source, RATE)
    assert found.offset == pytest.approx(5_904, abs=0.01)
    assert found.correlation == pytest.approx(1)
    assert found.snr_db > 100
    assert found.gain == pytest.approx(1)
    assert (found.complete, len(found.pieces)) == (1, 1)


def test_noise_is_measured_against_the_loudness_that_arrived() -> None:
    source = chirp(RATE, 1.0)
    hiss = np.random.default_rng(1).normal(0, 1, len(source))
    faint = source * 0.5
    hiss *= np.sqrt(np.mean(faint**2) / np.mean(hiss**2)) / 10
    found = compare(np.round(faint + hiss).astype(np.int16), RATE, source, RATE)
    assert found.snr_db == pytest.approx(20, abs=0.3)
    assert found.gain == pytest.approx(0.5, abs=0.01)


def test_another_rate_and_a_delay_of_half_a_sample_cost_no_accuracy() -> None:
    source, at_24 = chirp(48_000, 0.5, high=9_000), chirp(24_000, 0.5, high=9_000)
    found = compare(np.concatenate((silence(0.1), source)), 48_000, at_24, 24_000)
    assert found.complete == 1
    assert found.correlation > 0.999
    late = ((source[1:].astype(np.int32) + source[:-1]) // 2).astype(np.int16)
    assert compare(late, RATE, source, RATE).offset == pytest.approx(-0.5, abs=0.02)


def test_a_hole_costs_what_it_swallowed() -> None:
    source = chirp(RATE, 1.0)
    found = compare(np.concatenate((source[:14_400], source[24_000:])), RATE, source, RATE)
    assert found.complete == pytest.approx(0.8, abs=0.011)
    assert [piece.source.end for piece in found.pieces][:1] == [14_400]


def test_other_sound_is_not_the_source() -> None:
    other = np.random.default_rng(2).normal(0, 8_000, RATE).astype(np.int16)
    found = compare(other, RATE, chirp(RATE, 1.0), RATE)
    assert found.complete == 0
    assert found.correlation < 0.1
    assert compare(silence(1), RATE, chirp(RATE, 1.0), RATE).complete == 0


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 47_999), pause=st.integers(480, 24_000))
def test_a_pause_anywhere_loses_no_sound(at: int, pause: int) -> None:
    source = chirp(RATE, 1.0)
    heard = np.concatenate((source[:at], np.zeros(pause, dtype=np.int16), source[at:]))
    found = compare(heard, RATE, source, RATE)
    assert found.complete >= 0.98, "at most the two blocks of 10 ms beside the pause"
    assert len(found.pieces) <= 2


# --- the card ---


@pytest.mark.live
def test_what_any_program_plays_at_the_cards_rate_is_heard_bit_for_bit(sound_card: VirtualSoundCard) -> None:
    source = chirp(RATE, 1.0)
    with sound_card.recording() as heard:
        sound_card.play(source.tobytes(), RATE).wait(10)
        heard.wait_for_silence(0.2, 5)
        samples = heard.samples()
    found = compare(samples, RATE, source, RATE)
    start = round(found.offset)
    assert found.correlation > 0.999
    assert np.array_equal(samples[start : start + len(source)], source)


@pytest.mark.live
def test_speech_at_24_khz_is_heard_complete(sound_card: VirtualSoundCard) -> None:
    source = np.concatenate((chirp(24_000, 1.0), silence(0.05, 24_000)))
    with sound_card.recording() as heard:
        sound_card.play(source.tobytes(), 24_000).wait(10)
        heard.wait_for_silence(0.2, 5)
        found = compare(heard.samples(), RATE, source, 24_000)
    assert (found.complete, len(found.pieces)) == (1, 1)
    assert found.correlation > 0.999
    assert found.snr_db > 50


@pytest.mark.live
def test_left_and_right_stay_apart(sound_card: VirtualSoundCard) -> None:
    both = np.stack((tone(RATE, 0.3, 500), tone(RATE, 0.3, 1_500)), axis=1)
    with sound_card.recording(channels=2) as heard:
        sound_card.play(both.tobytes(), RATE, channels=2).wait(10)
        heard.wait_for_silence(0.2, 5)
    left, right = heard.samples(0), heard.samples(1)
    (span,) = audible_spans(left, RATE)
    assert strongest_frequency(left[span.start : span.end], RATE) == pytest.approx(500, abs=5)
    assert strongest_frequency(right[span.start : span.end], RATE) == pytest.approx(1_500, abs=5)


@pytest.mark.live
def test_portaudio_plays_on_the_card_by_default(sound_card: VirtualSoundCard) -> None:
    source = tone(RATE, 0.5, 660)
    # PortAudio drops what is still buffered when a stream stops, so the sound ends in silence.
    pcm = np.concatenate((source, silence(0.5))).tobytes()
    with sound_card.recording() as heard:
        with python(PLAY, str(RATE), environment=sound_card.environment) as player:
            player.communicate(pcm, timeout=20)
        heard.wait_for_silence(0.2, 5)
        samples = heard.samples()
    assert player.returncode == 0
    assert gaps(samples, RATE) == []
    (span,) = audible_spans(samples, RATE)
    assert abs(span.samples - len(source)) < 20
    assert compare(samples, RATE, source, RATE).snr_db > 60


@pytest.mark.live
def test_portaudio_captures_what_is_said_as_its_default_microphone(sound_card: VirtualSoundCard) -> None:
    said = np.concatenate((tone(24_000, 0.5, 880), silence(0.05, 24_000)))
    with python(CAPTURE, "16000", "1.5", environment=sound_card.environment) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"open\n"
        sound_card.say(said.tobytes(), 24_000).wait(10)
        captured = samples_of(listener.communicate(timeout=20)[0])
    assert listener.returncode == 0
    (span,) = audible_spans(captured, 16_000)
    assert span.samples == pytest.approx(8_000, abs=50)
    assert strongest_frequency(captured[span.start : span.end], 16_000) == pytest.approx(880, abs=4)


@pytest.mark.live
def test_the_microphone_has_a_faint_noise_unless_it_is_denied(sound_card: VirtualSoundCard) -> None:
    with sound_card.recording(of=MICROPHONE) as open_microphone:
        open_microphone.wait_for_silence(0.5, 5)
    assert decibels(open_microphone.samples()[-12_000:]) == pytest.approx(-70, abs=1)
    sound_card.hold_microphone_quiet(zeros=True)
    try:
        with sound_card.recording(of=MICROPHONE) as denied:
            denied.wait_for_silence(0.5, 5)
        assert not denied.samples()[-12_000:].any()
    finally:
        sound_card.hold_microphone_quiet()


@pytest.mark.live
@pytest.mark.alone
def test_a_recording_knows_when_each_sample_was_audible(sound_card: VirtualSoundCard) -> None:
    click = tone(RATE, 0.01, 1_000)
    train = np.concatenate([np.concatenate((click, silence(0.24))) for _ in range(4)])
    with sound_card.recording() as heard:
        before = clock.monotonic()
        sound_card.play(train.tobytes(), RATE).wait(10)
        heard.wait_for_silence(0.2, 5)
        after = clock.monotonic()
    starts = [span.start for span in audible_spans(heard.samples(), RATE)]
    times = [heard.time_of(start) for start in starts]
    assert len(times) == 4
    assert before < times[0] < times[-1] < after
    assert np.diff(times) == pytest.approx(0.25, abs=0.02)
    with pytest.raises(IndexError, match="was not recorded"):
        heard.time_of(heard.position)


@pytest.mark.live
def test_waiting_for_sound_ends_with_the_sound_or_with_the_limit(sound_card: VirtualSoundCard) -> None:
    with sound_card.recording() as heard:
        with pytest.raises(TimeoutError, match=r"nothing was heard within 0\.1 s"):
            heard.wait_for_sound(0.1)
        playing = sound_card.play(tone(RATE, 5, 440).tobytes(), RATE)
        first = heard.wait_for_sound(5)
        with pytest.raises(TimeoutError, match="the sound went on"):
            heard.wait_for_silence(0.2, 0.3)
        playing.stop()
        end = heard.wait_for_silence(0.2, 5)
        assert heard.wait_for_sound(1, after=first + 100) == first + 100
    assert first < end < first + 4 * RATE


@pytest.mark.live
def test_the_microphone_hears_the_loudspeaker_where_there_is_an_echo(sound_card: VirtualSoundCard) -> None:
    source = chirp(RATE, 0.5)
    with sound_card.echo(loss_db=20), sound_card.recording(of=MICROPHONE) as captured:
        sound_card.play(source.tobytes(), RATE).wait(10)
        captured.wait_for_silence(0.2, 5)
        found = compare(captured.samples(), RATE, source, RATE)
    assert found.complete == 1
    assert found.gain == pytest.approx(0.1, abs=0.005)
    with sound_card.recording(of=MICROPHONE) as apart:
        sound_card.play(source.tobytes(), RATE).wait(10)
        apart.wait_for_silence(0.2, 5)
    assert audible_spans(apart.samples(), RATE) == []


# --- faults ---


@pytest.mark.live
def test_an_unplugged_loudspeaker_ends_the_stream_and_a_plugged_one_is_heard_again() -> None:
    with VirtualSoundCard() as card, card.recording() as heard:
        with python(PLAY_UNTIL_IT_ENDS, environment=card.environment) as player:
            heard.wait_for_sound(10)
            card.unplug_speaker()
            assert player.communicate(timeout=30)[0] == b"ended\n"
        assert card.pactl("list", "short", "sinks") == ""
        before = heard.position
        card.plug_speaker()
        card.play(tone(RATE, 1.0, 440).tobytes(), RATE)
        assert heard.wait_for_sound(5, after=before) >= before
        assert len(heard.breaks) == 1


@pytest.mark.live
def test_a_frozen_daemon_goes_on_by_itself_and_loses_nothing() -> None:
    source = chirp(RATE, 0.5)
    with VirtualSoundCard() as card, card.recording() as heard:
        card.freeze(0.4)
        card.play(source.tobytes(), RATE).wait(10)
        heard.wait_for_silence(0.2, 5)
        found = compare(heard.samples(), RATE, source, RATE)
    assert found.complete >= 0.95
    assert sum(piece.source.samples for piece in found.pieces) >= 0.95 * len(source)


@pytest.mark.live
def test_a_killed_daemon_is_gone_until_it_is_restarted() -> None:
    with VirtualSoundCard() as card, card.recording() as heard:
        card.kill()
        with pytest.raises(RuntimeError, match="pactl info"):
            card.pactl("info")
        card.restart()
        before = heard.position
        card.play(tone(RATE, 1.0, 440).tobytes(), RATE)
        assert heard.wait_for_sound(5, after=before) >= before


@pytest.mark.live
def test_a_card_whose_test_is_killed_leaves_nothing_and_needs_no_environment_but_path() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
    with python(HOLD_A_CARD, environment=environment) as holder:
        assert holder.stdout is not None
        held: dict[str, str | int] = json.loads(holder.stdout.readline())
        assert _is_running(int(held["pid"]))
        holder.kill()
    look_for(
        lambda: not _is_running(int(held["pid"])) and not Path(str(held["folder"])).exists(),
        10.0,
        lambda: "the daemon and its folder did not go",
    )


def test_what_a_machine_lacks_is_named(tmp_path: Path) -> None:
    assert "pulseaudio, pactl, pacat, parec" in what_is_missing(path=str(tmp_path))


def _is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
