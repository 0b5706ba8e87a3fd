"""The process of one model: started when it is first needed, kept while it is, asked one thing at a time.

Where a call is left before its end the model is told, and stops after the piece at hand; one that does not is killed.
Loading goes on though the call that began it is cancelled: the next one wants it too.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from voicemode.engines.embedded.child import Child, ChildGone, Message
from voicemode.errors import EngineError, EngineUnavailable
from voicemode.models.store import Installed, measured

PROGRAM = Path(__file__).with_name("sherpa_child.py")
START_SECONDS = 60.0
"""Limit for a model to be loaded: 350 MB from a slow disk."""
ANSWER_SECONDS = 60.0
"""Limit for the next piece of sound or the words: ten times what a machine needs that can use a model at all."""
GRACE_SECONDS = 5.0
"""For the piece at hand when nobody wants it any more. Killing would cost the next call the time to load the model."""
IDLE_SECONDS = 600.0
CLOSE_SECONDS = 2.0
MOST_THREADS = 4
"""Without a measurement: beyond four threads small models gain nothing, and the sound needs a core of its own."""
ENDS = (b"E", b"R", b"X")

EXTRA = "sherpa_onnx"
INSTALL = "Install it: `pip install 'voicemode[neural]'`, or `uvx --from 'voicemode[neural]' voicemode`."


def packages(name: str = EXTRA) -> Path:
    """The folder from which sherpa-onnx is imported, without importing it. Raises `EngineUnavailable`."""
    for each in (name, "numpy"):
        found = importlib.util.find_spec(each)
        if found is None or not found.origin:
            raise EngineUnavailable(
                f"Neural models need the package {each.replace('_', '-')}, which is not installed.",
                engine="neural",
                hint=INSTALL,
            )
        folder = Path(found.origin).parent.parent
    return folder


def usual_threads() -> int:
    return max(1, min(MOST_THREADS, (os.cpu_count() or 2) // 2))


class Answers:
    """What the model sends for one request, until `over`."""

    def __init__(self, child: Child, engine: str) -> None:
        self.child = child
        self.over = False
        self._engine = engine

    async def next(self) -> Message:
        """Raises `ChildGone`, and `EngineError` for an answer that says what went wrong or does not come."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await self.child.receive()
        except TimeoutError:
            self.child.kill()
            raise EngineError(
                f"{self._engine} gave nothing within {ANSWER_SECONDS:g} s.",
                engine=self._engine,
                hint="The machine may be too slow for this model: `voicemode models measure` tells.",
                retryable=True,
            ) from None
        self.over = message.kind in ENDS
        if message.kind == b"X":
            raise EngineError(
                f"{self._engine} failed: {message.payload.decode('utf-8', 'replace')}.", engine=self._engine
            )
        return message


