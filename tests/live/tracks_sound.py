"""The sounds of the tests of tracks, the same for the process that plays and the one that measures."""

from __future__ import annotations

from tests.support.listening import tone
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.sound.mixing import DuckingRules

RULES = DuckingRules(gain=0.25, attack=0.05, release=0.2, hold=0.2)
BED_LEVEL = 0.1
BED_FREQUENCY = 3_000.0
SPEECH_FREQUENCY = 400.0
SPEECH_LEVEL = 0.5

QUIET_SECONDS = 1.5
SPEECH_SECONDS = 1.0

SPEECH_WAVE = tone(SPEECH.rate, SPEECH_SECONDS, SPEECH_FREQUENCY, level=SPEECH_LEVEL).astype("<i2").tobytes()

SAID = (
    SPEECH.silence(SPEECH.samples(QUIET_SECONDS))
    + SPEECH_WAVE
    + SPEECH.silence(SPEECH.samples(QUIET_SECONDS))
)
"""What is said over the bed: nothing, a tone, nothing."""


def bed(fmt: PcmFormat) -> Frame:
    """A tone of whole waves: it follows itself without a seam."""
    return Frame(data=tone(fmt.rate, 0.5, BED_FREQUENCY, level=BED_LEVEL).astype("<i2").tobytes(), format=fmt)
