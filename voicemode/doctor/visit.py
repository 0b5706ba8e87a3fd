"""Runs the checks: what may be tried, all of them at once, each within its limit, told in order."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from voicemode import clock
from voicemode.app import App
from voicemode.devices.backend import DeviceReport
from voicemode.devices.threads import aside
from voicemode.doctor.clients import Around, examine_clients
from voicemode.doctor.configuration import examine_configuration
from voicemode.doctor.echo import listen_to_itself
from voicemode.doctor.finding import Finding, Section, State
from voicemode.doctor.hearing import examine_microphone
from voicemode.doctor.machine import examine_machine, place
from voicemode.doctor.measuring import Doing, Measure, examine_servers
from voicemode.doctor.models import examine_models
from voicemode.doctor.servers import examine_engines
from voicemode.doctor.sound import examine_sound
from voicemode.machine.settings_files import find_project_file, working_folder
from voicemode.text.redaction import Redactor
from voicemode.wiring.status import Engines, Status

T = TypeVar("T")

logger = logging.getLogger(__name__)

LOOK_SECONDS = 8.0
"""For what reads files, lists devices (5 s where the sound system hangs) or asks servers (4 s)."""
MEASURE_SECONDS = 90.0
"""Six formats of a server that just keeps up."""
SOUND_SECONDS = 40.0
"""Waiting for whoever speaks, then a second of listening and three of playing; opening a device has 5 s."""

Work = Callable[[], Awaitable[list[Finding]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What may be tried. Without any nothing leaves this machine, sounds or listens.

    `files`: those of assistants are read, which may be long (Claude Code's holds its history); `servers`: asked whether
    they are there, which costs nothing; `microphone`: opened for a second; `loudspeaker`: plays a short quiet sound
    and listens to it; `measure`: servers that are ready say a sentence in each format.
    """

    files: bool = True
    servers: bool = False
    microphone: bool = False
    loudspeaker: bool = False
    measure: Measure = Measure.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    section: Section
    what: str
    work: Work
    seconds: float


async def examine(
    app: App,
    allowed: Allowed,
    *,
    known: Status | None = None,
    look_seconds: float = LOOK_SECONDS,
    doing: Doing = lambda what: None,
) -> AsyncGenerator[Finding]:
    """Findings in order, each as soon as it and those before it are known. Never raises for what it finds. What is
    `known` of devices and servers is not asked again. `doing` is told what is waited for."""
    if known is None:
        devices = asyncio.create_task(app.devices())
        engines = asyncio.create_task(app.engines(check=allowed.servers))
    else:
        devices = asyncio.create_task(_given(known.devices))
        asked = Engines(speech=known.speech, transcription=known.transcription)
        engines = asyncio.create_task(_given(asked))
    checks = _checks(app, allowed, devices, engines, look_seconds, doing)
    redact = Redactor(app.config.secrets()).redact
    tasks: list[asyncio.Task[list[Finding]]] = [asyncio.create_task(_told(check, redact)) for check in checks]
    try:
        for check, task in zip(checks, tasks, strict=True):
            doing(check.what)
            for finding in await task:
                yield finding
    finally:
        for task in tasks:
            task.cancel()
        devices.cancel()
        engines.cancel()
        await asyncio.gather(*tasks, devices, engines, return_exceptions=True)


async def _given(value: T) -> T:
    return value


