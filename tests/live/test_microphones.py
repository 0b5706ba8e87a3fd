"""Microphones that cannot hear, on a real sound server: each is told from the others and from a silent user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.battery.wire import events
from tests.live.host import environment
from tests.support.command import ran
from tests.support.looking import look_for
from tests.support.pulse_daemon import PulseDaemon
from tests.support.sound_card import MICROPHONE, VirtualSoundCard
from voicemode import clock

pytestmark = [pytest.mark.live, pytest.mark.spec("CLI-13")]

LIMIT = 30
LOUDSPEAKER = "load-module module-null-sink format=s16le rate=48000 norewinds=1 sink_name=speaker channels=2"


def listened(variables: dict[str, str], *words: str) -> tuple[int, dict[str, str], float]:
    """Exit code, error, and seconds from the microphone's opening, or where it never opened the call, to its end."""
    done = ran(*words, "--json", variables=variables, limit_s=LIMIT)
    told = json.loads(done.stdout)["error"]
    assert done.stderr.strip() == f"voicemode: {told['message']} {told['hint']}"
    happened = {event.name: event.monotonic or 0.0 for event in events(Path(variables["VOICEMODE_BASE_DIR"]))}
    begun = happened.get("microphone_opened", happened["turn_started"])
    return done.returncode, told, happened["turn_failed"] - begun


def doctor(variables: dict[str, str]) -> dict[str, str]:
    done = ran("doctor", "--json", variables=variables, limit_s=LIMIT)
    findings = json.loads(done.stdout)["findings"]
    found: dict[str, str] = next(each for each in findings if each["what"] == "microphone")
    return found


@pytest.mark.parametrize(
    ("devices", "code", "word"),
    [
        ((), "no_device", "Connect a microphone"),
        ((LOUDSPEAKER,), "microphone_silent", "there is no microphone"),
    ],
)
def test_a_machine_without_a_microphone(
    sound_card: VirtualSoundCard, tmp_path: Path, devices: tuple[str, ...], code: str, word: str
) -> None:
    """A server that has a loudspeaker alone offers that one's own sound as the input."""
    daemon = PulseDaemon(devices)
    daemon.start()
    try:
        variables = {**environment(sound_card, tmp_path, AUDIO_FEEDBACK="false"), **daemon.environment}
        failed, told, seconds = listened(variables, "listen")
        found = doctor(variables)
    finally:
        daemon.remove()
    assert (failed, told["code"]) == (1, code)
    assert word in told["hint"]
    assert seconds < 2.0
    assert found["state"] == "fail"
    assert word in found["mend"]


def test_a_muted_microphone(tmp_path: Path) -> None:
    with VirtualSoundCard() as card:
        card.pactl("set-source-mute", MICROPHONE, "1")
        variables = environment(card, tmp_path, AUDIO_FEEDBACK="false")
        failed, told, seconds = listened(variables, "listen", "--max-listen", "1")
        found = doctor(variables)
        card.pactl("set-source-mute", MICROPHONE, "0")
        mended = doctor(variables)
    assert (failed, told["code"]) == (1, "microphone_silent")
    assert "set-source-mute @DEFAULT_SOURCE@ 0" in told["hint"]
    assert seconds < 2.0
    assert (found["state"], mended["state"]) == ("fail", "ok")
    assert "muted" in found["found"]


def test_a_microphone_of_zeros_that_nobody_has_muted(tmp_path: Path) -> None:
    with VirtualSoundCard() as card:
        card.hold_microphone_quiet(zeros=True)
        failed, told, seconds = listened(environment(card, tmp_path, AUDIO_FEEDBACK="false"), "listen")
    assert (failed, told["code"]) == (1, "microphone_silent")
    assert "permission" in told["hint"]
    assert seconds < 2.0


def test_a_microphone_that_vanishes_while_it_is_listened_to(tmp_path: Path) -> None:
    with VirtualSoundCard() as card:
        process = subprocess.Popen(
            [sys.executable, "-m", "voicemode", "listen", "--json"],
            env=environment(card, tmp_path, AUDIO_FEEDBACK="false"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

        def open_now() -> bool:
            return any(event.name == "microphone_opened" for event in events(tmp_path))

        look_for(open_now, LIMIT, lambda: "no microphone was opened")
        gone = clock.monotonic()
        card.unplug_speaker()
        out, _ = process.communicate(timeout=LIMIT)
    (failed,) = (event.monotonic or 0.0 for event in events(tmp_path) if event.name == "turn_failed")
    told = json.loads(out)["error"]
    assert (process.returncode, told["code"]) == (1, "device_lost")
    assert told["hint"]
    assert failed - gone < 2.0
