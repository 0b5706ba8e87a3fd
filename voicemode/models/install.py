"""Installing: fetch, prove, unpack, place. Stopped at any moment it goes on from there the next time."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from filelock import FileLock, Timeout

from voicemode.errors import (
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    ModelError,
    StreamBroken,
)
from voicemode.machine.private_files import FILE_MODE, make_folder, open_file
from voicemode.models.download import Body
from voicemode.models.model import Model
from voicemode.models.store import Installed, Store
from voicemode.models.unpack import unpack

T = TypeVar("T")

NOT_THERE = frozenset({404, 410})
TRIES = 5
"""Times in a row that a download goes on by itself though nothing came."""
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
BLOCK = 1 << 18
UNPACKED_TIMES, UNPACKED_BYTES = 4, 64_000_000
"""Weights hardly compress: an archive that unpacks to more than four times its size and 64 MB is a trap."""
SPARE_BYTES = 50_000_000


class Step(StrEnum):
    FETCHING = "fetching"
    PROVING = "proving"
    UNPACKING = "unpacking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    step: Step
    done: int
    total: int


Watch = Callable[[Progress], None]


class Fetch(Protocol):
    def __call__(self, url: str, *, start: int = 0) -> AbstractAsyncContextManager[Body]: ...


@dataclass(frozen=True, slots=True)
class _Source:
    """Where it comes from, and how to wait before the next try."""

    fetch: Fetch
    url: str
    pause: Callable[[float], Awaitable[None]]


def unwatched(progress: Progress) -> None:
    """The watcher of someone who does not watch."""


async def install(
    store: Store,
    model: Model,
    *,
    fetch: Fetch,
    mirror: str = "",
    watch: Watch = unwatched,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Installed:
    """Fetches the model where it is not there. Raises `ModelError` and `EngineError`; what has come is kept."""
    # Not of a thread: it is taken in one and given back in another.
    lock = FileLock(store.parts / f"{model.id}.lock", mode=FILE_MODE, thread_local=False)
    try:
        await asyncio.to_thread(make_folder, store.parts)
        await asyncio.to_thread(lock.acquire, 0)
    except Timeout:
        raise ModelError(
            f"{model.id} is being installed by another process.",
            hint="Wait until it is through.",
            retryable=True,
        ) from None
    except OSError as error:
        raise _disk(store.folder, error) from error
    try:
        present = await asyncio.to_thread(store.get, model)
        if present is not None:
            return present
        return await _install(store, model, _Source(fetch, model.url(mirror), pause), watch, free_bytes)
    except OSError as error:
        raise _disk(store.folder, error) from error
    finally:
        lock.release()


async def _install(
    store: Store,
    model: Model,
    source: _Source,
    watch: Watch,
    free_bytes: Callable[[Path], int],
) -> Installed:
    part, url = store.part(model), source.url
    there = _size(part)
    if there > model.bytes:
        part.unlink()
        there = 0
    needed = model.bytes - there + model.bytes * 2 + SPARE_BYTES
    if free_bytes(store.folder) < needed:
        raise ModelError(
            f"{model.id} needs {needed // 1_000_000} MB of disk in {store.folder}, and "
            f"{free_bytes(store.folder) // 1_000_000} MB are free.",
            hint="Make room, or name another folder in VOICEMODE_MODELS_DIR.",
        )
    if there < model.bytes:
        await _download(source, part, model, watch)
    watch(Progress(step=Step.PROVING, done=0, total=model.bytes))
    found = await _in_thread(lambda go_on: _sha256(part, go_on))
    known = await asyncio.to_thread(store.known_checksum, model)
    if known and found != known:
        part.unlink()
        raise ModelError(
            f"What came from {url} is not {model.archive}: its SHA-256 is {found}, not {known}.",
            hint="It has been deleted. Try again, or fetch it from another place (VOICEMODE_MODELS_MIRROR).",
        )
    if not known:
        await asyncio.to_thread(store.keep_checksum, model, found)
    watch(Progress(step=Step.UNPACKING, done=0, total=model.bytes))
    unpacked = store.parts / f"{model.id}.new"
    await asyncio.to_thread(shutil.rmtree, unpacked, ignore_errors=True)
    most = model.bytes * UNPACKED_TIMES + UNPACKED_BYTES
    wanted = tuple(model.files.values())
    try:
        await _in_thread(lambda go_on: unpack(part, unpacked, wanted=wanted, most_bytes=most, go_on=go_on))
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, unpacked, ignore_errors=True)
        raise
    await asyncio.to_thread(store.place, unpacked, model, sha256=found, url=url)
    part.unlink(missing_ok=True)
    placed = await asyncio.to_thread(store.get, model)
    assert placed is not None
    return placed


async def _download(source: _Source, part: Path, model: Model, watch: Watch) -> None:
    """Goes on by itself where the connection breaks off."""
    failures = 0
    while True:
        before = _size(part)
        try:
            return await _once(source, part, model, watch)
        except (StreamBroken, EndpointTimeout) as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures > TRIES:
                raise _unfinished(model, part, error) from error
            await source.pause(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS)) - 1])
        except EngineError as error:
            raise _unfinished(model, part, error) from error


async def _written(descriptor: int, data: bytes) -> int:
    """Of a block that is being written when the call is cancelled all is in the file, once."""
    return await _in_thread(lambda go_on: _write(descriptor, data))


async def _once(source: _Source, part: Path, model: Model, watch: Watch) -> None:
    size, url = _size(part), source.url
    async with source.fetch(url, start=size) as body:
        if body.total and body.total != model.bytes:
            raise ModelError(
                f"{url} has {body.total} bytes, not the {model.bytes} of {model.archive}.",
                hint="That is another file, or a page that says something: look at it in a browser.",
            )
        if body.start > size:
            raise ModelError(f"{url} sent from byte {body.start} on, not from {size}.", hint="Try again.")
        descriptor = await asyncio.to_thread(open_file, part, os.O_WRONLY | os.O_CREAT)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            file.truncate(body.start)
            file.seek(body.start)
            done, held = body.start, bytearray()
            watch(Progress(step=Step.FETCHING, done=done, total=model.bytes))
            try:
                async for chunk in body.chunks:
                    held += chunk
                    if done + len(held) > model.bytes:
                        raise ModelError(f"{url} sends more than the {model.bytes} bytes of {model.archive}.")
                    if len(held) >= BLOCK:
                        block = bytes(held)
                        held.clear()
                        done += await _written(file.fileno(), block)
                        watch(Progress(step=Step.FETCHING, done=done, total=model.bytes))
            finally:
                done += _write(file.fileno(), bytes(held))
            watch(Progress(step=Step.FETCHING, done=done, total=model.bytes))
    if done < model.bytes:
        raise StreamBroken(
            f"{url} ended after {done} of {model.bytes} bytes.", engine=model.id, retryable=True
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _write(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _sha256(path: Path, go_on: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while go_on() and (block := file.read(BLOCK)):
            digest.update(block)
    return digest.hexdigest()


async def _in_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """Work that takes seconds; when the call is cancelled it is told to stop, and waited for."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, lambda: not stop.is_set()))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        raise


