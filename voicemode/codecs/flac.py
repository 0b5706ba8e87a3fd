"""FLAC while it arrives: a frame is whole when the next one's header, checked by its CRC-8, has come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from voicemode.codecs.packets import HIGHEST_RATE, LOWEST_RATE, PacketDecoder
from voicemode.errors import BadContent
from voicemode.pcm import Frame, PcmFormat

STREAM_INFO = 34
MAX_HEADER = 16
MAX_FRAME = 1 << 21
"""Bytes after which a frame without an end is given up: 65,535 samples of eight channels have less."""
MOST_LOST = 64
"""Frames missing before one header alone is doubted."""
MAX_GAP_SECONDS = 2.0
"""Lost frames are replaced by silence up to this; beyond it the sound moves together."""

_NEXT = re.compile(rb"\xff|fLaC[\x00\x80]\x00\x00\x22")
"""Where a frame may begin, or another file behind this one."""
_NEXT_MARK = 8

_RATES = dict(
    enumerate((0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000))
)
_RATE_WIDTHS = {12: 1, 13: 2, 14: 2}
_FIXED_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608}


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """`number` counts frames, or samples where `variable`; `samples` is the length of the frame.

    `rate` in Hz, 0 where the stream's own header has to say it.
    """

    number: int
    samples: int
    rate: int
    variable: bool


def read_header(data: bytes) -> Header | None:
    """The FLAC frame header that `data` begins with (RFC 9639, section 9.1), None when there is none."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8 or data[3] & 1:
        return None
    size_code, rate_code = data[2] >> 4, data[2] & 15
    if size_code == 0 or rate_code == 15 or data[3] >> 4 > 10 or data[3] >> 1 & 7 == 3:
        return None
    number, at = _coded_number(data)
    at_end = at + {6: 1, 7: 2}.get(size_code, 0)
    if size_code in (6, 7):
        samples = int.from_bytes(data[at:at_end], "big") + 1
    else:
        samples = _FIXED_SIZES.get(size_code) or 256 << size_code - 8
    rate_width = _RATE_WIDTHS.get(rate_code, 0)
    at_rate, at_end = at_end, at_end + rate_width
    if number < 0 or len(data) <= at_end or crc8(data[:at_end]) != data[at_end]:
        return None
    rate = _RATES.get(rate_code, 0)
    if rate_width:
        rate = int.from_bytes(data[at_rate:at_end], "big") * {12: 1000, 13: 1, 14: 10}[rate_code]
    return Header(number=number, samples=samples, rate=rate, variable=bool(data[1] & 1))


def _coded_number(data: bytes) -> tuple[int, int]:
    """The number written as in UTF-8 from byte 4 on, and where it ends; -1 when it is malformed."""
    first = data[4]
    more = 0
    while more < 7 and first & (0x80 >> more):
        more += 1
    if more == 0:
        return first, 5
    if more == 1 or more > 7:
        return -1, 5
    number = first & (0x7F >> more)
    for byte in data[5 : 4 + more]:
        if byte & 0xC0 != 0x80:
            return -1, 5
        number = number << 6 | byte & 0x3F
    return number, 4 + more


@cache
def _crc8_table() -> bytes:
    table = bytearray()
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
        table.append(value)
    return bytes(table)


def crc8(data: bytes) -> int:
    table, crc = _crc8_table(), 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def _follows(header: Header, current: Header, *, most: int) -> bool:
    """Whether `header` may stand behind `current`, or up to `most` frames further on."""
    if header.variable != current.variable:
        return False
    steps = header.number - current.number
    unit = current.samples if header.variable else 1
    return unit <= steps <= most * unit


