"""What a listener makes of a recording of the word-coded voice: how the words heard walk through the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tests.support import voice
from voicemode.errors import DeviceLost, NoDevice
from voicemode.pcm import PcmFormat
from voicemode.ports import Lost, Pull, Sink

BLOCK_SECONDS = 0.02
PATIENCE_SECONDS = 0.002
"""Between two pulls of a loudspeaker that got only silence: others run meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """`lost` are words that were passed over or never came; `again` the runs of words that were said twice;
    `strange` what is not in the text."""

    lost: Sequence[str]
    again: Sequence[Sequence[str]]
    strange: Sequence[str]


def walk(heard: Sequence[str], text: Sequence[str]) -> Walk:
    """`text` are words that are all different. Words that a break cut through are left out of `heard`."""
    places = {word: place for place, word in enumerate(text)}
    assert len(places) == len(text), "a word that comes twice could be either"
    lost: list[str] = []
    again: list[Sequence[str]] = []
    here = 0
    for word in heard:
        place = places.get(word)
        if place is None:
            continue
        lost += text[here:place]
        if place < here:
            again.append(text[place:here])
        here = place + 1
    lost += text[here:]
    return Walk(lost=lost, again=again, strange=[word for word in heard if word not in places])


def whole_words(samples: bytes, rate: int) -> list[str]:
    """The words in a recording, without those that a break cut through."""
    return [word.text for word in voice.listen(samples, rate) if word.whole]


def clauses_in(words: Sequence[str], ends: frozenset[str]) -> int:
    """Clauses that a run of words goes through; `ends` are the words at which one ends."""
    return 1 + sum(1 for word, _ in pairwise(words) if word in ends)


def peak(samples: bytes) -> float:
    """The loudest sample, of full scale."""
    return float(np.abs(_values(samples)).max(initial=0)) / 32_768


def loudness(samples: bytes, rate: int) -> float:
    """The square root of all the energy: silences, wherever they are, change nothing."""
    return float(np.sqrt(np.square(_values(samples) / 32_768).sum() / rate))


def steepest(samples: bytes) -> float:
    """The largest step between two samples, of full scale."""
    return float(np.abs(np.diff(_values(samples))).max(initial=0)) / 32_768


def _values(samples: bytes) -> npt.NDArray[np.int32]:
    return np.frombuffer(samples, dtype="<i2").astype(np.int32)


class QuickSpeaker:
    """An `OpenSink` that pulls blocks of 20 ms as fast as they hold sound, and keeps what became audible.

    It holds `latency` seconds of sound. After so many samples of `losses` (each counted from the start, in order) it
    goes away with what it holds, and cannot be opened the next `away` times.
    """

    def __init__(self, *, latency: float = 0.0, losses: Sequence[int] = (), away: int = 0) -> None:
        self.heard = bytearray()
        self.opened = 0
        self._latency = latency
        self._losses = sorted(losses)
        self._away = away
        self._missing = 0

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        if self._missing:
            self._missing -= 1
            raise NoDevice("The quick loudspeaker is away.", hint="It comes back.")
        self.opened += 1
        sink = _QuickSink(self._latency)
        pulling = asyncio.create_task(self._pull(sink, format, pull, lost))
        try:
            yield sink
        finally:
            sink.abort()
            pulling.cancel()
            await asyncio.wait([pulling])

    async def _pull(self, sink: _QuickSink, fmt: PcmFormat, pull: Pull, lost: Lost) -> None:
        held = bytearray()
        holds = fmt.samples(self._latency) * fmt.bytes_per_sample
        while not sink.aborted:
            if self._losses and len(self.heard) >= self._losses[0] * fmt.bytes_per_sample:
                self._losses.pop(0)
                self._missing = self._away
                lost(DeviceLost("The quick loudspeaker went away.", hint="Plug it in."))
                return
            block = pull(fmt.samples(BLOCK_SECONDS))
            held += block
            audible = held[: max(len(held) - holds, 0)]
            del held[: len(audible)]
            # Silence while waiting says nothing, and takes long to read back.
            self.heard += b"" if not any(audible) and self._has_been_silent(fmt) else audible
            await asyncio.sleep(0 if any(block) else PATIENCE_SECONDS)

    def _has_been_silent(self, fmt: PcmFormat) -> bool:
        size = fmt.samples(0.5) * fmt.bytes_per_sample
        return not any(self.heard[-size:])


class _QuickSink:
    name = "quick loudspeaker"

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.aborted = False

    def ask(self, short: Callable[[], bool]) -> None:
        """Nothing is pulled ahead of time."""

    def abort(self) -> None:
        self.aborted = True


def words_of(number: int) -> Iterator[str]:
    """Words that are all different and can be told apart."""
    tens = ("", "ba", "re", "di", "so", "tu", "wo")
    ones = ("lan", "mir", "pot", "sun", "ket", "dolm", "ga", "vin", "hos", "rub")
    for place in range(number):
        yield f"{tens[place // 10]}{ones[place % 10]}"
