"""What a listener makes of a recording of the word-coded voice: how the words heard walk through the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tests.support import voice
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


def steepest(samples: bytes) -> float:
    """The largest step between two samples, of full scale."""
    values = np.frombuffer(samples, dtype="<i2").astype(np.int32)
    return float(np.abs(np.diff(values)).max(initial=0)) / 32_768


class QuickSpeaker:
    """An `OpenSink` that pulls as fast as it is given sound and keeps everything."""

    def __init__(self) -> None:
        self.heard = bytearray()

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        sink = _QuickSink()
        pulling = asyncio.create_task(self._pull(sink, format, pull))
        try:
            yield sink
        finally:
            sink.abort()
            pulling.cancel()
            await asyncio.wait([pulling])

    async def _pull(self, sink: _QuickSink, fmt: PcmFormat, pull: Pull) -> None:
        while not sink.aborted:
            block = pull(fmt.samples(BLOCK_SECONDS))
            silent = not any(block)
            # Silence while waiting says nothing, and takes long to read back.
            self.heard += b"" if silent and self._has_been_silent(fmt) else block
            await asyncio.sleep(PATIENCE_SECONDS if silent else 0)

    def _has_been_silent(self, fmt: PcmFormat) -> bool:
        size = fmt.samples(0.5) * fmt.bytes_per_sample
        return not any(self.heard[-size:])


class _QuickSink:
    name = "quick loudspeaker"
    latency = 0.0

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def words_of(number: int) -> Iterator[str]:
    """Words that are all different and can be told apart."""
    tens = ("", "ba", "re", "di", "so", "tu", "wo")
    ones = ("lan", "mir", "pot", "sun", "ket", "dolm", "ga", "vin", "hos", "rub")
    for place in range(number):
        yield f"{tens[place // 10]}{ones[place % 10]}"
