"""The seams between the flows and the world. Flows see these protocols and nothing behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from voicemode.errors import VoiceModeError
from voicemode.pcm import Frame, PcmFormat
from voicemode.speech import (
    EncodedAudio,
    Moved,
    RecordingNote,
    SpeechRequest,
    Transcript,
    TranscriptionRequest,
    Voice,
)

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


class Stage(Protocol[In, Out]):
    """A transformer of streams: the output is the same however the input is cut.

    `flush` ends the stream and gives what is left; the stage is not used again.
    """

    def feed(self, item: In) -> list[Out]: ...

    def flush(self) -> list[Out]: ...


class TtsEngine(Protocol):
    """Text → encoded sound.

    `synthesize` is entered when the first bytes of sound are there (so that a chain can fail over before anything
    is heard) and raises `EngineError`, `UnknownVoice` or `InvalidRequest` before that; leaving the block closes
    the connection or stops the process behind it, at once, finished or not.
    """

    @property
    def name(self) -> str: ...

    def synthesize(self, request: SpeechRequest) -> AbstractAsyncContextManager[EncodedAudio]: ...

    async def voices(self) -> list[Voice]: ...

    async def close(self) -> None: ...


class SttEngine(Protocol):
    """Recorded sound → text. Raises `EngineError`. Cancelling the call stops the work behind it."""

    @property
    def name(self) -> str: ...

    async def transcribe(self, request: TranscriptionRequest) -> Transcript: ...

    async def close(self) -> None: ...


VOICELIKE = 0.5
"""Exactly this a detector gives for what is like a voice and, as far as it knows, is none: a voice may begin so."""


class Vad(Protocol):
    """Voice activity. `feed` takes exactly `frame_samples` samples at `format` and gives the probability of voice,
    0–1."""

    @property
    def format(self) -> PcmFormat: ...

    @property
    def frame_samples(self) -> int: ...

    @property
    def onset_seconds(self) -> float:
        """How long before the first that it calls voice the voice may have begun: soft onsets (h, f, s) are none."""

    @property
    def overhang_seconds(self) -> float:
        """For how long it goes on calling voice what comes after a voice, usually."""

    def feed(self, frame: Frame) -> float: ...


class EchoCanceller(Protocol):
    """Takes what the loudspeaker says out of what the microphone hears. One for one loudspeaker and one microphone."""

    @property
    def format(self) -> PcmFormat:
        """Of the microphone's frames: mono."""

    def far(self, frame: Frame) -> None:
        """What the loudspeaker is given, as it is pulled: any cut, any format. From any thread; never blocks."""

    def near(self, frame: Frame) -> Frame:
        """A microphone frame of exactly 10 ms → the same length without the echo, though not without harm to who spoke
        at the same time: to know whether somebody did. One thread at a time."""

    @property
    def words(self) -> Frame:
        """The last frame with the echo subtracted and nothing done to the rest: to find and understand who speaks."""

    @property
    def anew(self) -> bool:
        """With the last frame the way from loudspeaker to microphone was found to be another, and what was known of it
        was forgotten: the words have our sound until it is found again. Or it was known again, from an earlier opening
        of the devices."""

    @property
    def known(self) -> bool:
        """The way is one that was found before, and was known again: nothing has to be learnt before somebody who talks
        over us can be told from our echo."""

    @property
    def rest(self) -> float:
        """Decibels: how loud a rest of our sound may be in `words`, by all that is still unsure of the way."""

    def close(self) -> None: ...


Pull = Callable[[int], bytes]
"""samples wanted → exactly that many samples in the sink's format, silence where there is nothing to say.
Called from the sink's own thread; never blocks."""

Lost = Callable[[VoiceModeError], None]
"""Told once, from any thread, that a device has gone."""


class Sink(Protocol):
    """An open loudspeaker that pulls its samples. `latency` is the seconds from pull to audible sound."""

    @property
    def name(self) -> str: ...

    @property
    def latency(self) -> float: ...

    def ask(self, short: Callable[[], bool]) -> None:
        """`short` tells whether sound that is expected has not come yet: then it need not be pulled before the device
        needs it. May be called from the sink's own thread."""

    def abort(self) -> None:
        """Silence at once: what the device still holds is thrown away and nothing more is pulled. Any thread."""


class OpenSink(Protocol):
    """Opens a loudspeaker in `format`; leaving the block is silence at once and a closed device.

    Raises `NoDevice` or `DeviceError` with the way out. Opening never blocks the event loop.
    """

    def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AbstractAsyncContextManager[Sink]: ...  # noqa: A002


class OpenSource(Protocol):
    """Opens a microphone in `format` (mono); the block's value gives frames as they are captured.

    Raises `NoDevice` or `DeviceError`; iterating raises `DeviceLost` when the device goes. Leaving the block closes it.
    """

    def __call__(self, format: PcmFormat) -> AbstractAsyncContextManager[AsyncIterator[Frame]]: ...  # noqa: A002


class Whereabouts(Protocol):
    """Which microphone the open one is by now: a sound server moves a program to another one without telling it."""

    @property
    def moved(self) -> Moved | None:
        """What the last look has found, None where it is the one that was opened, or nobody knows."""

    def look(self) -> None:
        """Asks, and waits for nothing."""

    async def looked(self) -> None:
        """Asks, and waits for the answer: half a second at most."""


OpenDecoder = Callable[[EncodedAudio, PcmFormat], Stage[bytes, Frame]]
"""(what came, format wanted) → the stage that turns its bytes into frames of that format."""


class Recording(Protocol):
    """A sound file that grows while the sound flows. Nothing here blocks or raises: a full disk ends the recording
    with a warning, and the conversation goes on."""

    def write(self, frame: Frame) -> None: ...

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None:
        """Where it is not `wanted` any more nothing of it stays, unless all of its turn is kept."""

    async def saved(self) -> Path | None:
        """Where the finished recording is, once it is there; None when it could not be kept, or was not wanted."""


class BeginRecording(Protocol):
    """Starts a recording of `kind` (tts or stt) for `turn`."""

    def __call__(self, *, kind: str, turn: str, format: PcmFormat) -> Recording: ...  # noqa: A002


class TurnsKept(Protocol):
    """The files of each turn, where everything is kept."""

    def record(self, turn: str) -> Path | None:
        """Where the JSON is, or will be, that says what is kept of this turn; None where nothing is."""

    async def saved(self, turn: str) -> dict[str, Path]:
        """The turn's main files by kind, once they are on disk; none where that takes too long."""


class Floor(Protocol):
    """One voice at a time on a machine. The block's value is the seconds waited; whoever has to wait is told once who
    has the floor.

    Raises `Busy` when the floor was taken away because this process stood still: the block is cancelled first. A waiter
    that is cancelled leaves the queue.
    """

    def hold(self, who: str, on_wait: Callable[[str], None] = ...) -> AbstractAsyncContextManager[float]: ...
