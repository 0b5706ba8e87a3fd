"""The microphone becomes another while somebody answers, as sound servers make it: told with both names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.battery.wire import events
from tests.live.host import environment
from tests.support import voice
from tests.support.listening import FULL_SCALE
from tests.support.looking import look_for
from tests.support.saying import Saying
from tests.support.sound_card import MICROPHONE, RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer

pytestmark = [pytest.mark.live, pytest.mark.spec("LSN-98")]

LIMIT = 30
OTHER = "other_microphone"
OTHER_FEED = "other_feed"
ANSWER = "yes delete the old branch and then go on with"

LOOKS = 10
"""So many looks of ours take longer than the one with which the program sees where its microphone begins."""

Move = Callable[[VirtualSoundCard], object]


@pytest.fixture
def two_microphones() -> Iterator[VirtualSoundCard]:
    """The second one hears its own room, and not the user."""
    with VirtualSoundCard() as card:
        null = ("module-null-sink", "format=s16le", "rate=48000", "norewinds=1", "channels=1")
        card.pactl("load-module", *null, f"sink_name={OTHER_FEED}")
        named = ("source_properties=device.description=Webcam", f"source_name={OTHER}")
        card.pactl("load-module", "module-remap-source", *named, f"master={OTHER_FEED}.monitor")
        pace = (f"source={OTHER_FEED}.monitor", "sink=pace", "latency_msec=5")
        card.pactl("load-module", "module-loopback", *pace)
        card.pactl("set-default-source", MICROPHONE)
        noise = np.random.default_rng(71).normal(0, FULL_SCALE * 10 ** (-70 / 20), 4 * RATE)
        room = Saying(
            environment=card.environment,
            pcm=np.round(noise).astype("<i2").tobytes(),
            rate=RATE,
            channels=1,
            sink=OTHER_FEED,
            for_ever=True,
        )
        try:
            yield card
        finally:
            room.stop()


def another_default(card: VirtualSoundCard) -> None:
    """What a desktop does when a headset comes."""
    card.pactl("set-default-source", OTHER)


def moved_by_hand(card: VirtualSoundCard) -> None:
    """What a mixer's window does. Ours is the one recording that comes from ALSA."""
    for block in card.pactl("list", "source-outputs").split("Source Output #")[1:]:
        if "ALSA" in block:
            card.pactl("move-source-output", block.split("\n")[0], OTHER)


def unplugged(card: VirtualSoundCard) -> None:
    for line in card.pactl("list", "short", "modules").splitlines():
        number, name, arguments = line.split("\t")[:3]
        if name == "module-remap-source" and f"source_name={MICROPHONE}" in arguments:
            card.pactl("unload-module", number)


def left_alone(card: VirtualSoundCard) -> None:
    """It stays as it is."""


def answered(
    card: VirtualSoundCard, folder: Path, move: Move, *, speaking: bool, **settings: str
) -> dict[str, object]:
    """What `listen` tells, where the microphone becomes another while it is open."""
    process = subprocess.Popen(
        [sys.executable, "-m", "voicemode", "listen", "--json", "--max-listen", "4"],
        env=environment(card, folder, AUDIO_FEEDBACK="false", **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def seen(name: str) -> None:
        look_for(lambda: any(each.name == name for each in events(folder)), LIMIT, lambda: f"no {name}")

    try:
        seen("microphone_opened")
        if speaking:
            card.say(voice.speak(ANSWER), 24_000)
            seen("voice_started")
        for _ in range(LOOKS):
            card.pactl("list", "source-outputs")
            card.pactl("list", "sources")
        move(card)
        out, complaint = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert out, complaint
    told: dict[str, object] = json.loads(out)
    return told


@pytest.mark.parametrize("move", [another_default, moved_by_hand, unplugged])
def test_in_mid_answer(two_microphones: VirtualSoundCard, tmp_path: Path, move: Move) -> None:
    with SpeechServer() as server:
        told = answered(two_microphones, tmp_path, move, speaking=True, STT_BASE_URLS=server.base_url)
    note = str(told["note"])
    assert "went over from" in note
    assert "to 'Webcam'" in note
    assert "If it does not hear you" in note
    (moved,) = [event for event in events(tmp_path) if event.name == "microphone_moved"]
    assert moved.fields["after"] == "Webcam"
    assert moved.fields["before"] not in ("", "Webcam")


def test_before_anybody_said_anything(two_microphones: VirtualSoundCard, tmp_path: Path) -> None:
    told = answered(two_microphones, tmp_path, another_default, speaking=False)
    assert told["outcome"] == "no_speech"
    assert "to 'Webcam'" in str(told["note"])


def test_one_that_stays_is_not_spoken_of(two_microphones: VirtualSoundCard, tmp_path: Path) -> None:
    with SpeechServer() as server:
        told = answered(two_microphones, tmp_path, left_alone, speaking=True, STT_BASE_URLS=server.base_url)
    assert "microphone" not in str(told["note"])
