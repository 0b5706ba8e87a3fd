"""The application of `voicemode serve` in front of engines that are replicas, as one ingress of the cluster runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from starlette.types import ASGIApp

from voicemode.app import open_app
from voicemode.cluster.manners import Manners, OwnNames
from voicemode.cluster.remote import Behind, RemoteEar, RemoteVoice
from voicemode.engines.first import FirstTranscription
from voicemode.machine.settings_files import load_config, working_folder
from voicemode.speech_server.composing import Composed, composed, warm_codecs
from voicemode.speech_server.serve import LIMITS
from voicemode.speech_server.web import web

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How old the number of replicas may be. Asking costs the cluster's controller one small call."""

Running = Callable[[], Awaitable[Mapping[str, int]]]
"""How many replicas run, by deployment."""


class Front:
    """An open application. `close` when it is no longer asked."""

    def __init__(self, web: ASGIApp, made: Composed, stack: AsyncExitStack) -> None:
        self.web = web
        self.composed = made
        self._stack = stack

    async def close(self) -> None:
        await self._stack.aclose()


async def open_front(
    environment: Mapping[str, str],
    *,
    voices: Sequence[Behind],
    ears: Sequence[Behind] = (),
    running: Running,
    ingress: str,
) -> Front:
    """`running` is asked while it is open; `ingress` is its own deployment's name. Raises `ConfigurationError`."""
    async with AsyncExitStack() as stack:
        config = load_config(environment, working_folder())
        # Whoever listens at this port is the cluster itself.
        config = replace(config, own_port=config.speech_server.port)
        app = await stack.enter_async_context(open_app(config, environment))
        listeners = [RemoteEar(behind) for behind in ears]
        speakers = [RemoteVoice(behind) for behind in voices]
        for each in speakers:
            stack.push_async_callback(each.close)
        made = composed(
            app,
            speakers,
            transcription=FirstTranscription(listeners) if listeners else None,
        )
        token, origins = config.server.token, config.speech_server.origins
        application = web(made.service, made.figures, hosts=OwnNames(), token=token, origins=origins)
        await asyncio.to_thread(warm_codecs)
        looking = asyncio.create_task(_look(running, [*voices, *ears], ingress))
        stack.callback(looking.cancel)
        return Front(Manners(application, token=token, limits=LIMITS), made, stack.pop_all())
    raise AssertionError("the block returns or raises")


async def _look(running: Running, behind: Sequence[Behind], ingress: str) -> None:
    """Tells every engine's room how many replicas there are, for as long as it is not cancelled."""
    while True:
        try:
            replicas = await running()
        except Exception as error:  # the cluster's edge: the controller may be starting again
            logger.warning("The cluster does not say how many replicas run: %s", error)
        else:
            for each in behind:
                each.room.told(replicas=replicas.get(each.deployment, 0), ingresses=replicas.get(ingress, 1))
        await asyncio.sleep(LOOK_SECONDS)
