"""What the doctor says of who speaks and listens, and the advice that fits."""

from __future__ import annotations

import pytest

from voicemode.doctor.finding import Finding, State
from voicemode.doctor.servers import BETTER_VOICE, examine_engines
from voicemode.wiring.status import Engines, EngineStatus

pytestmark = pytest.mark.spec("CLI-7")

EMBEDDED = EngineStatus(name="embedded voice", kind="embedded", state="ready", detail="Good. And more.")


def server(name: str, state: str) -> EngineStatus:
    return EngineStatus(name=name, kind="server", state=state)


def found(*speech: EngineStatus) -> dict[str, Finding]:
    engines = Engines(speech=(*speech, EMBEDDED), transcription=(EMBEDDED,))
    return {each.what: each for each in examine_engines(engines)}


def test_who_has_no_server_is_told_how_to_get_one() -> None:
    told = found(server("127.0.0.1:8880", "not running"))
    assert (told["speech"].state, told["speech"].mend) == (State.WARN, BETTER_VOICE)
    assert told["speech: 127.0.0.1:8880"].state is State.NOTE
    assert told["speech: embedded voice"].found == "ready: Good"


@pytest.mark.parametrize(
    ("state", "word"),
    [("unreachable", "network"), ("key_refused", "OPENAI_API_KEY"), ("not_speech", "address")],
)
def test_who_has_a_server_that_does_not_answer_is_told_what_is_wrong_with_it(state: str, word: str) -> None:
    finding = found(server("api.example.com", state))["speech"]
    assert finding.mend.startswith("api.example.com: ")
    assert word in finding.mend
    assert "docker" not in finding.mend
    assert ("OPENAI_API_KEY" in finding.mend) is (state == "key_refused")


def test_a_server_that_answers_needs_no_advice() -> None:
    assert "speech" not in found(server("api.example.com", "ready"), server("other", "unreachable"))


def test_of_servers_that_nobody_asked_nothing_is_said() -> None:
    told = found(server("api.example.com", "not asked"))
    assert told["speech: api.example.com"].state is State.NOTE
    assert "speech" not in told


def test_without_any_engine_nothing_can_be_said() -> None:
    gone = EngineStatus(name="embedded voice", kind="embedded", state="not installed")
    told = {each.what: each for each in examine_engines(Engines(speech=(gone,), transcription=(gone,)))}
    assert told["speech"].state is State.FAIL
    assert told["speech"].mend == BETTER_VOICE
