"""What the doctor says, and the advice that fits what it found."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from voicemode.devices.backend import DeviceInfo, DeviceReport
from voicemode.devices.diagnosis import Place, Trouble
from voicemode.doctor import BETTER_VOICE, Finding, State, examine
from voicemode.doctor_sound import echo, room
from voicemode.echo_path import EchoPath
from voicemode.settings_files import Folders
from voicemode.status import EngineStatus, Status
from voicemode.sweep import Found

pytestmark = [pytest.mark.anyio, pytest.mark.spec("CLI-7")]

NOWHERE = Path("nowhere")
EMBEDDED = EngineStatus(name="embedded voice", kind="embedded", state="ready")


def device(*, rate: int, output: bool) -> DeviceInfo:
    return DeviceInfo(
        index=0,
        name="default",
        host_api="paplay",
        input_channels=0 if output else 1,
        output_channels=1 if output else 0,
        rate=rate,
        default_output=output,
        default_input=not output,
    )


class Patient:
    def __init__(self, *speech: EngineStatus, rate: int = 48_000, wrong: Trouble | None = None) -> None:
        self._speech = (*speech, EMBEDDED)
        self._rate = rate
        self._wrong = wrong

    async def status(self, *, check: bool = False) -> Status:
        assert check
        devices = tuple(device(rate=self._rate, output=output) for output in (True, False))
        return Status(
            speech=self._speech,
            transcription=(),
            devices=DeviceReport(
                library="tools",
                version="1",
                devices=devices,
                place=Place(platform="linux"),
                input=self._wrong,
            ),
            floor="",
            problems=(),
            folders=Folders(
                data=NOWHERE, events=NOWHERE, recordings=NOWHERE, models=NOWHERE, user_file=NOWHERE
            ),
        )


async def found(patient: Patient, what: str) -> Finding:
    return next(finding for finding in await examine(patient) if finding.what == what)


async def test_a_device_that_does_not_tell_its_rate_has_its_own() -> None:
    assert (await found(Patient(rate=0), "loudspeaker")).found == "default (its own rate, 1 to choose from)"
    assert (await found(Patient(), "microphone")).found == "default (48000 Hz, 1 to choose from)"


async def test_who_has_no_server_is_told_how_to_get_one() -> None:
    absent = EngineStatus(name="127.0.0.1:8880", kind="server", state="not running")
    finding = await found(Patient(absent), "speech")
    assert (finding.state, finding.mend) == (State.WARN, BETTER_VOICE)


@pytest.mark.parametrize(
    ("state", "word"),
    [("unreachable", "network"), ("key_refused", "OPENAI_API_KEY"), ("not_speech", "address")],
)
async def test_who_has_a_server_that_does_not_answer_is_told_what_is_wrong_with_it(
    state: str, word: str
) -> None:
    finding = await found(Patient(EngineStatus(name="api.example.com", kind="server", state=state)), "speech")
    assert finding.mend.startswith("api.example.com: ")
    assert word in finding.mend
    assert "docker" not in finding.mend
    assert ("OPENAI_API_KEY" in finding.mend) is (state == "key_refused")


async def test_a_server_that_answers_needs_no_advice() -> None:
    ready = EngineStatus(name="api.example.com", kind="server", state="ready")
    broken = EngineStatus(name="other.example.com", kind="server", state="unreachable")
    assert [finding for finding in await examine(Patient(ready, broken)) if finding.what == "speech"] == []


@pytest.mark.parametrize(
    ("wrong", "word", "mend"),
    [
        (Trouble.MUTED, "muted", "set-source-mute"),
        (Trouble.MONITOR, "loudspeaker's own sound", "there is no microphone"),
        (Trouble.NONE, "none", "Connect a microphone"),
    ],
)
@pytest.mark.spec("CLI-13")
async def test_a_microphone_that_is_listed_and_cannot_hear_fails(
    wrong: Trouble, word: str, mend: str
) -> None:
    finding = await found(Patient(wrong=wrong), "microphone")
    assert finding.state is State.FAIL
    assert word in finding.found
    assert mend in finding.mend
    assert (await found(Patient(wrong=wrong), "loudspeaker")).state is State.OK


def path(attenuation_db: float, delay: float | None = 0.06) -> EchoPath:
    return EchoPath(delay=delay, attenuation_db=attenuation_db, measured_on=date(2026, 11, 21))


@pytest.mark.parametrize(
    ("measured", "headphones", "state", "words"),
    [
        (path(70, None), True, State.OK, ("headphones. You can interrupt",)),
        (path(70, None), False, State.OK, ("headphones, or a loudspeaker that is far away or off",)),
        (path(20), False, State.OK, ("20 dB fainter and 60 ms later", "You can interrupt by voice")),
        (path(4), False, State.WARN, ("turn the loudspeaker down by 6 dB", "headphones")),
        (path(20, 0.45), False, State.WARN, ("Bluetooth", "wired")),
        (path(30, None), False, State.WARN, ("too loud to hear", "quieter")),
    ],
)
@pytest.mark.spec("CLI-14")
async def test_what_an_echo_means_for_interrupting_by_voice(
    measured: EchoPath, headphones: bool, state: State, words: tuple[str, ...]
) -> None:
    finding = echo(measured, headphones=headphones)
    assert finding.state is state
    assert [word for word in words if word not in f"{finding.found} {finding.mend}"] == []


@pytest.mark.parametrize(("noise", "state"), [(-70.0, State.OK), (-45.0, State.OK), (-30.0, State.WARN)])
@pytest.mark.spec("CLI-14")
async def test_a_loud_room_is_told(noise: float, state: State) -> None:
    finding = room(Found(delay=None, attenuation=60, noise=noise))
    assert finding.state is state
    assert f"{noise:.0f} dB" in finding.found
    assert bool(finding.mend) is (state is State.WARN)
