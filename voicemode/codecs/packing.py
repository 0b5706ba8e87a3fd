"""How each compressed format is made of its codec's packets: what stands before them, round them and behind them.

No container library: it holds sound back (Ogg for a second) and wants to seek. Each packet leaves when it is made.
"""

from __future__ import annotations

import secrets
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from voicemode.codecs.convert import mono_av_frame
from voicemode.codecs.ogg import packet_samples
from voicemode.codecs.ogg_pages import OPUS_RATE, Paginator, opus_head, opus_tags
from voicemode.pcm import Frame, Framer, PcmFormat

if TYPE_CHECKING:
    from av import AudioCodecContext, AudioFrame


class Packing:
    """A codec of PyAV, fed mono frames. Subclasses say what becomes of its packets."""

    codec: ClassVar[str]
    sample_format: ClassVar[str]
    rates: ClassVar[tuple[int, ...]] = ()
    """Hz the codec takes, rising; empty: any."""
    bit_rate: ClassVar[int] = 0
    options: ClassVar[dict[str, str]] = {}

    def __init__(self, rate: int, bit_rate: int | None) -> None:
        above = [own for own in self.rates if own >= rate]
        self.format = PcmFormat(rate=(above or [self.rates[-1]])[0] if self.rates else rate)
        """What `feed` takes."""
        self._bit_rate = bit_rate or self.bit_rate
        self._context: AudioCodecContext | None = None
        self._framer: Framer | None = None
        self._taken = 0

    def begin(self) -> list[bytes]:
        return []

    def wrap(self, packet: bytes) -> list[bytes]:
        return [packet]

    def end(self) -> list[bytes]:
        return []

    @property
    def context(self) -> AudioCodecContext:
        if self._context is None:
            self._context = self._open()
        return self._context

    def feed(self, frame: Frame) -> list[bytes]:
        if self._framer is None:
            self._framer = Framer(self.format, self.context.frame_size)
        return [part for whole in self._framer.feed(frame.data) for part in self._encode(whole)]

    def flush(self) -> list[bytes]:
        if self._framer is None:
            return self.end()
        rest = [part for last in self._framer.flush() for part in self._encode(last)]
        return [*rest, *self._encode(None), *self.end()]

    def _encode(self, frame: Frame | None) -> list[bytes]:
        sound: AudioFrame | None = None
        if frame is not None:
            sound = mono_av_frame(frame.data, self.format.rate)
            sound.pts, sound.time_base = self._taken, Fraction(1, self.format.rate)
            self._taken += frame.samples
        return [part for packet in self.context.encode(sound) for part in self.wrap(bytes(packet))]

    def _open(self) -> AudioCodecContext:
        from av import AudioCodecContext, CodecContext

        context = CodecContext.create(self.codec, "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate, context.layout = self.format.rate, "mono"
        context.format = self.sample_format
        context.time_base = Fraction(1, self.format.rate)
        context.options = dict(self.options)
        if self._bit_rate:
            context.bit_rate = self._bit_rate
        context.open()
        return context


class Mp3(Packing):
    """Frames one after another, without a Xing frame: its numbers are not known before the end."""

    codec, sample_format, bit_rate = "libmp3lame", "s16p", 64_000
    rates = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    # Without the reservoir a frame needs no bits of its neighbours, and the first comes 24 ms of sound earlier.
    # Level 7 takes a quarter of the time of level 2 (8 against 33 ms for a second).
    options: ClassVar[dict[str, str]] = {"compression_level": "7", "reservoir": "0"}


class Aac(Packing):
    """ADTS (ISO 13818-7, 6.2): seven bytes before each packet."""

    codec, sample_format, bit_rate = "aac", "fltp", 64_000
    rates = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
    options: ClassVar[dict[str, str]] = {"aac_coder": "fast"}

    _LOW_COMPLEXITY, _MONO = 1, 1

    def wrap(self, packet: bytes) -> list[bytes]:
        rate = len(self.rates) - 1 - self.rates.index(self.format.rate)  # the standard's table falls
        length = len(packet) + 7
        header = bytes(
            (
                0xFF,
                0xF1,
                self._LOW_COMPLEXITY << 6 | rate << 2 | self._MONO >> 2,
                (self._MONO & 3) << 6 | length >> 11,
                length >> 3 & 0xFF,
                (length & 7) << 5 | 0x1F,
                0xFC,
            )
        )
        return [header + packet]


class FlacFrames(Packing):
    """The stream's facts, without a length or a checksum of the whole, then frames of 24 ms."""

    codec, sample_format = "flac", "s16"
    options: ClassVar[dict[str, str]] = {"compression_level": "0"}

    _LAST_BLOCK = 0x80

    def begin(self) -> list[bytes]:
        info = self.context.extradata or b""
        return [b"fLaC" + bytes((self._LAST_BLOCK,)) + len(info).to_bytes(3, "big") + info]

    def wrap(self, packet: bytes) -> list[bytes]:
        return [packet] if packet else []  # The flush gives an empty one that carries the facts again.


class OggOpusPages(Packing):
    """Two header pages, then pages of sound; the last says to the sample where the sound ends."""

    codec, sample_format, bit_rate = "libopus", "s16", 32_000
    rates = (8_000, 12_000, 16_000, 24_000, 48_000)
    # Complexity 3 takes half the time of 10 (3.3 against 6.4 ms for a second).
    options: ClassVar[dict[str, str]] = {"compression_level": "3", "frame_duration": "20"}

    def __init__(self, rate: int, bit_rate: int | None) -> None:
        super().__init__(rate, bit_rate)
        self._pages = Paginator(secrets.randbits(32))
        self._pre_skip = 0
        self._ending = False

    def begin(self) -> list[bytes]:
        facts = bytes(self.context.extradata or b"")
        self._pre_skip = int.from_bytes(facts[10:12], "little")
        head = opus_head(channels=1, pre_skip=self._pre_skip, rate=self.format.rate)
        return [self._pages.head(head), self._pages.head(opus_tags())]

    def wrap(self, packet: bytes) -> list[bytes]:
        return self._pages.add(packet, packet_samples(packet), last=self._ending)

    def flush(self) -> list[bytes]:
        self._ending = True
        return super().flush()

    def end(self) -> list[bytes]:
        return [self._pages.end(self._pre_skip + self._taken * OPUS_RATE // self.format.rate)]
