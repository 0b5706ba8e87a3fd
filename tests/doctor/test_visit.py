"""The doctor's visit as a whole: what is tried, in what order it is told, and that nothing holds it up."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from tests.doctor.patient import Patient, patient
from tests.doors.door import LIMIT_SECONDS
from tests.support.speech_server import SpeechServer, closed_port
from voicemode.devices.backend import DeviceReport
from voicemode.devices.threads import aside
from voicemode.doctor import Allowed, Finding, Measure, Section, State, examine
from voicemode.doctor.visit import LOOK_SECONDS
from voicemode.speech import AudioFormat

pytestmark = [pytest.mark.anyio, pytest.mark.spec("DOC-1")]


async def told(
    app: Patient, allowed: Allowed | None = None, *, look_seconds: float = LOOK_SECONDS
) -> list[Finding]:
    async with asyncio.timeout(LIMIT_SECONDS):
        visit = examine(app, allowed or Allowed(), look_seconds=look_seconds)
        return [finding async for finding in visit]


def by_what(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


async def test_everything_is_told_in_the_order_in_which_it_is_needed(tmp_path: Path) -> None:
    async with patient(tmp_path) as app:
        findings = await told(app)
    sections = list(dict.fromkeys(finding.section for finding in findings))
    assert sections == list(Section)
    assert [
        finding.what for finding in findings if finding.state in (State.WARN, State.FAIL) and not finding.mend
    ] == []


@pytest.mark.spec("DOC-2")
async def test_without_leave_nothing_is_asked_opened_or_played(tmp_path: Path) -> None:
    with SpeechServer() as server:
        async with patient(tmp_path, VOICEMODE_TTS_BASE_URLS=server.base_url) as app:
            findings = by_what(await told(app))
            assert (app.heard.opened, app.speaker.opened) == (0, 0)
        assert server.requests == []
    assert findings["microphone level"].state is State.NOTE
    assert "--sound" in findings["microphone level"].mend
    assert "speech" not in findings


@pytest.mark.spec("DOC-2")
async def test_with_leave_the_microphone_is_opened_once_and_closed(tmp_path: Path) -> None:
    async with patient(tmp_path) as app:
        findings = by_what(await told(app, Allowed(microphone=True)))
        assert (app.heard.opened, app.heard.open, app.speaker.opened) == (1, 0, 0)
        assert app.floor.shown() == ""
    assert "rms_dbfs" in findings["microphone level"].figures


@pytest.mark.spec("DOC-2")
async def test_whoever_speaks_is_not_disturbed(tmp_path: Path) -> None:
    async with patient(tmp_path) as app:
        async with app.floor.hold("speak"):
            findings = by_what(await told(app, Allowed(microphone=True, loudspeaker=True)))
        assert (app.heard.opened, app.speaker.opened) == (0, 0)
    assert "speak" in findings["microphone level"].found


async def test_a_dead_server_is_told_and_the_rest_too(tmp_path: Path) -> None:
    with closed_port() as url:
        async with patient(tmp_path, VOICEMODE_TTS_BASE_URLS=url) as app:
            findings = by_what(await told(app, Allowed(servers=True)))
    assert findings["speech"].state is State.WARN
    assert "is it running" in findings["speech"].mend
    assert findings["data"].state is State.OK


async def test_a_check_that_hangs_is_given_up_and_the_others_are_told(
    tmp_path: Path,
) -> None:
    async def never() -> DeviceReport:
        await asyncio.Event().wait()
        raise AssertionError

    async with patient(tmp_path) as app:
        app.devices = never  # type: ignore[method-assign]
        findings = by_what(await told(app, look_seconds=0.5))
    assert "took longer" in findings["sound devices"].found
    assert findings["Python"].state is State.OK
    assert findings["data"].state is State.OK


async def test_a_check_that_breaks_is_told_and_takes_none_along(tmp_path: Path) -> None:
    async def broken() -> DeviceReport:
        raise RuntimeError("odd")

    async with patient(tmp_path) as app:
        app.devices = broken  # type: ignore[method-assign]
        findings = by_what(await told(app))
    assert "RuntimeError: odd" in findings["sound devices"].found
    assert "report it" in findings["sound devices"].mend
    assert findings["settings"].state is State.OK


async def test_who_stops_listening_to_the_doctor_leaves_nothing_running(tmp_path: Path) -> None:
    async with patient(tmp_path) as app:
        before = asyncio.all_tasks()
        visit = examine(app, Allowed())
        await anext(visit)
        await visit.aclose()
        assert asyncio.all_tasks() == before


@pytest.mark.spec("DOC-9")
async def test_the_assistants_of_this_home_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text(json.dumps({"mcpServers": {"v": {"command": "/no/voicemode"}}}))
    async with patient(tmp_path) as app:
        assert "no program" in by_what(await told(app))["Claude Code"].found
        app.environment = {}
        assert "no home folder" in by_what(await told(app))["clients"].found


@pytest.mark.spec("DOC-10")
async def test_while_something_is_waited_for_it_is_told_what(tmp_path: Path) -> None:
    with SpeechServer() as server:
        async with (
            patient(tmp_path, VOICEMODE_TTS_BASE_URLS=server.base_url) as app,
            asyncio.timeout(LIMIT_SECONDS),
        ):
            doing: list[str] = []
            allowed = Allowed(servers=True, measure=Measure.LOCAL)
            async for _ in examine(app, allowed, doing=doing.append):
                pass
    name = server.base_url.removeprefix("http://").removesuffix("/v1")
    assert [each for each in doing if " says a sentence as " in each] == [
        f"{name} says a sentence as {each} ({number} of 6)" for number, each in enumerate(AudioFormat, 1)
    ]
    assert {"sound devices", "servers", "measuring"} <= set(doing)


async def test_what_is_ready_on_this_machine_is_measured_in_its_place(tmp_path: Path) -> None:
    with SpeechServer() as server:
        async with patient(tmp_path, VOICEMODE_TTS_BASE_URLS=server.base_url) as app:
            findings = await told(app, Allowed(servers=True, measure=Measure.LOCAL))
    measured = [finding for finding in findings if finding.figures.get("first_byte_ms")]
    assert len(measured) == 6
    assert {finding.section for finding in measured} == {Section.SERVERS}


async def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    with SpeechServer() as server:
        async with patient(tmp_path, VOICEMODE_TTS_BASE_URLS=server.base_url) as app:
            known = await app.status(check=True)
            asked = len(server.requests)
            findings = by_what([each async for each in examine(app, Allowed(servers=True), known=known)])
            assert len(server.requests) == asked
    assert findings[f"speech: 127.0.0.1:{server.port}"].state is State.OK


async def test_no_secret_leaves_a_check(tmp_path: Path) -> None:
    secret = "a-key-of-an-odd-shape"

    async def broken() -> DeviceReport:
        raise RuntimeError(f"refused {secret}")

    async with patient(tmp_path, OPENAI_API_KEY=secret) as app:
        app.devices = broken  # type: ignore[method-assign]
        findings = await told(app)
    assert "refused [secret]" in by_what(findings)["sound devices"].found
    assert secret not in str(findings)


async def test_a_disk_that_hangs_is_waited_for_by_nobody() -> None:
    there = threading.Event()
    before = set(threading.enumerate())
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aside(there.wait, what="test")
        (left,) = set(threading.enumerate()) - before
        assert left.daemon
    finally:
        there.set()
    left.join(LIMIT_SECONDS)
    assert await aside(lambda: 7, what="test") == 7
    with pytest.raises(OSError, match="gone"):
        await aside(_gone, what="test")


def _gone() -> None:
    raise OSError("gone")


async def test_a_sound_system_that_does_not_answer_is_not_opened(tmp_path: Path) -> None:
    async def hung() -> DeviceReport:
        return DeviceReport(library="", version="", devices=(), why_none="It hangs.", way_out="Restart it.")

    async with patient(tmp_path) as app:
        app.devices = hung  # type: ignore[method-assign]
        findings = by_what(await told(app, Allowed(microphone=True, loudspeaker=True)))
        assert (app.heard.opened, app.speaker.opened) == (0, 0)
    assert findings["microphone level"].mend == "Restart it."
