"""Runs the checks and closes with one line: how many passed, failed and were skipped.

`check.py` alone runs lint, format, types and every test; with a word (format, lint, types, tests, live) only that.
Each tool counts as one check beside the tests. The exit code is 0 only if nothing failed.

Most tests wait for sound, so more of them than there are cores run side by side, each process with a sound card and
servers of its own; the types are checked beside them, by what they leave of the cores. Tests that measure how long
something takes (`pytest.mark.timed`) run afterwards with a core each, and those that hear sound to the sample
(`pytest.mark.alone`) at last and one by one. A machine that others use holds sound up now and then: what failed of
those that hear or measure it has two more tries then, by itself; what the product cannot do fails them all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 1500.0
CORES = min(os.cpu_count() or 1, 4)
WAITING_PER_CORE = 2
"""Processes that run tests which mostly wait for sound: more would starve each other's sound."""
TRIES = 3
FAILED = ROOT / "build" / "cache" / "failed"
"""Where pytest keeps which tests have failed, of one run of this program."""
EVERY = "(live or not live)"
"""A marker expression."""
PYTEST_CLOSING_LINE = re.compile(r"^(=+ )?(\d+ \w+|no tests ran)(, \d+ \w+)* in [\d.]+s.*$")


@dataclass(frozen=True, kw_only=True)
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )


ONE_PASSED = Tally(passed=1)
ONE_FAILED = Tally(failed=1)


def tool(name: str, *arguments: str) -> Tally:
    """A tool that is content or not."""
    with tool_beside(name, *arguments) as verdict:
        return verdict()


@contextmanager
def tool_beside(name: str, *arguments: str, first: Sequence[str] = ()) -> Iterator[Callable[[], Tally]]:
    """A tool that works while the block runs; what it says is printed when its verdict is asked for."""
    command = [*first, sys.executable, "-m", name, *arguments]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ) as process,
    ):

        def verdict() -> Tally:
            print(f"--- {name} {' '.join(arguments)}", flush=True)
            try:
                code = process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{name} did not end within {LIMIT_SECONDS:.0f} s", flush=True)
                return ONE_FAILED
            said.seek(0)
            print(said.read(), end="", flush=True)
            return ONE_FAILED if code else ONE_PASSED

        try:
            yield verdict
        finally:
            process.kill()


def waiting_tests(chosen: str) -> Tally:
    return _kept(*_processes(CORES * WAITING_PER_CORE), "-m", f"{chosen} and not timed and not alone")


def measuring_tests(chosen: str) -> Tally:
    timed = _kept(*_processes(CORES), "-m", f"{chosen} and timed and not alone")
    return timed + _kept("-m", f"{chosen} and alone")


def _kept(*arguments: str) -> Tally:
    return pytest(*arguments, "-o", f"cache_dir={FAILED}")


def tried_again(tally: Tally, run: Callable[..., Tally] = _kept) -> Tally:
    """The same tests, those counted as passed that hear or measure and held at a later try."""
    for _ in range(TRIES - 1):
        if not tally.failed:
            break
        again = run("--last-failed", "--last-failed-no-failures=none", "-m", "live or timed")
        held = min(again.passed, tally.failed)
        print(f"{held} of {tally.failed} that failed held when tried again, alone", flush=True)
        tally = replace(tally, passed=tally.passed + held, failed=tally.failed - held)
    return tally


def _processes(number: int) -> tuple[str, ...]:
    return "-n", str(number), "--dist", "loadgroup"


def pytest(*arguments: str) -> Tally:
    """pytest, its lines passed on as they come but for the closing one, which `main` writes for all."""
    print(f"--- pytest {' '.join(arguments)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=_remembering(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if not PYTEST_CLOSING_LINE.match(line.strip()):
                    print(line, end="", flush=True)
        return counted(report, process.returncode)


def _remembering() -> dict[str, str]:
    """An environment in which the tests that one process has compiled are there for the next one."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(ROOT / "build" / "cache" / "python")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def counted(report: Path, exit_code: int) -> Tally:
    """pytest's own counts; an exit code that the counts do not explain is one more failure."""
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        print(f"pytest left no report (exit code {exit_code})", flush=True)
        return ONE_FAILED
    total, failed, skipped = 0, 0, 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    tally = Tally(passed=max(total - failed - skipped, 0), failed=failed, skipped=skipped)
    return tally if failed or not exit_code else tally + ONE_FAILED


def lint() -> Tally:
    return tool("ruff", "check") + tool("ruff", "format", "--check")


def types() -> Tally:
    return tool("mypy")


def live() -> Tally:
    return tried_again(waiting_tests("live") + measuring_tests("live"))


def everything() -> Tally:
    linted = lint()
    modest = ("nice", "-n", "19") if shutil.which("nice") else ()
    with tool_beside("mypy", first=modest) as typed:
        waited = waiting_tests(EVERY)
        checked = typed()
        return linted + checked + tried_again(waited + measuring_tests(EVERY))


def tests() -> Tally:
    return tried_again(waiting_tests(EVERY) + measuring_tests(EVERY))


def reformat() -> Tally:
    return tool("ruff", "check", "--fix") + tool("ruff", "format")


CHECKS = {
    "all": everything,
    "lint": lint,
    "types": types,
    "live": live,
    "format": reformat,
    "tests": tests,
}


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "all"
    if name not in CHECKS:
        print(f"check.py: {name!r} is not one of {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    shutil.rmtree(FAILED, ignore_errors=True)
    tally = CHECKS[name]()
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
