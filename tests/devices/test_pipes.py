"""The command-line tools as a sound library: what is installed, and whether anything answers behind it."""

from __future__ import annotations

import pytest

from tests.devices.children import child, number
from tests.support.sound_card import VirtualSoundCard
from voicemode import clock
from voicemode.devices.pipes import Pipes
from voicemode.devices.tools import PLAYERS, RECORDERS, Question, server_answers
from voicemode.errors import NoDevice


def answered(*programs: str) -> Pipes:
    def answers(questions: frozenset[Question]) -> frozenset[Question]:
        return frozenset(question for question in questions if question[0] in programs)

    return Pipes(PLAYERS, RECORDERS, answers)


def test_each_side_is_listed_by_the_first_tool_whose_server_answers() -> None:
    listed = answered("pw-cli", "amixer").devices()
    assert [(info.host_api, info.default_output, info.default_input) for info in listed] == [
        ("pw-play", True, False),
        ("pw-record", False, True),
    ]


def test_tools_without_a_server_list_nothing_and_say_so() -> None:
    with pytest.raises(NoDevice, match="no audio server answers \\(paplay, pw-play, aplay, parec"):
        answered().devices()


def test_a_server_that_refuses_or_hangs_has_not_answered_within_a_second() -> None:
    yes, no, hangs, missing = ("true",), ("false",), ("sleep", "30"), ("no-such-program-anywhere",)
    begun = clock.monotonic()
    assert server_answers(frozenset({yes, no, hangs, missing})) == {yes, missing}
    assert clock.monotonic() - begun < 5.0


@pytest.mark.live
def test_a_machine_without_an_audio_server_lists_no_device(
    sound_card: VirtualSoundCard, tmp_path: object
) -> None:
    environment = {**sound_card.environment, "PULSE_SERVER": f"unix:{tmp_path}/none"}
    with child(environment, "inventory", "tools") as listing:
        begun = clock.monotonic()
        told = listing.told("inventory")
    assert told["names"] == []
    assert "no audio server answers" in str(told["why_none"])
    assert number(told, "at") - begun < 5.0
