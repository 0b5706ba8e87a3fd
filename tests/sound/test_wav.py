"""WAV in memory."""

from __future__ import annotations

import io
import wave

from hypothesis import given
from hypothesis import strategies as st

from voicemode.pcm import Frame, PcmFormat
from voicemode.sound.wav import wav_bytes


@given(
    samples=st.binary(max_size=200),
    rate=st.sampled_from([8_000, 16_000, 24_000, 48_000]),
    channels=st.sampled_from([1, 2]),
)
def test_any_other_program_reads_back_what_was_written(samples: bytes, rate: int, channels: int) -> None:
    fmt = PcmFormat(rate=rate, channels=channels)
    data = samples[: len(samples) - len(samples) % fmt.bytes_per_sample]
    with wave.open(io.BytesIO(wav_bytes(Frame(data=data, format=fmt)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, channels, 2)
        assert file.readframes(file.getnframes()) == data
