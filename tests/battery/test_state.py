"""What a call is said to be doing while a device keeps it waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.flows.world import ANSWER, World, over
from tests.support.fakes import FakeMicrophone, until
from voicemode.pcm import Frame, PcmFormat
from voicemode.speech import Outcome

pytestmark = pytest.mark.anyio


class SlowMicrophone(FakeMicrophone):
    """Opens when it may."""

    def __init__(self) -> None:
        super().__init__(ANSWER)
        self.may_open = asyncio.Event()
        self.asked = False

    @asynccontextmanager
    async def __call__(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        self.asked = True
        await self.may_open.wait()
        async with super().__call__(format) as frames:
            yield frames


@pytest.mark.spec("BAT-20")
async def test_who_only_listens_is_starting_until_the_microphone_is_open() -> None:
    microphone = SlowMicrophone()
    call = World(microphone=microphone).conversation().listen()
    async with call:
        await until(lambda: microphone.asked)
        assert call.status().state == "starting"
        microphone.may_open.set()
        await until(lambda: call.status().state == "listening")
        assert (await over(call)).outcome is Outcome.ANSWERED
