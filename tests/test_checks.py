"""The closing line of the checks counts what happened, wherever it happened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.check import PYTEST_CLOSING_LINE, Tally
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


def run(folder: Path, content: str, *arguments: str) -> Tally:
    file = folder / "test_some.py"
    file.write_text(content)
    return run_pytest("-c", os.devnull, "-p", "no:cacheprovider", "-n", "2", *arguments, str(file))


def test_a_process_that_dies_is_a_failure_and_the_others_are_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, TESTS) == Tally(passed=2, failed=3, skipped=1)
    assert not any(PYTEST_CLOSING_LINE.match(line) for line in capfd.readouterr().out.splitlines())


def test_tests_that_cannot_be_read_are_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "import nothing_of_that_name") == Tally(failed=1)


def test_a_choice_that_leaves_no_test_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_passes(): pass", "-k", "nobody") == Tally(failed=1)