def _unfinished(model: Model, part: Path, error: EngineError) -> ModelError:
    there = _size(part)
    kept = (
        f" {there / 1e6:.1f} of {model.bytes / 1e6:.1f} MB are here; the next try goes on from there."
        if there
        else ""
    )
    hint = error.hint or "Try again."
    if isinstance(error, EndpointUnreachable):
        hint = (
            "Check the network, or name a mirror (VOICEMODE_MODELS_MIRROR) or a folder that has the model "
            "(VOICEMODE_NEURAL_VOICE, VOICEMODE_NEURAL_EAR)."
        )
    elif isinstance(error, EndpointRefused) and error.status in NOT_THERE:
        hint = (
            f"There is no {model.path} there. A mirror (VOICEMODE_MODELS_MIRROR) has tts-models/ and asr-models/ "
            "below it."
        )
    return ModelError(
        f"{model.id} cannot be fetched: {error.message}{kept}", hint=hint, retryable=error.retryable
    )


def _disk(folder: Path, error: OSError) -> ModelError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return ModelError(
        f"The folder of models {folder} cannot be written: {error.strerror or error}.",
        hint="Make room; what has been fetched is kept, and the next try goes on from there."
        if full
        else "Name another folder in VOICEMODE_MODELS_DIR.",
    )
