"""PortAudio, through sounddevice: the first choice everywhere.

Importing sounddevice starts PortAudio, which on Linux walks through ALSA and JACK and writes what it misses to
fd 2; sounddevice points fd 2 at the null device for just that time (for the whole process: what another thread
logs in those 20–40 ms is lost). So it is imported when a device is first needed, in a thread.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from voicemode import clock
from voicemode.devices.alsa import hush_alsa
from voicemode.devices.backend import (
    DeviceInfo,
    Stream,
    Unavailable,
    choose,
    no_default,
    serve_callbacks_soon,
)
from voicemode.devices.capture import Capture
from voicemode.devices.feed import Feed
from voicemode.devices.fitting import Resample, own_formats
from voicemode.devices.portaudio_stream import (
    PortAudioStream,
    any_open,
    devices_changed,
    finished,
    gone,
    one_call,
    refusal,
    refused_format,
)
from voicemode.devices.reserve import Reserve
from voicemode.errors import DeviceError
from voicemode.pcm import PcmFormat
from voicemode.playout.pulling import BLOCK_SECONDS, HELD_SECONDS

BRIDGES = ("pulse", "pipewire")
"""ALSA devices that lead to an audio server, tried when ALSA's default leads nowhere."""
MAPPER_ENDING = " - Output"
"""PortAudio's own, behind Windows' name for the wave mapper, which is in the user's language."""
PATIENT_SECONDS = 0.08
"""The most it is asked to hold: four blocks. Of more PortAudio makes parts of two, that reach the device together. Each
stream in which sound (silence does not count) ran dry doubles what the next one holds, up to that; each that did not
takes a quarter off again."""
CAPTURE_SECONDS = 0.12
"""A quarter of it comes at a time: 30 ms wake this process 33 times a second, 15 ms 67 times, for a third less CPU; a
turn's end is seen 5 ms later on average, 10 ms at most."""

LONGEST_DELAY_SECONDS = 1.0
"""A device that says to have kept the microphone's sound for longer knows no better: some state 0 or nonsense."""


class _Time(Protocol):
    inputBufferAdcTime: float
    outputBufferDacTime: float
    currentTime: float


class _Flags(Protocol):
    output_underflow: bool
    input_overflow: bool