class Worker:
    """`name` is the engine's, for errors; `threads` 0: as measured, else the usual number. `idle_seconds` after the
    last request the memory is given back; 0: never."""

    def __init__(
        self, name: str, model: Installed, *, threads: int = 0, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.rate = 0
        """Hz, known once the model has been loaded."""
        self._name = name
        self._model = model
        self._threads = threads
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._killed: set[Child] = set()
        self._starting: asyncio.Task[Child] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def pids(self) -> frozenset[int]:
        return frozenset({self._child.pid}) if self.loaded and self._child else frozenset()

    @property
    def loaded(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def busy(self) -> bool:
        return self._turn.locked() or (self._draining is not None and not self._draining.done())

    async def load(self) -> None:
        """Raises `EngineUnavailable`."""
        async with self._turn:
            await self._ready()
            self._set_alarm()

    @asynccontextmanager
    async def asked(self, kind: bytes, payload: bytes) -> AsyncIterator[tuple[Answers, Message]]:
        """The answers, and the first of them. A process that died while it was idle is replaced once."""
        async with self._turn:
            fresh = not self.loaded
            answers = await self._send(kind, payload)
            try:
                try:
                    first = await answers.next()
                except ChildGone:
                    if fresh:
                        raise
                    answers = await self._send(kind, payload)
                    first = await answers.next()
                yield answers, first
            except ChildGone as gone:
                raise EngineError(
                    f"The process of {self._name} ended in the middle of its work: {gone}.",
                    engine=self._name,
                    retryable=True,
                ) from gone
            finally:
                self._leave(answers)

    async def close(self) -> None:
        """Kills the process, and returns when the system has let go of it."""
        self._closed = True
        for task in (self._starting, self._draining):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._stop()
        async with asyncio.timeout(CLOSE_SECONDS):
            for child in self._killed:
                await child.exited()

    async def _send(self, kind: bytes, payload: bytes) -> Answers:
        child = await self._ready()
        child.send(kind, payload)
        return Answers(child, self._name)

    async def _ready(self) -> Child:
        """The child with its model loaded and nothing left to say; nobody else asks it meanwhile (the lock is held)."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._draining is not None and not self._closed:
            await asyncio.shield(self._draining)
        if self._closed:
            raise self._was_closed()
        starting = self._starting
        if starting is None or starting.done():
            if self._child is not None and self._child.alive:
                return self._child
            self._stop()
            starting = self._starting = asyncio.create_task(self._start())
            starting.add_done_callback(_look_at)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if self._closed and starting.cancelled():
                raise self._was_closed() from None
            raise

    async def _start(self) -> Child:
        folder = await asyncio.to_thread(packages)
        child: Child | None = None
        try:
            threads = self._threads or await asyncio.to_thread(_threads, self._model)
            told = json.dumps(
                {
                    "family": self._model.family,
                    "files": {role: str(path) for role, path in self._model.files.items()},
                    "threads": threads,
                }
            )
            async with asyncio.timeout(START_SECONDS):
                child = await Child.start(PROGRAM, (str(folder), told), heed=True)
                self._child = child
                hello = await child.receive()
            if hello.kind != b"H":
                raise ChildGone(hello.payload.decode("utf-8", "replace"))
            self.rate = int(json.loads(hello.payload)["rate"])
        except (OSError, ChildGone, TimeoutError) as error:
            said = await _last_words(child) if isinstance(error, ChildGone) else ""
            self._stop()
            raise self._will_not_start(said or str(error) or "it took too long") from error
        except BaseException:
            self._stop()
            raise
        self._set_alarm()
        return child

    def _leave(self, answers: Answers) -> None:
        if answers.over or not answers.child.alive:
            self._set_alarm()
            return
        answers.child.send(b"C")
        self._draining = asyncio.create_task(self._drain(answers.child))

    async def _drain(self, child: Child) -> None:
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                while (await child.receive()).kind not in ENDS:
                    pass
        except (ChildGone, TimeoutError):
            self._stop()
        else:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._idle_seconds and not self._closed:
            self._alarm = asyncio.get_running_loop().call_later(self._idle_seconds, self._rest)

    def _rest(self) -> None:
        if self.busy:
            self._set_alarm()
        else:
            self._stop()

    def _stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._child is not None:
            self._child.kill()
            self._killed = {killed for killed in (*self._killed, self._child) if not killed.reaped}
            self._child = None

    def _was_closed(self) -> EngineUnavailable:
        return EngineUnavailable(f"{self._name} has been closed.", engine=self._name)

    def _will_not_start(self, reason: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"The model of {self._name} cannot be loaded from {self._model.folder}: {reason.rstrip('.')}.",
            engine=self._name,
            hint="Remove it and install it again, or choose another of `voicemode models`.",
        )


def _threads(model: Installed) -> int:
    known = measured(model)
    return known.threads if known else usual_threads()


async def _last_words(child: Child | None) -> str:
    """Why it ended, as the library says it, without the place in its sources."""
    if child is None:
        return ""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            said = await child.last_words()
    except TimeoutError:
        return ""
    return re.sub(r"^\S+:\d+ ", "", said)[:300]


def _look_at(task: asyncio.Task[Child]) -> None:
    """So that asyncio does not report a failure as forgotten: who waits for it is told."""
    if not task.cancelled():
        task.exception()
