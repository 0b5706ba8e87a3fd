"""What every test may ask for, and in which order tests run beside each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.sound_card import VirtualSoundCard, what_is_missing


def pytest_configure() -> None:
    # How long a busy machine takes over an example says nothing about the example.
    settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("house")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Beside others, what waits for sound begins first and shares the machine with its like; what computes fills the
    cores at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("live") is None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sound_card() -> Iterator[VirtualSoundCard]:
    """One virtual sound card for all that a process runs; a test that harms it (`kill`, `unplug_speaker`) opens its
    own."""
    _skip_without_sound_card()
    with VirtualSoundCard() as card:
        yield card


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("live"):
        _skip_without_sound_card()


def _skip_without_sound_card() -> None:
    if missing := what_is_missing():
        pytest.skip(f"no virtual sound card: {missing} is missing (scripts/system_packages.sh installs it)")
