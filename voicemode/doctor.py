"""What a user needs, checked in order; each line with a state, what was found and how to mend it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, util
from typing import Protocol

from voicemode import __version__
from voicemode.devices.backend import DeviceReport
from voicemode.devices.diagnosis import Trouble, advice, where
from voicemode.engines.embedded.judgement import BETTER_EAR
from voicemode.engines.http_probe import Health
from voicemode.status import EngineStatus, Status

BETTER_VOICE = (
    "Start a speech server on port 8880 (`docker run -p 8880:8880 ghcr.io/remsky/kokoro-fastapi-cpu`), "
    "set OPENAI_API_KEY, or name a server in VOICEMODE_TTS_BASE_URLS."
)

ADVICE = {
    Health.UNREACHABLE: "is it running, and does this machine reach it (address, network, proxy, firewall)?",
    Health.KEY_REFUSED: "give it a key that it takes (OPENAI_API_KEY).",
    Health.NOT_SPEECH: "check its address: something else listens there.",
}
"""For a server that somebody named or has a key for: it is wanted, so another one is not the first thing to advise."""

WRONG = {
    Trouble.NONE: "none",
    Trouble.SERVER: "none",
    Trouble.MONITOR: "the default input is the loudspeaker's own sound",
    Trouble.MUTED: "muted",
}
"""What can be known of a device that nobody opens."""

LIBRARIES = (
    ("av", "decodes mp3, opus, aac and flac"),
    ("webrtcvad", "hears whether somebody speaks"),
    ("espeakng_loader", "the embedded voice"),
    ("pocketsphinx", "the embedded recogniser"),
)


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, and could be better."""
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    state: State
    what: str
    found: str
    mend: str = ""


class Examined(Protocol):
    """What is asked how it is: the app."""

    async def status(self, *, check: bool = False) -> Status: ...


async def examine(app: Examined) -> list[Finding]:
    """Asks every endpoint; plays nothing and records nothing."""
    status = await app.status(check=True)
    return [
        _python(),
        *(_library(module, purpose) for module, purpose in LIBRARIES),
        _place(status.devices),
        _sound_library(status.devices),
        _device(status.devices, output=True),
        _device(status.devices, output=False),
        *_engines("speech", status.speech, BETTER_VOICE),
        *_engines("transcription", status.transcription, BETTER_EAR),
        *(Finding(state=State.WARN, what="configuration", found=str(problem)) for problem in status.problems),
        Finding(state=State.OK, what="files", found=str(status.folders.data)),
    ]


def _python() -> Finding:
    found = (
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, voicemode {__version__}"
    )
    return Finding(state=State.OK, what="Python", found=found)


def _place(report: DeviceReport) -> Finding:
    return Finding(state=State.OK, what="place", found=where(report.place))


def _library(module: str, purpose: str) -> Finding:
    name = {"webrtcvad": "webrtcvad-wheels", "espeakng_loader": "espeakng-loader"}.get(module, module)
    if util.find_spec(module) is not None:
        return Finding(state=State.OK, what=name, found=f"{metadata.version(name)}, {purpose}")
    missing = f"missing; it {purpose}" if module in ("av", "webrtcvad") else f"missing: {purpose}"
    mend = f"Install it beside voicemode: `pip install {name}`."
    if module == "pocketsphinx":
        return Finding(state=State.WARN, what=name, found=missing, mend=f"{mend} {BETTER_EAR}")
    return Finding(state=State.FAIL, what=name, found=missing, mend=mend)


def _sound_library(report: DeviceReport) -> Finding:
    if report.library:
        notes = f" ({'; '.join(report.notes)})" if report.notes else ""
        return Finding(
            state=State.OK, what="sound library", found=f"{report.library} {report.version}{notes}"
        )
    return Finding(
        state=State.FAIL,
        what="sound library",
        found=report.why_none or "none",
        mend=advice(Trouble.LIBRARY, report.place, output=True),
    )


def _device(report: DeviceReport, *, output: bool) -> Finding:
    what = "loudspeaker" if output else "microphone"
    usable = [
        each for each in report.devices if (each.output_channels if output else each.input_channels) > 0
    ]
    default = next((each for each in usable if (each.default_output if output else each.default_input)), None)
    chosen = default or (usable[0] if usable else None)
    trouble = report.output if output else report.input
    if chosen is None or trouble is not None:
        trouble = trouble or Trouble.NONE
        found = WRONG[trouble] if chosen is None else f"{chosen.name}: {WRONG[trouble]}"
        mend = advice(trouble, report.place, output=output)
        return Finding(state=State.FAIL, what=what, found=found, mend=mend)
    rate = f"{chosen.rate} Hz" if chosen.rate else "its own rate"
    return Finding(state=State.OK, what=what, found=f"{chosen.name} ({rate}, {len(usable)} to choose from)")


def _engines(what: str, engines: tuple[EngineStatus, ...], better: str) -> list[Finding]:
    """A server that was only looked for is no fault; what counts is that one engine is ready."""
    servers = any(each.kind == "server" and each.state == "ready" for each in engines)
    findings = [
        Finding(
            state=State.OK if each.state == "ready" else State.WARN,
            what=f"{what}: {each.name}",
            found=f"{each.state}{': ' if each.detail else ''}{each.detail}",
        )
        for each in engines
    ]
    mend = _advice(engines) or better
    if not any(each.state == "ready" for each in engines):
        findings.append(Finding(state=State.FAIL, what=what, found="no engine is ready", mend=mend))
    elif not servers:
        findings.append(
            Finding(state=State.WARN, what=what, found="only the embedded engine is ready", mend=mend)
        )
    return findings


def _advice(engines: tuple[EngineStatus, ...]) -> str:
    """What mends the servers that are wanted and do not answer; empty when there is none."""
    return " ".join(
        f"{each.name}: {ADVICE[Health(each.state)]}"
        for each in engines
        if each.kind == "server" and each.state in set(ADVICE)
    )
