"""Two detectors as one: a cheap gate looks at every frame, a costly judge only while the gate has heard something."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from voicemode.errors import EngineUnavailable
from voicemode.pcm import Frame, Framer, PcmFormat
from voicemode.ports import Vad

logger = logging.getLogger(__name__)

VOICE = 0.5
"""The probability from which a frame counts as voice to the gate, and from which the judge keeps the gate open."""

HOLD_SECONDS = 0.5
"""The gate stays open so long after the last voice: a pause between two words is no reason to begin anew."""

KEPT_FRAMES = 8
"""What the judge is given from before the gate opened: 256 ms at 32 ms a frame. It hears the onset that the gate took
its time over, in about 10 ms of work; the judge alone is sure of an onset within that time (decision 0009)."""


def warned(what: str) -> None:
    logger.warning("%s", what)


class GatedVad:
    """The judge's probability while the gate is open, 0 while it is closed.

    The judge is not told of the gaps: with the last words in memory it is sure of the next one 30–130 ms sooner than
    if it began anew. `judge` is called when the gate first opens: it may be loading until then. Where it raises
    `EngineUnavailable` the gate decides alone, which is told once as a warning. `frame_samples`, `onset_seconds` and
    `overhang_seconds` are the judge's; the gate's own frames are cut from the same sound, whatever their size.
    """

    def __init__(
        self,
        gate: Vad,
        judge: Callable[[], Vad],
        *,
        frame_samples: int,
        onset_seconds: float = 0.3,
        overhang_seconds: float = 0.0,
        hold_seconds: float = HOLD_SECONDS,
        on_warning: Callable[[str], None] = warned,
    ) -> None:
        self._warn = on_warning
        self._gate = gate
        self._open_judge = judge
        self._judge: Vad | None = None
        self._alone = False
        self._frame_samples = frame_samples
        self._onset = onset_seconds
        self._overhang = overhang_seconds
        self._hold = gate.format.samples(hold_seconds)
        self._framer = Framer(gate.format, gate.frame_samples)
        self._kept: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._open_for = 0

    @property
    def format(self) -> PcmFormat:
        return self._gate.format

    @property
    def frame_samples(self) -> int:
        return self._frame_samples

    @property
    def onset_seconds(self) -> float:
        return self._onset

    @property
    def overhang_seconds(self) -> float:
        return self._gate.overhang_seconds if self._alone else self._overhang

    def feed(self, frame: Frame) -> float:
        """Where the gate has just opened, the highest probability since `KEPT_FRAMES` ago: no onset is missed that
        only the kept frames hold."""
        heard = max((self._gate.feed(each) for each in self._framer.feed(frame.data)), default=0.0)
        if self._alone:
            return heard
        self._open_for = self._hold if heard >= VOICE else self._open_for - frame.samples
        self._kept.append(frame)
        if self._open_for <= 0:
            return 0.0
        judge = self._opened()
        if judge is None:
            return heard
        probability = max(judge.feed(each) for each in self._kept)
        self._kept.clear()
        if probability >= VOICE:
            self._open_for = self._hold
        return probability

    def _opened(self) -> Vad | None:
        try:
            self._judge = self._judge or self._open_judge()
        except EngineUnavailable as error:
            self._warn(f"{error} WebRTC's detector decides alone.")
            self._alone = True
            return None
        return self._judge
