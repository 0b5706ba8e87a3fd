"""The doctor listens to the loudspeaker in a room that is known, and asks before it does."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.live.host import client, environment
from tests.support.command import ran
from tests.support.looking import look_for
from tests.support.room import Echo, Room
from tests.support.sound_card import MICROPHONE, SPEAKER, VirtualSoundCard
from tests.support.terminal import at_terminal
from voicemode.machine.echo_path import FILE, EchoPath, load, save

pytestmark = pytest.mark.live

LIMIT = 40
BED_DB = -75
"""The bed of the microphone is -70 dB over all of 48 kHz; 16 kHz hold a third of it."""
WAY_S = 0.05
"""What loudspeaker and microphone hold themselves is part of the delay that counts: 25-35 ms on this stack."""


def listened(card: VirtualSoundCard, folder: Path, *command: str) -> dict[str, dict[str, Any]]:
    done = ran(
        *(command or ("doctor", "--sound")), "--json", variables=environment(card, folder), limit_s=LIMIT
    )
    assert done.stderr == ""
    return {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.alone
@pytest.mark.parametrize(("loss_db", "delay_ms"), [(10, 60), (20, 200)])
@pytest.mark.spec("CLI-14", "CLI-15")
def test_the_way_from_loudspeaker_to_microphone_is_measured_and_kept(
    sound_card: VirtualSoundCard, tmp_path: Path, loss_db: int, delay_ms: int
) -> None:
    with Room(sound_card, echo=Echo(loss_db=loss_db, delay_ms=delay_ms)) as room:
        findings = listened(sound_card, tmp_path)
        assert room.path is not None
        real_s = room.path.delay_ms / 1000
    assert findings["echo"]["state"] == "ok"
    assert "interrupt by voice" in findings["echo"]["found"]
    assert findings["room"]["state"] == "ok"
    assert findings["microphone level"]["figures"]["rms_dbfs"] == pytest.approx(BED_DB, abs=2)
    known = load(tmp_path, output="speaker", input="microphone")
    assert known is not None
    assert known.delay is not None
    assert known.attenuation_db == pytest.approx(loss_db, abs=1)
    assert real_s <= known.delay <= real_s + WAY_S
    assert known.safe
    assert not known.open


@pytest.mark.spec("CLI-14")
def test_a_loudspeaker_beside_the_microphone_is_to_be_turned_down(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with Room(sound_card, echo=Echo(loss_db=4, delay_ms=60)):
        findings = listened(sound_card, tmp_path)
    assert findings["echo"]["state"] == "warn"
    assert "down by 6 dB" in findings["echo"]["mend"]


@pytest.mark.spec("CLI-14", "CLI-15")
def test_without_a_way_it_is_headphones(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    findings = listened(sound_card, tmp_path)
    assert "headphones" in findings["echo"]["found"]
    known = load(tmp_path, output="speaker", input="microphone")
    assert known is not None
    assert known.open


@pytest.mark.spec("CLI-14")
def test_what_cannot_be_measured_is_said_and_not_kept(tmp_path: Path) -> None:
    with VirtualSoundCard() as card:
        card.pactl("set-sink-mute", SPEAKER, "1")
        muted = listened(card, tmp_path)
        card.pactl("set-sink-mute", SPEAKER, "0")
        card.hold_microphone_quiet(zeros=True)
        dead = listened(card, tmp_path)
    assert "muted" in muted["echo"]["found"]
    assert dead["microphone level"]["state"] == "fail"
    assert "zeros" in dead["microphone level"]["found"]
    assert dead["microphone level"]["mend"]
    assert dead["loudspeaker sound"]["state"] == "ok"
    assert "not measured" in dead["echo"]["found"]
    assert not (tmp_path / FILE).exists()


@pytest.mark.spec("CLI-15")
def test_without_a_tool_that_names_the_default_nothing_is_kept_of_it_nor_trusted(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    found = {**environment(sound_card, tmp_path), "PATH": str(tmp_path)}
    done = ran("doctor", "--sound", "--json", variables=found, limit_s=LIMIT)
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["loudspeaker"]["state"] == "ok"
    assert findings["echo"]["state"] == "warn"
    assert "It is not kept" in findings["echo"]["found"]
    assert "pactl" in findings["echo"]["mend"]
    assert not (tmp_path / FILE).exists()


@pytest.mark.anyio
@pytest.mark.parametrize(("tools", "word"), [(True, "on"), (False, "off")])
@pytest.mark.spec("CLI-15", "LSN-39")
async def test_what_was_kept_of_a_default_that_nobody_can_name_is_not_trusted(
    sound_card: VirtualSoundCard, tmp_path: Path, tools: bool, word: str
) -> None:
    silent = EchoPath(delay=None, attenuation_db=70.0, measured_on=date(2026, 11, 21))
    save(tmp_path, silent, output="default", input="default")
    save(tmp_path, silent, output=SPEAKER, input=MICROPHONE)
    variables = environment(sound_card, tmp_path)
    async with client(variables if tools else {**variables, "PATH": str(tmp_path)}) as host:
        told = await host.call_tool("voice_status", {})
    assert told.structured_content is not None
    interrupting = told.structured_content["interrupting"]
    assert interrupting.startswith(word)
    assert ("apt install pulseaudio-utils" in interrupting) is not tools


@pytest.mark.spec("CLI-13", "DOC-6", "DOC-7")
def test_a_muted_microphone_and_a_frozen_sound_server_are_told_each_with_its_way_out(tmp_path: Path) -> None:
    with VirtualSoundCard() as card:
        card.pactl("set-source-mute", MICROPHONE, "1")
        muted = listened(card, tmp_path)
        card.pactl("set-source-mute", MICROPHONE, "0")
        card.freeze(LIMIT)
        frozen = listened(card, tmp_path, "doctor")
    assert "set-source-mute" in muted["microphone"]["mend"]
    assert muted["microphone level"]["mend"] == muted["microphone"]["mend"]
    assert muted["loudspeaker sound"]["state"] == "ok"
    assert "did not answer" in frozen["sound library"]["found"]
    assert "restart it" in frozen["sound library"]["mend"]
    assert "microphone" not in frozen
    assert frozen["speech: embedded voice"]["state"] == "ok"


@pytest.mark.parametrize(("answer", "measured"), [("y", True), ("n", False), ("", False)])
@pytest.mark.spec("CLI-14")
def test_at_a_terminal_it_asks_first(
    sound_card: VirtualSoundCard, tmp_path: Path, answer: str, measured: bool
) -> None:
    env = environment(sound_card, tmp_path)
    with at_terminal("doctor", env=env, cwd=tmp_path, output=True) as program:
        look_for(lambda: "[y/N]" in program.screen, LIMIT, lambda: program.screen)
        program.type(f"{answer}\n")
        program.ended(LIMIT)
        assert ("echo:" in program.screen) is measured
    assert (tmp_path / FILE).exists() is measured


@pytest.mark.spec("CLI-14")
def test_nobody_is_asked_where_nobody_is_and_nothing_sounds(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with sound_card.recording() as heard:
        done = ran("doctor", variables=environment(sound_card, tmp_path), limit_s=LIMIT)
        assert not heard.samples().any()
    assert "[y/N]" not in done.stdout
    assert "echo:" not in done.stdout