class PortAudio:
    """The `Backend` on PortAudio. `resample` is needed only where a device refuses the format asked for."""

    library = "PortAudio"

    def __init__(
        self,
        library: ModuleType,
        resample: Resample | None = None,
        *,
        platform: str = sys.platform,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._sd = library
        self._on_linux = platform.startswith("linux")
        self._resample = resample
        self._now = now
        self._held_seconds = HELD_SECONDS
        self._refusing: dict[tuple[str, PcmFormat], Exception] = {}
        """Loudspeakers that opened only in a format of their own, what they refused, and with which words."""
        self.version = str(library.get_portaudio_version()[1]).split(",")[0].removeprefix("PortAudio ")

    def devices(self) -> tuple[DeviceInfo, ...]:
        with one_call():
            self._refresh()
            return self._list()

    def open_output(self, device: str | None, feed: Feed) -> Stream:
        wanted = feed.format

        def attempt(info: DeviceInfo) -> Stream:
            if (info.name, wanted) not in self._refusing:
                try:
                    return self._output(info, feed)
                except self._sd.PortAudioError as problem:
                    if self._resample is None or not refused_format(problem):
                        raise
                    self._refusing[info.name, wanted] = problem
            return self._output_at_own_rate(info, feed, self._refusing.pop((info.name, wanted)))

        return self._first(device, attempt, wanted, output=True)

    def _output_at_own_rate(self, info: DeviceInfo, feed: Feed, refused: Exception) -> Stream:
        """Remembers that it has to be so: being refused takes time, and PortAudio writes each refusal to stderr."""
        assert self._resample is not None
        wanted = feed.format
        try:
            for own in own_formats(wanted, rate=info.rate, channels=info.output_channels):
                feed.convert_to(own, self._resample)
                with contextlib.suppress(self._sd.PortAudioError):
                    stream = self._output(info, feed)
                    self._refusing[info.name, wanted] = refused
                    return stream
            raise refused
        except BaseException:
            feed.convert_no_more()
            raise

    def _output(self, info: DeviceInfo, feed: Feed) -> Stream:
        sd = self._sd
        rate, now = feed.format.rate, self._now
        ran_dry = False
        told_at = told = 0.0
        """When the device last told its time, by our clock and by its own."""
        held = self._held_seconds
        block = self._block(feed.format)
        reserve = Reserve(held, block / rate) if block else None

        def callback(out: memoryview, samples: int, time: _Time, flags: _Flags) -> None:
            nonlocal ran_dry, told_at, told
            asked_at = at = now()
            queue = time.outputBufferDacTime - time.currentTime
            # Blocks that go to the device together have one time of its clock, and none is there before the last.
            together = 0 < time.currentTime == told
            if not together:
                told_at, told = asked_at, time.currentTime
            if reserve is not None:
                if flags.output_underflow:
                    reserve.ran_dry()
                if not together and (early := reserve.early(asked_at, queue, short=feed.short())):
                    feed.put_off(early)
                    at = now()
            # The device's word is for the block's first sample; its last one is audible a block later. The first blocks
            # come before its clock runs.
            if queue > 0:
                audible_in = queue + samples / rate - (at - told_at)
                feed.delay(audible_in, settled=reserve is None or reserve.sounding)
            data = feed.fill(samples)
            sound = data.count(0) < len(data)
            if reserve is not None:
                reserve.given(at, samples / rate, sound=sound)
            out[:] = data
            if flags.output_underflow:
                feed.underflows += 1
                if sound:
                    ran_dry = True
            if feed.over:
                raise sd.CallbackAbort

        def over() -> None:
            self._held_seconds = min(held * 2, PATIENT_SECONDS) if ran_dry else max(held * 0.75, HELD_SECONDS)
            finished(stream, lambda: feed.lose(gone("loudspeaker", info)))

        stream = PortAudioStream(sd, info.name)
        stream.start(
            lambda: sd.RawOutputStream(
                samplerate=rate,
                channels=feed.format.channels,
                dtype="int16",
                blocksize=block,
                # On ALSA PortAudio holds one block more than it is asked to.
                latency=held - block / rate,
                device=info.index,
                extra_settings=self._extra(info),
                callback=callback,
                finished_callback=over,
            )
        )
        if not feed.latency:
            # Left to PortAudio, a block is about a quarter of what is held.
            feed.delay(stream.latency + (block / rate or stream.latency / 4))
        return stream

    def open_input(self, device: str | None, wanted: PcmFormat, capture: Capture) -> Stream:
        def attempt(info: DeviceInfo) -> Stream:
            try:
                return self._input(info, wanted, capture)
            except self._sd.PortAudioError as problem:
                own = PcmFormat(rate=info.rate or 48_000, channels=min(2, info.input_channels))
                if own == wanted or self._resample is None or not refused_format(problem):
                    raise
                capture.convert_from(own, self._resample(own, wanted))
                try:
                    return self._input(info, own, capture)
                except BaseException:
                    capture.convert_from(wanted, None)
                    raise

        return self._first(device, attempt, wanted, output=False)

    def _input(self, info: DeviceInfo, fmt: PcmFormat, capture: Capture) -> Stream:
        sd = self._sd

        def callback(data: memoryview, samples: int, time: _Time, flags: _Flags) -> None:
            if flags.input_overflow:
                capture.overflows += 1
            # The device's word is for the block's first sample.
            delay = time.currentTime - time.inputBufferAdcTime - samples / fmt.rate
            capture.give(bytes(data), delay=delay if 0.0 < delay < LONGEST_DELAY_SECONDS else 0.0)
            if capture.over:
                raise sd.CallbackAbort

        stream = PortAudioStream(sd, info.name)
        stream.start(
            lambda: sd.RawInputStream(
                samplerate=fmt.rate,
                channels=fmt.channels,
                dtype="int16",
                blocksize=0,
                latency=CAPTURE_SECONDS,
                device=info.index,
                extra_settings=self._extra(info),
                callback=callback,
                finished_callback=lambda: finished(stream, lambda: capture.lose(gone("microphone", info))),
            )
        )
        return stream

    def _first(
        self, device: str | None, attempt: Callable[[DeviceInfo], Stream], fmt: PcmFormat, *, output: bool
    ) -> Stream:
        """The first of the candidates that opens."""
        first: DeviceError | None = None
        for info in self._candidates(device, output=output):
            try:
                return attempt(info)
            except self._sd.PortAudioError as problem:
                devices_changed.set()
                first = first or refusal(info, fmt, problem, output=output)
        raise first or no_default(self.library, output=output)

    def _candidates(self, wanted: str | None, *, output: bool) -> list[DeviceInfo]:
        devices = self.devices()
        if wanted is not None:
            return [choose(devices, wanted, output=output)]
        usable = [info for info in devices if (info.output_channels if output else info.input_channels) > 0]
        mapped = [info for info in usable if output and _is_mapper(info)]
        default = [info for info in usable if (info.default_output if output else info.default_input)]
        if mapped and any(info.host_api == mapped[0].host_api for info in default):
            return mapped + default
        return default + [info for info in usable if info.name in BRIDGES and info not in default]

    def _refresh(self) -> None:
        """Makes the list of devices anew (about 40 ms) where it can be and may have to be.

        It would kill open streams. On macOS and Windows the default itself is frozen in the list; on Linux the
        audio server routes behind one unchanging device, and the list is made anew only after a failure.
        """
        if any_open() or (self._on_linux and not devices_changed.is_set()):
            return
        self._sd._terminate()
        self._sd._initialize()
        devices_changed.clear()

    def _list(self) -> tuple[DeviceInfo, ...]:
        apis = self._sd.query_hostapis()
        defaults = self._sd.default.device
        return tuple(
            DeviceInfo(
                index=int(info["index"]),
                name=str(info["name"]),
                host_api=str(apis[info["hostapi"]]["name"]),
                input_channels=int(info["max_input_channels"]),
                output_channels=int(info["max_output_channels"]),
                rate=round(info["default_samplerate"]),
                default_input=info["index"] == defaults[0],
                default_output=info["index"] == defaults[1],
            )
            for info in self._sd.query_devices()
        )

    def _block(self, fmt: PcmFormat) -> int:
        """Samples that a callback is to ask for; 0 leaves it to PortAudio. Off Linux it would adapt its blocks to the
        device's at the price of another one held."""
        return fmt.samples(BLOCK_SECONDS) if self._on_linux else 0

    def _extra(self, info: DeviceInfo) -> object | None:
        """WASAPI alone refuses every rate but its mixer's unless it is told to convert."""
        return self._sd.WasapiSettings(auto_convert=True) if "WASAPI" in info.host_api else None


def _is_mapper(info: DeviceInfo) -> bool:
    """Windows moves a stream on the wave mapper along with the default output, and leaves one on a device where it is:
    PortAudio gives the device that was the default when it made its list."""
    return info.host_api == "MME" and info.name.endswith(MAPPER_ENDING)


def load_portaudio(resample: Resample | None = None) -> PortAudio:
    """Starts PortAudio (blocking; 30–200 ms)."""
    serve_callbacks_soon()
    hush_alsa()
    try:
        with one_call():
            import sounddevice

    except (OSError, ImportError) as problem:
        raise Unavailable(f"PortAudio: {problem}") from problem
    except Exception as problem:
        if type(problem).__name__ != "PortAudioError":  # cannot be imported: the module is what failed
            raise
        raise Unavailable(f"PortAudio does not start: {problem}") from problem
    return PortAudio(sounddevice, resample)
