"""Tones and WAV files of any shape, and what to measure on what comes out."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator

import av
import numpy as np
import numpy.typing as npt

from voicemode.codecs import open_decoder
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Stage
from voicemode.speech import AudioFormat, EncodedAudio

Floats = npt.NDArray[np.float64]


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def decoder(
    label: AudioFormat, *, wanted: PcmFormat = SPEECH, pcm: PcmFormat = SPEECH, engine: str = "kokoro"
) -> Stage[bytes, Frame]:
    """The decoder under test, for bytes that the engine calls `label`."""
    audio = EncodedAudio(chunks=_nothing(), format=label, engine=engine, voice="test", pcm=pcm)
    return open_decoder(audio, wanted)


def tone(seconds: float, rate: int, *, hertz: float = 440.0, level: float = 0.5) -> Floats:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def s16(sound: Floats) -> bytes:
    return np.round(sound * 32767).astype("<i2").tobytes()


def floats(data: bytes) -> Floats:
    return np.frombuffer(data, "<i2").astype(np.float64) / 32767


def level_db(sound: Floats) -> float:
    """RMS in dB of full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(sound**2)) + 1e-9))


def pitch(sound: Floats, rate: int) -> float:
    """Hz of the strongest tone, between the bins by the centre of gravity of the peak."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    top = int(power[1:].argmax()) + 1
    near = np.arange(top - 1, top + 2)
    return float((near * power[near]).sum() / power[near].sum() * rate / len(sound))


def in_container(
    container: str, codec: str, sound: Floats, rate: int, *, bit_rate: int | None = None
) -> bytes:
    """`sound` as one of PyAV's encoders and containers has it."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        packed = np.frombuffer(s16(sound), "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for item in (frame, None):
            opened.mux(stream.encode(item))
    return out.getvalue()


def riff(body: bytes, *, tag: int, channels: int, rate: int, bits: int, **kinds: int | bytes | None) -> bytes:
    """A WAV file. `data_size` and `riff_size` overrule the truth; `before` and `after` are chunks round the sound."""
    before, after = kinds.get("before") or b"", kinds.get("after") or b""
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    data_size, riff_size = kinds.get("data_size"), kinds.get("riff_size")
    size = len(body) if data_size is None else data_size
    pad = b"\0" * (len(body) % 2)
    inner = b"WAVE" + chunk(b"fmt ", fmt) + before + b"data" + struct.pack("<I", size) + body + pad + after
    return b"RIFF" + struct.pack("<I", len(inner) if riff_size is None else riff_size) + inner


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
