"""The doctor listens to the loudspeaker: whether the microphone hears it, how loud the room is, and what both mean for
whoever wants to talk over the assistant. Only by consent."""

from __future__ import annotations

from contextlib import suppress

from voicemode import clock
from voicemode.app import App
from voicemode.devices.diagnosis import Trouble
from voicemode.doctor import Finding, State
from voicemode.echo_path import PROVED_DB, PROVED_DELAY, WITHIN_DB, EchoPath, save, sounds_like_headphones
from voicemode.errors import VoiceModeError
from voicemode.path_finding import find_echo_path
from voicemode.sweep import Found

QUIET_ROOM = -55.0
LOUD_ROOM = -40.0
"""dB of full scale; speech half a metre away is about -26."""

BY_VOICE = "You can interrupt by voice: VOICEMODE_BARGE_IN=true."


async def listen_to_itself(app: App) -> list[Finding]:
    """Plays a second of quiet sound, listens, and keeps what was found for the devices that were used."""
    status = await app.status()
    devices = status.devices
    if devices.output is Trouble.MUTED:
        return [Finding(state=State.WARN, what="echo", found="not measured: the loudspeaker is muted")]
    try:
        async with app.floor.hold("doctor"):
            found = await find_echo_path(app.card.open_sink, app.card.open_source)
    except VoiceModeError as error:
        return [Finding(state=State.FAIL, what="echo", found=error.message, mend=error.hint)]
    path = EchoPath(delay=found.delay, attenuation_db=found.attenuation, measured_on=clock.wall().date())
    with suppress(OSError):  # It is measured again another time.
        save(app.places.data, path, output=devices.output_name, input=devices.input_name)
    return [room(found), echo(path, headphones=sounds_like_headphones(devices.output_name))]


def room(found: Found) -> Finding:
    level = f"{found.noise:.0f} dB"
    if found.noise <= LOUD_ROOM:
        kind = "quiet" if found.noise <= QUIET_ROOM else "not quiet, and quiet enough"
        return Finding(state=State.OK, what="room", found=f"{level} at the microphone: {kind}")
    mend = "Lower the microphone's level, turn a fan or music down, or use a headset; VOICEMODE_VAD=neural helps."
    return Finding(state=State.WARN, what="room", found=f"{level} at the microphone: loud", mend=mend)


def echo(path: EchoPath, *, headphones: bool) -> Finding:
    """What the way from the loudspeaker to the microphone means."""
    loss = path.attenuation_db
    if path.open:
        where = "headphones" if headphones else "headphones, or a loudspeaker that is far away or off"
        heard = f"the microphone hears nothing of the loudspeaker ({loss:.0f} dB and more less): {where}"
        return Finding(state=State.OK, what="echo", found=f"{heard}. {BY_VOICE}")
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
        return Finding(state=State.OK, what="echo", found=f"{heard}; {good}. {BY_VOICE}")
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
