"""A recording that a client sends, in any format, as samples."""

from __future__ import annotations

from collections.abc import AsyncIterator

from voicemode.codecs import open_decoder
from voicemode.errors import BadContent
from voicemode.pcm import Frame, PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio
from voicemode.speech_server.answers import BadArgument

DECODED_AT_ONCE = 65_536


def decoded(data: bytes, fmt: PcmFormat, *, longest: float, param: str = "file") -> Frame:
    """At most `longest` seconds, since a small file can hold days. Raises `BadArgument`. For a thread."""

    async def nothing() -> AsyncIterator[bytes]:
        return
        yield b""

    # wav always begins with its mark: what has none of any format is refused rather than heard as noise.
    audio = EncodedAudio(chunks=nothing(), format=AudioFormat.WAV, engine="The file", voice="")
    decoder = open_decoder(audio, fmt)
    sound = bytearray()
    try:
        for start in range(0, len(data), DECODED_AT_ONCE):
            for frame in decoder.feed(data[start : start + DECODED_AT_ONCE]):
                sound += frame.data
            if len(sound) > longest * fmt.rate * fmt.bytes_per_sample:
                shown = f"{longest / 60:g} minutes" if longest > 60 else f"{longest:g} seconds"
                raise BadArgument(
                    f"The recording is longer than {shown}.",
                    param=param,
                    status=413,
                    hint="Send it in parts." if longest > 60 else "Ten seconds of clear speech are enough.",
                )
        for frame in decoder.flush():
            sound += frame.data
    except BadContent as error:
        raise BadArgument(f"The file cannot be read as sound: {error.message}", param=param) from error
    return Frame(data=bytes(sound), format=fmt)