class Flac:
    """FLAC bytes → mono frames at the file's rate. A frame whose checksum is wrong is silent for its length."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._held = bytearray()
        self._skip = len(b"fLaC")
        self._in_metadata = True
        self._last_block = False
        self._decoder: PacketDecoder | None = None
        self._format: PcmFormat | None = None
        self._current: Header | None = None
        self._searched = 0
        self._stray: tuple[int, Header] | None = None
        """A header that follows nothing known, and where it is."""
        self._block = 0
        self._at = 0

    def feed(self, item: bytes) -> list[Frame]:
        self._held += item
        return self._run(final=False)

    def flush(self) -> list[Frame]:
        frames = self._run(final=True)
        if self._decoder is None:
            raise BadContent(
                f"{self._engine} sent FLAC that ends or breaks inside its header.",
                engine=self._engine,
                hint="Check the engine's log, or ask it for another format.",
            )
        return frames

    def _run(self, *, final: bool) -> list[Frame]:
        frames: list[Frame] = []
        while not self._in_metadata or self._pass_metadata():
            for header, packet in self._split(final=final):
                frames += self._decode(header, packet)
            if not self._in_metadata:
                break
        return frames

    def _pass_metadata(self) -> bool:
        """False: not all of it is there yet."""
        while True:
            dropped = min(self._skip, len(self._held))
            del self._held[:dropped]
            self._skip -= dropped
            if self._skip:
                return False
            if self._last_block:
                self._in_metadata = False
                return True
            if not self._read_block():
                return False

    def _read_block(self) -> bool:
        """One metadata block: the stream's facts are read, the rest is passed over. False: not there yet."""
        if len(self._held) < 4:
            return False
        kind, size = self._held[0], int.from_bytes(self._held[1:4], "big")
        if kind & 0x7F == 0:
            if len(self._held) < 4 + STREAM_INFO:
                return False
            self._read_info(bytes(self._held[4 : 4 + STREAM_INFO]))
        self._skip = 4 + size
        self._last_block = bool(kind & 0x80)
        return True

    def _read_info(self, info: bytes) -> None:
        rate = int.from_bytes(info[10:13], "big") >> 4
        try:
            self._format = PcmFormat(rate=rate)
        except ValueError:
            raise BadContent(
                f"{self._engine} sent FLAC with a rate of {rate} Hz; allowed are 1,000-768,000 Hz.",
                engine=self._engine,
            ) from None
        self._decoder = PacketDecoder("flac", extradata=info)

    def _split(self, *, final: bool) -> Iterator[tuple[Header, bytes]]:
        while True:
            found = _NEXT.search(self._held, self._searched)
            if found is None:
                self._searched = max(self._searched, len(self._held) - _NEXT_MARK + 1)
                break
            place = found.start()
            if len(found[0]) == _NEXT_MARK:
                yield from self._cut(place, None)
                self._begin_anew()
                return
            if len(self._held) - place < MAX_HEADER and not final:
                self._searched = place
                break
            header = read_header(bytes(self._held[place : place + MAX_HEADER]))
            if header is None:
                self._searched = place + 1
            elif self._current is None or _follows(header, self._current, most=MOST_LOST):
                yield from self._cut(place, header)
            elif self._stray is not None and _follows(header, self._stray[1], most=1):
                # Two in a row are no chance: more was lost than is believed of one.
                lost, stray = self._stray
                yield from self._cut(lost, stray)
                yield from self._cut(place - lost, header)
            else:
                self._stray, self._searched = (place, header), place + 1
        if len(self._held) > MAX_FRAME:
            self._held.clear()
            self._current, self._searched, self._stray = None, 0, None
        if final:
            yield from self._cut(len(self._held), None)

    def _cut(self, place: int, following: Header | None) -> Iterator[tuple[Header, bytes]]:
        """The current frame, which ends at `place`, where `following` begins."""
        current, packet = self._current, bytes(self._held[:place])
        del self._held[:place]
        self._searched, self._current, self._stray = 1, following, None
        if current is not None:
            yield current, packet

    def _begin_anew(self) -> None:
        self._skip, self._in_metadata, self._last_block = len(b"fLaC"), True, False
        self._searched = self._block = self._at = 0

    def _decode(self, header: Header, packet: bytes) -> list[Frame]:
        if self._decoder is None or self._format is None:
            return []
        if LOWEST_RATE <= header.rate <= HIGHEST_RATE:
            self._format = PcmFormat(rate=header.rate)
        self._block = self._block or header.samples
        begins = header.number if header.variable else header.number * self._block
        gap = begins - self._at
        frames: list[Frame] = []
        if 0 < gap <= self._format.samples(MAX_GAP_SECONDS) and self._at:
            frames.append(Frame(data=self._format.silence(gap), format=self._format))
        decoded = self._decoder.decode(packet, samples=header.samples)
        if not decoded:
            decoded = [Frame(data=self._format.silence(header.samples), format=self._format)]
        self._at = begins + header.samples
        return frames + decoded
