"""What a sound library looks like from here, and how a device is chosen from its list."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from voicemode.devices.capture import Capture
from voicemode.devices.diagnosis import Place, Trouble
from voicemode.devices.feed import Feed
from voicemode.errors import NoDevice
from voicemode.pcm import PcmFormat


class Unavailable(Exception):
    """A sound library cannot be used on this machine; the text says why. Never leaves this package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceInfo:
    """One device as its library lists it.

    `index` is what a person may write instead of the name; channels are the most it takes, 0 when it has no such
    side; `rate` is its own rate in Hz, 0 when the library does not say.
    """

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    rate: int
    default_input: bool = False
    default_output: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceReport:
    """What this machine has for sound.

    `library` and `version` are empty when none can be used, and `why_none` then says why; `notes` holds a sentence
    for each library that was passed over. `way_out` is the next step where the list could not be made. `place` is the
    machine; `input_name` and `output_name` are the devices that would be used ("": it is not known which they are),
    `input` and `output` what is wrong with them, as far as it can be known without opening them.
    """

    library: str
    version: str
    devices: tuple[DeviceInfo, ...]
    why_none: str = ""
    way_out: str = ""
    notes: tuple[str, ...] = ()
    place: Place = field(default_factory=Place)
    input: Trouble | None = None
    output: Trouble | None = None
    input_name: str = ""
    output_name: str = ""

    @property
    def named(self) -> bool:
        """What is known of these two devices is known of them another day."""
        return bool(self.input_name and self.output_name)

    @property
    def nameless(self) -> bool:
        """There are both, as far as it can be told, and nobody can tell which they are."""
        both = any(each.input_channels for each in self.devices) and any(
            each.output_channels for each in self.devices
        )
        return both and not self.named and self.input is self.output is None


class Stream(Protocol):
    """A started stream. Its calls may block; `close` ends it for good, at once, and may be called twice."""

    @property
    def name(self) -> str: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """A sound library. Every call may block; none is made on the event loop.

    Opening raises `NoDevice` or `DeviceError`, and gives a stream that has started. An error without a hint gets the
    way out of this machine's kind (`diagnosis`).
    """

    @property
    def library(self) -> str: ...

    @property
    def version(self) -> str: ...

    def devices(self) -> tuple[DeviceInfo, ...]: ...

    def open_output(self, device: str | None, feed: Feed) -> Stream: ...

    def open_input(self, device: str | None, wanted: PcmFormat, capture: Capture) -> Stream: ...


Loader = Callable[[], Backend]
"""Loads a library (blocking); raises `Unavailable`."""


SWITCH_SECONDS = 0.0005
"""How long another Python thread may compute before the callback gets its turn. With Python's 5 ms a device that holds
20 ms ran dry 222 times in 4 s beside a thread that computes, with 0.5 ms never, not even one that holds 10 ms."""


def serve_callbacks_soon() -> None:
    """For the whole process, from the first device on: a device's callback does not wait for what computes."""
    sys.setswitchinterval(SWITCH_SECONDS)


def choose(devices: Sequence[DeviceInfo], wanted: str, *, output: bool) -> DeviceInfo:
    """The device that `wanted` names: its index, its whole name, or a part of its name; case does not matter.

    Of several the default comes first, then the library's order. Raises `NoDevice` with the choices.
    """
    usable = [info for info in devices if (info.output_channels if output else info.input_channels) > 0]
    key = wanted.strip().casefold()
    found = [info for info in usable if key == str(info.index)]
    found = found or [info for info in usable if key == info.name.casefold()]
    found = found or [info for info in usable if key and key in info.name.casefold()]
    if not found:
        raise unknown_device(wanted, usable, output=output)
    return min(found, key=lambda info: not (info.default_output if output else info.default_input))


STAND_INS = frozenset(
    ("default", "sysdefault", "pulse", "pipewire", "jack", "system", "dmix", "dsnoop", "rdpsink", "rdpsource")
)
"""Names on Linux that stand for whatever device is chosen elsewhere: ALSA's and JACK's, and WSLg's for Windows' own."""


def used(devices: Sequence[DeviceInfo], wanted: str | None, default: str, *, output: bool) -> str:
    """The name of the device that would be opened, "" where only a stand-in's is known; `default` is the sound
    server's, where it tells."""
    name = ""
    if wanted is not None:
        name = wanted
        with suppress(NoDevice):
            name = choose(devices, wanted, output=output).name
    elif not default:
        first = (info.name for info in devices if (info.default_output if output else info.default_input))
        name = next(first, "")
    if not name or name.casefold() in STAND_INS:
        name = default
    return "" if name.casefold() in STAND_INS else name


def unknown_device(wanted: str, usable: Sequence[DeviceInfo], *, output: bool) -> NoDevice:
    side, variable = ("output", "VOICEMODE_OUTPUT_DEVICE") if output else ("input", "VOICEMODE_INPUT_DEVICE")
    choices = ", ".join(f"{info.index}: {info.name}" for info in usable) or "none"
    return NoDevice(
        f"No {side} device matches {wanted!r}. There are: {choices}.",
        hint=f"Set {variable} to an index or a part of a name, or unset it for the system's default.",
    )


def no_default(library: str, *, output: bool) -> NoDevice:
    """Nothing to play on or to record from."""
    side = "loudspeaker" if output else "microphone"
    return NoDevice(f"{library} finds no {side} on this machine.")
