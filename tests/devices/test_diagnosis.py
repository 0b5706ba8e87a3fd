"""What is wrong with a device, from its library's words, the sound server's and the machine's; and the way out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from voicemode.devices.diagnosis import Place, Trouble, Where, advice, trouble_of, where
from voicemode.devices.place import Defaults, defaults, look_around
from voicemode.errors import DeviceError, NoDevice

LINUX = Place(platform="linux")
NOWHERE = Place(platform="linux", server=False)


def placed(row: Where) -> Place:
    """A machine of each kind."""
    return {
        Where.MACOS: Place(platform="darwin"),
        Where.WINDOWS: Place(platform="win32"),
        Where.WSL: Place(platform="linux", wsl=True),
        Where.CONTAINER: Place(platform="linux", container=True, server=False, hardware=False),
        Where.REMOTE: Place(platform="linux", remote=True, server=False),
        Where.LINUX: LINUX,
        Where.BARE: NOWHERE,
        Where.OTHER: Place(platform="freebsd14"),
    }[row]


@pytest.mark.parametrize("row", list(Where))
@pytest.mark.spec("CLI-13")
def test_every_trouble_has_a_way_out_everywhere(row: Where) -> None:
    assert where(placed(row)) is row
    for trouble in Trouble:
        for output in (True, False):
            told = advice(trouble, placed(row), output=output)
            assert told.endswith(".")
            assert len(told) > 15


@pytest.mark.parametrize(
    ("row", "trouble", "words"),
    [
        (
            Where.MACOS,
            Trouble.ZEROS,
            ("System Settings", "Privacy & Security", "Microphone", "start it again"),
        ),
        (Where.MACOS, Trouble.NONE, ("System Settings", "Sound", "Input")),
        (Where.WINDOWS, Trouble.ZEROS, ("desktop apps", "Privacy")),
        (Where.WINDOWS, Trouble.BUSY, ("exclusive control",)),
        (Where.WSL, Trouble.ZEROS, ("RDPSource", "desktop apps", "wsl --shutdown")),
        (Where.WSL, Trouble.NONE, ("wsl --update", "PULSE_SERVER", "RDPSource")),
        (Where.CONTAINER, Trouble.NONE, ("/run/pulse/native", "--device /dev/snd", "PULSE_SERVER")),
        (Where.CONTAINER, Trouble.LIBRARY, ("libportaudio2",)),
        (Where.REMOTE, Trouble.NONE, ("SSH", "in front of you", "PULSE_SERVER")),
        (Where.LINUX, Trouble.MUTED, ("pactl set-source-mute @DEFAULT_SOURCE@ 0",)),
        (Where.LINUX, Trouble.MONITOR, ("there is no microphone", "pactl set-default-source")),
        (Where.LINUX, Trouble.DENIED, ("usermod -aG audio", "snap")),
        (Where.LINUX, Trouble.BUSY, ("fuser",)),
        (Where.LINUX, Trouble.SERVER, ("pactl info", "systemctl --user start", "apt install libportaudio2")),
        (Where.CONTAINER, Trouble.SERVER, ("/run/pulse/native",)),
        (Where.LINUX, Trouble.LIBRARY, ("apt install libportaudio2", "dnf install")),
        (Where.BARE, Trouble.NONE, ("systemctl --user start", "audio")),
    ],
)
@pytest.mark.spec("CLI-13")
def test_the_way_out_of_a_microphone_is_the_places_own(
    row: Where, trouble: Trouble, words: tuple[str, ...]
) -> None:
    told = advice(trouble, placed(row), output=False)
    assert [word for word in words if word not in told] == []


@pytest.mark.spec("CLI-13")
def test_a_loudspeaker_is_not_told_to_have_a_microphones_permission() -> None:
    for row in Where:
        for trouble in (Trouble.NONE, Trouble.MUTED, Trouble.LIBRARY):
            assert "Privacy" not in advice(trouble, placed(row), output=True)
    assert "set-sink-mute" in advice(Trouble.MUTED, LINUX, output=True)


@pytest.mark.spec("CLI-13")
def test_a_machine_without_a_sound_card_is_told_so() -> None:
    bare = Place(platform="linux", server=False, hardware=False)
    assert "/dev/snd is missing" in advice(Trouble.NONE, bare, output=False)
    assert "/dev/snd" not in advice(Trouble.NONE, NOWHERE, output=False)


@pytest.mark.spec("CLI-13")
def test_a_container_or_an_ssh_session_with_a_sound_server_is_as_any_other_linux() -> None:
    for place in (Place(platform="linux", container=True), Place(platform="linux", remote=True)):
        assert where(place) is Where.LINUX


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("Error opening RawInputStream: Device unavailable [PaErrorCode -9985]", Trouble.BUSY),
        ("ALSA: snd_pcm_open: Device or resource busy", Trouble.BUSY),
        ("arecord: main:850: audio open error: Device or resource busy", Trouble.BUSY),
        ("WASAPI: AUDCLNT_E_DEVICE_IN_USE", Trouble.BUSY),
        ("arecord: audio open error: Permission denied", Trouble.DENIED),
        ("Unanticipated host error [PaErrorCode -9999]: 'Access is denied.' 0x80070005", Trouble.DENIED),
        ("arecord: audio open error: No such file or directory", Trouble.NONE),
        ("Stream error: No such entity", Trouble.NONE),
        ("Connection failure: Connection refused", Trouble.NONE),
        ("Unanticipated host error [PaErrorCode -9999]", None),
        ("the volume is 0x7f", None),
    ],
)
@pytest.mark.spec("CLI-13")
def test_the_libraries_words_are_understood(words: str, trouble: Trouble | None) -> None:
    assert trouble_of(DeviceError(words)) is trouble


def test_no_device_is_none_whatever_its_words() -> None:
    assert trouble_of(NoDevice("It is busy.")) is Trouble.NONE


# The machine.


def seen(
    files: Mapping[str, str], environment: Mapping[str, str] | None = None, platform: str = "linux"
) -> Place:
    return look_around(
        {"XDG_RUNTIME_DIR": "/run/user/7", **(environment or {})},
        platform=platform,
        exists=lambda path: str(path) in files,
        read=lambda path: files.get(str(path), ""),
    )


OWN_SOCKET = "/run/user/7/pulse/native"


@pytest.mark.parametrize(
    ("files", "row"),
    [
        (
            {
                "/proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2",
                "/mnt/wslg/PulseServer": "",
            },
            Where.WSL,
        ),
        ({"/.dockerenv": ""}, Where.CONTAINER),
        ({"/run/.containerenv": ""}, Where.CONTAINER),
        ({"/proc/1/cgroup": "12:cpuset:/kubepods/besteffort/pod1"}, Where.CONTAINER),
        ({"/.dockerenv": "", "/run/pulse/native": ""}, Where.LINUX),
        ({"/proc/1/cgroup": "0::/init.scope", OWN_SOCKET: ""}, Where.LINUX),
        ({"/dev/snd/controlC0": ""}, Where.BARE),
        ({}, Where.BARE),
    ],
)
@pytest.mark.spec("CLI-13")
def test_the_machine_is_known_by_its_files(files: dict[str, str], row: Where) -> None:
    assert where(seen(files)) is row


@pytest.mark.spec("CLI-13")
def test_a_session_over_ssh_is_known_by_its_environment() -> None:
    assert where(seen({}, {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"})) is Where.REMOTE
    forwarded = {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22", "PULSE_SERVER": "unix:/tmp/pulse"}
    assert where(seen({}, forwarded)) is Where.LINUX
    assert where(seen({"/.dockerenv": ""}, platform="darwin")) is Where.MACOS


def test_hardware_is_what_the_kernel_shows() -> None:
    assert seen({"/dev/snd/controlC0": ""}).hardware
    assert not seen({}).hardware


# The sound server.


def entry(
    name: str, *, mute: str = "no", volume: str = "65536 / 100% / 0.00 dB", monitor: str = "n/a"
) -> str:
    return (
        f"Source #1\n\tState: IDLE\n\tName: {name}\n\tMute: {mute}\n\tVolume: mono: {volume}\n"
        f'\t        balance 0.00\n\tMonitor of Sink: {monitor}\n\tProperties:\n\t\tdevice.class = "sound"\n'
    )


def told(source: str, *sources: str, sink: str = "speaker") -> Defaults:
    answers = {
        "info": f"Server Name: pulseaudio\nDefault Sink: {sink}\nDefault Source: {source}\n",
        "sources": "\n".join(sources),
        "sinks": "\n".join((entry("speaker"), entry("auto_null"), entry("quiet", mute="yes"))),
    }
    return defaults(lambda command: answers[command[-1]])


@pytest.mark.parametrize(
    ("listed", "trouble"),
    [
        ((entry("other"), entry("mic")), None),
        ((entry("mic", mute="yes"), entry("other")), Trouble.MUTED),
        ((entry("mic", volume="0 /   0% / -inf dB"),), Trouble.MUTED),
        ((entry("mic", volume="6554 /  10% / -60.00 dB"),), None),
        ((entry("mic", monitor="speaker"),), Trouble.MONITOR),
        ((entry("other"),), Trouble.NONE),
        ((), Trouble.NONE),
    ],
)
@pytest.mark.spec("CLI-13")
def test_the_default_input_is_looked_at(listed: tuple[str, ...], trouble: Trouble | None) -> None:
    assert told("mic", *listed).input is trouble


@pytest.mark.spec("CLI-13")
def test_what_a_server_has_instead_of_devices_is_none() -> None:
    assert told("(null)", entry("mic")).input is Trouble.NONE
    assert told("auto_null.monitor", entry("auto_null.monitor", monitor="auto_null")).input is Trouble.NONE
    assert told("mic", entry("mic"), sink="auto_null").output is Trouble.NONE
    assert told("mic", entry("mic"), sink="quiet").output is Trouble.MUTED
    assert told("mic", entry("mic")).output is None


def test_without_an_answer_nothing_is_claimed() -> None:
    assert defaults(lambda command: None) == Defaults()
    assert defaults(lambda command: "Default Source: mic" if command[-1] == "info" else None) == Defaults(
        answers=True
    )
