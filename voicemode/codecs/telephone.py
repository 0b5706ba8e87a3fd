"""Speech for the telephone: 8 kHz without what a telephone folds back into the voice, G.711 µ-law, packets of 20 ms."""

from __future__ import annotations

import sys
from array import array
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from voicemode.codecs.convert import Converter, RateChange
from voicemode.pcm import BYTES_PER_VALUE, SPEECH, Frame, PcmFormat

if TYPE_CHECKING:
    from av import AudioFrame

TELEPHONE = PcmFormat(rate=8_000)
PACKET_SECONDS = 0.02
PACKET_BYTES = TELEPHONE.samples(PACKET_SECONDS)
"""160: one byte for a sample."""
CONTENT_TYPE = "audio/basic"

FILTER = "filter_size=64:cutoff=0.92"
"""Flat to 3.4 kHz, 90 dB down from 4.2 kHz on; holds 4.4 ms of sound. The library's default lets 4.2 kHz through at
-22 dB, which is heard as 3.8 kHz."""

_BIAS, _LARGEST = 33, 8_158
"""G.711 reckons with 14 bits."""


class Telephone:
    """Stage: frames of any format → packets of exactly 160 bytes of µ-law, the last filled up with silence.

    Frames become `source` first, which is the format of most of them.
    """

    def __init__(self, source: PcmFormat = SPEECH) -> None:
        self._source = PcmFormat(rate=source.rate)
        self._converter = Converter(self._source)
        self._rates: RateChange | None = None
        self._rest = bytearray()

    def feed(self, item: Frame) -> list[bytes]:
        return self._packets(b"".join(map(self._narrow, self._converter.feed(item))))

    def flush(self) -> list[bytes]:
        rest = b"".join(map(self._narrow, self._converter.flush()))
        packets = self._packets(rest + (self._rates.flush() if self._rates else b""))
        if self._rest:
            packets.append(bytes(self._rest.ljust(PACKET_BYTES, mu_law(bytes(BYTES_PER_VALUE)))))
            self._rest.clear()
        return packets

    def _narrow(self, frame: Frame) -> bytes:
        if self._source == TELEPHONE:
            return frame.data
        if self._rates is None:
            steep = _Steep(self._source.rate, TELEPHONE.rate)
            self._rates = RateChange(self._source.rate, TELEPHONE.rate, steep)
        return self._rates.feed(frame.data)

    def _packets(self, samples: bytes) -> list[bytes]:
        self._rest += mu_law(samples)
        whole = len(self._rest) - len(self._rest) % PACKET_BYTES
        packets = [bytes(self._rest[start : start + PACKET_BYTES]) for start in range(0, whole, PACKET_BYTES)]
        del self._rest[:whole]
        return packets


class _Steep:
    """A resampler with a steeper filter than PyAV's own lets one ask for, as a graph of its filters."""

    def __init__(self, source: int, target: int) -> None:
        from av.filter import Graph

        graph = Graph()
        self._into = graph.add(
            "abuffer", f"sample_rate={source}:sample_fmt=s16:channel_layout=mono:time_base=1/{source}"
        )
        change = graph.add("aresample", f"{target}:{FILTER}")
        shape = graph.add("aformat", f"sample_fmts=s16:sample_rates={target}:channel_layouts=mono")
        self._out_of = graph.add("abuffersink")
        for one, other in ((self._into, change), (change, shape), (shape, self._out_of)):
            one.link_to(other)
        graph.configure()
        self._graph = graph
        self._clock = Fraction(1, source)
        self._at = 0

    def resample(self, frame: AudioFrame | None) -> list[AudioFrame]:
        from av import AudioFrame
        from av.error import BlockingIOError as NothingYet
        from av.error import EOFError as Ended

        if frame is not None:
            frame.pts, frame.time_base = self._at, self._clock
            self._at += frame.samples
        self._into.push(frame)
        out: list[AudioFrame] = []
        while True:
            try:
                got = self._out_of.pull()
            except (NothingYet, Ended):
                return out
            assert isinstance(got, AudioFrame)
            out.append(got)


def mu_law(data: bytes) -> bytes:
    """s16le samples as G.711 µ-law, a byte for each."""
    values = array("h", data)
    if sys.byteorder == "big":
        values.byteswap()
    table = _table()
    # A negative value finds its place from the table's end, as its two's complement would from the beginning.
    return bytes([table[value >> 2] for value in values])


@cache
def _table() -> bytes:
    """The code of each 14-bit value: 0 and above, then -8,192 to -1."""
    return bytes(map(_code, (*range(8_192), *range(-8_192, 0))))


def _code(value: int) -> int:
    """ITU-T G.711, table 2: sign, segment and step, all bits inverted."""
    size = min(value if value >= 0 else -value, _LARGEST) + _BIAS
    segment = size.bit_length() - 6
    code = segment << 4 | size >> segment + 1 & 15
    return ~code & 0xFF if value >= 0 else ~(code | 0x80) & 0xFF
