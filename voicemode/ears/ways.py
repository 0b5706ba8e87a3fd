"""Ways from a loudspeaker to a microphone that have been found before, and how one of them is known again.

    what is played ──▸ a known way ──▸ what its echo would be ─┐
    what the microphone gives ─────────────────────────────────┴─▸ alike, so much later and louder? ──▸ it is this one

A filter needs a second of our speech to find a room, in which nobody can talk over us. That it is the room of the last
message, or of the last process, shows within a sixth of a second: what it would make of our first syllable is what the
microphone gives. Only the way itself is kept: when devices are opened anew they hold more or less than before.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicemode.ears.blocks import BLOCK

if TYPE_CHECKING:
    from voicemode.ears.blocks import Bins, Wave

KEPT_BLOCKS = 31
"""Of a way, from its first sound on: a room's tail has died away after 0.3 s."""

BEFORE = 80
"""Samples that are kept before the first sound."""

FIRST_SOUND = 0.1
"""Of the loudest: where a way begins."""

LOOKED_AT = 30
"""Frames of the microphone that are compared, the last ones."""

LONGEST_DELAY = 35
"""Blocks; the echo comes no later."""

SOUNDING = 15
"""Frames of those that must sound: with less every room is like every other."""

AUDIBLE = 1e4
"""Power of a frame of the microphone that sounds: −50 dBFS."""

ALIKE = 0.93
"""What of the microphone's power a known way must explain, 11 dB. The right one explains 0.94–0.99 a third of a second
after our first sound, another room of the same size 0.3–0.84."""

MOST_KNOWN = 3
"""Ways that are tried: headphones, the table, the other room."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """What comes of one sample that is played, from its first sound on, which came `first` samples later when the way
    was found."""

    response: Wave
    first: int = 0


class Ways:
    """Those that have been found, the last first. They outlive the openings of the microphone; `remembered` is told
    when there is another."""

    def __init__(
        self, known: Sequence[Way] = (), *, remembered: Callable[[Sequence[Way]], None] | None = None
    ) -> None:
        self.known = tuple(known)[:MOST_KNOWN]
        self._remembered = remembered

    def remember(self, way: Way, *, instead_of: Way | None = None) -> None:
        """`instead_of` is what it was known as."""
        others = [each for each in self.known if each is not instead_of]
        self.known = (way, *others)[:MOST_KNOWN]
        if self._remembered is not None:
            self._remembered(self.known)


def written(ways: Sequence[Way]) -> str:
    """As text, for a file."""
    import numpy as np

    responses = [base64.b64encode(way.response.astype(np.float32).tobytes()).decode() for way in ways]
    return json.dumps({"ways": responses})


def read(text: str) -> list[Way]:
    """What `written` has made; what is damaged is left out."""
    import numpy as np

    try:
        told = json.loads(text)
    except ValueError:
        return []
    responses = told.get("ways") if isinstance(told, dict) else None
    found = []
    for each in responses if isinstance(responses, list) else []:
        try:
            response = np.frombuffer(base64.b64decode(str(each), validate=True), np.float32).astype(float)
        except (binascii.Error, ValueError):
            continue
        if len(response) == KEPT_BLOCKS * BLOCK and np.isfinite(response).all() and response.any():
            found.append(Way(response))
    return found[:MOST_KNOWN]


def way_of(room: Bins) -> Way | None:
    """What is to be kept of a filter's room; None where there is none."""
    import numpy as np

    return way_of_response(np.fft.irfft(room, axis=1)[:, :BLOCK].ravel())


def way_of_response(response: Wave) -> Way | None:
    """The same of all that comes of one sample."""
    import numpy as np

    power = np.convolve(response**2, np.ones(BLOCK // 10), "same")
    if not power.any():
        return None
    first = max(int(np.argmax(power > FIRST_SOUND * power.max())) - BEFORE, 0)
    kept = np.zeros(KEPT_BLOCKS * BLOCK)
    part = response[first : first + len(kept)]
    kept[: len(part)] = part
    return Way(kept, first)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """The way that explains most of what the microphone gave lately: which `share` of its power, so many samples later
    (not always whole) and so many times louder than when it was found."""

    way: Way
    share: float
    delay: float
    gain: float

    def room(self, blocks: int) -> Bins:
        """What it is at this opening of the devices, block by block."""
        return _spectra(_later(self.way.response, self.delay, blocks * BLOCK) * self.gain)


class WaySearch:
    """Which of some ways it may be. It is fed each frame; the last `frames` are compared, of which `sounding` must
    sound."""

    def __init__(self, ways: Sequence[Way], *, frames: int = LOOKED_AT, sounding: int = SOUNDING) -> None:
        self._frames = frames
        self._sounding = sounding
        self._expected: deque[Wave] = deque(maxlen=frames + LONGEST_DELAY)
        self._heard: deque[Wave] = deque(maxlen=frames)
        self.renew(ways)

    def renew(self, ways: Sequence[Way]) -> None:
        """As many as before: they are known better now."""
        self._ways = ways
        self._rooms = [_spectra(way.response) for way in ways]

    def feed(self, played: Bins, microphone: Wave) -> None:
        """A frame, and the spectra of what was played until then, the latest first."""
        import numpy as np

        if self._rooms:
            echoes = [np.fft.irfft((room * played[:KEPT_BLOCKS]).sum(0))[BLOCK:] for room in self._rooms]
            self._expected.append(np.asarray(echoes))
            self._heard.append(microphone)

    def best(self) -> Found | None:
        """It costs about a millisecond for each way."""
        import numpy as np

        sounding = sum(float(np.mean(each**2)) > AUDIBLE for each in self._heard)
        if len(self._heard) < self._frames or sounding < self._sounding:
            return None
        heard, expected = np.concatenate(self._heard), np.concatenate(self._expected, axis=1)
        found = [alike(heard, way, each) for way, each in zip(self._ways, expected, strict=True)]
        return max(found, key=lambda each: each.share)


def _spectra(response: Wave) -> Bins:
    """Of each block, followed by as much silence."""
    import numpy as np

    blocks = response.reshape(-1, BLOCK)
    return np.fft.rfft(np.concatenate((blocks, np.zeros_like(blocks)), axis=1), axis=1)


def alike(heard: Wave, way: Way, expected: Wave) -> Found:
    """`expected` is what the way would have made of what was played, from so long before as it may be later."""
    import numpy as np

    count, size = len(heard), 1 << (len(heard) + len(expected)).bit_length()
    together = np.fft.irfft(np.fft.rfft(expected, size) * np.fft.rfft(heard, size).conj(), size)
    together = together[: len(expected) - count + 1]
    sums = np.concatenate(([0.0], np.cumsum(expected**2)))
    power = np.maximum(sums[count:] - sums[: len(sums) - count], count * AUDIBLE / 100)
    alike = together / np.sqrt(power * float(heard @ heard))
    at = int(np.argmax(alike))
    between = 0.0
    if 0 < at < len(alike) - 1:
        before, here, after = alike[at - 1 : at + 2]
        bend = before - 2 * here + after
        between = 0.5 * float(before - after) / float(bend) if bend < 0.0 else 0.0
    return Found(
        way=way,
        share=max(float(alike[at]), 0.0) ** 2,
        delay=len(alike) - 1 - at - between,
        gain=float(together[at] / power[at]),
    )


def _later(response: Wave, samples: float, length: int) -> Wave:
    """`samples` need not be whole: at 4 kHz half a sample is an eighth of a wave."""
    import numpy as np

    size = 1 << (len(response) + length).bit_length()
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * samples)
    return np.fft.irfft(np.fft.rfft(response, size) * turn, size)[:length]
