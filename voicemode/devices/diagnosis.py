"""What is wrong with a microphone or loudspeaker, and the way out where this program runs: one table.

Libraries tell little: a microphone that is denied gives zeros, one that is missing refuses a format, one that is held
by another is "unavailable". So three things are put together: the library's words, what the sound server says of its
default devices, and what machine this is.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from enum import StrEnum

from voicemode.errors import DeviceError, NoDevice


class Trouble(StrEnum):
    LIBRARY = "library"
    """No sound library can be used."""
    SERVER = "server"
    """No sound server answers, and nothing else gives a device."""
    NONE = "none"
    """There is no such device."""
    MONITOR = "monitor"
    """The default input is what the loudspeaker plays: there is no microphone, or another is chosen."""
    MUTED = "muted"
    """By the sound server, or its volume is 0."""
    DENIED = "denied"
    BUSY = "busy"
    ZEROS = "zeros"
    """It is open and gives nothing but digital silence, which no microphone does that hears anything."""
    MOVED = "moved"
    """The sound server has gone over to another microphone than the one that was opened."""
    UNNAMED = "unnamed"
    """It is not known which device it is: "default" may be another tomorrow, or with the next plug."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The machine, as far as sound goes. `platform` as in `sys.platform`; `hardware`: the kernel has a sound card;
    `server`: a sound server's socket is there, or named by PULSE_SERVER; `remote`: over SSH."""

    platform: str = sys.platform
    wsl: bool = False
    container: bool = False
    remote: bool = False
    hardware: bool = True
    server: bool = True


class Where(StrEnum):
    """The rows of the table: whose settings and commands help."""

    MACOS = "macOS"
    WINDOWS = "Windows"
    WSL = "WSL"
    CONTAINER = "a container"
    REMOTE = "the far end of an SSH session"
    LINUX = "Linux"
    BARE = "Linux without a sound server"
    OTHER = "another system"


def where(place: Place) -> Where:
    if place.platform in ("darwin", "win32"):
        return Where.MACOS if place.platform == "darwin" else Where.WINDOWS
    if not place.platform.startswith("linux"):
        return Where.OTHER
    if place.wsl:
        return Where.WSL
    if place.container and not place.server:
        return Where.CONTAINER
    if place.remote and not place.server:
        return Where.REMOTE
    return Where.LINUX if place.server else Where.BARE


PACKAGES = (
    "`sudo apt install libportaudio2 libasound2-plugins pulseaudio-utils` "
    "(Fedora: `sudo dnf install portaudio alsa-plugins-pulseaudio pulseaudio-utils`)"
)
_START = "`systemctl --user start pipewire-pulse`, or `pulseaudio --start`"
_CONTAINER = (
    "This is a container: pass the host's sound server in, `docker run --user $(id -u) "
    "-v /run/user/$(id -u)/pulse/native:/run/pulse/native` (or name it with PULSE_SERVER), or its sound card, "
    "`--device /dev/snd`; the image needs libportaudio2 and libasound2-plugins."
)
_REMOTE = (
    "You are connected over SSH and sound stays on the far machine: run voicemode on the machine in front of you, or "
    "forward its sound server, `ssh -R /tmp/pulse:$XDG_RUNTIME_DIR/pulse/native`, and set PULSE_SERVER=unix:/tmp/pulse."
)
_WSL = (
    "WSL has sound through WSLg: in Windows `wsl --update`, then `wsl --shutdown`; here "
    "`sudo apt install libportaudio2 libasound2-plugins` and PULSE_SERVER=unix:/mnt/wslg/PulseServer."
)
_WINDOWS_ALLOW = (
    "switch on Microphone access and Let desktop apps access your microphone under Windows' Settings > Privacy & "
    "security > Microphone"
)
_MAC_ALLOW = (
    "Give the terminal, or the app that starts voicemode, permission under System Settings > Privacy & Security > "
    "Microphone, and start it again"
)
_CHOOSE = "`pactl list short sources` lists the inputs, `pactl set-default-source NAME` chooses one"
_LINUX_DENIED = (
    "This user or this program has no permission: outside a sound server `sudo usermod -aG audio $USER` and log in "
    "again; in a sandbox (snap, Flatpak) allow it the microphone."
)
_NAME_BOTH = (
    "Name both with VOICEMODE_OUTPUT_DEVICE and VOICEMODE_INPUT_DEVICE, as `voicemode doctor` lists them, then run "
    "`voicemode doctor --sound`."
)

