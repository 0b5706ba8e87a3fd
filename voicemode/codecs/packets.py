"""One compressed packet → samples. A damaged packet costs its own time and nothing else, and is never loud."""

from __future__ import annotations

from array import array
from math import isfinite
from typing import TYPE_CHECKING

from voicemode.codecs.convert import frame_bytes
from voicemode.pcm import Frame, PcmFormat

if TYPE_CHECKING:
    from av import AudioCodecContext, AudioFrame, AudioResampler

LOUDEST = 2.0
"""Full scale is 1.0. Lossy coding overshoots loud sound by up to 3 dB; 6 dB beyond full scale is only in wreckage."""


class PacketDecoder:
    """A codec of PyAV, fed whole packets → mono frames at the codec's rate.

    `extradata` is what the container says about the codec; `options` are the codec's own.
    """

    def __init__(
        self, codec: str, *, extradata: bytes | None = None, options: dict[str, str] | None = None
    ) -> None:
        self._codec, self._extradata, self._options = codec, extradata, options or {}
        self._context: AudioCodecContext | None = None
        self._mono = MonoFrames()
        self._last: Frame | None = None

    def decode(self, packet: bytes, *, samples: int | None = None) -> list[Frame]:
        """The sound of `packet`; silence of `samples`, or of the last packet's length, where it is damaged."""
        from av import Packet
        from av.error import FFmpegError

        context = self._context or self._open()
        try:
            frames = [self._mono.take(frame) for frame in context.decode(Packet(packet))]
        except FFmpegError:
            frames = self._silence(samples)
        out = [frame for frame in frames if frame.data]
        self._last = out[-1] if out else self._last
        return out

    def _open(self) -> AudioCodecContext:
        from av import AudioCodecContext, CodecContext

        context = CodecContext.create(self._codec, "r")
        assert isinstance(context, AudioCodecContext)
        if self._extradata is not None:
            context.extradata = self._extradata
        context.options = self._options
        self._context = context
        return context

    def _silence(self, samples: int | None) -> list[Frame]:
        if self._last is None:
            return []
        fmt = self._last.format
        return [Frame(data=fmt.silence(samples or self._last.samples), format=fmt)]


class MonoFrames:
    """PyAV's frames of any sample type and layout → mono s16 frames at the same rate."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None

    def take(self, frame: AudioFrame) -> Frame:
        fmt = PcmFormat(rate=frame.sample_rate)
        if not plausible(frame):
            return Frame(data=fmt.silence(frame.samples), format=fmt)
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or self._kind != kind:
            from av import AudioResampler

            self._resampler = AudioResampler(format="s16", layout="mono", rate=frame.sample_rate)
            self._kind = kind
        frame.pts = None
        data = b"".join(frame_bytes(out) for out in self._resampler.resample(frame))
        return Frame(data=data, format=fmt)


def plausible(frame: AudioFrame) -> bool:
    """Whether no value is far beyond full scale. Integer samples come from lossless codecs, which check themselves."""
    if frame.format.name not in ("flt", "fltp"):
        return True
    size = frame.samples * 4 * (1 if frame.format.is_planar else len(frame.layout.channels))
    for plane in frame.planes:
        values = array("f", bytes(memoryview(plane)[:size]))
        if not (isfinite(sum(values)) and max(values) < LOUDEST and min(values) > -LOUDEST):
            return False
    return True
