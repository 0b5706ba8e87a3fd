"""mp3 and ADTS aac while they arrive: frames found by their headers, decoded one by one, primes and padding cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voicemode.codecs.packets import PacketDecoder
from voicemode.errors import BadContent
from voicemode.pcm import Frame
from voicemode.sound.sniff import (
    ADTS_HEADER,
    ID3_HEADER,
    MP3_HEADER,
    adts_frame_size,
    id3_size,
    mp3_frame_size,
)

SEARCHED = 65_536
"""Bytes without a single frame after which nothing more is expected."""

MP3_DECODER_DELAY = 529
"""Samples every layer III decoder is late by (LAME's technical FAQ: 528 + 1)."""

MP3_PRIMES = 576 + MP3_DECODER_DELAY
"""What encoders that leave no note put before the sound: LAME's delay and the decoder's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How frames of a codec are told apart. `key` is what stays the same in all headers of a stream."""

    header: int
    size: Callable[[bytes], int]
    key: Callable[[bytes], bytes]


MP3 = Framing(
    header=MP3_HEADER, size=mp3_frame_size, key=lambda head: bytes((head[1] & 0xFE, head[2] & 0x0C))
)
ADTS = Framing(
    header=ADTS_HEADER,
    size=adts_frame_size,
    key=lambda head: bytes((head[1] & 0xFE, head[2] & 0xFD, head[3] & 0xC0)),
)


class Framer:
    """Bytes → whole frames. The first frame, and the first after damage, counts only when another follows it."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._held = bytearray()
        self._key: bytes | None = None
        self._skip = 0

    def feed(self, item: bytes) -> list[bytes]:
        self._held += item
        return list(self._frames(final=False))

    def flush(self) -> list[bytes]:
        return list(self._frames(final=True))

    def _frames(self, *, final: bool) -> Iterator[bytes]:
        at = 0
        held = bytes(self._held)
        while True:
            passed = min(self._skip, len(held) - at)
            at, self._skip = at + passed, self._skip - passed
            if len(held) - at < ID3_HEADER and not (final and len(held) - at >= self._framing.header):
                break
            size = self._frame_at(held, at, final=final)
            if size is None:
                break
            if size:
                yield held[at : at + size]
                at += size
            else:
                self._skip = id3_size(held[at : at + ID3_HEADER]) or _to_next(held, at)
        del self._held[:at]

    def _frame_at(self, held: bytes, at: int, *, final: bool) -> int | None:
        """Bytes of the frame at `at`; 0 when there is none, None when more bytes have to tell."""
        head = held[at : at + self._framing.header]
        size = self._framing.size(head)
        if not size:
            self._key = None
            return 0
        here = len(held) - at
        key = self._framing.key(head)
        if key == self._key:
            return size if here >= size else None
        following = held[at + size : at + size + self._framing.header]
        if len(following) < self._framing.header:
            if not final:
                return None
            return size if here == size else 0
        if not self._framing.size(following) or self._framing.key(following) != key:
            return 0
        self._key = key
        return size


def _to_next(held: bytes, at: int) -> int:
    """Bytes from `at` to the next one a frame may begin with."""
    places = [place for place in (held.find(b"\xff", at + 1), held.find(b"ID3", at + 1)) if place > 0]
    return min(places, default=len(held)) - at


class Trim:
    """Keeps the samples from `start` up to `end` of a stream that counts to `length`; None: no end is known."""

    def __init__(self, *, start: int, end: int | None = None, length: int | None = None) -> None:
        self._start, self._end, self._length = start, end, length
        self._at = 0

    def cut(self, frame: Frame) -> Frame:
        begin, self._at = self._at, self._at + frame.samples
        first = min(max(0, self._start - begin), frame.samples)
        last = frame.samples
        if self._end is not None and self._length is not None and begin < self._length:
            last = max(first, min(last, self._end - begin))
        width = frame.format.bytes_per_sample
        return Frame(data=frame.data[first * width : last * width], format=frame.format)


class Mp3:
    """mp3 bytes → mono frames at the file's rate, without the encoder's primes and padding."""

    def __init__(self, engine: str) -> None:
        self._packets = _Packets(engine, "mp3", MP3)
        self._decoder = PacketDecoder("mp3float")
        self._trim = Trim(start=MP3_PRIMES)

    def feed(self, item: bytes) -> list[Frame]:
        return self._decode(self._packets.feed(item))

    def flush(self) -> list[Frame]:
        return self._decode(self._packets.flush())

    def _decode(self, packets: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for packet in packets:
            note = gapless_note(packet)
            if note is not None:
                self._trim = note
                self._decoder = PacketDecoder("mp3float")
            else:
                frames += [self._trim.cut(frame) for frame in self._decoder.decode(packet)]
        return [frame for frame in frames if frame.data]


def gapless_note(packet: bytes) -> Trim | None:
    """What the first frame of an mp3 says about primes and padding; None when it is a frame of sound."""
    mpeg1, mono, crc = packet[1] & 8, packet[3] >> 6 == 3, not packet[1] & 1
    samples = 1152 if mpeg1 else 576
    side = MP3_HEADER + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if packet[36:40] == b"VBRI":
        return Trim(start=MP3_PRIMES)
    # LAME puts it where it would be without the checksum, others behind both.
    places = (side, side + 2) if crc else (side,)
    at = next((place for place in places if packet[place : place + 4] in (b"Xing", b"Info")), 0)
    if not at:
        return None
    flags = int.from_bytes(packet[at + 4 : at + 8], "big")
    count = int.from_bytes(packet[at + 8 : at + 12], "big") if flags & 1 else 0
    tail = at + 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    note = int.from_bytes(packet[tail + 21 : tail + 24], "big")
    delay, padding = note >> 12, note & 0xFFF
    if not note:
        return Trim(start=MP3_PRIMES)
    start, length = delay + MP3_DECODER_DELAY, count * samples
    if not length:
        return Trim(start=start)
    return Trim(start=start, end=length - max(0, padding - MP3_DECODER_DELAY), length=length)


class Aac:
    """ADTS bytes → mono frames at the file's rate. The first frame of an encoder primes its window and is dropped."""

    def __init__(self, engine: str) -> None:
        self._packets = _Packets(engine, "aac", ADTS)
        self._decoder = PacketDecoder("aac")
        self._trim: Trim | None = None

    def feed(self, item: bytes) -> list[Frame]:
        return self._decode(self._packets.feed(item))

    def flush(self) -> list[Frame]:
        return self._decode(self._packets.flush())

    def _decode(self, packets: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for packet in packets:
            for frame in self._decoder.decode(packet):
                # 1,024 samples, or 2,048 where the decoder doubles the rate (HE-AAC).
                self._trim = self._trim or Trim(start=frame.samples)
                frames.append(self._trim.cut(frame))
        return [frame for frame in frames if frame.data]


class _Packets:
    """The packets in a stream; gives up on bytes in which none is found."""

    def __init__(self, engine: str, kind: str, framing: Framing) -> None:
        self._engine, self._kind = engine, kind
        self._framer = Framer(framing)
        self._bytes = 0
        self._found = False

    def feed(self, data: bytes) -> list[bytes]:
        packets = self._framer.feed(data)
        self._bytes += len(data)
        self._found = self._found or bool(packets)
        if not self._found and self._bytes > SEARCHED:
            raise self._nothing()
        return packets

    def flush(self) -> list[bytes]:
        packets = self._framer.flush()
        if not (self._found or packets):
            raise self._nothing()
        return packets

    def _nothing(self) -> BadContent:
        return BadContent(
            f"{self._engine} sent {self._bytes:,} bytes of {self._kind} without one whole frame of sound.",
            engine=self._engine,
            hint="Check the engine's log, or ask it for another format.",
        )
