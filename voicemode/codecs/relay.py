"""Ogg/Opus passed on packet by packet, undecoded: one or more sources become one continuous stream."""

from __future__ import annotations

import secrets

from voicemode.codecs.ogg import OPUS_RATE, Packet, Pages, packet_samples
from voicemode.codecs.ogg_pages import LONGEST_PACKET_BYTES, Paginator, opus_head, opus_tags
from voicemode.errors import BadContent

HEAD_BYTES = 19

SILENT_PACKETS = tuple(bytes([31 - shorter << 3, 0xFF, 0xFE]) for shorter in range(4))
"""20, 10, 5 and 2.5 ms of digital silence (RFC 6716: CELT alone, the whole band, one channel, the silence flag set);
a decoder of two channels makes two of it."""


class OpusRelay:
    """Stage: Ogg/Opus bytes of `engine` in any cuts → the pages of one stream with one pair of headers.

    Packets leave in pages of 20 ms at first and then 60, whatever pages they came in; their bytes are untouched. The
    last page says where the sound of the last source ends. Between two sources nothing can be cut to the sample without
    decoding: what the encoder of the first filled its last packet up with is heard (less than a packet, nearly silent),
    and so is the second one's pre-skip (its first 6.5 ms as a rule). A pause between them is made of silent packets and
    is as much shorter, so that all of it lasts as long as its sources and pauses do.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._pages = Pages()
        self._out = Paginator(secrets.randbits(32))
        self._head: bytes | None = None
        """The first source's header. What follows has to fit it."""
        self._source_head: bytes | None = None
        """The present source's header; None until it has come."""
        self._base = 0
        """Samples that went out before the present source."""
        self._ends_at: int | None = None
        """Where the present source's sound ends, once its last page has begun."""
        self._pause = 0
        """Samples of quiet to be added before the next source."""
        self._over = 0
        """Samples that went out beyond the sources' sound and pauses, up to the present source."""

    def feed(self, item: bytes) -> list[bytes]:
        # A page's damage is the listener's to find: nothing is held back until its page is whole.
        return [
            part for each in self._pages.feed(item) if isinstance(each, Packet) for part in self._take(each)
        ]

    def next_source(self, *, pause: float = 0.0) -> None:
        """What is fed next is the beginning of another file, `pause` seconds later; less than none where the two would
        have been laid over each other. (One that follows by itself, chained, is seen as well.)"""
        self._pages = Pages()
        self._source_head = None
        self._pause = round(pause * OPUS_RATE)

    def flush(self) -> list[bytes]:
        """Raises `BadContent` where no Opus has come at all."""
        if self._head is None:
            raise BadContent(
                f"{self._engine} sent Ogg without one Opus header that can be read.",
                engine=self._engine,
                hint="Check the engine's log, or ask it for another format.",
            )
        return [self._out.end(self._end())]

    def _take(self, packet: Packet) -> list[bytes]:
        data = packet.data
        if data[:8] == b"OpusHead":
            return self._begin(data)
        if self._source_head is None or data[:8] == b"OpusTags" or not data:
            return []
        if len(data) > LONGEST_PACKET_BYTES:
            return []
        # What is on the last page waits for the end, which may lie inside it.
        self._ends_at = packet.ends_at if packet.last else None
        return self._out.add(data, packet_samples(data), last=packet.last)

    def _begin(self, head: bytes) -> list[bytes]:
        if len(head) < HEAD_BYTES:
            return []
        if self._head is None:
            self._check_family(head)
            self._head = self._source_head = head
            own = opus_head(
                channels=head[9],
                pre_skip=int.from_bytes(head[10:12], "little"),
                rate=int.from_bytes(head[12:16], "little"),
                gain=int.from_bytes(head[16:18], "little", signed=True),
            )
            return [self._out.head(own), self._out.head(opus_tags())]
        self._check_fits(head)
        out = self._quiet(pre_skip=int.from_bytes(head[10:12], "little"))
        self._source_head, self._base, self._ends_at = head, self._out.granule, None
        return out

    def _quiet(self, *, pre_skip: int) -> list[bytes]:
        """Silent packets for the pause, less what is heard between the sources anyhow."""
        self._over += self._out.granule - self._end() + pre_skip - self._pause
        self._pause = 0
        out: list[bytes] = []
        for packet in SILENT_PACKETS:
            samples = packet_samples(packet)
            while self._over <= -samples:
                self._over += samples
                out += self._out.add(packet, samples)
        return out

    def _end(self) -> int:
        whole = self._out.granule
        end = whole if self._ends_at is None else self._base + self._ends_at
        return end if self._out.page_begins <= end <= whole else whole

    def _check_family(self, head: bytes) -> None:
        if head[18] != 0 or not 1 <= head[9] <= 2:
            raise self._bad(
                f"Opus of {head[9]} channels in mapping family {head[18]}; mono and stereo are relayed"
            )

    def _check_fits(self, head: bytes) -> None:
        self._check_family(head)
        assert self._head is not None
        if head[16:18] != self._head[16:18]:
            raise self._bad(
                "Opus with another output gain than the source before it, which one header cannot say"
            )

    def _bad(self, what: str) -> BadContent:
        return BadContent(
            f"{self._engine} sent {what}.",
            engine=self._engine,
            hint="Ask the engine for another format, which is then encoded here.",
        )
