from __future__ import annotations

import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from voicemode.configuration.presets import PRESETS, Preset, delivery
from voicemode.errors import InvalidRequest
from voicemode.speech import Delivery

SPEC = Path(__file__).parents[2] / "specs" / "speech-parts.md"


@pytest.mark.spec("SPT-40")
def test_each_preset_sets_all_and_the_chunks_of_the_specification() -> None:
    assert set(PRESETS) == set(Preset)
    chunks = {preset.value: (PRESETS[preset].first_chunk, PRESETS[preset].chunk) for preset in Preset}
    assert chunks["realtime"] == (10, 10)
    assert PRESETS[Preset.REALTIME].steps == 4
    assert chunks["adaptive"] == (12, 24)
    assert chunks["balanced"] == (24, 24)
    assert chunks["clone_fidelity"] == (30, 30)


@pytest.mark.spec("SPT-40")
def test_no_two_presets_are_the_same_and_each_can_be_asked_for_as_it_stands() -> None:
    assert len(set(PRESETS.values())) == len(PRESETS)
    for preset, own in PRESETS.items():
        assert delivery(preset) == delivery(preset.value) == own
        assert delivery(preset, **asdict(own)) == own


@pytest.mark.spec("SPT-40")
def test_the_table_in_the_specification_is_the_one_in_force() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+(?:\|[^|]+){5})\|", SPEC.read_text("utf-8"), re.MULTILINE)
    written = {name: [float(cell) for cell in cells.split("|")] for name, cells in rows}
    assert written == {preset.value: list(asdict(own).values()) for preset, own in PRESETS.items()}


@pytest.mark.spec("SPT-41")
def test_without_a_name_it_is_balanced_and_a_request_may_set_anything_otherwise() -> None:
    assert delivery() == delivery(None) == PRESETS[Preset.BALANCED]
    assert delivery("realtime", chunk=20, temperature=1) == replace(
        PRESETS[Preset.REALTIME], chunk=20, temperature=1.0
    )
    assert delivery(cfg_weight=0.0).cfg_weight == 0.0


@pytest.mark.spec("SPT-41")
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("exaggeration", 0.2, "exaggeration is 0.2; it is a number from 0.25 to 2."),
        ("exaggeration", math.nan, "exaggeration is nan"),
        ("cfg_weight", 1.01, "from 0 to 1"),
        ("cfg_weight", -0.1, "from 0 to 1"),
        ("temperature", math.inf, "from 0.05 to 5"),
        ("steps", 0, "steps is 0; it is a whole number from 1 to 50."),
        ("steps", 4.5, "whole number"),
        ("steps", True, "whole number"),
        ("chunk", 251, "from 5 to 250"),
        ("first_chunk", "12", "first_chunk is 12"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(field: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)) as caught:
        delivery("adaptive", **{field: value})
    assert field in caught.value.hint


@pytest.mark.spec("SPT-41")
@pytest.mark.parametrize("name", ["Balanced!", "turbo", "x" * 1_000])
def test_an_unknown_preset_is_refused_with_all_that_there_are(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        delivery(name)
    assert all(preset in caught.value.hint for preset in Preset)
    assert len(str(caught.value)) < 400


def test_a_delivery_holds_whole_numbers_where_only_those_make_sense() -> None:
    made: Delivery = delivery(steps=4.0)  # type: ignore[arg-type]
    assert isinstance(made.steps, int)
