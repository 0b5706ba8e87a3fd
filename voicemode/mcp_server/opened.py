"""The application behind the door, opened when it is first wanted: loading it takes a tenth of a server's start, and a
client that has only just come asks what tools there are."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

from voicemode.errors import VoiceModeError

if TYPE_CHECKING:
    from voicemode.app import App

Opened = Callable[[], Awaitable["App"]]
"""The one application, however often it is asked for; opened before the first answer."""


def given(app: App) -> Opened:
    """Of an application that is open already."""

    async def opened() -> App:
        return app

    return opened


def opened_later(stack: AsyncExitStack, load: Callable[[], AbstractAsyncContextManager[App]]) -> Opened:
    """What `load` gives, in a thread, is put on `stack`. Where that fails whoever asked is told, and the next one tries
    again."""
    opening: asyncio.Task[App] | None = None
    in_order = asyncio.Lock()
    """Who asks when it is just open does not overtake those who waited: two messages are said as they came."""

    async def open_it() -> App:
        try:
            app = await stack.enter_async_context(await asyncio.to_thread(load))
        except OSError as error:
            raise VoiceModeError(
                f"voicemode could not be opened: {error.strerror or error}.",
                hint="Run `voicemode doctor`: it says what is wrong.",
            ) from error
        gc.freeze()  # What loading has made is never garbage.
        return app

    async def opened() -> App:
        nonlocal opening
        async with in_order:
            if opening is None or (opening.done() and (opening.cancelled() or opening.exception())):
                opening = asyncio.create_task(open_it())
            # Who asked first may be cancelled; the others wait for the same one.
            return await asyncio.shield(opening)

    return opened
