"""The microphone is opened for a moment, by consent: permission, and how loud it is."""

from __future__ import annotations

import asyncio
import sys
from array import array
from dataclasses import dataclass

from voicemode.doctor.finding import Finding, State
from voicemode.errors import DeviceError, MicrophoneSilent
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import OpenSource
from voicemode.sound.levels import decibels

LISTENING = PcmFormat(rate=16_000)
SECONDS = 1.0
"""Twice what makes zeros a fault, so that a Bluetooth microphone has woken up."""
LIMIT_SECONDS = 8.0
"""Opening has 5 s, and a device that has opened gives something within 2 s or is lost."""

FAINT_DB = -80.0
"""A quiet room is some -70 to -55 dB of full scale on a microphone whose level is right: fainter than this, speech half
a metre away (40 dB above) is fainter than -40."""
CLIPPED = 32_600
CLIPPED_SHARE = 0.001
"""Of the samples: a door that slams is less, a microphone that is turned up too far is more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """`rms` and `peak` in dB of full scale; `clipped` is the share of samples at its end."""

    rms: float
    peak: float
    clipped: float


def level_of(heard: Frame) -> Level:
    samples = array("h", heard.data)
    if sys.byteorder == "big":
        samples.byteswap()
    highest = max((abs(sample) for sample in samples), default=0)
    top = Frame(data=array("h", [min(highest, 32_767)]).tobytes(), format=heard.format)
    clipped = sum(abs(sample) >= CLIPPED for sample in samples) / max(len(samples), 1)
    return Level(rms=decibels(heard), peak=decibels(top), clipped=clipped)


async def examine_microphone(open_source: OpenSource) -> Finding:
    """Listens for a second. What was heard is kept nowhere."""
    heard = bytearray()
    enough = LISTENING.samples(SECONDS) * LISTENING.bytes_per_sample
    try:
        async with asyncio.timeout(LIMIT_SECONDS), open_source(LISTENING) as source:
            async for frame in source:
                heard += frame.data
                if len(heard) >= enough:
                    break
    except MicrophoneSilent as error:
        return _failed(error, zeros=True)
    except DeviceError as error:
        return _failed(error, zeros=False)
    except TimeoutError:
        return Finding(
            state=State.FAIL,
            what="microphone level",
            found=f"the microphone gave nothing within {LIMIT_SECONDS:g} s",
            mend="Start the system's sound service again, or unplug the microphone and plug it in again.",
        )
    return judged(level_of(Frame(data=bytes(heard), format=LISTENING)))


def judged(level: Level) -> Finding:
    figures = {"rms_dbfs": round(level.rms, 1), "peak_dbfs": round(level.peak, 1)}
    found = f"it hears: {level.rms:.0f} dB on average, {level.peak:.0f} dB at most (0 is full scale)"
    state, mend = State.OK, ""
    if level.clipped >= CLIPPED_SHARE:
        state = State.WARN
        found += ", and is overdriven"
        mend = "Lower its level in the system's sound settings."
    elif level.peak < FAINT_DB:
        state = State.WARN
        found += ", which is next to nothing even for a quiet room"
        mend = (
            "Say something while it listens (`voicemode doctor --sound`). If that is as faint, raise its level in the "
            "system's sound settings, or choose another with VOICEMODE_INPUT_DEVICE."
        )
    return Finding(state=state, what="microphone level", found=found, mend=mend, figures=figures)


def _failed(error: DeviceError, *, zeros: bool) -> Finding:
    figures = {"zeros": 1.0} if zeros else {}
    return Finding(
        state=State.FAIL, what="microphone level", found=error.message, mend=error.hint, figures=figures
    )
