"""The closing line of the checks counts what happened, wherever it happened."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from scripts.check import PYTEST_CLOSING_LINE, TRIES, Tally, tried_again
from scripts.check import pytest as run_pytest

TESTS = """
import os, pytest

def test_passes(): pass
def test_also_passes(): pass
def test_fails(): assert False
@pytest.fixture
def broken(): assert False
def test_cannot_begin(broken): pass
@pytest.mark.skip
def test_is_skipped(): pass
def test_kills_its_process(): os._exit(3)
"""

FAILING = """
import pathlib, pytest

def holds_at_try(wanted, name):
    tries = pathlib.Path(__file__).with_name(name)
    so_far = len(tries.read_bytes()) + 1 if tries.exists() else 1
    tries.write_bytes(b"x" * so_far)
    assert so_far >= wanted

def test_passes(): pass
def test_computes_and_fails_once(): holds_at_try(2, "computes")
@pytest.mark.live
def test_hears_and_fails_once(): holds_at_try(2, "hears")
@pytest.mark.timed
def test_measures_and_fails_twice(): holds_at_try(3, "measures")
@pytest.mark.live
def test_hears_and_fails_every_time(): holds_at_try(99, "never")
"""


def run(folder: Path, content: str, *arguments: str) -> Tally:
    file = folder / "test_some.py"
    file.write_text(content)
    kept = ("-o", f"cache_dir={folder / 'kept'}")
    return run_pytest("-c", os.devnull, *kept, "-n", "2", *arguments, str(file))


def test_a_process_that_dies_is_a_failure_and_the_others_are_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, TESTS) == Tally(passed=2, failed=3, skipped=1)
    assert not any(PYTEST_CLOSING_LINE.match(line) for line in capfd.readouterr().out.splitlines())


def test_tests_that_cannot_be_read_are_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "import nothing_of_that_name") == Tally(failed=1)


def test_a_choice_that_leaves_no_test_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_passes(): pass", "-k", "nobody") == Tally(failed=1)


def test_what_hears_or_measures_is_tried_again_and_nothing_else(tmp_path: Path) -> None:
    again = partial(run, tmp_path, FAILING)
    assert tried_again(again(), again) == Tally(passed=3, failed=2)
    tries = {name: len((tmp_path / name).read_bytes()) for name in ("computes", "hears", "measures", "never")}
    assert tries == {"computes": 1, "hears": 2, "measures": 3, "never": TRIES}
