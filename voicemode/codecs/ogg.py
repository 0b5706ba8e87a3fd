"""Ogg/Opus while it arrives: packets are taken out before their page is complete, and the end is cut to the sample."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from math import sqrt
from operator import mul

from voicemode.codecs.ogg_pages import CHECKSUM_AT, Checksum, without_checksum
from voicemode.codecs.packets import PacketDecoder
from voicemode.errors import BadContent
from voicemode.pcm import Frame

PAGE_HEADER = 27
LACING = 255
CAPTURE = b"OggS\0"
OPUS_RATE = 48_000
LONGEST_PACKET = OPUS_RATE * 120 // 1000
"""Samples (RFC 6716: a packet holds at most 120 ms)."""

ROAR = 0.5
"""The power of a packet (root mean square, full scale 1.0) that no voice has: noise at full scale has 0.58, a loud
vowel half as much. Packets carry no check of their own: one that roars waits for the checksum of its page."""

_CONTINUED, _LAST = 1, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """`page` counts pages; `ends_at` is the stream's sample at which the page ends, -1 when it does not say.

    `last` says that the page is the stream's last: there `ends_at` may lie inside a packet.
    """

    data: bytes
    page: int
    ends_at: int
    last: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PageEnd:
    """All packets of a page have been given; `whole`: it came as its checksum says."""

    whole: bool


class Pages:
    """Ogg bytes → packets, each as soon as its last byte is there. Garbage is skipped up to the next page."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._lengths: list[tuple[int, bool]] = []
        self._packet = bytearray()
        self._lost = False
        self._page = 0
        self._ends_at = -1
        self._last = False
        self._checksum = Checksum()
        self._stated = b""

    def feed(self, item: bytes) -> list[Packet | PageEnd]:
        self._held += item
        packets: list[Packet | PageEnd] = []
        while True:
            if not self._lengths:
                if not self._next_page():
                    return packets
                continue
            length, whole = self._lengths[0]
            if len(self._held) < length:
                return packets
            inside = self._held.find(CAPTURE, 0, length)
            if inside >= 0:
                # A page inside a packet: the lengths were damaged, and the next page is where it says it is.
                del self._held[:inside]
                self._lengths.clear()
                self._packet.clear()
                packets.append(PageEnd(whole=False))
                continue
            del self._lengths[0]
            part = self._held[:length]
            self._checksum.add(part)
            self._packet += part
            del self._held[:length]
            if whole:
                if not self._lost:
                    packets.append(self._whole())
                self._lost = False
                self._packet.clear()
            if not self._lengths:
                packets.append(PageEnd(whole=self._checksum.bytes == self._stated))

    def _whole(self) -> Packet:
        return Packet(data=bytes(self._packet), page=self._page, ends_at=self._ends_at, last=self._last)

    def _next_page(self) -> bool:
        """One step towards the next page; False when its header is not there yet."""
        found = self._held.find(CAPTURE)
        if found != 0:
            self._packet.clear()
            keep = found if found > 0 else max(0, len(self._held) - 4)
            if found < 0 and CAPTURE.startswith(self._held[:5]):
                return False
            self._lost = True
            del self._held[:keep]
            return found > 0
        if len(self._held) < PAGE_HEADER or len(self._held) < PAGE_HEADER + self._held[26]:
            return False
        size = PAGE_HEADER + self._held[26]
        inside = self._held.find(CAPTURE, 1, size)
        if inside > 0:
            del self._held[:inside]
            self._packet.clear()
            return True
        header = bytes(self._held[:size])
        del self._held[:size]
        continued = bool(header[5] & _CONTINUED)
        self._lost = continued and not self._packet
        if not continued:
            self._packet.clear()
        self._ends_at = int.from_bytes(header[6:14], "little", signed=True)
        self._last = bool(header[5] & _LAST)
        self._lengths = _packet_lengths(header[PAGE_HEADER:])
        self._stated = header[CHECKSUM_AT : CHECKSUM_AT + 4]
        self._checksum = Checksum()
        self._checksum.add(without_checksum(header))
        self._page += 1
        return True


def _packet_lengths(lacing: bytes) -> list[tuple[int, bool]]:
    """(bytes, whether the packet ends here) for each packet of a page."""
    lengths: list[tuple[int, bool]] = []
    size = 0
    for value in lacing:
        size += value
        if value < LACING:
            lengths.append((size, True))
            size = 0
    if lacing and lacing[-1] == LACING:
        lengths.append((size, False))
    return lengths


