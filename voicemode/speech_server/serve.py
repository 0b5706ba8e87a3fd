"""The speech server as a process: the door, what is told, and an end that lets what is being said be said."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from voicemode.app import App, open_app
from voicemode.configuration.config import Config
from voicemode.errors import VoiceModeError
from voicemode.local_http.door import Door, Limits, Named, listen, open_door, url_of
from voicemode.local_http.guard import own_hosts
from voicemode.ports import TtsEngine
from voicemode.speech_server.admission import FIRST_LIMIT
from voicemode.speech_server.capped import TAKE_SECONDS
from voicemode.speech_server.composing import Composed, composed, warm_codecs
from voicemode.speech_server.engines import Warms, first_guess, none_can, picked
from voicemode.speech_server.failures import tell_of_tasks
from voicemode.speech_server.web import web

logger = logging.getLogger(__name__)

NAMED = Named(host="VOICEMODE_SPEECH_HOST", port="VOICEMODE_SPEECH_PORT")

LIMITS = Limits(request_seconds=30.0, connections=2_048, message_bytes=262_144, answered_seconds=0.5)
"""30 s for an upload of 25 MB is a link of 7 Mbit/s."""


FILES_PER_CONNECTION = 2
"""The connection, and what its engine needs: another connection, or a pipe of its process."""

OWN_FILES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """A server that is open."""

    url: str
    composed: Composed
    door: Door

    async def drain(self) -> None:
        """Takes nothing new, and returns when all that is being said has been said and has gone out, or after the limit
        for that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.composed.drain_seconds):
                await self.composed.drain()
                await self.door.sent()


async def serve_speech(
    config: Config, environment: Mapping[str, str], *, ready: Callable[[str, str], None]
) -> None:
    """Serves until a signal comes, lets what is being said be said, and returns. `ready` is told the URL
    once the door is open, and why no engine can speak, where that is so. A second signal ends it at once."""
    stopping = told_by_signals()
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(config, environment))
        for problem in app.line_up.models.problems:
            logger.error("%s", problem)
        named = config.speech_server.engines
        engines = picked(app.line_up.speakers, named)
        await asyncio.gather(app.warm(), asyncio.to_thread(warm_codecs), _warm(engines if named else ()))
        first = await first_guess(engines)
        limits = _within_files(LIMITS)
        server = await stack.enter_async_context(serving(app, engines=engines, first=first, limits=limits))
        tell_of_tasks(server.composed.service.emit)
        # What stands now stays until the end: the collector need not go through it while clients wait (50 ms).
        gc.collect()
        gc.freeze()
        silent = await none_can(engines)
        with suppress(OSError):
            ready(server.url, " ".join(map(str, silent)))
        await stopping.get()
        draining = asyncio.ensure_future(server.drain())
        again = asyncio.ensure_future(stopping.get())
        await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, again):
            task.cancel()


@asynccontextmanager
async def serving(
    app: App, *, engines: Sequence[TtsEngine], first: float = FIRST_LIMIT, limits: Limits = LIMITS
) -> AsyncIterator[Serving]:
    """The server in front of `engines`. `first` streams are let in before anything was seen. Raises
    `ConfigurationError`."""
    settings = app.config.speech_server
    made = composed(app, engines, first=first)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(
            listen(
                settings.host,
                settings.port,
                token=app.config.server.token,
                named=NAMED,
                vanished=TAKE_SECONDS,
            )
        )
        port = listening.getsockname()[1]
        application = web(
            made.service,
            made.figures,
            hosts=own_hosts(settings.host, port),
            token=app.config.server.token,
            origins=settings.origins,
        )
        door = await stack.enter_async_context(
            open_door(application, listening, limits=limits, websockets=True)
        )
        yield Serving(url=url_of(listening, settings.host), composed=made, door=door)


async def _warm(engines: Sequence[TtsEngine]) -> None:
    """What is named and takes long to load is there before the door opens; what does not work is told."""
    for engine in engines:
        if isinstance(engine, Warms):
            try:
                await engine.warm()
            except VoiceModeError as error:
                logger.error("%s", error)


def _within_files(limits: Limits) -> Limits:
    """As many connections as this process may have files for. Many systems allow 1,024 until a program asks for more,
    and where there are none left nobody is let in, whoever loiters."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return limits
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_PER_CONNECTION * limits.connections + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        soft = possible
    return replace(
        limits, connections=min(limits.connections, max(1, (soft - OWN_FILES) // FILES_PER_CONNECTION))
    )


def told_by_signals() -> asyncio.Queue[None]:
    """One entry for each signal that asks the process to end."""
    told: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(told.put_nowait, None)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, tell)
    return told
