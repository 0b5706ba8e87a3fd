"""Opus packets → Ogg pages (RFC 3533, RFC 7845), each as soon as its sound is complete."""

from __future__ import annotations

import struct
from zlib import crc32

OPUS_RATE = 48_000
FIRST_PAGE_SAMPLES = OPUS_RATE * 20 // 1000
"""The first page of sound leaves with its first 20 ms, so that sound can start."""
PAGE_SAMPLES = OPUS_RATE * 60 // 1000
"""Later pages: 30 bytes of page for 60 ms are 4 kbit/s, for 20 ms they would be 11, a third of the voice itself."""
MOST_LACINGS = 255
LACING = 255
LONGEST_PACKET_BYTES = (MOST_LACINGS - 1) * LACING
"""What fits into one page. An Opus packet has 61,298 bytes at the most (48 frames of 1,275, and their lengths)."""

CHECKSUM_AT = 22
"""Where the four bytes stand in a page's header."""

_HEADER = struct.Struct("<4sBBqIII")
_BEGINS, _ENDS = 2, 4
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class Paginator:
    """Packets of one logical stream in order. Granules are samples at 48 kHz, pre-skip included."""

    def __init__(self, serial: int) -> None:
        """`serial`: 32 bits that tell this stream from others in the same file."""
        self._serial = serial
        self._number = 0
        self._packets: list[bytes] = []
        self._lacings = 0
        self._samples = 0
        self._wanted = FIRST_PAGE_SAMPLES
        self.granule = 0
        """Samples in all packets so far."""

    @property
    def page_begins(self) -> int:
        """The granule at which the page that is being filled begins."""
        return self.granule - self._samples

    def head(self, packet: bytes) -> bytes:
        """A header packet, alone on its page."""
        return self._page([packet], 0, _BEGINS if self._number == 0 else 0)

    def add(self, packet: bytes, samples: int, *, last: bool = False) -> list[bytes]:
        """One packet of sound; the pages that it fills. One that may be the `last` waits for `end`: only the last
        page can say that the sound ends inside it."""
        lacings = len(packet) // LACING + 1
        if lacings > MOST_LACINGS:
            raise ValueError(f"a packet of {len(packet)} bytes is no Opus")
        pages = [self._close(0)] if self._lacings + lacings > MOST_LACINGS else []
        self._packets.append(packet)
        self._lacings += lacings
        self._samples += samples
        self.granule += samples
        return [*pages, self._close(0)] if self._samples >= self._wanted and not last else pages

    def end(self, granule: int | None = None) -> bytes:
        """The last page. `granule` is where the sound ends, where that is inside the last packet."""
        if granule is not None:
            self.granule = granule
        return self._close(_ENDS)

    def _close(self, flags: int) -> bytes:
        packets, self._packets = self._packets, []
        self._lacings = self._samples = 0
        self._wanted = PAGE_SAMPLES
        return self._page(packets, self.granule, flags)

    def _page(self, packets: list[bytes], granule: int, flags: int) -> bytes:
        lacing = b"".join(
            bytes([LACING]) * (len(packet) // LACING) + bytes([len(packet) % LACING]) for packet in packets
        )
        header = _HEADER.pack(b"OggS", 0, flags, granule, self._serial, self._number, 0)
        self._number += 1
        page = header + bytes([len(lacing)]) + lacing + b"".join(packets)
        checksum = Checksum()
        checksum.add(page)
        return page[:CHECKSUM_AT] + checksum.bytes + page[CHECKSUM_AT + 4 :]


def opus_head(*, channels: int, pre_skip: int, rate: int, gain: int = 0) -> bytes:
    """The identification header. `pre_skip` in samples at 48 kHz; `rate` is what was encoded; `gain` in dB/256."""
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, pre_skip, rate, gain, 0)


def opus_tags(vendor: str = "voicemode") -> bytes:
    """The comment header, without comments."""
    name = vendor.encode()
    return b"OpusTags" + struct.pack("<I", len(name)) + name + bytes(4)


class Checksum:
    """Ogg's CRC of a page that comes in parts: zlib's with the bits the other way round, beginning with zero and not
    inverted at the end."""

    def __init__(self) -> None:
        self._crc = 0xFFFFFFFF

    def add(self, data: bytes | bytearray) -> None:
        self._crc = crc32(data.translate(_REVERSED), self._crc)

    @property
    def bytes(self) -> bytes:
        """As they stand in the header; to be computed with zeros there."""
        return (self._crc ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_REVERSED)


def without_checksum(page: bytes) -> bytes:
    return page[:CHECKSUM_AT] + bytes(4) + page[CHECKSUM_AT + 4 :]
