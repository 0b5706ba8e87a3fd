"""Fakes of the ports, as unkind as the real thing: a device that pulls in its own time, engines that fail midway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from voicemode.errors import EngineError, NoDevice, VoiceModeError
from voicemode.events import Event
from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.ports import Lost, Pull, Sink, Stage
from voicemode.speech import (
    AudioFormat,
    EncodedAudio,
    RecordingNote,
    SpeechRequest,
    Transcript,
    TranscriptionRequest,
    Voice,
)

WORD = 2_400
"""Samples of one word of `FakeVoice`: 100 ms at 24 kHz."""


async def until(condition: Callable[[], bool], limit_seconds: float = 30.0) -> None:
    """Lets everything else run until `condition` holds."""
    async with asyncio.timeout(limit_seconds):
        while not condition():  # noqa: ASYNC110  (there is no event to wait for: the fakes run on this loop)
            await asyncio.sleep(0)


class Watched:
    """An `Emit` that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def words_as_sound(text: str) -> bytes:
    """Each word is 100 ms of one value, counted up from 1: what was played can be read back to the word."""
    return b"".join((number + 1).to_bytes(2, "little") * WORD for number, _ in enumerate(text.split()))


class FakeVoice:
    """A `TtsEngine` whose chunks come one at a time. Each chunk takes one permit of `gate`, when there is one;
    `error` is raised after `fail_after` chunks (0: before the first)."""

    def __init__(
        self,
        *,
        chunk_bytes: int = 1_001,
        error: Exception | None = None,
        fail_after: int = 0,
        gate: asyncio.Semaphore | None = None,
    ) -> None:
        self.asked: list[SpeechRequest] = []
        self.open = 0
        self._chunk_bytes = chunk_bytes
        self._error = error
        self._fail_after = fail_after
        self._gate = gate

    @property
    def name(self) -> str:
        return "fake voice"

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        self.asked.append(request)
        if self._error is not None and self._fail_after == 0:
            raise self._error
        self.open += 1
        try:
            yield EncodedAudio(
                chunks=self._chunks(words_as_sound(request.text)),
                format=AudioFormat.PCM,
                engine=self.name,
                voice=request.voice or "default",
            )
        finally:
            self.open -= 1

    def allow(self, chunks: int) -> None:
        """So many more chunks come."""
        assert self._gate is not None
        for _ in range(chunks):
            self._gate.release()

    async def voices(self) -> list[Voice]:
        return [Voice(id="default", engine=self.name)]

    async def close(self) -> None:
        return

    async def _chunks(self, sound: bytes) -> AsyncIterator[bytes]:
        for number, start in enumerate(range(0, len(sound), self._chunk_bytes)):
            if self._error is not None and number >= self._fail_after:
                raise self._error
            if self._gate is not None:
                await self._gate.acquire()
            await asyncio.sleep(0)
            yield sound[start : start + self._chunk_bytes]


