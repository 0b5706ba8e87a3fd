"""What the tests of the doors may ask for."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)
