"""WebRTC's detector made to ask for a pitch: who speaks has one, a breath, a cough and a key have none.

It looks at levels in six bands, and a breath is as long and as far out of the room as a short word. A voice swings, 70
to 400 times a second; so does a tune, but most music is several at once, and several have no swing in common.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import deque
from operator import mul

from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import VOICELIKE, Vad

STEP = 8
"""Samples of 16 kHz that are taken together: a pitch is found as well at 2 kHz, for a sixtieth of the work."""

SHORTEST, LONGEST = 5, 28
"""One swing in steps: 400 to 71 Hz."""

WINDOW = 80
"""Steps that are held against themselves: 40 ms, of the lowest voice three swings."""

ALIKE = 0.6
"""From this correlation on it swings. Of noise it is 0.2–0.5, of vowels 0.8–1."""

FAINT = 20.0 * STEP**2
"""Power that is added to both sides: one step of 16 bits swings by itself."""

PURE = 0.2
"""A sound of which the sine that fits it best leaves so little is one tone. Our chimes leave 0.01, and where they go
from one tone to the other 0.2; voices leave 0.3 and more."""

LOWEST_TONE = -0.3
"""Twice the cosine of what a tone turns by in a step: 540 Hz and more, which is no voice's pitch. Two or three of its
swings together look like one."""

RECENT_SECONDS, ENOUGH_SECONDS = 0.12, 0.03
"""So much of the last may open a turn: more delays who begins with a hiss, less is a cough now and then."""

HOLD_SECONDS = 0.3
"""So long after the last pitch a sound may still be the voice: an `s` at the end of a word lasts 0.1–0.25 s."""


class Pitch:
    """Whether what was heard in the last 40 ms swings."""

    def __init__(self) -> None:
        self._steps = [0] * WINDOW

    def feed(self, frame: Frame) -> None:
        samples = array("h", frame.data)
        if sys.byteorder == "big":
            samples.byteswap()
        steps = map(sum, zip(*[iter(samples)] * STEP, strict=True))
        self._steps = [*self._steps, *steps][-WINDOW:]

    @property
    def found(self) -> bool:
        mean = sum(self._steps) / WINDOW
        wave = [step - mean for step in self._steps]
        if _is_one_tone(wave):
            return False
        squares = [value * value for value in wave]
        whole = sum(squares)
        head = sum(squares[:SHORTEST])
        tail = sum(squares[-SHORTEST:])
        for swing in range(SHORTEST, LONGEST + 1):
            common = sum(map(mul, wave[swing:], wave))
            if common > 0 and common >= ALIKE * math.sqrt((whole - head + FAINT) * (whole - tail + FAINT)):
                return True
            head += squares[swing]
            tail += squares[-swing - 1]
        return False


def _is_one_tone(wave: list[float]) -> bool:
    """Of a sine the two neighbours of a step are together always the same multiple of it."""
    inner = wave[1:-1]
    neighbours = [before + after for before, after in zip(wave, wave[2:], strict=False)]
    turn: float = sum(map(mul, neighbours, inner)) / (sum(map(mul, inner, inner)) or 1.0)
    if turn > LOWEST_TONE:
        return False
    left: float = sum((both - turn * each) ** 2 for both, each in zip(neighbours, inner, strict=True))
    whole: float = sum(map(mul, wave[:-2], wave[:-2])) + sum(map(mul, wave[2:], wave[2:]))
    return left < PURE * whole


class PitchedVad:
    """`vad`'s answer where there has been a pitch, `VOICELIKE` where it would be a voice and there has been none."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad
        self._pitch = Pitch()
        self._seconds = vad.format.seconds(vad.frame_samples)
        self._recent: deque[bool] = deque(maxlen=max(round(RECENT_SECONDS / self._seconds), 1))
        self._enough = max(round(ENOUGH_SECONDS / self._seconds), 1)
        self._since = math.inf
        """Seconds since the last pitch."""

    @property
    def format(self) -> PcmFormat:
        return self._vad.format

    @property
    def frame_samples(self) -> int:
        return self._vad.frame_samples

    @property
    def onset_seconds(self) -> float:
        return self._vad.onset_seconds

    @property
    def overhang_seconds(self) -> float:
        return self._vad.overhang_seconds

    def feed(self, frame: Frame) -> float:
        probability = self._vad.feed(frame)
        self._pitch.feed(frame)
        like = probability >= VOICELIKE
        self._recent.append(like and self._pitch.found)
        self._since = 0.0 if sum(self._recent) >= self._enough else self._since + self._seconds
        return VOICELIKE if like and self._since > HOLD_SECONDS else probability
