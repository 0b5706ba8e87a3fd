"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sound_card import VirtualSoundCard, what_is_missing


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sound_card() -> Iterator[VirtualSoundCard]:
    """One virtual sound card for the whole run; a test that harms it (`kill`, `unplug_speaker`) opens its own."""
    _skip_without_sound_card()
    with VirtualSoundCard() as card:
        yield card


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("live"):
        _skip_without_sound_card()


def _skip_without_sound_card() -> None:
    if missing := what_is_missing():
        pytest.skip(f"no virtual sound card: {missing} is missing (scripts/system_packages.sh installs it)")