_INPUT: dict[tuple[Where, Trouble], str] = {
    (Where.MACOS, Trouble.NONE): "Connect a microphone and choose it under System Settings > Sound > Input.",
    (Where.MACOS, Trouble.MUTED): "Raise the input volume under System Settings > Sound > Input.",
    (Where.MACOS, Trouble.DENIED): f"{_MAC_ALLOW}.",
    (Where.MACOS, Trouble.ZEROS): (
        f"macOS gives zeros to a program that may not listen. {_MAC_ALLOW}. Else it is muted: see Sound > Input there."
    ),
    (
        Where.WINDOWS,
        Trouble.NONE,
    ): "Connect a microphone and choose it under Settings > System > Sound > Input.",
    (Where.WINDOWS, Trouble.MUTED): "Raise its volume under Settings > System > Sound > Input.",
    (Where.WINDOWS, Trouble.DENIED): f"It has no permission: {_WINDOWS_ALLOW}.",
    (Where.WINDOWS, Trouble.ZEROS): (
        f"It has no permission or is muted: {_WINDOWS_ALLOW}, and look at its volume under System > Sound > Input."
    ),
    (Where.WSL, Trouble.NONE): f"{_WSL} WSLg's microphone is called RDPSource.",
    (Where.WSL, Trouble.DENIED): f"It has no permission: {_WINDOWS_ALLOW}, then `wsl --shutdown`.",
    (Where.WSL, Trouble.ZEROS): (
        f"WSLg's microphone (RDPSource) gives zeros without permission: {_WINDOWS_ALLOW}, then `wsl --shutdown`."
    ),
    (Where.LINUX, Trouble.NONE): f"Connect a microphone; {_CHOOSE}.",
    (Where.LINUX, Trouble.MONITOR): (
        "The default input is what the loudspeaker plays: there is no microphone, or another is chosen; "
        f"{_CHOOSE}, or set VOICEMODE_INPUT_DEVICE."
    ),
    (Where.LINUX, Trouble.MUTED): (
        "It is muted: `pactl set-source-mute @DEFAULT_SOURCE@ 0; pactl set-source-volume @DEFAULT_SOURCE@ 100%`, or "
        "the key for it."
    ),
    (Where.LINUX, Trouble.MOVED): f"If it does not hear you: connect the other one again; {_CHOOSE}.",
    (Where.LINUX, Trouble.DENIED): _LINUX_DENIED,
    (Where.LINUX, Trouble.ZEROS): (
        f"It is switched off at the device, or it is the wrong input ({_CHOOSE}), or this program has no permission "
        "(a sandbox such as snap or Flatpak)."
    ),
}
_OUTPUT: dict[tuple[Where, Trouble], str] = {
    (
        Where.MACOS,
        Trouble.NONE,
    ): "Connect a loudspeaker and choose it under System Settings > Sound > Output.",
    (Where.WINDOWS, Trouble.NONE): "Connect a loudspeaker and choose it under Settings > System > Sound.",
    (Where.WSL, Trouble.NONE): _WSL,
    (Where.LINUX, Trouble.NONE): (
        "The sound server has no loudspeaker: connect one; `pactl list short sinks` lists them, "
        "`pactl set-default-sink NAME` chooses one."
    ),
    (Where.LINUX, Trouble.MUTED): (
        "It is muted: `pactl set-sink-mute @DEFAULT_SINK@ 0; pactl set-sink-volume @DEFAULT_SINK@ 60%`."
    ),
}
_EITHER: dict[tuple[Where, Trouble], str] = {
    (Where.MACOS, Trouble.LIBRARY): "Install voicemode again: `uvx --refresh voicemode doctor`.",
    (Where.WINDOWS, Trouble.LIBRARY): "Install voicemode again: `uvx --refresh voicemode doctor`.",
    (Where.WINDOWS, Trouble.BUSY): (
        "Another program holds it alone: close that, or untick Allow applications to take exclusive control in the "
        "device's advanced properties."
    ),
    (Where.WSL, Trouble.LIBRARY): _WSL,
    (Where.LINUX, Trouble.LIBRARY): f"Install what plays sound here: {PACKAGES}.",
    (Where.LINUX, Trouble.SERVER): (
        f"Check that PulseAudio or PipeWire runs for this user (`pactl info`; {_START} starts it), and install what "
        f"connects to it: {PACKAGES}."
    ),
    (Where.WSL, Trouble.SERVER): _WSL,
    (Where.LINUX, Trouble.DENIED): _LINUX_DENIED,
    (Where.LINUX, Trouble.BUSY): (
        "Another program holds it (`fuser -v /dev/snd/*` names it), or it was unplugged: free it, or unset "
        "VOICEMODE_INPUT_DEVICE and VOICEMODE_OUTPUT_DEVICE for the sound server's default, which is shared."
    ),
    (Where.LINUX, Trouble.UNNAMED): (
        "Install `pactl`, which tells what the default is (`sudo apt install pulseaudio-utils`, Fedora: `sudo dnf "
        "install pulseaudio-utils`), then run `voicemode doctor --sound`."
    ),
    (Where.BARE, Trouble.UNNAMED): _NAME_BOTH,
    (Where.WSL, Trouble.UNNAMED): "WSL does not tell which of Windows' devices it uses.",
    (Where.BARE, Trouble.LIBRARY): (
        f"Install what plays sound here: {PACKAGES}, and start PulseAudio or PipeWire for this user ({_START})."
    ),
}
_GENERAL: dict[Trouble, str] = {
    Trouble.SERVER: "Start the system's sound service.",
    Trouble.LIBRARY: "Install PortAudio.",
    Trouble.NONE: "Connect one and choose it in the system's sound settings.",
    Trouble.MONITOR: "Choose a microphone as the system's default input.",
    Trouble.MUTED: "Unmute it in the system's sound settings.",
    Trouble.DENIED: "Give this program permission to use it in the system's privacy settings.",
    Trouble.BUSY: "Another program may hold it, or it was unplugged: free it, or choose another device.",
    Trouble.ZEROS: "It is muted, unplugged, or this program has no permission to use it.",
    Trouble.MOVED: "If it does not hear you, connect the other one again, or choose one in the system's settings.",
    Trouble.UNNAMED: _NAME_BOTH,
}


