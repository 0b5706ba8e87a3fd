"""What would speak and listen now, and what stands in the way: the answer behind `voice_status` and `doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicemode.configuration.settings import Problem
from voicemode.devices.backend import DeviceReport
from voicemode.engines.embedded.ear import installed_files as ear_files
from voicemode.engines.embedded.ear import understands
from voicemode.engines.embedded.notes import BETTER_EAR, DICTATION_NOTE
from voicemode.engines.embedded.voice import installed_files as voice_files
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.http_probe import EndpointState, Health, Purpose, probe
from voicemode.engines.neural.choice import Chosen
from voicemode.errors import EngineUnavailable
from voicemode.machine.settings_files import Folders

if TYPE_CHECKING:
    from voicemode.models.store import Installed


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStatus:
    """One engine of a chain, in the order in which they are asked. `state` is ready, unknown or why it is not."""

    name: str
    kind: str
    state: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """Who is asked to speak and to listen, each chain in its order."""

    speech: tuple[EngineStatus, ...]
    transcription: tuple[EngineStatus, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What would be used now, and what stands in the way."""

    speech: tuple[EngineStatus, ...]
    transcription: tuple[EngineStatus, ...]
    devices: DeviceReport
    floor: str
    problems: tuple[Problem, ...]
    folders: Folders
    interrupting: str = ""
    """Whether the user may talk over a message, and why."""


async def server_states(
    endpoints: tuple[Endpoint, ...], purpose: Purpose, named: tuple[str, ...], *, check: bool
) -> tuple[EngineStatus, ...]:
    """A server on this machine that nobody named is only looked for: that it is not there is no fault."""
    if not check:
        return tuple(EngineStatus(name=each.name, kind="server", state="not asked") for each in endpoints)
    states = await asyncio.gather(*(probe(each, purpose=purpose) for each in endpoints))
    return tuple(
        EngineStatus(name=each.name, kind="server", state="not running")
        if state.health is Health.UNREACHABLE and each.loopback and not named
        else _server_status(state)
        for each, state in zip(endpoints, states, strict=True)
    )


def _embedded(what: str, installed: Callable[[], object], detail: str = "") -> EngineStatus:
    name = f"embedded {what}"
    try:
        installed()
    except EngineUnavailable as error:
        return EngineStatus(name=name, kind="embedded", state="not installed", detail=str(error))
    return EngineStatus(name=name, kind="embedded", state="ready", detail=detail)


def embedded_voice() -> EngineStatus:
    return _embedded("voice", voice_files)


def embedded_ear(language: str | None = None) -> EngineStatus:
    """`language` is the one that is configured; None where whatever is spoken is to be understood."""
    found = _embedded("ear", ear_files, DICTATION_NOTE)
    if found.state != "ready" or understands(language):
        return found
    return replace(
        found, state="English only", detail=f"VOICEMODE_STT_LANGUAGE is {language!r}. {BETTER_EAR}"
    )


def neural_states(chosen: Chosen, what: str) -> tuple[EngineStatus, ...]:
    """What is installed and would be asked, in order; and what is named and cannot be."""
    states = [
        EngineStatus(name=f"neural {what} {model.id}", kind="neural", state="ready", detail=_speed(model))
        for model in chosen.models
    ]
    if chosen.problem:
        problem = EngineStatus(
            name=f"neural {what}", kind="neural", state="not usable", detail=chosen.problem
        )
        states.insert(0, problem)
    return tuple(states)


def _speed(model: Installed) -> str:
    from voicemode.models.store import measured

    found = measured(model)
    if found is None:
        return "not measured yet (`voicemode models measure`)"
    return f"a second of sound takes {found.factor:.2f} s with {found.threads} threads"


def system_voice() -> EngineStatus:
    return EngineStatus(name="the system's voice", kind="system", state="ready")


def _server_status(state: EndpointState) -> EngineStatus:
    if state.health is Health.REACHABLE:
        latency = "" if state.latency is None else f"answers in {state.latency * 1000:.0f} ms"
        return EngineStatus(name=state.name, kind="server", state="ready", detail=latency)
    return EngineStatus(name=state.name, kind="server", state=state.health, detail=state.reason)
