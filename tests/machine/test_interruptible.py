"""Whether the user may talk over us, by configuration and by what is known of the echo."""

from __future__ import annotations

from datetime import date

import pytest

from voicemode.configuration.variables import BargeIn
from voicemode.machine.echo_path import EchoPath
from voicemode.machine.interruptible import permission

pytestmark = pytest.mark.spec("LSN-39")

DAY = date(2026, 11, 21)


def path(delay: float | None, attenuation_db: float) -> EchoPath:
    return EchoPath(delay=delay, attenuation_db=attenuation_db, measured_on=DAY)


@pytest.mark.parametrize(("choice", "allowed"), [(BargeIn.TRUE, True), (BargeIn.FALSE, False)])
@pytest.mark.parametrize("known", [None, path(0.1, 3.0), path(0.1, 30.0), path(None, 60.0)])
def test_who_has_decided_is_not_contradicted(choice: BargeIn, allowed: bool, known: EchoPath | None) -> None:
    found = permission(choice, path=known, canceller=False)
    assert found.allowed is allowed
    assert "VOICEMODE_BARGE_IN" in str(found)


@pytest.mark.parametrize(
    ("known", "says"),
    [(path(None, 60.0), "nothing of the loudspeaker"), (path(0.08, 22.0), "22 dB fainter, 80 ms late")],
    ids=["headphones", "faint echo"],
)
def test_where_the_echo_was_measured_and_can_be_taken_out_it_is_on(known: EchoPath, says: str) -> None:
    found = permission(BargeIn.AUTO, path=known)
    assert found.allowed
    assert str(found).startswith("on: ")
    assert says in found.reason
    assert "2026-11-21" in found.reason


@pytest.mark.parametrize(
    ("known", "way_out"),
    [
        (path(0.08, 4.0), "use headphones"),
        (path(0.5, 30.0), "use headphones"),
        (path(None, 20.0), "when it is quieter"),
        (None, "voicemode doctor --sound"),
    ],
    ids=["loud", "late", "noisy room", "unknown"],
)
def test_elsewhere_it_is_off_and_says_how_to_have_it(known: EchoPath | None, way_out: str) -> None:
    found = permission(BargeIn.AUTO, path=known, loudspeaker="Built-in Audio Speakers")
    assert not found.allowed
    assert way_out in found.reason
    assert "VOICEMODE_BARGE_IN=true" in found.reason


@pytest.mark.parametrize("name", ["USB Headset", "Anna's AirPods Pro", "bluez_output.Headphones"])
def test_a_name_that_sounds_like_headphones_will_do_until_something_is_measured(name: str) -> None:
    assert permission(BargeIn.AUTO, loudspeaker=name).allowed
    assert not permission(BargeIn.AUTO, loudspeaker=name, path=path(0.05, 3.0)).allowed


def test_without_a_canceller_it_is_off_and_names_what_to_install() -> None:
    found = permission(BargeIn.AUTO, path=path(0.08, 22.0), canceller=False)
    assert not found.allowed
    assert "pip install livekit" in found.reason


def test_where_nobody_can_tell_which_devices_these_are_it_is_off_and_says_how_to_have_it() -> None:
    found = permission(BargeIn.AUTO, unnamed="Install `pactl`.")
    assert not found.allowed
    assert "not known which" in found.reason
    assert found.reason.endswith("Install `pactl`, or VOICEMODE_BARGE_IN=true insists")
    assert permission(BargeIn.AUTO, unnamed="Install `pactl`.", loudspeaker="USB Headset").allowed
