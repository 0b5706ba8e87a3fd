"""What every test may ask for, and in which order tests run beside each other."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.sound_card import VirtualSoundCard, what_is_missing


def pytest_configure() -> None:
    # How long a busy machine takes over an example says nothing about the example.
    settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("house")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Beside others, what waits for sound begins first and shares the machine with its like; what computes fills the
    cores at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("live") is None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


_CARD = pytest.StashKey[VirtualSoundCard]()


@pytest.fixture
def sound_card(request: pytest.FixtureRequest) -> Iterator[VirtualSoundCard]:
    """One virtual sound card for all tests of a process that follow one another and use it; a test that harms it
    (`kill`, `unplug_speaker`) opens its own. Who is `alone` has one of its own: an audio server that has run dry once
    stays late."""
    _skip_without_sound_card()
    if request.node.get_closest_marker("alone"):
        _put_the_card_away(request.config)
        with VirtualSoundCard() as card:
            yield card
        return
    stash = request.config.stash
    if _CARD not in stash:
        stash[_CARD] = VirtualSoundCard().__enter__()
    yield stash[_CARD]


def pytest_runtest_setup(item: pytest.Item) -> None:
    live = item.get_closest_marker("live")
    if live and "PipeWire" not in live.args:
        _skip_without_sound_card()
    else:
        # A card takes a tenth of a core, used or not.
        _put_the_card_away(item.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    _put_the_card_away(config)


def _put_the_card_away(config: pytest.Config) -> None:
    if card := config.stash.get(_CARD, None):
        card.close()
        del config.stash[_CARD]


def _skip_without_sound_card() -> None:
    if missing := what_is_missing():
        pytest.skip(f"no virtual sound card: {missing} is missing (scripts/system_packages.sh installs it)")
