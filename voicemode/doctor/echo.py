"""The doctor listens to the loudspeaker: whether the microphone hears it, how loud the room is, and what both mean for
whoever wants to talk over the assistant. Only by consent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from voicemode import clock
from voicemode.app import App
from voicemode.configuration.variables import BargeIn
from voicemode.devices.backend import DeviceReport
from voicemode.devices.diagnosis import Trouble
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.sound import NAMELESS, name_them
from voicemode.ears.canceller import canceller_installed
from voicemode.errors import VoiceModeError
from voicemode.machine.echo_path import (
    PROVED_DB,
    PROVED_DELAY,
    WITHIN_DB,
    EchoPath,
    save,
    sounds_like_headphones,
)
from voicemode.measuring.path_finding import LIMIT_SECONDS, find_echo_path
from voicemode.pcm import LISTENING, SPEECH
from voicemode.ports import OpenSink
from voicemode.sound.sweep import Found, sweep

AFTER_SECONDS = 0.2
"""Of silence behind the sound, so that a device does not cut its end."""

QUIET_ROOM = -55.0
LOUD_ROOM = -40.0
"""dB of full scale; speech half a metre away is about -26."""

BY_VOICE = {
    BargeIn.AUTO: "You can interrupt by voice from now on.",
    BargeIn.TRUE: "You can interrupt by voice.",
    BargeIn.FALSE: "You could interrupt by voice, but VOICEMODE_BARGE_IN is false.",
}
INSISTED = "VOICEMODE_BARGE_IN is true: as it is, it may take its own voice for yours. "


async def listen_to_itself(app: App, devices: DeviceReport, *, hears: bool) -> list[Finding]:
    """Plays a short quiet sound, listens, and keeps what was found for the devices that were used. With a microphone
    that does not hear (`hears`) it only plays. Whoever calls holds the floor."""
    if devices.output is Trouble.MUTED:
        return [Finding(state=State.WARN, what="echo", found="not measured: the loudspeaker is muted")]
    if not hears:
        return [
            await examine_loudspeaker(app.card.open_sink),
            Finding(state=State.NOTE, what="echo", found="not measured: the microphone does not hear"),
        ]
    try:
        measured = await find_echo_path(app.card.open_sink, app.card.open_source)
    except VoiceModeError as error:
        return [Finding(state=State.FAIL, what="echo", found=error.message, mend=error.hint)]
    if canceller_installed():
        await asyncio.to_thread(app.ways.add, sweep(LISTENING), measured.heard, measured.expected)
    found = measured.found
    path = EchoPath(delay=found.delay, attenuation_db=found.attenuation, measured_on=clock.wall().date())
    choice = app.config.listening.barge_in
    headphones = sounds_like_headphones(devices.output_name)
    meant = echo(path, headphones=headphones, choice=choice)
    if not devices.named:
        return [room(found), _of_this_moment(meant, devices, choice)]
    with suppress(OSError):  # It is measured again another time.
        save(app.places.data, path, output=devices.output_name, input=devices.input_name)
    return [room(found), meant]


async def examine_loudspeaker(open_sink: OpenSink) -> Finding:
    """Plays the quiet sound: whether the device takes it, at the pace of sound."""
    data = sweep(SPEECH).data + SPEECH.silence(SPEECH.samples(AFTER_SECONDS))
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    taken = 0

    def ended(error: VoiceModeError | None) -> None:
        if not over.done():
            over.set_result(None) if error is None else over.set_exception(error)

    def pull(samples: int) -> bytes:
        nonlocal taken
        size = samples * SPEECH.bytes_per_sample
        part = data[taken : taken + size]
        taken += size
        if taken >= len(data) > taken - size:
            loop.call_soon_threadsafe(ended, None)
        return part + bytes(size - len(part))

    def lost(error: VoiceModeError) -> None:
        loop.call_soon_threadsafe(ended, error)

    try:
        async with asyncio.timeout(LIMIT_SECONDS), open_sink(SPEECH, pull, lost) as sink:
            await over
            return Finding(
                state=State.OK,
                what="loudspeaker sound",
                found=f"it took a short quiet sound ({sink.name}, {sink.latency * 1000:.0f} ms until it is heard)",
                figures={"latency_ms": round(sink.latency * 1000, 1)},
            )
    except VoiceModeError as error:
        return Finding(state=State.FAIL, what="loudspeaker sound", found=error.message, mend=error.hint)
    except TimeoutError:
        return Finding(
            state=State.FAIL,
            what="loudspeaker sound",
            found=f"it did not take a short sound within {LIMIT_SECONDS:g} s",
            mend="Start the system's sound service again, or unplug the loudspeaker and plug it in again.",
        )


def room(found: Found) -> Finding:
    level = f"{found.noise:.0f} dB"
    figures = {"noise_dbfs": round(found.noise, 1)}
    if found.noise <= LOUD_ROOM:
        kind = "quiet" if found.noise <= QUIET_ROOM else "not quiet, and quiet enough"
        return Finding(
            state=State.OK, what="room", found=f"{level} at the microphone: {kind}", figures=figures
        )
    mend = "Lower the microphone's level, turn a fan or music down, or use a headset; VOICEMODE_VAD=neural helps."
    return Finding(
        state=State.WARN, what="room", found=f"{level} at the microphone: loud", mend=mend, figures=figures
    )


def echo(path: EchoPath, *, headphones: bool, choice: BargeIn = BargeIn.AUTO) -> Finding:
    """What the way from the loudspeaker to the microphone means for whoever may talk over a message by `choice`."""
    delay = {} if path.delay is None else {"delay_ms": round(path.delay * 1000, 1)}
    figures = {"attenuation_db": round(path.attenuation_db, 1), **delay}
    finding = _meant(path, headphones=headphones)
    if finding.state is State.OK:
        return replace(finding, found=f"{finding.found} {BY_VOICE[choice]}", figures=figures)
    mend = f"{INSISTED if choice is BargeIn.TRUE else ''}{finding.mend}"
    return replace(finding, mend=mend, figures=figures)


def _of_this_moment(finding: Finding, devices: DeviceReport, choice: BargeIn) -> Finding:
    """What was found, where it is not known of which devices: nothing is decided by it another time."""
    if choice is not BargeIn.AUTO or finding.state is not State.OK:
        return finding
    found = finding.found.removesuffix(BY_VOICE[choice])
    return replace(
        finding,
        state=State.WARN,
        found=f"{found}It is not kept: {NAMELESS}, and tomorrow it may be others.",
        mend=name_them(devices.place),
    )


def _meant(path: EchoPath, *, headphones: bool) -> Finding:
    loss = path.attenuation_db
    if path.open:
        where = "headphones" if headphones else "headphones, or a loudspeaker that is far away or off"
        heard = f"the microphone hears nothing of the loudspeaker ({loss:.0f} dB and more less): {where}"
        return Finding(state=State.OK, what="echo", found=f"{heard}.")
    if path.delay is None:
        return Finding(
            state=State.WARN,
            what="echo",
            found=f"the room is too loud to hear an echo that is more than {loss:.0f} dB fainter",
            mend="Measure again when it is quieter.",
        )
    heard = f"the microphone hears the loudspeaker {loss:.0f} dB fainter and {path.delay * 1000:.0f} ms later"
    if path.safe:
        good = f"the echo canceller is good for anything fainter by {PROVED_DB:.0f} dB or more"
        return Finding(state=State.OK, what="echo", found=f"{heard}; {good}.")
    if loss < PROVED_DB - WITHIN_DB:
        mend = (
            f"To interrupt by voice turn the loudspeaker down by {PROVED_DB - loss:.0f} dB or more, move it away from "
            "the microphone, or use headphones."
        )
    else:
        mend = (
            f"An echo later than {PROVED_DELAY * 1000:.0f} ms (Bluetooth) is not taken out: to interrupt by voice "
            "use a wired loudspeaker, or headphones."
        )
    return Finding(state=State.WARN, what="echo", found=heard, mend=mend)
