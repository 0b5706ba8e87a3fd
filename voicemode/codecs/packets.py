"""One compressed packet → samples. A damaged packet costs its own time and nothing else, and is never loud."""

from __future__ import annotations

from array import array
from math import inf, isfinite
from typing import TYPE_CHECKING

from voicemode.codecs.convert import frame_bytes
from voicemode.pcm import SPEECH, Frame, PcmFormat

if TYPE_CHECKING:
    from av import AudioCodecContext, AudioFrame, AudioResampler

CHECKS = "crccheck+bitstream+buffer+explode"
"""All the checks the decoders have: with them two thirds of an mp3's loud wreckage are errors instead of noise."""

LOUDEST = 1.5
"""Full scale is 1.0. Lossy coding overshoots loud sound by up to 3 dB; what is beyond that is wreckage."""

LOUDER = 2.0
"""After damage, a packet louder than everything before by this factor is taken for wreckage as well."""

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
"""Hz. A damaged header may claim anything; a lower rate would make minutes of a few bytes."""

MOST_PLANES = 8
"""PyAV counts the planes of a frame wrongly beyond this and then reads foreign memory; only wreckage has more."""

QUIET = 0.25
"""Nothing up to this is called loud."""

AUDIBLE = 0.025
KNOWN_PACKETS = 10
"""So many packets with something audible in them tell how loud the sound is. Damage before that would otherwise make
all of the sound that follows look too loud: each packet that is silenced doubles what is believed."""


class PacketDecoder:
    """A codec of PyAV, fed whole packets → mono frames at the codec's rate.

    `extradata` is what the container says about the codec.
    """

    def __init__(self, codec: str, *, extradata: bytes | None = None) -> None:
        self._codec, self._extradata = codec, extradata
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
            self._mono.damaged = True
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
        context.options = {"err_detect": CHECKS, "request_sample_fmt": "flt"}
        self._context = context
        return context

    def _silence(self, samples: int | None) -> list[Frame]:
        if self._last is None:
            return []
        fmt = self._last.format
        return [Frame(data=fmt.silence(samples or self._last.samples), format=fmt)]


class MonoFrames:
    """PyAV's frames of any sample type and layout → mono s16 frames at the same rate. Wreckage becomes silence.

    `damaged` is set from outside once a packet has failed: the others are then under suspicion.
    """

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._loudest = 0.0
        self._audible = 0
        self._doubt = 1.0
        self.damaged = False

    def take(self, frame: AudioFrame) -> Frame:
        if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
            return Frame(data=b"", format=SPEECH)
        fmt = PcmFormat(rate=frame.sample_rate)
        limit = min(LOUDEST, max(QUIET, LOUDER * self._loudest) * self._doubt) if self.damaged else LOUDEST
        loudest = peak(frame)
        if not loudest < limit:
            self.damaged = True
            self._doubt *= 2.0 if self._audible < KNOWN_PACKETS else 1.0
            return Frame(data=fmt.silence(frame.samples), format=fmt)
        self._loudest = max(self._loudest, loudest)
        self._audible += loudest > AUDIBLE
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or self._kind != kind:
            from av import AudioResampler

            self._resampler = AudioResampler(format="s16", layout="mono", rate=frame.sample_rate)
            self._kind = kind
        frame.pts = None
        data = b"".join(frame_bytes(out) for out in self._resampler.resample(frame))
        return Frame(data=data, format=fmt)


def peak(frame: AudioFrame) -> float:
    """The largest value, 1.0 being full scale; infinite when one is no number, or there are too many channels.

    0.0 for integer samples: they come from lossless codecs, which check themselves.
    """
    if frame.format.is_planar and frame.layout.nb_channels > MOST_PLANES:
        return inf
    if frame.format.name not in ("flt", "fltp"):
        return 0.0
    size = frame.samples * 4 * (1 if frame.format.is_planar else len(frame.layout.channels))
    found = 0.0
    for plane in frame.planes:
        values = array("f", bytes(memoryview(plane)[:size]))
        found = max(found, max(values), -min(values)) if isfinite(sum(values)) else inf
    return found
