"""Whether the user may talk over us on this machine, and why: by configuration, or by what is known of the echo."""

from __future__ import annotations

from dataclasses import dataclass

from voicemode.configuration.variables import BargeIn
from voicemode.machine.echo_path import EchoPath, sounds_like_headphones

MEASURE = "run `voicemode doctor --sound`"
INSIST = "VOICEMODE_BARGE_IN=true insists"


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """`reason` goes on after "on: " or "off: "."""

    allowed: bool
    reason: str

    def __str__(self) -> str:
        return f"{'on' if self.allowed else 'off'}: {self.reason}"


def permission(
    choice: BargeIn,
    *,
    path: EchoPath | None = None,
    loudspeaker: str = "",
    canceller: bool = True,
    unnamed: str = "",
) -> Permission:
    """`path` is what was measured between the devices that would be used, `loudspeaker` the name of one of them;
    `canceller`: there is something that takes our echo out; `unnamed`: it is not known which devices they are, and this
    helps."""
    if choice is not BargeIn.AUTO:
        return Permission(allowed=choice is BargeIn.TRUE, reason=f"VOICEMODE_BARGE_IN is {choice}")
    if not canceller:
        return Permission(allowed=False, reason="the echo canceller is not installed (`pip install livekit`)")
    if path is None:
        if sounds_like_headphones(loudspeaker):
            return Permission(allowed=True, reason=f"{loudspeaker!r} sounds like headphones")
        if unnamed:
            why = "it is not known which loudspeaker and microphone these are, and what was measured may be of others"
            return Permission(allowed=False, reason=f"{why}. {unnamed.rstrip('.')}, or {INSIST}")
        why = "it is not known what the microphone hears of the loudspeaker"
        return Permission(allowed=False, reason=f"{why}; {MEASURE}, or {INSIST}")
    when = f"measured on {path.measured_on}"
    if path.open:
        return Permission(allowed=True, reason=f"the microphone hears nothing of the loudspeaker ({when})")
    if path.delay is None:
        why = f"the room was too loud to find an echo ({when})"
        return Permission(allowed=False, reason=f"{why}; {MEASURE} when it is quieter, or {INSIST}")
    heard = f"{path.attenuation_db:.0f} dB fainter, {path.delay * 1000:.0f} ms late, {when}"
    if path.safe:
        return Permission(allowed=True, reason=f"the echo of the loudspeaker can be taken out ({heard})")
    return Permission(
        allowed=False,
        reason=f"the echo of the loudspeaker is too loud or too late ({heard}); turn it down or move it away and "
        f"{MEASURE} again, use headphones, or {INSIST}",
    )
