"""Frames of one format into frames of another: channels and rate. Streaming, to the sample, nothing lost at the end."""

from __future__ import annotations

import threading
from array import array
from itertools import repeat
from operator import add, floordiv
from typing import TYPE_CHECKING, Protocol

from voicemode.pcm import BYTES_PER_VALUE, Frame, PcmFormat

if TYPE_CHECKING:
    from av import AudioFrame

STEREO = 2
_resamplers = threading.local()
_ANY_RATE = 48_000
"""Of a frame whose rate stays what it is."""


class Converter:
    """Frames in any format → frames in `wanted`. The format may change from frame to frame.

    Equal formats pass through untouched. Channels are averaged, so that what all of them carry keeps its level.
    PyAV is loaded when the first rate has to change.
    """

    def __init__(self, wanted: PcmFormat) -> None:
        self._wanted = wanted
        self._rates: RateChange | None = None

    def feed(self, item: Frame) -> list[Frame]:
        if item.format == self._wanted and self._rates is None:
            return [item] if item.data else []
        mono = to_mono(item)
        before = self._end_rate() if self._rates and self._rates.source != mono.format.rate else []
        if mono.format.rate == self._wanted.rate:
            return [*before, *self._spread(mono.data)]
        if self._rates is None:
            self._rates = RateChange(mono.format.rate, self._wanted.rate)
        return [*before, *self._spread(self._rates.feed(mono.data))]

    def flush(self) -> list[Frame]:
        return self._end_rate()

    def _end_rate(self) -> list[Frame]:
        rates, self._rates = self._rates, None
        return self._spread(rates.flush()) if rates else []

    def _spread(self, mono: bytes) -> list[Frame]:
        if not mono:
            return []
        channels = self._wanted.channels
        if channels == 1:
            return [Frame(data=mono, format=self._wanted)]
        data = bytearray(len(mono) * channels)
        for channel in range(channels):
            at, step = channel * BYTES_PER_VALUE, channels * BYTES_PER_VALUE
            data[at::step] = mono[::BYTES_PER_VALUE]
            data[at + 1 :: step] = mono[1::BYTES_PER_VALUE]
        return [Frame(data=bytes(data), format=self._wanted)]


class Resampler(Protocol):
    """PyAV's, or one made of its filters. None ends the sound."""

    def resample(self, frame: AudioFrame | None) -> list[AudioFrame]: ...


class RateChange:
    """Mono s16 from `source` to `target` Hz. The output has round(samples · target / source) samples.

    `resampler` None is PyAV's own. Resamplers alone give up to a dozen samples more or less than that, so they are fed
    silence at the end and cut.
    """

    def __init__(self, source: int, target: int, resampler: Resampler | None = None) -> None:
        from av import AudioResampler

        self.source = source
        self._target = target
        self._resampler: Resampler = resampler or AudioResampler(format="s16", layout="mono", rate=target)
        self._taken = self._given = 0

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._taken += len(data) // BYTES_PER_VALUE
        out = _resample(self._resampler, mono_av_frame(data, self.source))
        self._given += len(out) // BYTES_PER_VALUE
        return out

    def flush(self) -> bytes:
        if not self._taken:
            return b""
        due = round(self._taken * self._target / self.source) - self._given
        tail = _resample(
            self._resampler, mono_av_frame(bytes(self.source // 10 * BYTES_PER_VALUE), self.source)
        )
        tail += _resample(self._resampler, None)
        return tail[: max(0, due) * BYTES_PER_VALUE]


def to_mono(frame: Frame) -> Frame:
    """All channels averaged into one, at the same rate."""
    channels = frame.format.channels
    if channels == 1:
        return frame
    values = array("h", frame.data)
    by_channel = [values[channel::channels] for channel in range(channels)]
    sums = map(add, *by_channel) if channels == STEREO else map(sum, zip(*by_channel, strict=True))
    mixed = array("h", map(floordiv, sums, repeat(channels)))
    return Frame(data=mixed.tobytes(), format=PcmFormat(rate=frame.format.rate))


def mono_av_frame(data: bytes, rate: int) -> AudioFrame:
    """Mono s16 bytes as PyAV's frame."""
    from av import AudioFrame

    frame = AudioFrame(format="s16", layout="mono", samples=len(data) // BYTES_PER_VALUE)
    frame.planes[0].update(data)
    frame.sample_rate = rate
    return frame


def to_s16(data: bytes, av_format: str, width: int) -> bytes:
    """Values of `width` bytes in one of PyAV's packed formats as s16, cut at full scale; numbers below 2 alone."""
    from av import AudioFrame, AudioResampler

    if not data:
        return b""
    frame = AudioFrame(format=av_format, layout="mono", samples=len(data) // width)
    frame.planes[0].update(data)
    frame.sample_rate = _ANY_RATE
    made = _resamplers.__dict__  # Of this thread alone; one takes 0.3 ms to make.
    if av_format not in made:
        made[av_format] = AudioResampler(format="s16", layout="mono", rate=_ANY_RATE)
    return _resample(made[av_format], frame)


def frame_bytes(frame: AudioFrame) -> bytes:
    """The samples of a packed frame, without the padding of PyAV's buffer."""
    size = frame.samples * frame.format.bytes * len(frame.layout.channels)
    return bytes(memoryview(frame.planes[0])[:size])


def _resample(resampler: Resampler, frame: AudioFrame | None) -> bytes:
    return b"".join(frame_bytes(out) for out in resampler.resample(frame))
