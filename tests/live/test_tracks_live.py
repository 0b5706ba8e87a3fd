"""Places, beds and listeners on the virtual sound card: what is heard on the left and on the right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.live.host import ROOT
from tests.live.tracks_sound import (
    BED_FREQUENCY,
    BED_LEVEL,
    QUIET_SECONDS,
    RULES,
    SPEECH_FREQUENCY,
    SPEECH_LEVEL,
    SPEECH_SECONDS,
)
from tests.support.listening import FULL_SCALE, Samples, audible_spans, compare, samples_of
from tests.support.sound_card import RATE, VirtualSoundCard
from voicemode.pcm import SPEECH

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.spec("TRK-12")]

LIMIT_SECONDS = 40.0


def played(card: VirtualSoundCard, *words: str) -> tuple[Samples, Samples, dict[str, int]]:
    """(left, right, what the child told) of a scenario of `tracks_child`."""
    with card.recording(channels=2) as recording:
        done = subprocess.run(
            [sys.executable, "-m", "tests.live.tracks_child", *words],
            cwd=ROOT,
            env={**card.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        recording.wait_for_silence(0.2, 5.0)
        left = recording.samples(0)
        right = recording.samples(1)[: len(left)]  # the recording goes on meanwhile
    told: dict[str, int] = json.loads(done.stdout)
    return left, right, told


def level(samples: Samples, frequency: float) -> float:
    """Amplitude of one frequency, of full scale."""
    turns = np.exp(-2j * math.pi * frequency * np.arange(len(samples)) / RATE)
    return float(2 * abs(np.mean(samples.astype(np.float64) * turns)) / FULL_SCALE)


def stretch(samples: Samples, start: int, seconds: tuple[float, float]) -> Samples:
    return samples[start + round(seconds[0] * RATE) : start + round(seconds[1] * RATE)]


@pytest.mark.parametrize("position", [-0.4, 1.0])
def test_left_and_right_are_as_loud_as_the_place_says(sound_card: VirtualSoundCard, position: float) -> None:
    left, right, _ = played(sound_card, "panned", str(position))
    both = np.maximum(np.abs(left.astype(np.int32)), np.abs(right.astype(np.int32))).astype(np.int16)
    begun = audible_spans(both, RATE)[0].start
    heard = [level(stretch(side, begun, (0.1, 0.9)), SPEECH_FREQUENCY) for side in (left, right)]
    angle = (position + 1) * math.pi / 4
    assert heard == [
        pytest.approx(SPEECH_LEVEL * gain, abs=0.005) for gain in (math.cos(angle), math.sin(angle))
    ]
    assert math.hypot(*heard) == pytest.approx(SPEECH_LEVEL, abs=0.01)


def test_a_bed_makes_way_for_speech_and_comes_back(sound_card: VirtualSoundCard) -> None:
    left, right, _ = played(sound_card, "ducked")
    assert np.array_equal(left, right)
    loud = np.flatnonzero(np.abs(left.astype(np.int32)) > FULL_SCALE * (SPEECH_LEVEL - BED_LEVEL))
    begun = int(loud[0])
    end = SPEECH_SECONDS

    def under(since: float, until: float) -> float:
        return level(stretch(left, begun, (since, until)), BED_FREQUENCY)

    assert under(-0.6, -0.1) == pytest.approx(BED_LEVEL, rel=0.03)
    assert under(0.1, end - 0.1) == pytest.approx(BED_LEVEL * RULES.gain, rel=0.05)
    assert under(end + 0.02, end + RULES.hold - 0.02) == pytest.approx(BED_LEVEL * RULES.gain, rel=0.05)
    back = end + RULES.hold + RULES.release + 0.1
    assert under(back, end + QUIET_SECONDS - 0.2) == pytest.approx(BED_LEVEL, rel=0.03)
    assert level(stretch(left, begun, (0.1, 0.9)), SPEECH_FREQUENCY) == pytest.approx(SPEECH_LEVEL, rel=0.02)


def test_a_listener_is_given_what_is_heard(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcm"
    left, right, told = played(sound_card, "teed", str(kept))
    assert told == {"gaps": 0, "left_out": 0}
    for channel, heard in enumerate((left, right)):
        given = samples_of(kept.read_bytes(), 2, channel)[: SPEECH.samples(SPEECH_SECONDS)]
        found = compare(heard, RATE, given, SPEECH.rate)
        assert found.complete >= 0.99
        assert found.correlation > 0.999
        assert found.gain == pytest.approx(1.0, abs=0.02)
