"""What is kept of loudspeaker and microphone lies on one clock, on a real audio stack, library by library."""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.devices.child import MARK_SECONDS
from tests.devices.children import child
from tests.support.listening import Samples, chirp, compare
from tests.support.sound_card import SPEAKER, VirtualSoundCard
from voicemode.pcm import SPEECH

pytestmark = [pytest.mark.live, pytest.mark.alone]

LIBRARIES = ("portaudio", "miniaudio", "tools")

CLOSE_SECONDS = 0.015
"""As measured 2 ms (PortAudio) and 9 ms (the others): a block of theirs, which no library tells more of."""

TRIES = 4
"""A device that other work holds up plays later than it said: the marks are then apart by as much."""


def kept(folder: Path, kind: str) -> tuple[float, int, Samples]:
    """(where it begins on the clock, rate, sound)."""
    (told,) = folder.rglob("*_turn.json")
    (file,) = [file for file in json.loads(told.read_text())["files"] if file["kind"] == kind]
    assert file["complete"]
    with wave.open(str(told.with_name(file["name"]))) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.int16)
        return float(file["position"]), sound.getframerate(), samples


def marks(folder: Path, kind: str) -> list[float]:
    """When the two marks are on the clock: there is one in each half."""
    position, rate, samples = kept(folder, kind)
    mark, half = chirp(SPEECH.rate, MARK_SECONDS), len(samples) // 2
    found = [compare(part, rate, mark, SPEECH.rate) for part in (samples[:half], samples[half:])]
    return [position + (start + each.offset) / rate for start, each in zip((0, half), found, strict=True)]


def apart(environment: Mapping[str, str], library: str, folder: Path) -> float:
    """Seconds between a mark in the loudspeaker's file and the same in the microphone's, of both the more."""
    with child(environment, "keep", library, str(folder)) as keeping:
        keeping.told("kept")
    pairs = zip(marks(folder, "sink"), marks(folder, "mic"), strict=True)
    return max(abs(came - left) for left, came in pairs)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.spec("REC-11")
def test_what_the_loudspeaker_plays_stands_at_the_same_time_in_its_file_and_in_the_microphones(
    sound_card: VirtualSoundCard, library: str, tmp_path: Path
) -> None:
    """The microphone is the loudspeaker's own monitor: no way of a sound lies between them."""
    environment = {**sound_card.environment, "PULSE_SOURCE": f"{SPEAKER}.monitor"}
    found: list[float] = []
    while not found or (found[-1] >= CLOSE_SECONDS and len(found) < TRIES):
        found.append(apart(environment, library, tmp_path / str(len(found))))
    assert found[-1] < CLOSE_SECONDS, found
