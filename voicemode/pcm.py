"""Sound as samples: signed 16-bit little-endian, interleaved.

One unit everywhere: a *sample* is one instant of all channels (so 24,000 samples are one second at 24 kHz,
mono or stereo); a `Frame` is any whole number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_VALUE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class PcmFormat:
    """`rate` in Hz; `channels` interleaved s16le values per sample."""

    rate: int
    channels: int = 1

    def __post_init__(self) -> None:
        if not 1_000 <= self.rate <= 768_000 or not 1 <= self.channels <= 32:
            raise ValueError(f"not a sound format: {self.rate} Hz, {self.channels} channels")

    @property
    def bytes_per_sample(self) -> int:
        return BYTES_PER_VALUE * self.channels

    def samples(self, seconds: float) -> int:
        """Whole samples in `seconds`, rounded to the nearest."""
        return round(seconds * self.rate)

    def seconds(self, samples: int) -> float:
        return samples / self.rate

    def silence(self, samples: int) -> bytes:
        return bytes(samples * self.bytes_per_sample)


SPEECH = PcmFormat(rate=24_000)
"""What flows between decoder and device: the rate of every current speech service."""

LISTENING = PcmFormat(rate=16_000)
"""What the microphone gives and recognisers take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Whole samples in one format. `data` is s16le, interleaved."""

    data: bytes
    format: PcmFormat

    def __post_init__(self) -> None:
        if len(self.data) % self.format.bytes_per_sample:
            raise ValueError(f"{len(self.data)} bytes are not whole samples of {self.format}")

    @property
    def samples(self) -> int:
        return len(self.data) // self.format.bytes_per_sample

    @property
    def seconds(self) -> float:
        return self.samples / self.format.rate


class Framer:
    """Cuts bytes that arrive in any size into frames of exactly `samples` samples.

    `flush` gives the rest as one shorter frame; a last half value is dropped.
    """

    def __init__(self, fmt: PcmFormat, samples: int) -> None:
        self._format = fmt
        self._size = samples * fmt.bytes_per_sample
        self._rest = bytearray()

    @property
    def held_seconds(self) -> float:
        """Of what was fed and is not yet a frame."""
        return len(self._rest) / self._format.bytes_per_sample / self._format.rate

    def feed(self, data: bytes) -> list[Frame]:
        self._rest += data
        whole = len(self._rest) - len(self._rest) % self._size
        view = bytes(self._rest[:whole])
        del self._rest[:whole]
        return [
            Frame(data=view[start : start + self._size], format=self._format)
            for start in range(0, whole, self._size)
        ]

    def flush(self) -> list[Frame]:
        whole = len(self._rest) - len(self._rest) % self._format.bytes_per_sample
        data = bytes(self._rest[:whole])
        self._rest.clear()
        return [Frame(data=data, format=self._format)] if data else []
