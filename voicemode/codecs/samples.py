"""The ways WAV files write one value, each as a function: bytes → s16le bytes. Whole runs at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache

from voicemode.codecs.convert import to_s16

PCM, FLOAT, A_LAW, MU_LAW = 1, 3, 6, 7


def _same(data: bytes) -> bytes:
    return data


def _unsigned8(data: bytes) -> bytes:
    out = bytearray(2 * len(data))
    out[1::2] = data.translate(bytes(value ^ 0x80 for value in range(256)))
    return bytes(out)


def _top16(width: int) -> Callable[[bytes], bytes]:
    def take(data: bytes) -> bytes:
        out = bytearray(2 * (len(data) // width))
        out[0::2] = data[width - 2 :: width]
        out[1::2] = data[width - 1 :: width]
        return bytes(out)

    return take


_BELOW_TWO = bytes(value for value in range(256) if value & 0x7F < 0x40)
"""The first bytes of IEEE numbers between -2 and 2: it holds the sign and the upper part of the exponent."""


def _floats(code: str, av_format: str) -> Callable[[bytes], bytes]:
    """By PyAV, but for runs with something that is no number or far beyond full scale: these it would get wrong."""
    width = array(code).itemsize

    def scale(data: bytes) -> bytes:
        if data[width - 1 :: width].translate(None, _BELOW_TWO):
            return array("h", [_clipped(value) for value in array(code, data)]).tobytes()
        return to_s16(data, av_format, width)

    return scale


def _clipped(value: float) -> int:
    """1.0 is 32,768; what is beyond full scale is cut; what is no number is silence."""
    if -1.0 <= value < 0.99998:
        return round(value * 32768)
    if value != value:
        return 0
    return 32767 if value > 0 else -32768


def _by_table(table: Callable[[], tuple[bytes, bytes]]) -> Callable[[bytes], bytes]:
    def look_up(data: bytes) -> bytes:
        low, high = table()
        out = bytearray(2 * len(data))
        out[0::2] = data.translate(low)
        out[1::2] = data.translate(high)
        return bytes(out)

    return look_up


def _mu_law(code: int) -> int:
    """ITU-T G.711: 14 bits, here scaled to 16."""
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -size if code & 0x80 else size


def _a_law(code: int) -> int:
    """ITU-T G.711: 13 bits, here scaled to 16."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    size = mantissa + 8 if exponent == 0 else mantissa + 0x108 << exponent - 1
    return size if code & 0x80 else -size


def _halves(values: list[int]) -> tuple[bytes, bytes]:
    return bytes(value & 0xFF for value in values), bytes(value >> 8 & 0xFF for value in values)


@cache
def _mu_law_table() -> tuple[bytes, bytes]:
    return _halves([_mu_law(code) for code in range(256)])


@cache
def _a_law_table() -> tuple[bytes, bytes]:
    return _halves([_a_law(code) for code in range(256)])


TO_S16: dict[tuple[int, int], Callable[[bytes], bytes]] = {
    (PCM, 1): _unsigned8,
    (PCM, 2): _same,
    (PCM, 3): _top16(3),
    (PCM, 4): _top16(4),
    (FLOAT, 4): _floats("f", "flt"),
    (FLOAT, 8): _floats("d", "dbl"),
    (A_LAW, 1): _by_table(_a_law_table),
    (MU_LAW, 1): _by_table(_mu_law_table),
}
"""(kind, bytes per value) → the way to s16le."""
