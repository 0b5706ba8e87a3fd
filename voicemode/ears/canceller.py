"""Echo cancelling by WebRTC's audio processing, from livekit's wheel: own speech is taken out of what the microphone
gives."""

from __future__ import annotations

import logging
import threading
from importlib import util
from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK
from voicemode.ears.linear import LinearFilter
from voicemode.ears.ways import Ways
from voicemode.errors import EngineUnavailable
from voicemode.pcm import LISTENING, Frame, Framer, PcmFormat

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame, AudioProcessingModule

FRAME_SECONDS = 0.01
"""What the module takes, at any rate and number of channels: it resamples what is played by itself."""

LONGEST_LEAD_SECONDS = 0.5
"""What was played longer ago than this is forgotten while no microphone sound comes. Echo arrives within 0.4 s."""

PAUSE_FRAMES = 10
"""After 100 ms without anything played (a loudspeaker pulls more often) there was a pause, and it is told to the module
as silence: it would lose count of the delay otherwise, and the next word's first second (15 dB instead of 43)."""


def canceller_installed() -> bool:
    """Whether the canceller is on this machine; nothing is loaded."""
    return util.find_spec("livekit") is not None


class WebRtcCanceller:
    """An `EchoCanceller`. One for one loudspeaker and one microphone: it learns the way between them.

    `far` only queues (microseconds), from any thread; all work is done in `near`, 0.1–0.2 ms for a frame, which one
    thread at a time may call. Opening loads livekit, numpy and protobuf, 0.2–0.3 s and 40 MB the first time in a
    process, 6 ms later: call it off the event loop. Raises `EngineUnavailable` where the library cannot be loaded.
    """

    def __init__(self, *, noise_suppression: bool = False, ways: Ways | None = None) -> None:
        self._module: AudioProcessingModule | None = _module(noise_suppression=noise_suppression)
        self._lock = threading.Lock()
        self._played: list[Frame] = []
        self._lead = 0.0
        self._framer = Framer(LISTENING, LISTENING.samples(FRAME_SECONDS))
        self._framed = LISTENING
        self._idle = 0
        self._linear = LinearFilter(ways)
        self._words = Frame(data=LISTENING.silence(BLOCK), format=LISTENING)

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    @property
    def lead_seconds(self) -> float:
        """Played, and not yet met by a microphone frame."""
        with self._lock:
            return self._lead

    def far(self, frame: Frame) -> None:
        with self._lock:
            self._played.append(frame)
            self._lead += frame.seconds
            while self._lead > LONGEST_LEAD_SECONDS and len(self._played) > 1:
                self._lead -= self._played.pop(0).seconds

    def near(self, frame: Frame) -> Frame:
        if frame.format != LISTENING or frame.samples != LISTENING.samples(FRAME_SECONDS):
            raise ValueError(f"{frame.samples} samples of {frame.format} are not 10 ms of {LISTENING}")
        module = self._module
        if module is None:
            self._words = frame
            return frame
        for each in self._played_since():
            module.process_reverse_stream(_given(each))
            self._linear.played(each)
        self._words = self._linear.heard(frame)
        given = _given(frame)
        module.process_stream(given)
        return Frame(data=given.data.tobytes(), format=frame.format)

    @property
    def words(self) -> Frame:
        """What `near` was given last, by the linear filter alone."""
        return self._words

    @property
    def anew(self) -> bool:
        return self._linear.anew

    @property
    def known(self) -> bool:
        return self._linear.known

    @property
    def rest(self) -> float:
        return self._linear.rest

    def close(self) -> None:
        """Frees the module. Frames that come after pass as they are: one on its way at the end harms nobody."""
        if self._module is not None:
            self._linear.remember()
        self._module = None
        with self._lock:
            self._played.clear()

    def _played_since(self) -> list[Frame]:
        """What was played since the last frame of the microphone, in pieces of 10 ms; silence where it has ended."""
        with self._lock:
            played, self._played, self._lead = self._played, [], 0.0
        if played:
            self._idle = 0
            return [piece for frame in played for piece in self._pieces(frame)]
        self._idle += 1
        if self._idle < PAUSE_FRAMES:
            return []
        size = self._framed.samples(FRAME_SECONDS)
        silence = Frame(data=self._framed.silence(size), format=self._framed)
        return [silence] * (PAUSE_FRAMES if self._idle == PAUSE_FRAMES else 1)

    def _pieces(self, frame: Frame) -> list[Frame]:
        if frame.format != self._framed:
            self._framed = frame.format
            self._framer = Framer(frame.format, frame.format.samples(FRAME_SECONDS))
        return self._framer.feed(frame.data)


def _module(*, noise_suppression: bool) -> AudioProcessingModule:
    try:
        from livekit.rtc import AudioProcessingModule
    except (ImportError, OSError) as error:
        raise EngineUnavailable(
            f"The echo canceller cannot be loaded: {error}.",
            engine="echo canceller",
            hint="Install it beside voicemode (`pip install livekit`), or use headphones.",
        ) from error
    # It tells of its own start and of every stream; a person wants to know what went wrong.
    logging.getLogger("livekit").setLevel(logging.WARNING)
    return AudioProcessingModule(
        echo_cancellation=True,
        noise_suppression=noise_suppression,
        high_pass_filter=True,
        auto_gain_control=False,
    )


def _given(frame: Frame) -> AudioFrame:
    """In a buffer of its own: the module writes its answer there."""
    from livekit.rtc import AudioFrame

    return AudioFrame(bytearray(frame.data), frame.format.rate, frame.format.channels, frame.samples)