def _checks(
    app: App,
    allowed: Allowed,
    devices: asyncio.Task[DeviceReport],
    engines: asyncio.Task[Engines],
    seconds: float,
    doing: Doing,
) -> Sequence[Check]:
    config, places = app.config, app.places

    async def machine() -> list[Finding]:
        return await aside(partial(examine_machine, today=clock.wall().date()), what="doctor")

    async def around() -> list[Finding]:
        return [place((await asyncio.shield(devices)).place)]

    async def sound() -> list[Finding]:
        return examine_sound(await asyncio.shield(devices), config)

    async def heard() -> list[Finding]:
        return await _heard(app, allowed, devices)

    async def servers() -> list[Finding]:
        return examine_engines(await asyncio.shield(engines))

    async def measured() -> list[Finding]:
        return await examine_servers(config, await asyncio.shield(engines), allowed.measure, doing)

    async def models() -> list[Finding]:
        return await aside(partial(examine_models, config, places), what="doctor")

    async def configuration() -> list[Finding]:
        return await aside(partial(_configuration, app), what="doctor")

    async def clients() -> list[Finding]:
        return await aside(partial(_clients, app), what="doctor") if allowed.files else []

    look = partial(Check, seconds=seconds)
    return (
        look(section=Section.MACHINE, what="Python and packages", work=machine),
        look(section=Section.MACHINE, what="place", work=around),
        look(section=Section.SOUND, what="sound devices", work=sound),
        Check(section=Section.SOUND, what="sound", work=heard, seconds=SOUND_SECONDS),
        look(section=Section.SERVERS, what="servers", work=servers),
        Check(section=Section.SERVERS, what="measuring", work=measured, seconds=MEASURE_SECONDS),
        look(section=Section.MODELS, what="models", work=models),
        look(section=Section.CONFIGURATION, what="configuration", work=configuration),
        look(section=Section.CLIENTS, what="clients", work=clients),
    )


async def _told(check: Check, redact: Callable[[str], str]) -> list[Finding]:
    """What the check found; that it hung or broke is a finding too. No secret leaves here."""
    try:
        async with asyncio.timeout(check.seconds):
            found = await check.work()
    except TimeoutError:
        found = [
            Finding(
                state=State.WARN,
                what=check.what,
                found=f"not known: it took longer than {check.seconds:g} s",
                mend="Something there hangs: see whether the sound service and the disk of this machine answer.",
            )
        ]
    except Exception as error:  # The door's edge: one check that breaks must not take the others along.
        logger.debug("The check of %s broke", check.what, exc_info=True)
        found = [
            Finding(
                state=State.WARN,
                what=check.what,
                found=f"not known: the check itself failed ({type(error).__name__}: {error})",
                mend="This is a fault of voicemode: please report it.",
            )
        ]
    return [
        replace(each, section=check.section, found=redact(each.found), mend=redact(each.mend))
        for each in found
    ]


async def _heard(app: App, allowed: Allowed, listing: asyncio.Task[DeviceReport]) -> list[Finding]:
    """What needs an open device, one after the other, with nobody else speaking, and after the list of devices: looking
    for them again ends what is open."""
    if not allowed.microphone:
        return [
            Finding(
                state=State.NOTE,
                what="microphone level",
                found="not tried: the microphone stays closed unless you allow it",
                mend="`voicemode doctor --sound` listens for a second, plays a quiet one and listens to that.",
            )
        ]
    devices = await asyncio.shield(listing)
    holder = app.floor.holder()
    if holder or devices.way_out:
        why = f"{holder} is using the sound" if holder else "the sound system does not answer"
        mend = "Try again when it is done." if holder else devices.way_out
        return [Finding(state=State.NOTE, what="microphone level", found=f"not tried: {why}", mend=mend)]
    async with app.floor.hold("doctor"):
        level = await examine_microphone(app.card.open_source)
        if not allowed.loudspeaker:
            return [level]
        return [level, *await listen_to_itself(app, devices, hears=level.state is not State.FAIL)]


def _configuration(app: App) -> list[Finding]:
    project = find_project_file(working_folder())
    return examine_configuration(
        app.config, app.places, project=None if project == app.places.user_file else project
    )


def _clients(app: App) -> list[Finding]:
    environment = app.environment
    home = next((value for name in ("HOME", "USERPROFILE") if (value := environment.get(name, ""))), "")
    if not home or not Path(home).is_absolute():
        return [Finding(state=State.NOTE, what="clients", found="not looked for: there is no home folder")]
    return examine_clients(
        Around(
            home=Path(home),
            project=working_folder(),
            platform=sys.platform,
            environment=environment,
            limit_s=app.config.server.client_limit_s,
        )
    )
