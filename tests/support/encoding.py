"""Sound into files and back, for tests: the six formats of the speech API, and WAV in every shape servers send.

The compressed files are libavformat's, whole, as other servers send them: what `voicemode.codecs.encoding` makes packet
by packet is held against them, and not made of them.
"""

from __future__ import annotations

import io
import struct
from enum import Enum
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from voicemode.codecs.encoding import CONTENT_TYPES as CONTENT_TYPES
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

_CODECS = {
    AudioFormat.MP3: ("mp3", "libmp3lame"),
    AudioFormat.OPUS: ("ogg", "libopus"),
    AudioFormat.AAC: ("adts", "aac"),
    AudioFormat.FLAC: ("flac", "flac"),
}

UNKNOWN_SIZE = 0xFFFFFFFF
_PCM_TAG, _FLOAT_TAG, _EXTENSIBLE_TAG = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


class WavSizes(Enum):
    """What a WAV header says of lengths: the truth, or what servers write before they know it."""

    EXACT = "exact"
    STREAMING = "streaming"
    """0xFFFFFFFF in both places."""
    ZERO = "zero"


class WavKind(Enum):
    """Width and type of a value: unsigned 8-bit, signed 16, 24 and 32, and two floats."""

    U8 = "u8"
    S16 = "s16"
    S24 = "s24"
    S32 = "s32"
    F32 = "f32"
    F64 = "f64"


_BITS = {WavKind.U8: 8, WavKind.S16: 16, WavKind.S24: 24, WavKind.S32: 32, WavKind.F32: 32, WavKind.F64: 64}


def wav(
    frame: Frame,
    *,
    kind: WavKind = WavKind.S16,
    sizes: WavSizes = WavSizes.EXACT,
    extensible: bool = False,
    before_data: bytes = b"",
) -> bytes:
    """A WAV file of `frame`. `before_data` are whole chunks between `fmt ` and `data` (a `LIST`, say)."""
    bits = _BITS[kind]
    tag = _FLOAT_TAG if kind in (WavKind.F32, WavKind.F64) else _PCM_TAG
    channels, rate = frame.format.channels, frame.format.rate
    block = channels * bits // 8
    body = _values(frame.data, kind)
    shape = struct.pack("<HIIHH", channels, rate, rate * block, block, bits)
    if extensible:
        shape = struct.pack("<H", _EXTENSIBLE_TAG) + shape + struct.pack("<HHI", 22, bits, 0)
        shape += struct.pack("<H", tag) + _GUID_TAIL
    else:
        shape = struct.pack("<H", tag) + shape
    pad = b"\0" if len(body) % 2 and sizes is WavSizes.EXACT else b""
    inside = b"WAVEfmt " + struct.pack("<I", len(shape)) + shape + before_data
    told = {WavSizes.STREAMING: (UNKNOWN_SIZE, UNKNOWN_SIZE), WavSizes.ZERO: (0, 0)}
    whole, data = told.get(sizes, (len(inside) + 8 + len(body) + len(pad), len(body)))
    return b"RIFF" + struct.pack("<I", whole) + inside + b"data" + struct.pack("<I", data) + body + pad


def encode(frame: Frame, to: AudioFormat, *, bit_rate: int | None = None) -> bytes:
    """`frame` as a file of format `to`, whole. `bit_rate` in bits per second, where the format has one."""
    if to is AudioFormat.PCM:
        return frame.data
    if to is AudioFormat.WAV:
        return wav(frame)
    container_name, codec = _CODECS[to]
    layout = "mono" if frame.format.channels == 1 else "stereo"
    out = io.BytesIO()
    # The 8 kB of nothing that this library leaves in a FLAC header would be paced as if they were sound.
    options = {"metadata_header_padding": "0"} if to is AudioFormat.FLAC else {}
    with av.open(out, "w", format=container_name, container_options=options) as container:
        stream = container.add_stream(codec, rate=frame.format.rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        packed = np.frombuffer(frame.data, dtype="<i2").reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        sound.sample_rate, sound.pts, sound.time_base = frame.format.rate, 0, Fraction(1, frame.format.rate)
        for item in (sound, None):
            for packet in stream.encode(item):
                container.mux(packet)
    return out.getvalue()


def decode(data: bytes, to: PcmFormat | None = SPEECH) -> Frame:
    """Any file PyAV knows, as one frame in `to` (None: as the file has it, mono or stereo).

    Raises `av.error.FFmpegError` where it is not sound, IndexError where it holds none.
    """
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        to = to or PcmFormat(rate=stream.rate, channels=min(2, stream.channels))
        layout = "mono" if to.channels == 1 else "stereo"
        resampler = av.AudioResampler(format="s16", layout=layout, rate=to.rate)
        parts: list[bytes] = []
        for sound in container.decode(stream):
            sound.pts = None
            parts += [_packed(frame, to) for frame in resampler.resample(sound)]
        parts += [_packed(frame, to) for frame in resampler.resample(None)]
    return Frame(data=b"".join(parts), format=to)


def convert(frame: Frame, to: PcmFormat) -> Frame:
    """The same sound at another rate or with other channels."""
    return frame if frame.format == to else decode(wav(frame), to)


def _packed(frame: av.AudioFrame, to: PcmFormat) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * to.bytes_per_sample]


def _values(data: bytes, kind: WavKind) -> bytes:
    values: npt.NDArray[np.int16] = np.frombuffer(data, dtype="<i2")
    if kind is WavKind.S16:
        return data
    if kind is WavKind.U8:
        return ((values >> 8) + 128).astype(np.uint8).tobytes()
    if kind in (WavKind.F32, WavKind.F64):
        return (values / 32768.0).astype("<f4" if kind is WavKind.F32 else "<f8").tobytes()
    wide = values.astype("<i4") << 16
    if kind is WavKind.S32:
        return wide.tobytes()
    return wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
