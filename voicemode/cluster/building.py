"""Ray's application made from a plan, and Ray's handles as the replicas that our engines ask. Runs where Ray is."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

from ray import serve
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from voicemode.cluster.ingress import Front, open_front
from voicemode.cluster.plan import INGRESS, Deployed, Plan
from voicemode.cluster.remote import Behind, Reply
from voicemode.cluster.replica import HearingReplica, SpeechReplica, open_ear, open_voice
from voicemode.cluster.room import Room
from voicemode.speech import SpeechRequest
from voicemode.speech_server.failures import tell_of_tasks
from voicemode.speech_server.request_lines import show_requests

DRAIN_SECONDS = 90.0
"""How long Ray lets a replica that has to go finish what it is saying."""
LONGEST_BACKOFF_SECONDS = 0.05
"""Until a router asks again whether a replica is free. Ray's own half a second is time in which one is idle and a user
waits."""
MOST_STARTS = 3
"""An engine that does not start is told soon; Ray would try 20 times."""


def build(plan: Plan) -> Any:
    """Ray's application: an ingress, and a deployment for every engine and recogniser."""
    voices = {each.name: _deployment(VoiceDeployment, each, plan) for each in plan.engines}
    ears = {each.name: _deployment(EarDeployment, each, plan) for each in plan.recognisers}
    ingress = serve.deployment(serve.ingress()(IngressDeployment))
    return ingress.options(name=INGRESS, **_options(plan.ingress)).bind(plan, voices, ears)


def _deployment(kind: type[Any], deployed: Deployed, plan: Plan) -> Any:
    deployment = serve.deployment(kind)
    return deployment.options(name=deployed.deployment, **_options(deployed.options)).bind(
        deployed, plan.settings
    )


def _options(options: Mapping[str, object]) -> dict[str, Any]:
    return {
        "request_router_config": RequestRouterConfig(max_backoff_s=LONGEST_BACKOFF_SECONDS),
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "max_constructor_retry_count": MOST_STARTS,
        **options,
    }


class VoiceDeployment(SpeechReplica):
    async def __init__(self, deployed: Deployed, settings: Mapping[str, str]) -> None:  # type: ignore[misc]
        self._stack = AsyncExitStack()
        _speak_up()
        engine = await open_voice(deployed, _environment(settings), self._stack)
        super().__init__(engine, voices=deployed.voices, holding=_holding)

    async def __del__(self) -> None:
        await self._stack.aclose()


class EarDeployment(HearingReplica):
    async def __init__(self, deployed: Deployed, settings: Mapping[str, str]) -> None:  # type: ignore[misc]
        self._stack = AsyncExitStack()
        _speak_up()
        super().__init__(await open_ear(deployed, _environment(settings), self._stack))

    async def __del__(self) -> None:
        await self._stack.aclose()


class IngressDeployment:
    async def __init__(  # type: ignore[misc]
        self, plan: Plan, voices: Mapping[str, DeploymentHandle], ears: Mapping[str, DeploymentHandle]
    ) -> None:
        _speak_up()
        self._front: Front = await open_front(
            _environment(plan.settings),
            voices=[_behind(each, voices[each.name]) for each in plan.engines],
            ears=[_behind(each, ears[each.name]) for each in plan.recognisers],
            running=_running,
            ingress=INGRESS,
        )
        tell_of_tasks(self._front.composed.service.emit)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._front.web

    async def drain(self) -> None:
        """Takes nothing new, and returns when everything was said."""
        await self._front.composed.drain()

    async def __del__(self) -> None:
        await self._front.close()


class HandleReplicas:
    """A handle as `remote.Replicas`."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    def stream(self, request: SpeechRequest, *, voice: str) -> Reply:
        handle = self._handle.options(method_name="synthesize", stream=True, multiplexed_model_id=voice)
        return cast(Reply, handle.remote(request))

    def call(self, method: str, *arguments: object, voice: str = "") -> Awaitable[Any]:
        handle = self._handle.options(method_name=method, multiplexed_model_id=voice)
        return cast(Awaitable[Any], handle.remote(*arguments))

    def everywhere(self, method: str) -> Awaitable[Sequence[Any]]:
        return cast(Awaitable[Sequence[Any]], self._handle.broadcast(method).results_async())


def _behind(deployed: Deployed, handle: DeploymentHandle) -> Behind:
    return Behind(
        name=deployed.name,
        deployment=deployed.deployment,
        replicas=HandleReplicas(handle),
        room=Room(ongoing=deployed.ongoing, waiting=deployed.waiting),
        gone=_gone,
        affine=deployed.voices > 0,
        may_rest=deployed.may_rest,
    )


def _gone(error: Exception) -> bool:
    """The replica, not what it does: its process died, its node left, or it is on its way out."""
    kinds = (RayActorError, ActorUnavailableError, ReplicaUnavailableError, DeploymentUnavailableError)
    return isinstance(error, kinds)


async def _running() -> Mapping[str, int]:
    name = serve.get_replica_context().app_name
    status = await asyncio.to_thread(serve.status)
    deployments = status.applications[name].deployments
    return {each: found.replica_states.get("RUNNING", 0) for each, found in deployments.items()}


def _holding(load: Callable[[str], Awaitable[object]], most: int) -> Callable[[str], Awaitable[object]]:
    """Ray keeps `most` of what `load` gives, the least recently used goes, and its routers learn who holds what."""

    async def loaded(name: str) -> object:
        return await load(name)

    return cast(
        Callable[[str], Awaitable[object]], serve.multiplexed(max_num_models_per_replica=most)(loaded)
    )


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """A replica is a process with nobody above it who could read the environment for it."""
    return {**os.environ, **settings}


def _speak_up() -> None:
    """A line of JSON a request, as `voicemode serve` writes it; Ray keeps what a replica writes."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    show_requests()
