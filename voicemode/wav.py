"""Whole recordings as WAV in memory."""

from __future__ import annotations

import struct

from voicemode.pcm import BYTES_PER_VALUE, Frame

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1


def wav_bytes(frame: Frame) -> bytes:
    """`frame` as a RIFF file: a 44-byte header and the samples as they are."""
    fmt = frame.format
    size = len(frame.data)
    header = _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8 + size,
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
        size,
    )
    return header + frame.data
