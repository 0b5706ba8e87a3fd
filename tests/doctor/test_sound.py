"""What the doctor says of devices that nobody opens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicemode.configuration.config import Config
from voicemode.devices.backend import DeviceInfo, DeviceReport
from voicemode.devices.diagnosis import Place, Trouble
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.sound import examine_sound


def device(
    name: str, *, index: int = 0, output: bool, rate: int = 48_000, default: bool = True
) -> DeviceInfo:
    return DeviceInfo(
        index=index,
        name=name,
        host_api="pulse",
        input_channels=0 if output else 1,
        output_channels=1 if output else 0,
        rate=rate,
        default_output=output and default,
        default_input=default and not output,
    )


BOTH = (device("Built-in Speakers", output=True), device("Built-in Microphone", index=1, output=False))
MANY = (
    *BOTH,
    device("USB Headset Stereo", index=2, output=True, rate=44_100, default=False),
    device("USB Headset Mono", index=3, output=False, rate=16_000, default=False),
)


def report(*devices: DeviceInfo, wrong: Trouble | None = None) -> DeviceReport:
    return DeviceReport(
        library="PortAudio", version="19", devices=devices, place=Place(platform="linux"), input=wrong
    )


def found(told: DeviceReport, **variables: str) -> dict[str, Finding]:
    return {each.what: each for each in examine_sound(told, Config.from_sources(variables))}


@pytest.mark.spec("DOC-5")
def test_the_default_devices_are_told_with_their_rates() -> None:
    told = found(report(*BOTH))
    assert told["loudspeaker"].found.startswith("Built-in Speakers (the default, 48000 Hz")
    assert told["microphone"].figures == {"rate_hz": 48_000}
    assert "loudspeakers" not in told


@pytest.mark.parametrize(
    ("rate", "words"), [(0, "its own rate"), (24_000, "24000 Hz)"), (44_100, "other rates are converted")]
)
@pytest.mark.spec("DOC-5")
def test_a_rate_that_is_not_the_voices_works_by_converting(rate: int, words: str) -> None:
    assert words in found(report(device("Speakers", output=True, rate=rate)))["loudspeaker"].found


@pytest.mark.parametrize(("choice", "told"), [("auto", True), ("true", False), ("false", False)])
@pytest.mark.spec("CLI-15", "DOC-5")
def test_devices_that_nobody_can_name_are_told_with_what_names_them(choice: str, told: bool) -> None:
    nameless = report(device("default", output=True), device("default", index=1, output=False))
    named = replace(nameless, output_name="usb-headset", input_name="usb-mic")
    finding = found(nameless, VOICEMODE_BARGE_IN=choice).get("interrupting by voice")
    assert (finding is not None) is told
    assert finding is None or "apt install pulseaudio-utils" in finding.mend
    assert "interrupting by voice" not in found(named, VOICEMODE_BARGE_IN=choice)


@pytest.mark.spec("DOC-5")
def test_a_default_that_stands_for_another_device_says_which() -> None:
    told = replace(report(device("default", output=True)), output_name="alsa_output.usb-headset")
    assert "(the default: alsa_output.usb-headset, " in found(told)["loudspeaker"].found


@pytest.mark.spec("DOC-5")
def test_where_there_is_a_choice_all_are_listed_as_they_may_be_written() -> None:
    told = found(report(*MANY))
    assert told["loudspeakers"].state is State.NOTE
    assert "2: USB Headset Stereo (44100 Hz)" in told["loudspeakers"].found
    assert "VOICEMODE_INPUT_DEVICE" in told["microphones"].mend


@pytest.mark.spec("DOC-5")
def test_a_long_list_is_cut() -> None:
    devices = [device(f"Card {index}", index=index, output=True, default=False) for index in range(20)]
    assert "and 12 more" in found(report(*devices))["loudspeakers"].found


@pytest.mark.spec("DOC-5")
def test_the_device_that_was_named_is_the_one_that_is_judged() -> None:
    told = found(report(*MANY), VOICEMODE_OUTPUT_DEVICE="headset")
    assert told["loudspeaker"].state is State.OK
    assert told["loudspeaker"].found.startswith("USB Headset Stereo (by VOICEMODE_OUTPUT_DEVICE, 44100 Hz")


@pytest.mark.spec("DOC-5")
def test_a_name_that_nothing_has_fails_with_the_near_one_and_the_choices() -> None:
    told = found(report(*MANY), VOICEMODE_INPUT_DEVICE="hedset", VOICEMODE_OUTPUT_DEVICE="zzz")
    microphone = told["microphone"]
    assert microphone.state is State.FAIL
    assert "'hedset'" in microphone.found
    assert "Did you mean 'USB Headset Mono'?" in microphone.mend
    assert "Did you mean" not in told["loudspeaker"].mend
    assert "VOICEMODE_OUTPUT_DEVICE" in told["loudspeaker"].mend


@pytest.mark.parametrize(
    ("wrong", "word", "mend"),
    [
        (Trouble.MUTED, "muted", "set-source-mute"),
        (Trouble.MONITOR, "loudspeaker's own sound", "there is no microphone"),
        (Trouble.NONE, "none", "Connect a microphone"),
    ],
)
@pytest.mark.spec("CLI-13", "DOC-5")
def test_a_microphone_that_is_listed_and_cannot_hear_fails(wrong: Trouble, word: str, mend: str) -> None:
    told = found(report(*BOTH, wrong=wrong))
    assert told["microphone"].state is State.FAIL
    assert word in told["microphone"].found
    assert mend in told["microphone"].mend
    assert told["loudspeaker"].state is State.OK


@pytest.mark.spec("DOC-5")
def test_of_a_sound_system_that_hangs_that_is_told_and_nothing_about_its_devices() -> None:
    hung = replace(report(), library="", version="", why_none="It did not answer.", way_out="Start it again.")
    (finding,) = examine_sound(hung, Config.from_sources({}))
    assert (finding.state, finding.found, finding.mend) == (
        State.FAIL,
        "It did not answer.",
        "Start it again.",
    )


@pytest.mark.spec("DOC-5")
def test_without_any_library_or_device_each_is_told_with_the_way_out() -> None:
    told = found(replace(report(), library="", version="", why_none="PortAudio is missing"))
    assert [each for each in ("sound library", "loudspeaker", "microphone") if not told[each].mend] == []
    assert {each.state for each in told.values()} == {State.FAIL}
    assert told["sound library"].found == "PortAudio is missing"
