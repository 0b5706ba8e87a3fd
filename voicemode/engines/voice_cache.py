"""Voices that are made from a recording, kept while they are used: looked for on disk, among what was handed over, and
far away, in this order. Nothing here blocks the event loop, and every size and time has a bound."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from voicemode.clock import monotonic
from voicemode.errors import EngineError, EngineUnavailable, InvalidRequest, UnknownVoice, VoiceModeError
from voicemode.pcm import Frame
from voicemode.sound.wav import wav_bytes

Made = TypeVar("Made")

MOST_VOICES = 50
MOST_BYTES = 10_000_000
"""Of a recording: a minute of stereo at 44.1 kHz. Models listen to the first ten seconds or so."""
MOST_SECONDS = 60.0
FETCH_SECONDS = 10.0
LOAD_SECONDS = 60.0
"""For the disk, the way there and the model together; a model on a slow processor takes some of them."""
ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

LoadVoice = Callable[[bytes], Awaitable[Made]]
"""A recording (a file's bytes) → what the engine speaks with. Raises `VoiceModeError`."""
FetchVoice = Callable[[str, int], Awaitable[bytes | None]]
"""(id, most bytes) → the recording from far away; None where there is none."""


class Level(StrEnum):
    """Where a voice was found."""

    MEMORY = "memory"
    PATH = "path"
    WAVEFORM = "waveform"
    REMOTE = "remote"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached(Generic[Made]):
    """`seconds` is what it took to have it: 0.0 from memory."""

    value: Made
    level: Level
    seconds: float


def voice_id(text: str) -> str:
    """`text` where it may name a voice. Raises `InvalidRequest`: an id becomes part of a path and of an address."""
    if _ID.fullmatch(text):
        return text
    raise InvalidRequest(
        f"A voice cannot be called {text[:64]!r}: 1 to 64 letters (a-z), digits, _ and - are allowed.",
        hint="Rename the recording, or leave the voice out.",
        about="voice",
    )


class VoiceCache(Generic[Made]):
    """`folders` hold recordings named by their voice (`alice.wav`); the first that has one counts.

    Who asks for a voice that is being loaded waits for the same loading. One that is cancelled leaves it to the others.
    """

    def __init__(
        self,
        load: LoadVoice[Made],
        *,
        engine: str,
        folders: Sequence[Path] = (),
        remote: FetchVoice | None = None,
        most: int = MOST_VOICES,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        self._load = load
        self._engine = engine
        self._folders = tuple(folders)
        self._remote = remote
        self._most = most
        self._load_seconds = load_seconds
        self._voices: OrderedDict[str, Made] = OrderedDict()
        self._waveforms: OrderedDict[str, bytes] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Cached[Made]]] = {}
        self._tasks: set[asyncio.Task[Cached[Made]]] = set()
        """All that are under way, those of voices that were forgotten meanwhile included."""

    @property
    def held(self) -> list[str]:
        """What is in memory, the most recently used last."""
        return list(self._voices)

    async def get(self, voice: str) -> Cached[Made]:
        """Raises `InvalidRequest`, `UnknownVoice`, `EngineError`."""
        name = voice_id(voice)
        if name in self._voices:
            self._voices.move_to_end(name)
            return Cached(value=self._voices[name], level=Level.MEMORY, seconds=0.0)
        task = self._loading.get(name)
        if task is None:
            task = asyncio.create_task(self._loaded(name))
            self._loading[name] = task
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._done(name, done))
        await asyncio.wait([task])
        if task.cancelled():
            raise EngineUnavailable(f"{self._engine} has been closed.", engine=self._engine)
        return task.result()

    async def preload(self, voices: Sequence[str]) -> dict[str, Cached[Made] | VoiceModeError]:
        """Each voice, or why it cannot be had; one after another, so that a long list leaves room for speech."""
        found: dict[str, Cached[Made] | VoiceModeError] = {}
        for voice in voices[: self._most]:
            try:
                found[voice] = await self.get(voice)
            except VoiceModeError as error:
                found[voice] = error
        return found

    def put(self, voice: str, waveform: Frame) -> None:
        """A recording handed over by the caller; what was made of an older one of that name is forgotten.

        Raises `InvalidRequest`.
        """
        name = voice_id(voice)
        if not 0.0 < waveform.seconds <= MOST_SECONDS:
            raise InvalidRequest(
                f"The recording of {name!r} is {waveform.seconds:.1f} s long; more than 0 and at most "
                f"{MOST_SECONDS:g} s are taken.",
                hint="Ten seconds of clear speech are enough.",
            )
        data = wav_bytes(waveform)
        _bounded(name, data)
        self.forget(name)
        self._waveforms[name] = data
        while len(self._waveforms) > self._most:
            self._waveforms.popitem(last=False)

    def forget(self, voice: str) -> bool:
        """Out of memory; what is on disk stays. Whether it was there. Who waits for it still gets it."""
        places = (self._loading, self._waveforms, self._voices)
        there = [place.pop(voice, None) is not None for place in places]
        return any(there)

    async def close(self) -> None:
        """Whoever still waits for a voice is told `EngineUnavailable`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._voices.clear()
        self._waveforms.clear()

    def _done(self, name: str, task: asyncio.Task[Cached[Made]]) -> None:
        self._tasks.discard(task)
        current = self._loading.get(name) is task
        if current:
            del self._loading[name]
        if task.cancelled() or task.exception() is not None or not current:
            return
        self._voices[name] = task.result().value
        self._voices.move_to_end(name)
        while len(self._voices) > self._most:
            self._voices.popitem(last=False)

    async def _loaded(self, name: str) -> Cached[Made]:
        begun = monotonic()
        try:
            async with asyncio.timeout(self._load_seconds):
                recording, level = await self._find(name)
                value = await self._load(recording)
        except TimeoutError:
            raise EngineError(
                f"The voice {name!r} was not there within {self._load_seconds:g} s.",
                engine=self._engine,
                retryable=True,
            ) from None
        return Cached(value=value, level=level, seconds=monotonic() - begun)

    async def _find(self, name: str) -> tuple[bytes, Level]:
        data = await asyncio.to_thread(self._read, name)
        if data is not None:
            return data, Level.PATH
        if name in self._waveforms:
            self._waveforms.move_to_end(name)
            return self._waveforms[name], Level.WAVEFORM
        if self._remote is not None and (data := await self._fetch(self._remote, name)) is not None:
            return data, Level.REMOTE
        known = sorted({*self._waveforms, *(await asyncio.to_thread(self._names))})[:20]
        raise UnknownVoice(
            f"{self._engine} has no recording of a voice {name!r}.",
            hint=f"Known are {', '.join(known)}."
            if known
            else "Put one into its folder of voices, as NAME.wav.",
        )

    async def _fetch(self, remote: FetchVoice, name: str) -> bytes | None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                data = await remote(name, MOST_BYTES)
        except TimeoutError:
            raise EngineError(
                f"The recording of {name!r} did not come within {FETCH_SECONDS:g} s.",
                engine=self._engine,
                retryable=True,
            ) from None
        if data is not None:
            _bounded(name, data)
        return data

    def _read(self, name: str) -> bytes | None:
        for folder in self._folders:
            for ending in ENDINGS:
                path = folder / f"{name}{ending}"
                # A folder of voices holds files: a link could lead to anything this process may read.
                if path.is_symlink() or not path.is_file():
                    continue
                try:
                    with path.open("rb") as file:
                        data = file.read(MOST_BYTES + 1)
                except OSError as error:
                    raise EngineError(
                        f"The recording {path} cannot be read: {error.strerror}.", engine=self._engine
                    ) from error
                _bounded(name, data)
                return data
        return None

    def names(self) -> list[str]:
        """Voices that can be had without going far. Looks at the disk: not for the event loop."""
        return sorted({*self._waveforms, *self._names()})

    def _names(self) -> set[str]:
        return {
            path.stem
            for folder in self._folders
            if folder.is_dir()
            for path in folder.iterdir()
            if path.suffix in ENDINGS and _ID.fullmatch(path.stem)
        }


def _bounded(name: str, data: bytes) -> None:
    if len(data) > MOST_BYTES:
        raise InvalidRequest(
            f"The recording of {name!r} has more than {MOST_BYTES:,} bytes, which is the most that is taken.",
            hint="Ten seconds of clear speech are enough.",
        )
