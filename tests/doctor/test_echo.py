"""What the doctor says of the loudspeaker, and of the way from it to the microphone."""

from __future__ import annotations

from datetime import date

import pytest

from tests.support.fakes import FakeLoudspeaker
from voicemode.configuration.variables import BargeIn
from voicemode.doctor.echo import echo, examine_loudspeaker, room
from voicemode.doctor.finding import State
from voicemode.machine.echo_path import EchoPath
from voicemode.pcm import SPEECH
from voicemode.sound.sweep import Found, sweep

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    ("choice", "good", "bad"),
    [
        (BargeIn.AUTO, "You can interrupt by voice from now on.", "To interrupt by voice turn"),
        (BargeIn.TRUE, "You can interrupt by voice.", "VOICEMODE_BARGE_IN is true: as it is, it may take"),
        (BargeIn.FALSE, "VOICEMODE_BARGE_IN is false", "To interrupt by voice turn"),
    ],
)
@pytest.mark.spec("CLI-14")
async def test_what_it_means_is_told_as_the_setting_has_it(choice: BargeIn, good: str, bad: str) -> None:
    assert echo(path(20), headphones=False, choice=choice).found.endswith(good + "." * (good[-1] != "."))
    assert echo(path(4), headphones=False, choice=choice).mend.startswith(bad)


@pytest.mark.parametrize(("noise", "state"), [(-70.0, State.OK), (-45.0, State.OK), (-30.0, State.WARN)])
@pytest.mark.spec("CLI-14")
async def test_a_loud_room_is_told(noise: float, state: State) -> None:
    finding = room(Found(delay=None, attenuation=60, noise=noise))
    assert finding.state is state
    assert f"{noise:.0f} dB" in finding.found
    assert bool(finding.mend) is (state is State.WARN)


@pytest.mark.spec("CLI-14")
async def test_what_was_measured_stands_beside_the_words() -> None:
    assert echo(path(20), headphones=False).figures == {"attenuation_db": 20, "delay_ms": 60.0}
    assert echo(path(70, None), headphones=False).figures == {"attenuation_db": 70}
    assert room(Found(delay=None, attenuation=60, noise=-61.26)).figures == {"noise_dbfs": -61.3}


@pytest.mark.spec("DOC-7")
async def test_a_loudspeaker_that_takes_the_sound_plays_all_of_it() -> None:
    speaker = FakeLoudspeaker()
    finding = await examine_loudspeaker(speaker)
    assert finding.state is State.OK
    assert "latency_ms" in finding.figures
    assert bytes(speaker.heard).startswith(sweep(SPEECH).data)
    assert speaker.open == 0


@pytest.mark.parametrize(
    ("speaker", "words"),
    [
        (FakeLoudspeaker(missing=True), ("There is no loudspeaker.", "Plug one in.")),
        (FakeLoudspeaker(lost_after=4_800), ("went away", "Plug it in again.")),
    ],
)
@pytest.mark.spec("DOC-7")
async def test_a_loudspeaker_that_is_missing_or_goes_away_fails(
    speaker: FakeLoudspeaker, words: tuple[str, str]
) -> None:
    finding = await examine_loudspeaker(speaker)
    assert finding.state is State.FAIL
    assert words[0] in finding.found
    assert finding.mend == words[1]
    assert speaker.open == 0
