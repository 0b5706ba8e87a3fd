"""`make bench` is measured in several goes, kept in one file, and read on one page."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from scripts import bench, bench_page
from scripts.measuring.results import Result, Results, Taken, load, machine, save
from scripts.measuring.rows import Row
from scripts.measuring.table import cells

PARTS = ["start", "tokens", "speaking"]
MORNING = Taken(
    date="2026-11-28T09:00+00:00",
    command="python -m scripts.bench --rows start",
    machine="2 processors",
    versions="voicemode 0.1.0",
    load_before=0.25,
    load_after=1.5,
)
NOON = MORNING.model_copy(update={"date": "2026-11-28T12:00+00:00", "load_before": 0.5})


def result(part: str, name: str, taken: Taken = MORNING, **values: list[float]) -> Result:
    named = {{"ours": "voicemode", "peer": "voice-mode"}[who]: found for who, found in values.items()}
    return Result(part=part, row=Row(name=name, unit="ms", goal="≤ 3 ms", values=named), taken=taken)


@pytest.mark.spec("BEN-20")
def test_a_row_measured_again_takes_the_place_of_the_old_one_and_the_others_stay() -> None:
    stood = Results(results=[result("start", "a", ours=[1.0], peer=[9.0]), result("tokens", "b", ours=[2.0])])
    merged = stood.merged(
        [result("speaking", "c", NOON, ours=[4.0]), result("start", "a", NOON, ours=[3.0])], PARTS
    )
    assert [(each.row.name, each.row.values, each.taken) for each in merged.results] == [
        (
            "a",
            {"voicemode": [3.0]},
            NOON,
        ),  # The peer's figure of the morning does not stand beside ours of noon.
        ("b", {"voicemode": [2.0]}, MORNING),
        ("c", {"voicemode": [4.0]}, NOON),
    ]


@pytest.mark.spec("BEN-20")
def test_parts_stand_in_their_order_whenever_they_were_measured() -> None:
    merged = Results().merged([result("speaking", "c"), result("start", "a"), result("start", "b")], PARTS)
    assert [each.row.name for each in merged.results] == ["a", "b", "c"]


@pytest.mark.spec("BEN-20")
def test_a_row_in_which_nothing_was_measured_takes_nobodys_place() -> None:
    stood = Results(results=[result("start", "a", ours=[1.0])])
    assert stood.merged([result("start", "a", NOON)], PARTS) == stood


@pytest.mark.spec("BEN-20")
def test_results_come_back_from_their_file_and_another_file_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "bench.json"
    assert load(file) == Results()
    results = Results(results=[result("start", "a", ours=[1.0, 2.5], peer=[9.0])])
    save(results, file)
    assert load(file) == results
    assert [path.name for path in file.parent.iterdir()] == ["bench.json"]
    file.write_text('{"results": [{"part": 1}]}', encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"bench\.json does not hold results"):
        load(file)


@pytest.mark.spec("BEN-21")
def test_the_page_has_every_figure_with_when_how_and_under_which_load_it_was_taken() -> None:
    results = Results(
        results=[
            result("start", "start → listed", ours=[100.0, 110.0, 120.0], peer=[440.0]),
            result("tokens", "tools | listed", NOON, ours=[3.0]),
        ]
    )
    text = bench_page.page(results)
    assert "| start → listed | ≤ 3 ms | 110 (100–120) ms | 440 ms | – | 4.0 × | 1 |" in text
    assert "| tools \\| listed | ≤ 3 ms | 3 ms | – | – | – | 2 |" in text
    assert (
        "1. 2026-11-28 09:00+00:00, `python -m scripts.bench --rows start`, load 0.2 before and 1.5 after"
        in text
    )
    assert "2. 2026-11-28 12:00+00:00" in text
    assert text.count("2 processors") == 1
    assert bench_page.HEADINGS["start"] in text


@pytest.mark.spec("BEN-21")
def test_every_row_has_a_heading_on_the_page() -> None:
    assert list(bench_page.HEADINGS) == list(bench.ROWS)


@pytest.mark.spec("BEN-21")
def test_from_twenty_runs_on_the_table_says_p95_instead_of_the_extremes() -> None:
    row = Row(name="a", unit="ms", goal="", values={"voicemode": [float(run) for run in range(1, 22)]})
    assert cells(row)[2] == "11 (p95 20) ms"


@pytest.mark.spec("BEN-21")
def test_the_command_on_the_page_leaves_out_where_the_file_was() -> None:
    assert bench.command(["--rows", "start", "--json", "/home/me/x.json", "--runs=3"]) == (
        "python -m scripts.bench --rows start --runs=3"
    )
    assert bench.command(["--json=/home/me/x.json"]) == "python -m scripts.bench"


@pytest.mark.spec("BEN-21")
def test_the_page_is_made_from_its_results_and_is_there_when_they_are() -> None:
    results = load(bench_page.RESULTS)
    assert bench_page.PAGE.exists() == bool(results.results)
    if results.results:
        assert bench_page.PAGE.read_text(encoding="utf-8") == bench_page.page(results)


def test_the_machine_is_described_without_its_name() -> None:
    assert "processors" in machine()
    assert platform.node() not in machine()
