"""Finds out what the first bytes are, opens the decoder for that, and turns its frames into the format wanted."""

from __future__ import annotations

from importlib import import_module

from voicemode.codecs.convert import Converter
from voicemode.errors import BadContent
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Stage
from voicemode.sound.sniff import (
    ID3_HEADER,
    container,
    first_ogg_packet,
    id3_size,
    not_sound,
    sniff,
    undecided,
)
from voicemode.speech import AudioFormat, EncodedAudio

Decoder = Stage[bytes, Frame]

_MARKED = frozenset((AudioFormat.WAV, AudioFormat.OPUS, AudioFormat.FLAC))
"""Formats that always begin with their mark. mp3 and aac may begin in mid-stream; raw PCM has no mark."""

HEAD_BYTES = 12
"""Less is never enough: a WAV or an MP4 shows what it is in its first 12 bytes. As raw PCM it is six samples."""

TEXT_BYTES = 160
"""So many bytes that all read as text are looked at before they count as sound: 80 samples, 3 ms."""


def open_decoder(audio: EncodedAudio, wanted: PcmFormat) -> Stage[bytes, Frame]:
    """The stage that turns the bytes of `audio` into frames of `wanted`.

    `feed` and `flush` raise `BadContent` when the bytes are no sound that can be decoded.
    """
    return _Opening(audio, wanted)


def load(kind: AudioFormat) -> None:
    """What decoding this compressed kind needs, ahead of its first sound: PyAV takes 0.1 s."""
    _decoder(kind, "", SPEECH)
    import_module("av")


class _Opening:
    """Holds the first bytes until they are certain, then streams them through decoder and converter."""

    def __init__(self, audio: EncodedAudio, wanted: PcmFormat) -> None:
        self._audio = audio
        self._converter = Converter(wanted)
        self._head = bytearray()
        self._skip = 0
        self._decoder: Decoder | None = None

    def feed(self, item: bytes) -> list[Frame]:
        if self._decoder is not None:
            return self._convert(self._decoder.feed(item))
        self._head += item
        return self._convert(self._open(final=False))

    def flush(self) -> list[Frame]:
        frames: list[Frame] = []
        if self._decoder is None:
            frames = self._convert(self._open(final=True))
        if self._decoder is not None:
            frames += self._convert(self._decoder.flush())
        return frames + self._converter.flush()

    def _convert(self, frames: list[Frame]) -> list[Frame]:
        return [out for frame in frames for out in self._converter.feed(frame)]

    def _open(self, *, final: bool) -> list[Frame]:
        self._drop_tags()
        if self._skip and not final:
            return []
        head = bytes(self._head)
        if not head:
            if final:
                raise self._bad("nothing at all (0 bytes)")
            return []
        decoder = self._choose(head, final=final)
        if decoder is None:
            return []
        self._head.clear()
        self._decoder = decoder
        return decoder.feed(head)

    def _drop_tags(self) -> None:
        """ID3v2 tags may stand before any kind of sound and hold pictures: they are dropped as they arrive."""
        while self._skip or len(self._head) >= ID3_HEADER:
            self._skip = self._skip or id3_size(bytes(self._head[:ID3_HEADER]))
            dropped = min(self._skip, len(self._head))
            del self._head[:dropped]
            self._skip -= dropped
            if not dropped:
                return

    def _choose(self, head: bytes, *, final: bool) -> Decoder | None:
        """The decoder for `head`, or None while more bytes could change the choice."""
        found = sniff(head)
        if not final and (len(head) < HEAD_BYTES or (undecided(head) and not self._as_labelled(found))):
            return None
        if found is AudioFormat.OPUS and first_ogg_packet(head) is None and not final:
            return None
        if found is None:
            foreign = container(head)
            if foreign:
                return self._whole(foreign)
            if not final and len(head) < TEXT_BYTES and _reads_as_text(head):
                return None
            refused = not_sound(head[:TEXT_BYTES], "")
            if refused:
                raise self._bad(refused)
            if self._audio.format in _MARKED:
                raise self._bad(f"bytes that begin with {head[:16].hex(' ')}")
        return self._decoder_for(found or self._audio.format, head)

    def _as_labelled(self, found: AudioFormat | None) -> bool:
        """A lone mp3 header is believed at once where mp3 was announced: the second comes 24 ms of sound later."""
        return found is AudioFormat.MP3 and self._audio.format is AudioFormat.MP3

    def _decoder_for(self, kind: AudioFormat, head: bytes) -> Decoder:
        if kind is AudioFormat.OPUS and first_ogg_packet(head) not in (None, b"OpusHead"):
            return self._whole("ogg")
        return _decoder(kind, self._audio.engine, self._audio.pcm)

    def _whole(self, kind: str) -> Decoder:
        from voicemode.codecs.whole import Whole

        return Whole(kind, self._audio.engine)

    def _bad(self, what: str) -> BadContent:
        engine = self._audio.engine
        return BadContent(
            f"{engine} answered with {what} instead of {self._audio.format} sound.",
            engine=engine,
            hint="Check the engine's address and its log, or ask it for another format.",
        )


def _decoder(kind: AudioFormat, engine: str, pcm: PcmFormat) -> Decoder:
    """Few processes need more than one of these: each is loaded when it is needed."""
    match kind:
        case AudioFormat.PCM:
            from voicemode.codecs.plain import Pcm

            return Pcm(pcm)
        case AudioFormat.WAV:
            from voicemode.codecs.plain import Wav

            return Wav(engine)
        case AudioFormat.MP3:
            from voicemode.codecs.mpeg import Mp3

            return Mp3(engine)
        case AudioFormat.AAC:
            from voicemode.codecs.mpeg import Aac

            return Aac(engine)
        case AudioFormat.OPUS:
            from voicemode.codecs.ogg import OggOpus

            return OggOpus(engine)
        case AudioFormat.FLAC:
            from voicemode.codecs.flac import Flac

            return Flac(engine)


def _reads_as_text(head: bytes) -> bool:
    return head.isascii() and not any(byte < 0x20 and byte not in b"\t\r\n\f" for byte in head)
