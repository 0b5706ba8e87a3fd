"""The microphone on a real audio stack, library by library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.devices.children import child, number
from tests.support.listening import chirp, compare
from tests.support.sound_card import VirtualSoundCard
from voicemode.pcm import LISTENING

pytestmark = pytest.mark.live

TAIL = LISTENING.silence(800)
"""The card's resampler keeps its last 2 ms."""
LIBRARIES = ("portaudio", "miniaudio", "tools")


@pytest.mark.alone
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_said_arrives_whole_in_frames_of_ten_milliseconds(
    sound_card: VirtualSoundCard, library: str, tmp_path: Path
) -> None:
    said = chirp(LISTENING.rate, 1.5)
    with child(sound_card.environment, "record", library, str(tmp_path / "heard")) as recording:
        recording.told("opened")
        sound_card.say(said.astype("<i2").tobytes() + TAIL, LISTENING.rate).wait(10)
        told = recording.told("recorded")
    heard = np.frombuffer((tmp_path / "heard").read_bytes(), "<i2")
    found = compare(heard, LISTENING.rate, said, LISTENING.rate)
    assert told["sizes"] == [160]
    assert found.complete == 1.0
    assert len(found.pieces) == 1
    assert found.correlation > 0.999


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_killed_audio_server_ends_listening_with_device_lost(library: str) -> None:
    with VirtualSoundCard() as card, child(card.environment, "listen_until_lost", library) as listening:
        opened = listening.told("opened")
        card.kill()
        lost = listening.told("lost")
        closed = listening.told("closed")
    assert lost["code"] == "device_lost"
    assert number(lost, "at") - number(opened, "at") < 5.0
    assert number(closed, "at") - number(lost, "at") < 2.0