class Passing:
    """The decoder of raw PCM: whole samples as they come."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._rest = b""

    def feed(self, item: bytes) -> list[Frame]:
        data = self._rest + item
        whole = len(data) - len(data) % self._format.bytes_per_sample
        self._rest = data[whole:]
        return [Frame(data=data[:whole], format=self._format)] if whole else []

    def flush(self) -> list[Frame]:
        return []


def open_passing(audio: EncodedAudio, wanted: PcmFormat) -> Stage[bytes, Frame]:
    return Passing(wanted)


@dataclass
class _FakeSink:
    device: FakeLoudspeaker
    name: str = "fake loudspeaker"
    latency: float = 0.02
    aborted: bool = False

    def ask(self, short: Callable[[], bool]) -> None:
        """Nothing is pulled ahead of time."""

    def abort(self) -> None:
        self.aborted = True


class FakeLoudspeaker:
    """An `OpenSink` that pulls blocks of 10 ms whenever the loop is idle, from the moment it opens.

    `lost_after` samples it tells that it is gone and pulls no more; unless it is `back` it cannot be opened again.
    `missing` refuses to open.
    """

    def __init__(self, *, lost_after: int | None = None, back: bool = False, missing: bool = False) -> None:
        self.heard = bytearray()
        self.opened = 0
        self.open = 0
        self.sinks: list[_FakeSink] = []
        self.formats: list[PcmFormat] = []
        self._lost_after = lost_after
        self._back = back
        self._missing = missing

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        if self._missing:
            raise NoDevice("There is no loudspeaker.", hint="Plug one in.")
        sink = _FakeSink(self)
        self.sinks.append(sink)
        self.formats.append(format)
        self.opened += 1
        self.open += 1
        pulling = asyncio.create_task(self._pull(sink, format, pull, lost))
        try:
            yield sink
        finally:
            sink.aborted = True
            self.open -= 1
            pulling.cancel()
            await asyncio.wait([pulling])

    async def _pull(self, sink: _FakeSink, fmt: PcmFormat, pull: Pull, lost: Lost) -> None:
        while not sink.aborted:
            if self._lost_after is not None and len(self.heard) // 2 >= self._lost_after:
                self._missing = not self._back
                self._lost_after = None
                lost(NoDeviceAnymore())
                return
            self.heard += await asyncio.to_thread(pull, fmt.samples(0.01))

    @property
    def words(self) -> list[int]:
        """The words heard, by their values; each as often as 100 ms of it sounded (rounded)."""
        values = [int.from_bytes(self.heard[i : i + 2], "little") for i in range(0, len(self.heard), 2)]
        spoken = [value for value in values if 0 < value < 1_000]
        order = list(dict.fromkeys(spoken))
        return [value for value in order for _ in range(round(spoken.count(value) / WORD))]

    @property
    def speech_samples(self) -> int:
        return sum(self.heard[i : i + 2] != b"\0\0" for i in range(0, len(self.heard), 2))


class NoDeviceAnymore(VoiceModeError):
    def __init__(self) -> None:
        super().__init__("The loudspeaker went away.", hint="Plug it in again.")


class FakeMicrophone:
    """An `OpenSource` that delivers `blocks` of sound one after another, then `error` or silence for ever."""

    def __init__(self, blocks: Sequence[bytes] = (), *, error: VoiceModeError | None = None) -> None:
        self.open = 0
        self.opened = 0
        self.delivered = 0
        self._blocks = list(blocks)
        self._error = error

    @asynccontextmanager
    async def __call__(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        self.opened += 1
        self.open += 1
        try:
            yield self._frames(format)
        finally:
            self.open -= 1

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        for block in self._blocks:
            await asyncio.sleep(0)
            self.delivered += 1
            yield Frame(data=block, format=fmt)
        if self._error is not None:
            raise self._error
        while True:
            await asyncio.sleep(0)
            self.delivered += 1
            yield Frame(data=ROOM, format=fmt)


MICROPHONE_BLOCK = LISTENING.samples(0.01)
ROOM = (1).to_bytes(2, "little") * MICROPHONE_BLOCK
"""10 ms of a quiet room: not zeros."""
SPOKEN = (5_000).to_bytes(2, "little") * MICROPHONE_BLOCK
"""10 ms that `LoudVad` takes for voice."""
ECHO = (4_000).to_bytes(2, "little") * MICROPHONE_BLOCK
"""10 ms of our own speech as the microphone hears it."""
FOUND_OUT = (3_999).to_bytes(2, "little") * MICROPHONE_BLOCK
"""The same, and it shows that what came before it was that, too."""
DEAD = bytes(2 * MICROPHONE_BLOCK)


class LoudVad:
    """Whatever is loud is voice."""

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    @property
    def frame_samples(self) -> int:
        return MICROPHONE_BLOCK

    @property
    def onset_seconds(self) -> float:
        return 0.3

    @property
    def overhang_seconds(self) -> float:
        return 0.0

    def feed(self, frame: Frame) -> float:
        return 1.0 if int.from_bytes(frame.data[:2], "little", signed=True) > 1_000 else 0.0


class FakeOwnSpeech:
    """An `OwnSpeech` that sounds until `said` says so or it is cut; `done` is what was done to it, in order."""

    def __init__(self, said: Callable[[], bool], *, ended: float | None = None) -> None:
        self.done: list[str] = []
        self.ended = ended
        self._said = said

    @property
    def said(self) -> bool:
        return "cut" in self.done or self._said()

    @property
    def nearly_said(self) -> bool:
        return self.said

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def cut(self) -> None:
        self.done.append("cut")


class FakeEcho:
    """An `Echo` that takes `ECHO` out and nothing else. `clean` as it is set; what is left is free. With `FOUND_OUT` it
    finds out that what was left lately was ours."""

    def __init__(self, *, clean: bool = True) -> None:
        self.clean = clean
        self.free = False
        self.known = self.mistaken = False
        self.open = True
        self.quieted = Frame(data=ROOM, format=LISTENING)

    @property
    def frame_samples(self) -> int:
        return MICROPHONE_BLOCK

    def near(self, frame: Frame) -> Frame:
        self.free = frame.data not in (ECHO, FOUND_OUT)
        self.mistaken = frame.data == FOUND_OUT
        self.quieted = frame if self.free else Frame(data=ROOM, format=frame.format)
        return self.quieted

    def close(self) -> None:
        self.open = False


class FakeEar:
    """An `SttEngine` that answers `text`, or raises `error`."""

    def __init__(self, text: str = "yes", *, error: EngineError | None = None) -> None:
        self.asked: list[TranscriptionRequest] = []
        self._text = text
        self._error = error

    @property
    def name(self) -> str:
        return "fake ear"

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        self.asked.append(request)
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        return Transcript(text=self._text, engine=self.name, confidence=0.9)

    async def close(self) -> None:
        return


@dataclass
class FakeRecording:
    kind: str
    turn: str
    format: PcmFormat
    full: bool = False
    """The disk: nothing can be kept."""
    shelf: list[FakeRecording] = field(default_factory=list)
    """Where it stands while it is wanted."""
    data: bytearray = field(default_factory=bytearray)
    note: RecordingNote | None = None

    @property
    def path(self) -> Path:
        return Path(f"/recordings/{self.turn}_{self.kind}.wav")

    def write(self, frame: Frame) -> None:
        assert self.note is None, "a recording is not written to after its end"
        assert frame.format == self.format
        self.data += frame.data

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None:
        assert self.note is None, "a recording ends once"
        self.note = note
        if not wanted:
            self.shelf.remove(self)

    async def saved(self) -> Path | None:
        assert self.note is not None, "what is not finished is not saved"
        await asyncio.sleep(0)
        return None if self.full else self.path


class Shelf:
    """A `BeginRecording` that keeps what was recorded."""

    def __init__(self, *, full: bool = False) -> None:
        self.recordings: list[FakeRecording] = []
        self.full = full

    def __call__(self, *, kind: str, turn: str, format: PcmFormat) -> FakeRecording:  # noqa: A002
        made = FakeRecording(kind, turn, format, full=self.full, shelf=self.recordings)
        self.recordings.append(made)
        return made


class OpenFloor:
    """A `Floor` for one process: strictly in order."""

    def __init__(self) -> None:
        self.holders: list[str] = []
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def hold(
        self, who: str, on_wait: Callable[[str], None] = lambda holder: None
    ) -> AsyncIterator[float]:
        if self._lock.locked():
            on_wait(self.holders[-1])
        async with self._lock:
            self.holders.append(who)
            yield 0.0
