"""The loudspeaker on a real audio stack, library by library, as the listener hears it."""

from __future__ import annotations

import pytest

from tests.devices.child import CHIRP_SECONDS
from tests.devices.children import Told, child, number
from tests.support.listening import Samples, audible_spans, chirp, compare
from tests.support.sound_card import RATE, VirtualSoundCard
from voicemode.pcm import SPEECH

pytestmark = pytest.mark.live

LIBRARIES = ("portaudio", "miniaudio", "tools")
ATTEMPTS = 4


def play_undisturbed(sound_card: VirtualSoundCard, library: str) -> tuple[Told, Samples]:
    """What was played and heard. Played again where the device ran dry because the machine gave the player no time:
    that inserts silence, which is not what this looks for; what is lost is lost in every attempt."""
    for _ in range(ATTEMPTS):
        with sound_card.recording() as recording, child(sound_card.environment, "play", library) as playing:
            played = playing.told("played")
            playing.told("closed")
            recording.wait_for_silence(0.2, 5.0)
            heard = recording.samples()
        if played["underflows"] == 0:
            break
    return played, heard


@pytest.mark.alone
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_pulled_sample_is_heard_when_the_block_is_left_after_the_stated_latency(
    sound_card: VirtualSoundCard, library: str
) -> None:
    played, heard = play_undisturbed(sound_card, library)
    sent = chirp(SPEECH.rate, CHIRP_SECONDS)
    found = compare(heard, RATE, sent, SPEECH.rate)
    spans = audible_spans(heard, RATE)
    assert played["lost"] == []
    assert len(spans) == 1, played
    assert found.complete == 1.0
    assert len(found.pieces) == 1
    assert found.correlation > 0.999
    assert spans[0].samples / RATE == pytest.approx(CHIRP_SECONDS, abs=0.002)


@pytest.mark.alone
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_stated_latency_covers_the_real_one_from_the_start(
    sound_card: VirtualSoundCard, library: str
) -> None:
    with sound_card.recording() as recording, child(sound_card.environment, "play", library) as playing:
        played = playing.told("played")
        first = audible_spans(recording.samples(), RATE)[0].start
        audible_at = recording.time_of(first)
    # Between the pull that had the first audible sample in it and that sample lies at most the block's length more.
    real = audible_at - number(played, "begun_at")
    assert real <= number(played, "latency") + 0.005
    assert real >= number(played, "latency") - 0.120
    # What is stated at the opening is the most that is held, and less is held while nothing sounds.
    assert number(played, "latency") * 0.65 <= number(played, "stated") <= number(played, "latency") * 2.5


@pytest.mark.alone
@pytest.mark.parametrize("library", LIBRARIES)
def test_abort_is_silence_at_once_and_nothing_more_is_pulled(
    sound_card: VirtualSoundCard, library: str
) -> None:
    with sound_card.recording() as recording, child(sound_card.environment, "abort", library) as playing:
        aborted = playing.told("aborted")
        playing.told("closed")
        end = audible_spans(recording.samples(), RATE)[-1].end
        silent_at = recording.time_of(end)
    assert silent_at - number(aborted, "aborted_at") < 0.050
    assert number(aborted, "pulled_after") <= SPEECH.samples(0.120)
    assert aborted["lost"] == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_user_sees_nothing_of_what_the_audio_libraries_write(
    sound_card: VirtualSoundCard, library: str
) -> None:
    with child(sound_card.environment, "inventory", library) as listing:
        told = listing.told("inventory")
        listing.process.wait(10)
        assert listing.noise() == ""
    assert told["library"]
    assert told["names"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_killed_audio_server_is_reported_as_a_lost_device_once(library: str) -> None:
    with VirtualSoundCard() as card, child(card.environment, "until_lost", library) as playing:
        opened = playing.told("opened")
        card.kill()
        lost = playing.told("lost")
        closed = playing.told("closed")
    assert lost["code"] == "device_lost"
    assert number(lost, "at") - number(opened, "at") < 5.0
    assert closed["times"] == 1
    assert number(closed, "at") - number(lost, "at") < 2.0


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_unplugged_loudspeaker_is_reported_as_lost(library: str) -> None:
    with VirtualSoundCard() as card, child(card.environment, "until_lost", library) as playing:
        opened = playing.told("opened")
        card.unplug_speaker()
        lost = playing.told("lost")
        playing.told("closed")
    assert lost["code"] == "device_lost"
    assert number(lost, "at") - number(opened, "at") < 5.0


@pytest.mark.alone
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frozen_audio_server_does_not_keep_anyone_from_leaving(library: str) -> None:
    with VirtualSoundCard() as card, child(card.environment, "leave", library) as playing:
        playing.told("opened")
        card.freeze(4.0)
        playing.go_on()
        leaving = playing.told("leaving")
        closed = playing.told("closed")
    assert number(closed, "at") - number(leaving, "at") < 1.5


def test_without_portaudio_and_miniaudio_the_tools_still_play(sound_card: VirtualSoundCard) -> None:
    with child(sound_card.environment, "inventory", "tools") as listing:
        assert listing.told("inventory")["version"] == "paplay parec"


def test_without_an_audio_server_the_error_says_what_to_install(tmp_path: object) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    with child(environment, "refused", "portaudio+miniaudio+tools") as opening:
        refused = opening.told("refused")
        opening.process.wait(10)
        assert opening.noise() == ""
    assert refused["code"] in ("no_device", "device")
    assert "sudo apt install" in str(refused["message"])


def test_an_unknown_device_is_named_with_the_choices(sound_card: VirtualSoundCard) -> None:
    with child(sound_card.environment, "refused", "portaudio+miniaudio", "Bose") as opening:
        refused = opening.told("refused")
    assert refused["code"] == "no_device"
    assert "'Bose'" in str(refused["message"])
    assert "default" in str(refused["message"])
