"""Sound whose samples count up, and playbacks of it in every state."""

from __future__ import annotations

from array import array

from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.playback import Moment, Playback

TINY = PcmFormat(rate=1_000)
"""One sample is a millisecond."""

DRAIN = 20
"""Samples of silence after the end beyond the latency, at TINY's rate."""


def sound(start: int, samples: int) -> Frame:
    """Samples that count up and are never zero."""
    values = array("h", ((start + index) % 30_000 + 1 for index in range(samples)))
    return Frame(data=values.tobytes(), format=TINY)


def values(data: bytes) -> list[int]:
    return array("h", data).tolist()


def spoken(data: bytes) -> list[int]:
    return [value for value in values(data) if value]


class Watched:
    def __init__(self) -> None:
        self.moments: list[tuple[Moment, int]] = []
        self.after: list[int] = []
        """Of each, how many samples were pulled from there on."""

    def __call__(self, moment: Moment, position: int, after: int) -> None:
        self.moments.append((moment, position))
        self.after.append(after)

    def count(self, moment: Moment) -> int:
        return sum(seen is moment for seen, _ in self.moments)


def playback(*, fill: int = 0, limit: int = 2_000, watch: Watched | None = None) -> Playback:
    """Marks in samples."""
    return Playback(TINY, fill_seconds=fill / 1_000, limit_seconds=limit / 1_000, watch=watch)


def filling() -> Playback:
    made = playback(fill=10)
    made.write(sound(0, 5))
    return made


def playing() -> Playback:
    made = filling()
    made.write(sound(5, 45))
    made.pull(5)
    return made


def rebuffering() -> Playback:
    made = playing()
    made.pull(100)
    return made


def paused() -> Playback:
    made = playing()
    made.pause()
    return made


def draining() -> Playback:
    made = playing()
    made.end()
    return made


def done() -> Playback:
    made = draining()
    made.pull(1_000)
    return made


def cut() -> Playback:
    made = playing()
    made.cut()
    return made
