"""Voice activity by WebRTC's detector: small, quick, and deaf to what is music and what is a fan."""

from __future__ import annotations

from voicemode.pcm import LISTENING, Frame, PcmFormat

FRAME_SECONDS = 0.01
"""The detector takes 10, 20 or 30 ms; the shortest gives the turn machine the finest clock."""


ONSET_SECONDS = 0.3
OVERHANG_SECONDS = (0.1, 0.1, 0.07, 0.0)
"""By aggressiveness, measured on sentences of people and of flite (decision 0009)."""


class WebRtcVad:
    """`aggressiveness` 0 (takes most for voice) to 3 (takes least)."""

    def __init__(self, aggressiveness: int = 2) -> None:
        import webrtcvad

        self._vad = webrtcvad.Vad(aggressiveness)
        self._overhang = OVERHANG_SECONDS[aggressiveness]

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    @property
    def frame_samples(self) -> int:
        return LISTENING.samples(FRAME_SECONDS)

    @property
    def onset_seconds(self) -> float:
        return ONSET_SECONDS

    @property
    def overhang_seconds(self) -> float:
        return self._overhang

    def feed(self, frame: Frame) -> float:
        return 1.0 if self._vad.is_speech(frame.data, frame.format.rate) else 0.0