class OggOpus:
    """Ogg/Opus bytes → mono frames at 48 kHz, from the pre-skip to the last granule. Streams may be chained."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._pages = Pages()
        self._decoder: PacketDecoder | None = None
        self._skip = 0
        self._at = 0
        self._page = 0
        self._page_starts_at = 0
        self._new_head = False
        self._held: list[Frame] = []
        """From a packet that roars on, until the end of its page."""
        self._whole = True
        """The page before."""
        self._loud = False
        """Pages that came as they were sent have roared: it is how this stream is."""

    def feed(self, item: bytes) -> list[Frame]:
        out: list[Frame] = []
        for each in self._pages.feed(item):
            if isinstance(each, PageEnd):
                self._check_head(each)
                out += self._released(whole=each.whole)
                continue
            for frame in self._take(each):
                held = self._held or (not self._loud and roars(frame))
                (self._held if held else out).append(frame)
        return [frame for frame in out if frame.data]

    def _check_head(self, end: PageEnd) -> None:
        """The head has a page of its own; what it says of gain and channels is made of everything that follows."""
        if self._new_head and not end.whole:
            raise BadContent(
                f"{self._engine} sent an Opus header that is damaged: its checksum does not hold.",
                engine=self._engine,
                hint="Check the engine's log, or ask it for another format.",
            )
        self._new_head = False

    def flush(self) -> list[Frame]:
        if self._decoder is None:
            raise BadContent(
                f"{self._engine} sent Ogg without one Opus header that can be read.",
                engine=self._engine,
                hint="Check the engine's log, or ask it for another format.",
            )
        return [frame for frame in self._released(whole=False) if frame.data]

    def _released(self, *, whole: bool) -> list[Frame]:
        """What was held, without what roars where the page is damaged, or the one before it: decoders take a while to
        come round."""
        held, self._held = self._held, []
        sound, self._whole = whole and self._whole, whole
        if sound:
            self._loud = self._loud or bool(held)
            return held
        return [_silent(frame) if roars(frame) else frame for frame in held]

    def _take(self, packet: Packet) -> list[Frame]:
        data = packet.data
        if data[:8] == b"OpusHead":
            self._begin(data)
        if self._decoder is None or data[:8] in (b"OpusHead", b"OpusTags") or not data:
            return []
        if packet.page != self._page:
            self._page, self._page_starts_at = packet.page, self._at
        too_much = packet.ends_at > self._page_starts_at and self._at >= packet.ends_at + LONGEST_PACKET
        if too_much and not packet.last:
            return []
        samples = packet_samples(data)
        ends_at = packet.ends_at if packet.last else None
        return [self._cut(frame, ends_at) for frame in self._decoder.decode(data, samples=samples)]

    def _begin(self, head: bytes) -> None:
        if len(head) < 19:
            return
        self._new_head = True
        self._skip = pre_skip(head)
        self._at = 0
        self._decoder = opus_decoder(head)

    def _cut(self, frame: Frame, ends_at: int | None) -> Frame:
        begin, self._at = self._at, self._at + frame.samples
        first = min(max(0, self._skip - begin), frame.samples)
        last = frame.samples
        if ends_at is not None and ends_at >= self._page_starts_at:
            last = max(first, min(last, ends_at - begin))
        width = frame.format.bytes_per_sample
        return Frame(data=frame.data[first * width : last * width], format=frame.format)


def pre_skip(head: bytes) -> int:
    """Samples at 48 kHz before the sound, by an OpusHead."""
    return int.from_bytes(head[10:12], "little")


def opus_decoder(head: bytes) -> PacketDecoder:
    """For the stream that begins with this OpusHead. Opus's own library: the other decoder makes noise at full scale of
    what was coded for 8 kHz, and clicks at other low bit rates. It would skip by itself: it is told of nothing to skip.
    """
    return PacketDecoder("libopus", extradata=head[:10] + b"\0\0" + head[12:])


def roars(frame: Frame) -> bool:
    """Whether any 20 ms of a mono frame are as loud as only damage is: damaged packets may claim six times as much."""
    values = array("h", frame.data)
    if sys.byteorder == "big":
        values.byteswap()
    limit = ROAR * 32_768
    if not values or max(max(values), -min(values)) <= limit:
        return False
    size = frame.format.samples(0.02)
    parts = (values[start : start + size] for start in range(0, len(values), size))
    return any(sqrt(sum(map(mul, part, part)) / len(part)) > limit for part in parts)


def _silent(frame: Frame) -> Frame:
    return Frame(data=frame.format.silence(frame.samples), format=frame.format)


def packet_samples(packet: bytes) -> int:
    """Samples at 48 kHz of an Opus packet, from its first byte (RFC 6716, section 3.1)."""
    mode = packet[0] >> 3
    if mode >= 16:
        one = OPUS_RATE // 400 << (mode & 3)
    elif mode >= 12:
        one = OPUS_RATE // 100 << (mode & 1)
    else:
        one = (480, 960, 1920, 2880)[mode & 3]
    code = packet[0] & 3
    count = (1, 2, 2)[code] if code < 3 else (packet[1] & 0x3F if len(packet) > 1 else 1)
    return min(one * count, LONGEST_PACKET)
