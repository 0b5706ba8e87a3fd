"""The protocol's own test suite and the Inspector, against our server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.conformance import suite

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def tools() -> None:
    if reason := suite.missing():
        if os.environ.get("VOICEMODE_REQUIRE_CONFORMANCE"):
            pytest.fail(f"MCP conformance has to run here, and {reason}")
        pytest.skip(f"MCP conformance: {reason}")


@pytest.fixture(scope="module")
def url(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with suite.running_fixture_server(tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.mark.parametrize(("revision", "at_least"), [("2025-11-25", 75), ("2026-07-28", 140)])
def test_the_server_passes_everything_a_protocol_revision_requires(
    url: str, revision: str, at_least: int, tmp_path: Path
) -> None:
    result = suite.conformance(url, revision, tmp_path)
    assert result.exit_code == 0, result.output
    assert result.passed >= at_least, result.output
    # An entry that is no longer wanting is to be taken out of the baseline, so the sets are equal.
    assert sorted(result.wanting) == sorted(suite.baseline(revision))


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_the_product_wants_nothing_but_the_fixtures(tools: None, revision: str, tmp_path: Path) -> None:
    with suite.running_fixture_server(tmp_path, "--product") as url:
        result = suite.conformance(url, revision, tmp_path)
    assert result.passed > 10, result.output
    assert sorted(result.wanting) == sorted(suite.baseline(f"product-{revision}"))


def test_the_inspector_finds_no_fault_with_the_tools_schemas(tools: None, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.doors.conformance.fixture_server", "--stdio")
    done = suite.run_node(
        "inspector/clients/launcher/build/index.js",
        *("--cli", *command, "--method", "tools/list", "--strict"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert '"converse"' in done.stdout
