"""WAV in memory: whole recordings, and the header of a stream whose length nobody knows yet."""

from __future__ import annotations

import struct

from voicemode.pcm import BYTES_PER_VALUE, Frame, PcmFormat

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1
UNKNOWN_SIZE = 0xFFFFFFFF
"""In both places of the header: what servers write that stream WAV."""


def wav_bytes(frame: Frame) -> bytes:
    """`frame` as a RIFF file: a 44-byte header and the samples as they are."""
    return wav_header(frame.format, len(frame.data)) + frame.data


def wav_header(fmt: PcmFormat, size: int | None = None) -> bytes:
    """44 bytes that stand before `size` bytes of samples; None: before a stream."""
    return _HEADER.pack(
        b"RIFF",
        UNKNOWN_SIZE if size is None else _HEADER.size - 8 + size,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        fmt.channels,
        fmt.rate,
        fmt.rate * fmt.bytes_per_sample,
        fmt.bytes_per_sample,
        8 * BYTES_PER_VALUE,
        b"data",
        UNKNOWN_SIZE if size is None else size,
    )
