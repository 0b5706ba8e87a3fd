"""A run as JSON, as tables, as a picture, and beside an earlier run."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.material import HERE, MP3, run, spoken, understood
from voicemode.bench.comparing import compared, other_circumstances
from voicemode.bench.drawing import drawing
from voicemode.bench.results import Figure, Kind, Row, Subject, from_json, to_json
from voicemode.bench.showing import bars, changes, circumstances, tables
from voicemode.errors import InvalidRequest

SECONDS = st.floats(min_value=0.001, max_value=30, allow_nan=False)
FAST = [0.2, 0.21, 0.22, 0.23, 0.24]
SLOW = [0.3, 0.31, 0.32, 0.33, 0.34]
REFUSED = Row(subject=replace(MP3, format="aac"), failure="127.0.0.1:8880 refuses (HTTP 400).")


@pytest.mark.spec("BEN-7")
@given(st.lists(SECONDS, min_size=1, max_size=25))
def test_a_run_comes_back_from_its_json(audible: list[float]) -> None:
    made = run(spoken(*audible), REFUSED, understood(0.0, 0.5))
    assert from_json(to_json(made), source="it") == made


@pytest.mark.spec("BEN-7")
def test_json_has_every_value_and_what_is_made_of_them() -> None:
    told = json.loads(to_json(run(spoken(*FAST), REFUSED)))
    assert told["circumstances"]["load_before"] == 0.5
    assert told["complete"] is True
    first, second = told["rows"]
    assert (first["kind"], first["engine"], first["format"]) == ("speech", "127.0.0.1:8880", "mp3")
    audible = first["figures"]["audible"]
    assert audible == {"least": 0.2, "middle": 0.22, "most": 0.24, "runs": 5, "p95": None, "values": FAST}
    assert second["failure"] == REFUSED.failure
    assert second["figures"] == {}


@pytest.mark.spec("BEN-7")
@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"version": 2}', '{"version": 1, "rows": [1]}'])
def test_what_is_no_run_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"old\.json is no run of voicemode bench"):
        from_json(text, source="old.json")


@pytest.mark.spec("BEN-6")
def test_the_table_has_median_and_extremes_and_says_what_failed() -> None:
    shown = tables(run(spoken(*FAST), REFUSED, understood(0.5, 0.5)))
    row = next(line for line in shown.splitlines() if line.startswith("127.0.0.1:8880 mp3 short"))
    assert "110 (100–120)" in row
    assert "220 (200–240)" in row
    assert "0.25" in row
    assert "127.0.0.1:8880 aac short: 127.0.0.1:8880 refuses (HTTP 400)." in shown
    assert any(line.split() == ["embedded", "500", "50"] for line in shown.splitlines())
    assert "load 0.5 before, 1.2 after" in circumstances(run())


@pytest.mark.spec("BEN-6")
@given(st.lists(SECONDS, min_size=1, max_size=6))
def test_bars_are_as_long_as_their_wait(medians: list[float]) -> None:
    rows = [
        spoken(seconds, subject=replace(MP3, engine=f"host{number}"))
        for number, seconds in enumerate(medians)
    ]
    lines = bars(run(*rows), shades="abc").splitlines()[:-1]
    lengths = [sum(line.partition("  ")[2].count(shade) for shade in "abc") for line in lines]
    for seconds, length in zip(medians, lengths, strict=True):
        assert length == pytest.approx(48 * seconds / max(medians), abs=1)
        assert f"{round(seconds, 6) * 1000:.0f} ms" in lines[medians.index(seconds)]


@pytest.mark.spec("BEN-6")
@given(st.lists(st.lists(SECONDS, min_size=1, max_size=5), max_size=5))
def test_the_picture_is_valid_and_every_bar_lies_within_it(series: list[list[float]]) -> None:
    rows = [
        spoken(*audible, subject=replace(MP3, engine=f"<host & {number}>"))
        for number, audible in enumerate(series)
    ]
    picture = ElementTree.fromstring(drawing(run(*rows, REFUSED)))
    width = float(picture.attrib["viewBox"].split()[2])
    bars_drawn = [each for each in picture.iter() if each.get("class", "").startswith("part")]
    for bar in bars_drawn:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
    names = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    for number in range(len(series)):
        assert f"<host & {number}> mp3 short" in names


@pytest.mark.spec("BEN-9")
def test_a_change_is_marked_where_the_runs_do_not_mix_and_only_there() -> None:
    before, now = run(spoken(*FAST), understood(*[0.5] * 5)), run(spoken(*SLOW), understood(*[0.5] * 5))
    found = {each.figure: each for each in compared(before, now)}
    assert found[Figure.AUDIBLE].real
    assert found[Figure.AUDIBLE].share == pytest.approx(0.32 / 0.22 - 1)
    assert not found[Figure.FACTOR].real
    assert not found[Figure.WORD_ERRORS].real
    shown = changes(compared(before, now), [])
    assert any(line.split()[-4:] == ["220", "320", "+45%", "worse"] for line in shown.splitlines())
    assert "better" in changes(compared(now, before), [])
    mixed = changes(compared(before, run(spoken(0.2, 0.3, 0.31, 0.21, 0.32))), [])
    assert not any(line.endswith(("better", "worse")) for line in mixed.splitlines())


@pytest.mark.spec("BEN-9")
def test_a_change_of_less_than_anybody_notices_is_not_marked_however_sure_it_is() -> None:
    before, now = run(spoken(*[0.010] * 5)), run(spoken(*[0.013] * 5))
    assert not any(each.real for each in compared(before, now))


@pytest.mark.spec("BEN-9")
def test_only_the_same_engine_format_and_text_are_compared_and_other_circumstances_are_named() -> None:
    elsewhere = replace(HERE, settings="Buffer 500 ms", load_before=3.0)
    now = run(spoken(*FAST, subject=replace(MP3, text="Something else.")), circumstances=elsewhere)
    assert compared(run(spoken(*FAST)), now) == []
    assert other_circumstances(run(), now) == ["settings: Buffer 150 ms → Buffer 500 ms", "load: 0.5 → 3.0"]
    assert changes([], []) == "Nothing was measured in both runs."


@pytest.mark.spec("BEN-9")
def test_what_was_nothing_before_has_no_share() -> None:
    subject = Subject(kind=Kind.TURN, engine="your settings")
    before, now = (run(Row(subject=subject, values={Figure.UNDERRUNS: [count] * 5})) for count in (0.0, 2.0))
    (change,) = compared(before, now)
    assert change.share is None
    assert change.real
