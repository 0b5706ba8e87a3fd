"""Runs the conformance suite and the Inspector, and reads what they found."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from scripts import node_tools

ROOT = node_tools.ROOT
LIMIT_SECONDS = 120.0
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 5.0
WANTING = {"FAILURE", "WARNING"}


class _Check(BaseModel):
    id: str
    status: str


_CHECKS = TypeAdapter(list[_Check])


@dataclass(frozen=True, kw_only=True)
class Result:
    """`wanting` names each check that failed or warned as `scenario:check-id`; `passed` counts the others."""

    exit_code: int
    passed: int
    wanting: frozenset[str]
    output: str


def missing() -> str:
    """Why the tools cannot be used, or nothing."""
    if node_tools.node_and_npm() is None:
        return "Node is not installed (make setup brings it)"
    return "" if node_tools.installed() else "the npm tools are not installed (python scripts/node_tools.py)"


def surroundings(home: Path) -> dict[str, str]:
    """What an MCP host passes on, about."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home)}


def run_node(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    found = node_tools.node_and_npm()
    assert found is not None
    command = [
        str(found[0]),
        str(node_tools.FOLDER / "node_modules" / "@modelcontextprotocol" / script),
        *arguments,
    ]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=surroundings(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def conformance(url: str, revision: str, folder: Path) -> Result:
    """Every scenario that the revision requires, and those it does not score."""
    results = folder / "results"
    done = run_node(
        "conformance/dist/index.js",
        *("server", "--url", url, "--requirements", revision, "--output-dir", str(results)),
        folder=folder,
    )
    passed, wanting = 0, set[str]()
    for checks in sorted(results.glob("*/checks.json")):
        # A folder is named server-<scenario>-<time of the run>, the time in six parts joined by dashes.
        scenario = checks.parent.name.removeprefix("server-").rsplit("-", 6)[0]
        for check in _CHECKS.validate_json(checks.read_bytes()):
            passed += check.status == "SUCCESS"
            if check.status in WANTING:
                wanting.add(f"{scenario}:{check.id}")
    return Result(
        exit_code=done.returncode,
        passed=passed,
        wanting=frozenset(wanting),
        output=done.stdout[-4000:] + done.stderr,
    )


@contextmanager
def running_fixture_server(home: Path, *arguments: str) -> Iterator[str]:
    """The fixture server's URL; it writes below `home`, and is gone when the block is left."""
    command = [sys.executable, "-m", "tests.doors.conformance.fixture_server", *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=surroundings(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        late = threading.Timer(START_LIMIT_SECONDS, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            late.cancel()
            assert url, "the fixture server ended before it told its URL"
            yield url
        finally:
            late.cancel()
            process.terminate()
            try:
                process.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def baseline(name: str) -> frozenset[str]:
    """What is known to be wanting, one `scenario:check-id` in a line; # starts a comment."""
    text = (Path(__file__).parent / f"baseline-{name}.txt").read_text(encoding="utf-8")
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)
