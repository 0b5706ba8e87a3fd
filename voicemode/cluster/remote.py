"""Engines whose work is done by replicas: the project's engine ports on this side, a streaming handle on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from voicemode.cluster.room import Room
from voicemode.cluster.wire import Failed, Head, Preloaded, Said, Tail, error_of
from voicemode.errors import BadContent, EngineError, EngineUnavailable, StreamBroken, VoiceModeError
from voicemode.speech import (
    EncodedAudio,
    SpeechRequest,
    Tell,
    Transcript,
    TranscriptionRequest,
    Trouble,
    Voice,
    untold,
)

MOST_TRIES = 3
"""Replicas that are asked before sound: one that was killed says nothing about the next."""

CHECK_SECONDS = 2.0
"""A replica that is asked how it is answers at once, unless it is at work with all that it takes."""


STATUS_HINT = "`serve status` says what its replicas do."


class Reply(Protocol):
    """A streamed answer: `ray.serve.handle.DeploymentResponseGenerator`, as far as it is used."""

    def __aiter__(self) -> AsyncIterator[Said]: ...

    def cancel(self) -> Any: ...


class Replicas(Protocol):
    """What an engine's replicas can be asked; `building.py` has Ray's handle behind it."""

    def stream(self, request: SpeechRequest, *, voice: str) -> Reply:
        """`voice` names the replica that has it; empty: any."""

    def call(self, method: str, *arguments: object, voice: str = "") -> Awaitable[Any]: ...

    def everywhere(self, method: str) -> Awaitable[Sequence[Any]]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Behind:
    """An engine's replicas, how many texts they take, and `gone`: whether an error of Ray's says that the replica
    went away (any other is a failure in it). `affine`: a voice is warm where it was used before. `may_rest`: while
    nobody asks there may be no replica. One that does not say within `check_seconds` how it is is at work."""

    name: str
    deployment: str
    replicas: Replicas
    room: Room
    gone: Callable[[Exception], bool]
    affine: bool = False
    may_rest: bool = False
    check_seconds: float = CHECK_SECONDS


class RemoteVoice:
    """A `TtsEngine`."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._checking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._behind.name

    def text(self) -> AbstractContextManager[None]:
        return self._behind.room.text()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        async with AsyncExitStack() as stack:
            head, stream = await self._begun(request, stack)
            _tell(head.troubles, request.tell)
            yield EncodedAudio(
                chunks=stream.chunks(),
                format=head.format,
                engine=head.engine,
                voice=head.voice,
                model=head.model,
                pcm=head.pcm,
                kept=head.kept,
                note=head.note,
                unsealed=head.unsealed,
                reworded=lambda: stream.reworded,
            )

    async def voices(self) -> list[Voice]:
        voices: list[Voice] = await _asked(self._behind, "voices")
        return voices

    async def warm(self) -> None:
        """Every replica that runs."""
        try:
            answers = await self._behind.replicas.everywhere("warm")
        except Exception as error:  # the cluster's edge: Ray has errors of its own for everything
            raise _failure(self._behind, error) from error
        for answer in answers:
            _checked(answer)

    async def check(self) -> None:
        """Raises `EngineError` where no replica runs, or where the one that is asked cannot speak. Starts none. While
        they are all at work none is asked: it would only answer after a text, and they speak."""
        if not self._behind.room.replicas:
            if self._behind.may_rest:
                return
            raise EngineUnavailable(
                f"{self.name} has no replica that runs.", engine=self.name, hint=STATUS_HINT, retryable=True
            )
        if self._behind.room.all_at_work:
            return
        if self._checking is None or self._checking.done():  # One question at a time stands in Ray's line.
            self._checking = asyncio.create_task(self._check())
        done, _ = await asyncio.wait({self._checking}, timeout=self._behind.check_seconds)
        if done:
            self._checking.result()

    async def preload(self, voice: str) -> Preloaded:
        """On one replica, which is asked for this voice from then on. Raises `UnknownVoice`."""
        held: Preloaded = await _asked(self._behind, "preload", voice, voice=self._place(voice))
        return held

    async def close(self) -> None:
        """The replicas are the cluster's."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait({self._checking})

    async def _check(self) -> None:
        await _asked(self._behind, "check")

    def _place(self, voice: str | None) -> str:
        return voice if voice and self._behind.affine else ""

    async def _begun(self, request: SpeechRequest, stack: AsyncExitStack) -> tuple[Head, _Stream]:
        asked = replace(request, tell=untold)
        for tried in range(1, MOST_TRIES + 1):
            reply = self._behind.replicas.stream(asked, voice=self._place(request.voice))
            async with AsyncExitStack() as trying:
                # Ray tells the replica, which stops the engine; of a stream that has ended it is nothing.
                trying.callback(reply.cancel)
                stream = _Stream(self._behind, reply)
                try:
                    head = await stream.head(request.tell)
                except _Gone as gone:
                    if tried < MOST_TRIES:
                        continue
                    raise EngineUnavailable(
                        f"{self.name} lost {tried} replicas in a row before any sound.",
                        engine=self.name,
                        retryable=True,
                    ) from gone.__cause__
                stack.push_async_exit(trying.pop_all())
                return head, stream
        raise AssertionError("every try answers or raises")


class _Gone(Exception):
    """The replica went away before it said anything."""


class _Stream:
    """One reply, read item by item."""

    def __init__(self, behind: Behind, reply: Reply) -> None:
        self._behind = behind
        self._items = aiter(reply)
        self.reworded: str | None = None

    async def head(self, tell: Tell) -> Head:
        """Raises `_Gone`, or what the engine says."""
        try:
            item = await anext(self._items, None)
        except Exception as error:  # the cluster's edge
            if self._behind.gone(error):
                raise _Gone from error
            raise _failure(self._behind, error) from error
        if isinstance(item, Failed):
            _tell(item.troubles, tell)
            raise error_of(item)
        if not isinstance(item, Head):
            raise BadContent(
                f"A replica of {self._behind.name} answered with {type(item).__name__} instead of sound.",
                engine=self._behind.name,
                hint="Does every node run the same version of voicemode?",
            )
        return item

    async def chunks(self) -> AsyncIterator[bytes]:
        name = self._behind.name
        while True:
            try:
                item = await anext(self._items, None)
            except Exception as error:  # the cluster's edge
                what = "went away" if self._behind.gone(error) else f"failed: {_said(error)}"
                raise StreamBroken(f"A replica of {name} {what}.", engine=name, retryable=True) from error
            match item:
                case bytes():
                    yield item
                case Tail():
                    self.reworded = item.reworded
                    return
                case Failed():
                    raise error_of(item)
                case _:
                    raise StreamBroken(
                        f"The stream of a replica of {name} has no end.", engine=name, retryable=True
                    )


class RemoteEar:
    """An `SttEngine`."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    @property
    def name(self) -> str:
        return self._behind.name

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        transcript: Transcript = await _asked(self._behind, "transcribe", replace(request, tell=untold))
        return transcript

    async def close(self) -> None:
        """The replicas are the cluster's."""


async def _asked(behind: Behind, method: str, *arguments: object, voice: str = "") -> Any:
    """One answer. A replica that goes away meanwhile is followed by another: nothing has been heard of it yet."""
    for tried in range(1, MOST_TRIES + 1):
        try:
            return _checked(await behind.replicas.call(method, *arguments, voice=voice))
        except VoiceModeError:
            raise
        except Exception as error:  # the cluster's edge
            if tried == MOST_TRIES or not behind.gone(error):
                raise _failure(behind, error) from error
    raise AssertionError("every try answers or raises")


def _checked(answer: Any) -> Any:
    if isinstance(answer, Failed):
        raise error_of(answer)
    return answer


def _failure(behind: Behind, error: Exception) -> EngineError:
    if behind.gone(error):
        return EngineUnavailable(
            f"{behind.name} has no replica that answers.",
            engine=behind.name,
            hint=STATUS_HINT,
            retryable=True,
        )
    return EngineError(f"{behind.name} failed on the cluster: {_said(error)}.", engine=behind.name)


def _said(error: Exception) -> str:
    """The last line: Ray puts the replica's whole stack before it."""
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:200]


def _tell(troubles: Sequence[Trouble], tell: Tell) -> None:
    for trouble in troubles:
        tell(trouble)
