"""A loudspeaker that refuses the flow's format, driven in its own: what is pulled is converted on the way."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import Pull, Stage

Resample = Callable[[PcmFormat, PcmFormat], Stage[Frame, Frame]]
"""(what comes, what is wanted) → the stage between."""

COMMON_RATES = (48_000, 44_100)
MOST_CHANNELS = 32
WARM_SECONDS = 0.01
ROUNDS = 100
"""Pulls for one block; a stage that has given nothing by then gives nothing at all."""


class Fitted:
    """A `Pull` in `target` over a `pull` in `source`. Nothing is pulled before it is needed.

    Mono goes to all channels of the target; several channels, of which the target has at least as many, keep their
    places.
    """

    def __init__(self, source: PcmFormat, target: PcmFormat, pull: Pull, resample: Resample) -> None:
        self._source = source
        self._target = target
        self._pull = pull
        self._pulled = self._given = 0
        self._ready = bytearray()
        self._entry, exit_ = PcmFormat(rate=source.rate), PcmFormat(rate=target.rate)
        self._stages = [
            _warm(resample, self._entry, exit_) for _ in range(source.channels if self._entry != exit_ else 0)
        ]

    @property
    def held(self) -> float:
        """Seconds of sound pulled and not given yet: what the conversion adds to the latency."""
        return max(self._source.seconds(self._pulled) - self._target.seconds(self._given), 0.0)

    def __call__(self, samples: int) -> bytes:
        wanted = samples * self._target.bytes_per_sample
        for _ in range(ROUNDS):
            missing = wanted - len(self._ready)
            if missing <= 0:
                break
            count = -(-missing * self._source.rate // (self._target.bytes_per_sample * self._target.rate))
            self._ready += self._converted(self._take(count))
        else:
            raise ValueError(f"no sound came of {self._source} for {self._target}")
        data = bytes(self._ready[:wanted])
        del self._ready[:wanted]
        self._given += samples
        return data

    def _take(self, samples: int) -> bytes:
        data = self._pull(samples)
        if len(data) != samples * self._source.bytes_per_sample:
            raise ValueError(f"{len(data)} bytes for {samples} samples of {self._source}")
        self._pulled += samples
        return data

    def _converted(self, data: bytes) -> bytes:
        values, apart = array("h", data), self._source.channels
        streams = [values[channel::apart] for channel in range(apart)] if apart > 1 else [values]
        if self._stages:
            streams = [self._at_rate(*each) for each in zip(self._stages, streams, strict=True)]
        channels = self._target.channels
        if channels == 1:
            return streams[0].tobytes()
        placed = array("h", bytes(len(streams[0]) * self._target.bytes_per_sample))
        for channel, stream in enumerate(streams if apart > 1 else streams * channels):
            placed[channel::channels] = stream
        return placed.tobytes()

    def _at_rate(self, stage: Stage[Frame, Frame], values: array[int]) -> array[int]:
        frames = stage.feed(Frame(data=values.tobytes(), format=self._entry))
        return array("h", b"".join(frame.data for frame in frames))


def own_formats(wanted: PcmFormat, *, rate: int, channels: int) -> Iterator[PcmFormat]:
    """What a device that refuses `wanted` may take instead, likeliest first; never fewer channels.

    `rate` is its own (0: not known), `channels` the most it takes.
    """
    own_rate, most = rate, min(channels, MOST_CHANNELS)
    tried = {wanted}
    for rate in (own_rate, *COMMON_RATES):
        for channels in (max(2, wanted.channels), wanted.channels, most):
            if not wanted.channels <= channels <= most or not 1_000 <= rate <= 768_000:
                continue
            fmt = PcmFormat(rate=rate, channels=channels)
            if fmt not in tried:
                tried.add(fmt)
                yield fmt


def _warm(resample: Resample, source: PcmFormat, target: PcmFormat) -> Stage[Frame, Frame]:
    """A stage of which another has been run: the first one of all loads its library, which no callback can wait for."""
    silence = Frame(data=source.silence(source.samples(WARM_SECONDS)), format=source)
    throwaway = resample(source, target)
    throwaway.feed(silence)
    throwaway.flush()
    return resample(source, target)
