"""Streams that have sound in hand let those go first who have none."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fakes import until
from voicemode.speech_server.admission import Admission
from voicemode.speech_server.newcomers import IN_HAND_SECONDS, Newcomers

pytestmark = [pytest.mark.anyio, pytest.mark.spec("SRV-47")]

LIMIT_SECONDS = 10.0


async def turns(count: int = 20) -> None:
    """Everything else runs for a while."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_is_well_ahead_stands_still_until_the_newcomer_has_sound() -> None:
    newcomers = Newcomers(new_seconds=LIMIT_SECONDS)
    newcomers.came("new")
    waiting = asyncio.create_task(newcomers.first(60.0))
    await turns()
    assert not waiting.done()
    newcomers.settled("new")
    async with asyncio.timeout(LIMIT_SECONDS):
        await waiting
        await newcomers.first(60.0)


async def test_who_has_little_in_hand_stands_still_for_nobody_and_others_no_longer_than_their_sound_lasts() -> (
    None
):
    newcomers = Newcomers(new_seconds=LIMIT_SECONDS)
    newcomers.came("new")
    async with asyncio.timeout(LIMIT_SECONDS / 2):
        await newcomers.first(IN_HAND_SECONDS)
        await newcomers.first(IN_HAND_SECONDS + 0.02)
    newcomers.settled("new")


async def test_one_that_never_begins_or_has_left_holds_nobody_up() -> None:
    newcomers = Newcomers(new_seconds=0.02)
    newcomers.came("silent")
    newcomers.came("gone")
    newcomers.settled("gone")
    newcomers.settled("gone")
    async with asyncio.timeout(LIMIT_SECONDS):
        await newcomers.first(60.0)


async def test_a_stream_is_a_newcomer_until_it_has_half_a_second_of_sound() -> None:
    now = 100.0
    admission = Admission(most=4, now=lambda: now)
    async with admission.place() as old:
        old.sent(30.0, now)
        async with admission.place() as new:
            waiting = asyncio.create_task(old.give_way(now))
            await turns()
            new.sent(0.3, now)
            await turns()
            assert not waiting.done()
            new.sent(0.3, now)
            await until(waiting.done)
        async with admission.place():
            waiting = asyncio.create_task(old.give_way(now))
            await turns()
            assert not waiting.done()
        await until(waiting.done)
