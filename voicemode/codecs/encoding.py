"""Frames → the six formats of `/v1/audio/speech`, sent while the sound is made. Importing this loads no encoder."""

from __future__ import annotations

from voicemode.codecs.convert import Converter
from voicemode.codecs.packing import Aac, FlacFrames, Mp3, OggOpusPages, Packing
from voicemode.errors import InvalidRequest
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.ports import Stage
from voicemode.sound.wav import wav_header
from voicemode.speech import AudioFormat

CONTENT_TYPES = {
    AudioFormat.PCM: "audio/pcm",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.AAC: "audio/aac",
    AudioFormat.FLAC: "audio/flac",
}

BIT_RATES = {
    AudioFormat.MP3: (16_000, 160_000),
    AudioFormat.OPUS: (6_000, 256_000),
    AudioFormat.AAC: (16_000, 128_000),
}
"""Bits per second that can be asked for. The other formats have none to choose."""

_PACKINGS: dict[AudioFormat, type[Packing]] = {
    AudioFormat.MP3: Mp3,
    AudioFormat.OPUS: OggOpusPages,
    AudioFormat.AAC: Aac,
    AudioFormat.FLAC: FlacFrames,
}


def open_encoder(
    to: AudioFormat, source: PcmFormat = SPEECH, *, bit_rate: int | None = None
) -> Stage[Frame, bytes]:
    """The stage that turns frames into the bytes of one file of format `to`.

    Frames of any format may come: they become `source`. pcm and wav keep its rate and channels; the other formats are
    mono, at its rate or the next that the format has. `bit_rate` None is good for speech. Raises `InvalidRequest`.
    """
    _check(to, bit_rate)
    if to is AudioFormat.PCM:
        return _Plain(source, b"")
    if to is AudioFormat.WAV:
        return _Plain(source, wav_header(source))
    packing = _PACKINGS[to](source.rate, bit_rate)
    return _Packed(packing)


def _check(to: AudioFormat, bit_rate: int | None) -> None:
    if bit_rate is None:
        return
    if to not in BIT_RATES:
        having = ", ".join(BIT_RATES)
        raise InvalidRequest(
            f"A bit rate of {bit_rate:,} was asked for {to}, which has none to choose; formats that do are {having}."
        )
    least, most = BIT_RATES[to]
    if not least <= bit_rate <= most:
        raise InvalidRequest(
            f"The bit rate {bit_rate:,} is none of {to}: {least:,} to {most:,} bits per second are."
        )


class _Plain:
    """Samples as they are, behind `header`."""

    def __init__(self, fmt: PcmFormat, header: bytes) -> None:
        self._converter = Converter(fmt)
        self._header = header

    def feed(self, item: Frame) -> list[bytes]:
        return self._out(self._converter.feed(item))

    def flush(self) -> list[bytes]:
        out = self._out(self._converter.flush())
        if self._header:
            out.append(self._header)
        return out

    def _out(self, frames: list[Frame]) -> list[bytes]:
        data = [frame.data for frame in frames if frame.data]
        if data and self._header:
            data.insert(0, self._header)
            self._header = b""
        return data


class _Packed:
    """Frames through a codec's packets into its file."""

    def __init__(self, packing: Packing) -> None:
        self._converter = Converter(packing.format)
        self._packing = packing
        self._begun = False

    def feed(self, item: Frame) -> list[bytes]:
        return self._out(self._converter.feed(item))

    def flush(self) -> list[bytes]:
        return [*self._out(self._converter.flush()), *self._begin(), *self._packing.flush()]

    def _out(self, frames: list[Frame]) -> list[bytes]:
        return [part for frame in frames for part in (*self._begin(), *self._packing.feed(frame))]

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return self._packing.begin()