_FAR = (Trouble.LIBRARY, Trouble.SERVER, Trouble.NONE, Trouble.ZEROS)
"""What is no wonder where the sound is elsewhere."""


def advice(trouble: Trouble, place: Place, *, output: bool) -> str:
    """The next step, in the words and commands of this place."""
    at = where(place)
    if at in (Where.CONTAINER, Where.REMOTE) and trouble in _FAR:
        return _CONTAINER if at is Where.CONTAINER else _REMOTE
    if at is Where.BARE and trouble in (Trouble.NONE, Trouble.SERVER):
        return _bare(place)
    row = Where.LINUX if at in (Where.CONTAINER, Where.REMOTE, Where.BARE) else at
    for table in (_OUTPUT if output else _INPUT, _EITHER):
        for each in (at, row):
            if (each, trouble) in table:
                return table[each, trouble]
    return _GENERAL[trouble]


def _bare(place: Place) -> str:
    start = f"start PulseAudio or PipeWire for this user ({_START})"
    if place.hardware:
        return (
            f"No sound server answers: {start}; without one, `sudo usermod -aG audio $USER` and log in again."
        )
    return f"There is no sound card here (/dev/snd is missing), and no sound server answers: connect one, and {start}."


_WORDS = (
    (Trouble.DENIED, r"permission denied|access (is )?denied|not permitted|eacces|accessdenied|0x80070005"),
    (Trouble.BUSY, r"\bbusy\b|device unavailable|in[ _]use|ebusy|being used"),
    (Trouble.NONE, r"no such (file|device|entity)|invalid device|no default|connection refused"),
)


def trouble_of(error: DeviceError) -> Trouble | None:
    """What a library's words stand for; None where they say nothing."""
    if isinstance(error, NoDevice):
        return Trouble.NONE
    found = (trouble for trouble, words in _WORDS if re.search(words, error.message, re.IGNORECASE))
    return next(found, None)
