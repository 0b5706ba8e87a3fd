"""miniaudio: on Linux without PortAudio. Its wheel needs no system package and speaks PulseAudio and ALSA."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from types import ModuleType

from voicemode.devices.backend import (
    DeviceInfo,
    Stream,
    Unavailable,
    choose,
    no_default,
    serve_callbacks_soon,
)
from voicemode.devices.capture import Capture
from voicemode.devices.feed import Dryness, Feed
from voicemode.errors import DeviceError, DeviceLost
from voicemode.pcm import PcmFormat

PERIOD_MILLISECONDS = 40
PERIODS = 4
"""PulseAudio then holds one period, whatever the number of periods, and asks when 20 ms are gone: at 10 ms it ran dry
on a busy machine. On one that gives this program nothing for 40 ms (four others that compute, two cores) it runs dry at
40 and at 60 ms about once in 6 s: silence comes in between, and no sample is lost."""
SPARE_SECONDS = 0.016
"""PulseAudio asks when 20 ms are left; it wakes up to 4 ms late."""
PATIENT_MILLISECONDS = 100
"""The most it is asked to hold. A stream in which sound ran dry doubles what the next one holds; each that did not
takes a quarter off again."""
PERIODS_STATED = 2
"""Latency stated for every device, as miniaudio does not tell: the period held and the one just asked for."""


class _Asked:
    """What miniaudio takes for a generator: `send(samples)` gives the bytes to play."""

    def __init__(self, feed: Feed, latency: float, ran_dry: Callable[[], None]) -> None:
        self._feed = feed
        self._latency = latency
        self._ran_dry = ran_dry
        self._dryness = Dryness(SPARE_SECONDS)

    def send(self, samples: int) -> bytes:
        self._feed.delay(self._latency)
        data = self._feed.fill(samples)
        at = self._feed.last_at
        if at is not None and self._dryness.asked(at, self._feed.format.seconds(samples)):
            self._feed.underflows += 1
            if any(data):
                self._ran_dry()
        return data


class _Given:
    """What miniaudio takes for a generator: `send(data)` gets the recorded bytes."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def send(self, data: bytearray) -> None:
        self._capture.give(bytes(data))


class _MiniStream:
    def __init__(self, device: object, name: str) -> None:
        self.name = name
        self._device = device

    def close(self) -> None:
        self._device.close()  # type: ignore[attr-defined]


class Mini:
    """The `Backend` on miniaudio. It converts to any rate and channel count by itself."""

    library = "miniaudio"

    def __init__(self, library: ModuleType) -> None:
        self._mini = library
        self._period = PERIOD_MILLISECONDS
        self.version = importlib.metadata.version("miniaudio")
        # Named one by one: left to choose, miniaudio "plays" on its null back end.
        self._ways = [library.Backend.PULSEAUDIO, library.Backend.ALSA]

    def devices(self) -> tuple[DeviceInfo, ...]:
        return tuple(info for info, _ in self._list())

    def open_output(self, device: str | None, feed: Feed) -> Stream:
        chosen, identity = self._chosen(device, output=True)

        def make() -> object:
            made = self._mini.PlaybackDevice(
                nchannels=feed.format.channels,
                sample_rate=feed.format.rate,
                **self._settings(identity, period),
            )
            made.stop_callback = lambda: feed.lose(_gone("loudspeaker", name))
            made.start(_Asked(feed, PERIODS_STATED * period / 1000, ran_dry))
            return made

        def ran_dry() -> None:
            self._period = min(period * 2, PATIENT_MILLISECONDS)

        period = self._period
        name = chosen.name if chosen else "default"
        made = self._made(make, name, feed.format, output=True)
        self._period = max(period * 3 // 4, PERIOD_MILLISECONDS)
        return _MiniStream(made, name)

    def open_input(self, device: str | None, wanted: PcmFormat, capture: Capture) -> Stream:
        chosen, identity = self._chosen(device, output=False)

        def make() -> object:
            made = self._mini.CaptureDevice(
                nchannels=wanted.channels,
                sample_rate=wanted.rate,
                **self._settings(identity, PERIOD_MILLISECONDS),
            )
            made.stop_callback = lambda: capture.lose(_gone("microphone", name))
            made.start(_Given(capture))
            return made

        name = chosen.name if chosen else "default"
        return _MiniStream(self._made(make, name, wanted, output=False), name)

    def _settings(self, identity: object | None, period: int) -> dict[str, object]:
        return {
            "device_id": identity,
            "buffersize_msec": period,
            "callback_periods": PERIODS,
            "backends": self._ways,
            "app_name": "voicemode",
        }

    def _made(self, make: Callable[[], object], name: str, fmt: PcmFormat, *, output: bool) -> object:
        try:
            return make()
        except self._mini.MiniaudioError as problem:
            if not self._list():
                raise no_default(self.library, output=output) from problem
            side = "loudspeaker" if output else "microphone"
            raise DeviceError(
                f"The {side} {name!r} does not open at {fmt.rate} Hz: {problem.args[0]}.", retryable=True
            ) from problem

    def _chosen(self, wanted: str | None, *, output: bool) -> tuple[DeviceInfo | None, object | None]:
        """The device and miniaudio's id for it; None is the audio server's own default."""
        if wanted is None:
            return None, None
        listed = self._list()
        info = choose([info for info, _ in listed], wanted, output=output)
        return info, next(identity for other, identity in listed if other == info)

    def _list(self) -> list[tuple[DeviceInfo, object]]:
        try:
            listed = self._mini.Devices(self._ways)
            found = [(True, each) for each in listed.get_playbacks()]
            found += [(False, each) for each in listed.get_captures()]
        except self._mini.MiniaudioError:
            return []
        return [
            (_info(index, each, listed.backend, output=output), each["id"])
            for index, (output, each) in enumerate(found)
        ]


def load_miniaudio() -> Mini:
    """Imports miniaudio (blocking, 20 ms); nothing is opened yet."""
    try:
        import miniaudio
    except ImportError as problem:
        raise Unavailable(f"miniaudio: {problem}") from problem
    serve_callbacks_soon()
    return Mini(miniaudio)


def _info(index: int, listed: Mapping[str, object], way: str, *, output: bool) -> DeviceInfo:
    formats = listed["formats"]
    own = formats[0] if isinstance(formats, list) and formats else {}
    channels = int(own.get("channels") or 2)
    return DeviceInfo(
        index=index,
        name=str(listed["name"]),
        host_api=way,
        input_channels=0 if output else channels,
        output_channels=channels if output else 0,
        rate=int(own.get("samplerate") or 0),
    )


def _gone(what: str, name: str) -> DeviceLost:
    return DeviceLost(
        f"The {what} {name!r} has gone.", hint="Connect it again or choose another.", retryable=True
    )
