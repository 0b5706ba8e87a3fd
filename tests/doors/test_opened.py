"""The application is opened once, when it is first wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import cast

import pytest
from mcp import Client

from voicemode.app import App
from voicemode.errors import VoiceModeError
from voicemode.mcp_server import build_server
from voicemode.mcp_server.opened import opened_later
from voicemode.mcp_server.serve import warm_when_idle

pytestmark = [pytest.mark.anyio, pytest.mark.spec("TOOL-21")]

LIMIT_SECONDS = 10.0


class House:
    """Opens `App`s that may be waited for."""

    def __init__(self, *, failures: int = 0) -> None:
        self.told: list[str] = []
        self.may_open = asyncio.Event()
        self._failures = failures

    def load(self) -> AbstractAsyncContextManager[App]:
        self.told.append("loaded")
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[App]:
        await self.may_open.wait()
        if self._failures:
            self._failures -= 1
            raise VoiceModeError("The folder cannot be used.")
        self.told.append("opened")
        try:
            yield cast(App, self)
        finally:
            self.told.append("closed")


async def test_all_who_ask_get_the_same_one_and_it_is_closed_with_the_server() -> None:
    house = House()
    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        opened = opened_later(stack, house.load)
        assert house.told == []
        asking = [asyncio.ensure_future(opened()) for _ in range(3)]
        house.may_open.set()
        assert {id(app) for app in await asyncio.gather(*asking)} == {id(await opened())}
    assert house.told == ["loaded", "opened", "closed"]


async def test_one_who_asks_first_and_is_cancelled_takes_it_from_nobody() -> None:
    house = House()
    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        opened = opened_later(stack, house.load)
        first, second = asyncio.ensure_future(opened()), asyncio.ensure_future(opened())
        await asyncio.wait({first, second}, timeout=0)
        first.cancel()
        house.may_open.set()
        assert await second is await opened()
    assert first.cancelled()
    assert house.told == ["loaded", "opened", "closed"]


async def test_a_failure_is_told_to_whoever_asked_and_the_next_one_tries_again() -> None:
    house = House(failures=2)
    house.may_open.set()
    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        opened = opened_later(stack, house.load)
        told = await asyncio.gather(opened(), opened(), return_exceptions=True)
        assert [str(each) for each in told] == ["The folder cannot be used."] * 2
        await opened()
    assert house.told == ["loaded", "loaded", "loaded", "opened", "closed"]


async def test_whoever_asks_when_it_is_just_open_does_not_overtake_those_who_waited() -> None:
    house, came = House(), list[str]()
    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        opened = opened_later(stack, house.load)

        async def ask(name: str) -> None:
            await opened()
            came.append(name)

        first = asyncio.ensure_future(ask("first"))
        house.may_open.set()
        later = list[asyncio.Future[None]]()
        while not first.done():
            later.append(asyncio.ensure_future(ask(f"later {len(later)}")))
            await asyncio.wait({first}, timeout=0)
        await asyncio.gather(*later)
    assert came == ["first", *(f"later {number}" for number in range(len(later)))]


async def test_a_machine_that_has_nothing_left_to_open_it_with_is_said_in_words() -> None:
    def load() -> AbstractAsyncContextManager[App]:
        raise OSError(24, "Too many open files", "/secret/path")

    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        with pytest.raises(VoiceModeError, match=r"could not be opened: Too many open files\. .*doctor"):
            await opened_later(stack, load)()


async def test_after_a_failure_the_next_pause_of_the_client_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = asyncio.Event()

    async def opened() -> App:
        failed.set()
        raise VoiceModeError("The folder cannot be used.")

    server = build_server(opened)
    warm_when_idle(server, opened)
    async with asyncio.timeout(LIMIT_SECONDS), Client(server) as client:
        for _ in range(2):
            failed.clear()
            await client.list_tools()
            await failed.wait()
    assert caplog.messages.count("The folder cannot be used.") == 2
