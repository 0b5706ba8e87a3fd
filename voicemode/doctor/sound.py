"""What this machine has for sound, as far as it can be known without opening a device."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from voicemode.configuration.config import Config
from voicemode.configuration.variables import BargeIn
from voicemode.devices.backend import DeviceInfo, DeviceReport, choose
from voicemode.devices.diagnosis import Place, Trouble, advice
from voicemode.doctor.finding import Finding, State
from voicemode.errors import NoDevice
from voicemode.machine.echo_path import sounds_like_headphones
from voicemode.pcm import SPEECH

WRONG = {
    Trouble.NONE: "none",
    Trouble.SERVER: "none",
    Trouble.MONITOR: "the default input is the loudspeaker's own sound",
    Trouble.MUTED: "muted",
}
"""What can be known of a device that nobody opens."""

NAMELESS = "it is not known which loudspeaker and microphone these are"

MOST_LISTED = 8
NEAR = 0.5
"""How like a device's name a written one must be to be meant: names are long, and people write a part."""


def examine_sound(report: DeviceReport, config: Config) -> list[Finding]:
    if report.way_out:  # Nothing is known of any device.
        return [library(report)]
    return [
        library(report),
        device(report, config.sound.output_device, output=True),
        device(report, config.sound.input_device, output=False),
        *others(report),
        *nameless(report, config),
    ]


def library(report: DeviceReport) -> Finding:
    if report.library:
        notes = f" ({'; '.join(note.rstrip('.') for note in report.notes)})" if report.notes else ""
        return Finding(
            state=State.OK, what="sound library", found=f"{report.library} {report.version}{notes}"
        )
    return Finding(
        state=State.FAIL,
        what="sound library",
        found=report.why_none or "none",
        mend=report.way_out or advice(Trouble.LIBRARY, report.place, output=True),
    )


def device(report: DeviceReport, wanted: str, *, output: bool) -> Finding:
    """The loudspeaker or microphone that would be used: the one that `wanted` names, else the default."""
    what = "loudspeaker" if output else "microphone"
    usable = [each for each in report.devices if _channels(each, output=output) > 0]
    if wanted:
        try:
            chosen: DeviceInfo | None = choose(report.devices, wanted, output=output)
        except NoDevice as error:
            if usable:
                return _unmatched(wanted, usable, error, output=output)
            chosen = None
    else:
        default = (each for each in usable if (each.default_output if output else each.default_input))
        chosen = next(default, usable[0] if usable else None)
    trouble = report.output if output else report.input
    if chosen is None or trouble is not None:
        trouble = trouble or Trouble.NONE
        found = WRONG[trouble] if chosen is None else f"{chosen.name}: {WRONG[trouble]}"
        mend = advice(trouble, report.place, output=output)
        return Finding(state=State.FAIL, what=what, found=found, mend=mend)
    why = f"by {_variable(output=output)}" if wanted else "the default"
    server_name = report.output_name if output else report.input_name
    if server_name and server_name != chosen.name and not wanted:
        why = f"the default: {server_name}"
    many = f", {len(usable)} to choose from" if len(usable) > 1 else ""
    return Finding(
        state=State.OK,
        what=what,
        found=f"{chosen.name} ({why}, {_rate(chosen)}{many})",
        figures={"rate_hz": chosen.rate} if chosen.rate else {},
    )


def others(report: DeviceReport) -> list[Finding]:
    """All of them with the name that may be written, where there is a choice."""
    found = []
    for output in (True, False):
        usable = [each for each in report.devices if _channels(each, output=output) > 0]
        if len(usable) < 2:
            continue
        listed = [
            f"{each.index}: {each.name} ({each.rate or '?'} Hz)"
            for each in _without_twins(usable)[:MOST_LISTED]
        ]
        more = len(usable) - len(listed)
        found.append(
            Finding(
                state=State.NOTE,
                what="loudspeakers" if output else "microphones",
                found=", ".join([*listed, *([f"and {more} more"] if more else [])]),
                mend=f"To choose one: {_variable(output=output)}=, its number or a part of its name.",
            )
        )
    return found


def nameless(report: DeviceReport, config: Config) -> list[Finding]:
    """Where nobody can tell which devices these are, nothing that was measured of them counts another day."""
    wanted = config.listening.barge_in is BargeIn.AUTO
    if not report.nameless or not wanted or sounds_like_headphones(report.output_name):
        return []
    return [
        Finding(
            state=State.NOTE,
            what="interrupting by voice",
            found=f"off: {NAMELESS}, so what `doctor --sound` measures cannot be kept for them",
            mend=name_them(report.place),
        )
    ]


def name_them(place: Place) -> str:
    return f"{advice(Trouble.UNNAMED, place, output=True)} VOICEMODE_BARGE_IN=true insists without."


def _unmatched(wanted: str, usable: Sequence[DeviceInfo], error: NoDevice, *, output: bool) -> Finding:
    near = _near(wanted, usable)
    meant = f"Did you mean {near!r}? " if near else ""
    return Finding(
        state=State.FAIL,
        what="loudspeaker" if output else "microphone",
        found=error.message,
        mend=f"{meant}{error.hint}",
    )


def _near(wanted: str, usable: Sequence[DeviceInfo]) -> str:
    """The name that is most like the one that was written, by its whole or by one of its words; "" for none."""
    candidates: dict[str, str] = {}
    for info in usable:
        for part in (info.name, *info.name.split()):
            candidates.setdefault(part.casefold(), info.name)
    found = get_close_matches(wanted.strip().casefold(), candidates, n=1, cutoff=NEAR)
    return candidates[found[0]] if found else ""


def _rate(info: DeviceInfo) -> str:
    if not info.rate:
        return "its own rate"
    if info.rate == SPEECH.rate:
        return f"{info.rate} Hz"
    return f"{info.rate} Hz, other rates are converted"


def _without_twins(usable: Sequence[DeviceInfo]) -> list[DeviceInfo]:
    """Windows lists each device once for each of its interfaces."""
    return list({each.name: each for each in reversed(usable)}.values())[::-1]


def _channels(info: DeviceInfo, *, output: bool) -> int:
    return info.output_channels if output else info.input_channels


def _variable(*, output: bool) -> str:
    return "VOICEMODE_OUTPUT_DEVICE" if output else "VOICEMODE_INPUT_DEVICE"
