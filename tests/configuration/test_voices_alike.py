"""Which names are one voice, as the variable says it."""

from __future__ import annotations

import pytest

from voicemode.configuration.config import Config
from voicemode.configuration.voices_alike import VoicesAlike

NAME = "VOICEMODE_MIXED_START"


def read(text: str) -> VoicesAlike | None:
    config = Config.from_sources({NAME: text})
    assert config.problems == ()
    return config.speech.mixed_start


@pytest.mark.spec("MIX-2")
@pytest.mark.parametrize("text", ["", "false", "off", "0"])
def test_without_a_word_nothing_is_mixed(text: str) -> None:
    assert read(text) is None


@pytest.mark.spec("MIX-2")
@pytest.mark.parametrize("text", ["same", "SAME", "true", "1"])
def test_voices_of_one_name_match_and_no_others(text: str) -> None:
    alike = read(text)
    assert alike is not None
    assert alike.names("af_sky") == ("af_sky",)
    assert alike.named("af_sky") is None


@pytest.mark.spec("MIX-2")
def test_names_with_a_sign_between_them_are_one_voice_whoever_has_which() -> None:
    alike = read("same, af_sky = sky=en_sky, bm_george=george")
    assert alike is not None
    assert alike.names("af_sky") == ("af_sky", "sky", "en_sky")
    assert alike.names("sky") == ("sky", "af_sky", "en_sky")
    assert alike.names("alloy") == ("alloy",)
    assert (alike.named("george"), alike.named("af_sky"), alike.named("alloy")) == ("bm_george", "sky", None)


@pytest.mark.parametrize("text", ["sky", "af_sky=", "=", "same,maybe"])
def test_what_is_no_match_is_named_with_what_is_allowed(text: str) -> None:
    config = Config.from_sources({NAME: text})
    assert config.speech.mixed_start is None
    (problem,) = config.problems
    assert problem.variable == NAME
    assert "af_sky=sky" in problem.allowed


@pytest.mark.parametrize(("text", "shown"), [("true", "same"), ("", ""), ("a = b,same", "a=b")])
def test_it_is_shown_as_it_can_be_written(text: str, shown: str) -> None:
    row = next(each for each in Config.from_sources({NAME: text}).resolved() if each.name == NAME)
    assert row.value == shown
    assert read(shown) == read(text)
