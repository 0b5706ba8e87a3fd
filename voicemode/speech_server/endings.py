"""How long a piece of sound is silent at its end, by which the pause after it is shorter."""

from __future__ import annotations

from collections import deque

from voicemode.codecs.ogg import OPUS_RATE, Packet, Pages, opus_decoder, packet_samples
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.sound.joins import Contour

LOOKED_AT = 2 * OPUS_RATE
"""Samples: enough of a voice to tell it from silence; decoding them takes a few milliseconds."""


class PcmEnding:
    """Of samples."""

    def __init__(self) -> None:
        self._contour = Contour(SPEECH)

    def feed(self, frames: list[Frame]) -> float:
        """The seconds in `frames`."""
        for frame in frames:
            self._contour.feed(frame)
        return sum(frame.seconds for frame in frames)

    def quiet(self) -> float:
        return self._contour.quiet_at_end


class OpusEnding:
    """Of Ogg/Opus bytes, of which only the last are decoded, and only when asked."""

    def __init__(self) -> None:
        self._pages = Pages()
        self._head = b""
        self._last: deque[bytes] = deque()
        self._held = 0
        """Samples in the last packets."""
        self._samples = self._begins = 0
        """In all, and before the present head."""
        self._spare = 0
        """Samples of the last packets that are beyond the end of the sound."""

    def feed(self, data: bytes) -> float:
        """The seconds in `data`, from its packets' first bytes."""
        before = self._samples
        for each in self._pages.feed(data):
            if isinstance(each, Packet) and each.data:
                self._take(each)
        return (self._samples - before) / OPUS_RATE

    def quiet(self) -> float:
        """Until the end of the sound. Nothing where it cannot be decoded."""
        if len(self._head) < 19 or not self._last:
            return 0.0
        decoder = opus_decoder(self._head)
        contour = Contour(PcmFormat(rate=OPUS_RATE))
        for packet in self._last:
            for frame in decoder.decode(packet, samples=packet_samples(packet)):
                contour.feed(frame)
        return max(contour.quiet_at_end - self._spare / OPUS_RATE, 0.0)

    def _take(self, packet: Packet) -> None:
        data = packet.data
        if data[:8] == b"OpusHead":
            self._head, self._begins = data, self._samples
            return
        if data[:8] == b"OpusTags":
            return
        samples = packet_samples(data)
        self._samples += samples
        self._held += samples
        self._last.append(data)
        while self._held - packet_samples(self._last[0]) >= LOOKED_AT:
            self._held -= packet_samples(self._last.popleft())
        spare = self._samples - self._begins - packet.ends_at if packet.last else 0
        self._spare = spare if 0 <= spare < samples else 0
