"""A cluster in the test's own loop: real replicas' work behind a handle that is as unkind as Ray's.

Everything that goes between the two sides is pickled, a replica can die at any moment, and of a reply that nobody reads
any more the replica only learns by `cancel`.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from voicemode.cluster.remote import CHECK_SECONDS, Behind, Replicas, Reply
from voicemode.cluster.replica import HearingReplica, SpeechReplica
from voicemode.cluster.room import Room
from voicemode.cluster.wire import Said
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import SpeechRequest


class Gone(Exception):
    """What the handle raises of a replica that died."""


class Held:
    """Ray's multiplexing: so many are held, the least recently used goes."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.held: OrderedDict[str, object] = OrderedDict()

    def __call__(
        self, load: Callable[[str], Awaitable[object]], most: int
    ) -> Callable[[str], Awaitable[object]]:
        async def get(name: str) -> object:
            if name not in self.held:
                loaded = await load(name)
                self.loaded.append(name)
                self.held[name] = loaded
                while len(self.held) > most:
                    self.held.popitem(last=False)
            self.held.move_to_end(name)
            return self.held[name]

        return get


@dataclass(kw_only=True, eq=False)
class Replica:
    work: SpeechReplica | HearingReplica
    held: Held = field(default_factory=Held)
    alive: bool = True
    asked: int = 0
    replies: list[LocalReply] = field(default_factory=list)

    def die(self) -> None:
        """In the middle of everything it says."""
        self.alive = False
        for reply in self.replies:
            reply.lost()


class LocalReply:
    """A stream from a replica. Its producer runs ahead of whoever reads, as Ray's does."""

    def __init__(self, items: AsyncIterator[Said]) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(items))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Said:
        item = await self._queue.get()
        if isinstance(item, bytes):
            said: Said = pickle.loads(item)
            return said
        self._queue.put_nowait(item)
        if item is None:
            raise StopAsyncIteration
        raise item

    @property
    def open(self) -> bool:
        return not self._task.done()

    def cancel(self) -> None:
        self._task.cancel()

    def lost(self) -> None:
        """What has not arrived never will."""
        self._task.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(Gone("The actor died: SIGKILL"))

    async def _run(self, items: AsyncIterator[Said]) -> None:
        with suppress(asyncio.CancelledError):
            try:
                async for item in items:
                    self._queue.put_nowait(pickle.dumps(item))
                self._queue.put_nowait(None)
            finally:
                await items.aclose()  # type: ignore[attr-defined]


class LocalReplicas(Replicas):
    """The handle. Whoever holds the voice is asked, else whoever has been asked least of those alive."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = list(replicas)
        self.kills_next = 0
        """So many replicas die when they are asked next."""

    def stream(self, request: SpeechRequest, *, voice: str) -> Reply:
        replica = self._chosen(voice)
        assert isinstance(replica.work, SpeechReplica)
        asked: SpeechRequest = pickle.loads(pickle.dumps(request))
        reply = LocalReply(replica.work.synthesize(asked))
        replica.replies.append(reply)
        if self._kills(replica):
            replica.die()
        return reply

    async def call(self, method: str, *arguments: object, voice: str = "") -> Any:
        replica = self._chosen(voice)
        if self._kills(replica):
            replica.die()
            raise Gone("The actor died: SIGKILL")
        given = pickle.loads(pickle.dumps(arguments))
        return pickle.loads(pickle.dumps(await getattr(replica.work, method)(*given)))

    async def everywhere(self, method: str) -> Sequence[Any]:
        alive = [each for each in self.replicas if each.alive]
        return [await getattr(each.work, method)() for each in alive]

    @property
    def open(self) -> int:
        """Streams that replicas are at work for."""
        return sum(reply.open for each in self.replicas for reply in each.replies)

    def _kills(self, replica: Replica) -> bool:
        self.kills_next -= 1
        return self.kills_next >= 0

    def _chosen(self, voice: str) -> Replica:
        alive = [each for each in self.replicas if each.alive]
        if not alive:
            raise Gone("There is no replica.")
        holders = [each for each in alive if voice and voice in each.held.held]
        replica = min(holders or alive, key=lambda each: each.asked)
        replica.asked += 1
        return replica


@dataclass(kw_only=True)
class Cluster:
    """An engine's replicas, and what an ingress knows of them."""

    replicas: LocalReplicas
    behind: Behind

    def __getitem__(self, number: int) -> Replica:
        return self.replicas.replicas[number]


def cluster(
    *engines: TtsEngine,
    name: str = "words",
    voices: int = 50,
    ongoing: int = 4,
    waiting: int = 2,
    may_rest: bool = False,
    check_seconds: float = CHECK_SECONDS,
) -> Cluster:
    """A replica for each engine."""
    replicas = []
    for engine in engines:
        held = Held()
        replicas.append(Replica(work=SpeechReplica(engine, voices=voices, holding=held), held=held))
    made = _behind(replicas, name=name, ongoing=ongoing, waiting=waiting, affine=voices > 0)
    made.behind = replace(made.behind, may_rest=may_rest, check_seconds=check_seconds)
    return made


def hearing_cluster(*engines: SttEngine, name: str = "ear") -> Cluster:
    replicas = [Replica(work=HearingReplica(engine)) for engine in engines]
    return _behind(replicas, name=name, ongoing=4, waiting=2, affine=False)


def _behind(replicas: Sequence[Replica], *, name: str, ongoing: int, waiting: int, affine: bool) -> Cluster:
    handle = LocalReplicas(replicas)
    return Cluster(
        replicas=handle,
        behind=Behind(
            name=name,
            deployment=name,
            replicas=handle,
            room=Room(ongoing=ongoing, waiting=waiting),
            gone=lambda error: isinstance(error, Gone),
            affine=affine,
        ),
    )
