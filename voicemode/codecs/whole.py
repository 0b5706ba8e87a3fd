"""Containers that cannot be read while they arrive (MP4, WebM, AIFF, Ogg/Vorbis …): decoded at the end, as a whole."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from voicemode.codecs.packets import MonoFrames
from voicemode.errors import BadContent
from voicemode.pcm import Frame

if TYPE_CHECKING:
    from av import AudioStream, Packet

LARGEST = 256 << 20
"""Bytes held in memory at most: two days of speech, or somebody's joke."""


def _opus(head: bytes, packets: Iterable[Packet[AudioStream]]) -> Iterator[Frame]:
    """The sound of Opus in any container, from the pre-skip on to where the container says that it ends."""
    from voicemode.codecs.mpeg import Trim
    from voicemode.codecs.ogg import opus_decoder, packet_samples, pre_skip

    decoder, trim = opus_decoder(head), Trim(start=pre_skip(head))
    for packet in packets:
        data = bytes(packet)
        if not data:
            continue
        # Two counts of 32 bits: samples to be left out at the beginning, and at the end.
        note = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else b""
        padding = int.from_bytes(note[4:8], "little")
        for frame in decoder.decode(data, samples=packet_samples(data)):
            kept = max(frame.samples - padding, 0) * frame.format.bytes_per_sample
            yield trim.cut(Frame(data=frame.data[:kept], format=frame.format))


class Whole:
    """The bytes of a file in container `kind` → at the end, mono frames at the file's rate.

    The container is named, never guessed: among the library's guesses are playlists that open other files.
    """

    def __init__(self, kind: str, engine: str) -> None:
        self._kind, self._engine = kind, engine
        self._held = bytearray()

    def feed(self, item: bytes) -> list[Frame]:
        self._held += item
        if len(self._held) > LARGEST:
            raise self._bad(f"more than {LARGEST:,} bytes")
        return []

    def flush(self) -> list[Frame]:
        from av.error import FFmpegError

        frames: list[Frame] = []
        try:
            for frame in self._decode():
                frames.append(frame)
        except FFmpegError as error:
            if not frames:
                raise self._bad(
                    f"{len(self._held):,} bytes that cannot be decoded ({error.strerror})"
                ) from error
        if not frames:
            raise self._bad(f"{len(self._held):,} bytes without sound")
        return frames

    def _decode(self) -> Iterator[Frame]:
        import av
        from av.error import InvalidDataError

        mono = MonoFrames()
        with av.open(io.BytesIO(bytes(self._held)), mode="r", format=self._kind) as opened:
            if not opened.streams.audio:
                return
            stream = opened.streams.audio[0]
            head = bytes(stream.codec_context.extradata or b"")
            if head.startswith(b"OpusHead"):
                yield from _opus(head, opened.demux(stream))
                return
            for packet in opened.demux(stream):
                try:
                    yield from (
                        mono.take(frame) for frame in packet.decode() if isinstance(frame, av.AudioFrame)
                    )
                except InvalidDataError:
                    continue

    def _bad(self, what: str) -> BadContent:
        return BadContent(
            f"{self._engine} sent {self._kind} sound that cannot be read: {what}.",
            engine=self._engine,
            hint="Ask the engine for another format, for example VOICEMODE_TTS_AUDIO_FORMAT=pcm.",
        )
