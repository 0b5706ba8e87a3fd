"""sounddevice as PortAudio's backend uses it, with one card, moved on by the test."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from voicemode.pcm import PcmFormat


class Refused(Exception):
    pass


class Time:
    def __init__(self, at: float) -> None:
        self.currentTime = at
        self.outputBufferDacTime = at + 0.02


class Flags:
    output_underflow = False
    input_overflow = False


class FakeOutput:
    """A stream of the fake sounddevice, moved on by the test."""

    latency = 0.02

    def __init__(self, callback: Callable[..., None], ended: Callable[[], None], fmt: PcmFormat) -> None:
        self.format = fmt
        self._callback = callback
        self._ended = ended
        self._moment = 1.0

    def start(self) -> None:
        return

    def close(self) -> None:
        self._ended()

    def play(self, samples: int, *, at: float | None = None) -> bytes:
        """What the callback gives at the device's moment `at`, or when it has played what it asked for before."""
        self._moment = self._moment if at is None else at
        out = bytearray(samples * self.format.bytes_per_sample)
        self._callback(memoryview(out), samples, Time(self._moment), Flags())
        self._moment += samples / self.format.rate
        return bytes(out)


class FakeSoundDevice(ModuleType):
    """sounddevice with one card that takes only `takes`; any other format is refused with `code`."""

    def __init__(self, takes: PcmFormat | None, code: int = -9997) -> None:
        super().__init__("sounddevice")
        self.takes = takes
        self.code = code
        self.tried: list[PcmFormat] = []
        self.streams: list[FakeOutput] = []
        self.PortAudioError = Refused
        self.CallbackAbort = StopIteration
        self.default = self

    @property
    def device(self) -> tuple[int, int]:
        return (-1, 0)

    def get_portaudio_version(self) -> tuple[int, str]:
        return (1, "PortAudio V19")

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": "ALSA"}]

    def query_devices(self) -> list[dict[str, object]]:
        card: dict[str, object] = {"index": 0, "name": "Card", "hostapi": 0, "default_samplerate": 48_000.0}
        return [{**card, "max_input_channels": 0, "max_output_channels": 2}]

    def _exit_handler(self) -> None:
        return

    def _terminate(self) -> None:
        return

    def _initialize(self) -> None:
        return

    def RawOutputStream(
        self,
        *,
        samplerate: int,
        channels: int,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
        **_: object,
    ) -> FakeOutput:
        fmt = PcmFormat(rate=samplerate, channels=channels)
        self.tried.append(fmt)
        if fmt != self.takes:
            raise Refused("Invalid sample rate", self.code)
        stream = FakeOutput(callback, finished_callback, fmt)
        self.streams.append(stream)
        return stream
