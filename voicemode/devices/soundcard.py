"""The machine's sound card behind `OpenSink` and `OpenSource`: the first sound library that works."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from voicemode import clock
from voicemode.devices.backend import (
    Backend,
    DeviceReport,
    Loader,
    Stream,
    Unavailable,
    used,
)
from voicemode.devices.capture import Capture
from voicemode.devices.default_output import AskDefault, DefaultWatch, system_default
from voicemode.devices.diagnosis import Place, Trouble, advice
from voicemode.devices.explaining import Explaining
from voicemode.devices.feed import Feed
from voicemode.devices.fitting import Resample
from voicemode.devices.place import Defaults, defaults
from voicemode.devices.threads import in_thread
from voicemode.devices.watchdog import Watchdog
from voicemode.devices.whereabouts import Whereabouts
from voicemode.errors import DeviceError, DeviceLost, NoDevice
from voicemode.pcm import PcmFormat
from voicemode.ports import Lost, Pull

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 1.0
"""A frozen audio server must not hold up whoever leaves; its thread goes on alone."""

ZEROS_SECONDS = 0.5
"""Of nothing but zeros are needed to call a microphone dead: Bluetooth's are silent for some tenths of a second."""

_log = logging.getLogger(__name__)


def standard_loaders(resample: Resample | None = None, platform: str = sys.platform) -> tuple[Loader, ...]:
    """The libraries to try, best first, each loaded when it is tried. PortAudio's wheels for macOS and Windows have the
    library inside."""

    def portaudio() -> Backend:
        from voicemode.devices.portaudio import load_portaudio

        return load_portaudio(resample)

    def miniaudio() -> Backend:
        from voicemode.devices.mini import load_miniaudio

        return load_miniaudio()

    def pipes() -> Backend:
        from voicemode.devices.pipes import load_pipes

        return load_pipes()

    return (portaudio, miniaudio, pipes) if platform.startswith("linux") else (portaudio,)


class _Closing:
    """Ends a stream in a thread of its own, once; the loop may wait for it."""

    def __init__(self, stream: Stream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._token = threading.Lock()
        self._done = asyncio.Event()

    def begin(self) -> None:
        # A token rather than a locked flag: a signal handler may come in between.
        if self._token.acquire(blocking=False):
            threading.Thread(target=self._run, name="voicemode closing", daemon=True).start()

    async def finished(self) -> None:
        """Waits at most `CLOSE_SECONDS`, whoever is cancelled."""
        self.begin()
        with anyio.CancelScope(shield=True):
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._done.wait()
            except TimeoutError:
                _log.warning("%s does not close: the sound system hangs", self._stream.name)

    def _run(self) -> None:
        try:
            self._stream.close()
        except Exception:  # the edge of a thread: nobody is left to be told
            _log.warning("%s did not close cleanly", self._stream.name, exc_info=True)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._done.set)


class CardSink:
    """An open loudspeaker (`ports.Sink`)."""

    def __init__(self, stream: Stream, feed: Feed, closing: _Closing) -> None:
        self._stream = stream
        self._feed = feed
        self._closing = closing

    @property
    def name(self) -> str:
        return self._stream.name

    @property
    def latency(self) -> float:
        return self._feed.latency

    @property
    def underflows(self) -> int:
        """Times the device ran dry because its thread came too late."""
        return self._feed.underflows

    def ask(self, short: Callable[[], bool]) -> None:
        self._feed.short = short

    def abort(self) -> None:
        self._feed.stop()
        self._closing.begin()


class SoundCard:
    """Loudspeaker and microphone of this machine.

    `output_device`, `input_device`: an index or a part of a name; None is the system's default. `resample` makes
    the stage for a device that refuses the format asked for; without it such a device is an error. `ask_default`
    is how to find out which loudspeaker is the default, where a stream does not follow it (None: as the platform does).
    `place` is the machine, and `ask_server` what its sound server says of the default devices: errors tell the way out.
    """

    def __init__(
        self,
        *,
        output_device: str | None = None,
        input_device: str | None = None,
        resample: Resample | None = None,
        loaders: Sequence[Loader] | None = None,
        ask_default: AskDefault | None = None,
        place: Place | None = None,
        ask_server: Callable[[], Defaults] = defaults,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._output_device = output_device or None
        # Whoever named a device wants that one.
        self._ask_default = None if output_device else ask_default or system_default()
        self._input_device = input_device or None
        self._loaders = list(standard_loaders(resample) if loaders is None else loaders)
        self._place = place or Place()
        self._ask_server = ask_server
        self._explaining = Explaining(self._place, ask_server)
        self.whereabouts = Whereabouts(self._place)
        self._now = now
        self._loading = threading.Lock()
        self._loaded: dict[int, Backend | str] = {}
        self._sinks: set[CardSink] = set()

    @property
    def place(self) -> Place:
        return self._place

    @asynccontextmanager
    async def open_sink(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[CardSink]:  # noqa: A002
        """Opens the loudspeaker and starts to pull; see `ports.OpenSink`."""
        feed = Feed(format, pull, lost, self._now)
        ask = self._ask_default
        known: int | None = None

        def work() -> Stream:
            nonlocal known
            known = ask() if ask is not None else None
            return self._first(lambda backend: backend.open_output(self._output_device, feed), output=True)

        try:
            stream = await self._opened(work, output=True)
        except BaseException:
            feed.stop()
            raise
        loop = asyncio.get_running_loop()
        closing = _Closing(stream, loop)
        sink = CardSink(stream, feed, closing)
        self._sinks.add(sink)
        watchdog = Watchdog(
            loop, lambda: feed.last_at, feed.lose, self._now, f"The loudspeaker {stream.name!r}"
        )
        following = DefaultWatch(ask, known, lambda: feed.lose(_elsewhere())) if ask is not None else None
        try:
            yield sink
        finally:
            watchdog.stop()
            if following is not None:
                following.stop()
            sink.abort()
            self._sinks.discard(sink)
            await closing.finished()

    @asynccontextmanager
    async def open_source(self, format: PcmFormat) -> AsyncIterator[Capture]:  # noqa: A002
        """Opens the microphone; frames of 10 ms; see `ports.OpenSource` and `Capture`."""
        loop = asyncio.get_running_loop()
        capture = Capture(format, loop, self._now)

        def work() -> Stream:
            return self._first(
                lambda backend: backend.open_input(self._input_device, format, capture), output=False
            )

        try:
            stream = await self._opened(work, output=False)
        except BaseException:
            capture.stop()
            raise
        closing = _Closing(stream, loop)
        name = f"The microphone {stream.name!r}"
        watchdog = Watchdog(loop, lambda: capture.last_at, capture.lose, self._now, name)
        try:
            with self.whereabouts.during():
                yield capture
        finally:
            watchdog.stop()
            capture.stop()
            await closing.finished()
        if capture.zeros >= ZEROS_SECONDS:
            named = self._named(output=False)
            raise await self._explaining.dead(name, seconds=capture.zeros, named=named)

    async def inventory(self) -> DeviceReport:
        """What this machine has for sound; raises `DeviceError` when the sound system hangs."""
        return await in_thread(self._report, what="Listing the sound devices", limit_seconds=OPEN_SECONDS)

    async def warm(self) -> None:
        """Loads the sound library ahead of the first use. Never raises for want of one."""
        await in_thread(
            lambda: next(self._backends(), None), what="Loading the sound library", limit_seconds=OPEN_SECONDS
        )

    def silence(self) -> None:
        """Silence at once on everything that is open. Any thread, a signal handler's too."""
        for sink in list(self._sinks):
            sink.abort()

    async def close(self) -> None:
        """Silence; the blocks that hold devices close them."""
        self.silence()

    async def _opened(self, work: Callable[[], Stream], *, output: bool) -> Stream:
        try:
            return await in_thread(
                work,
                what="The loudspeaker" if output else "The microphone",
                limit_seconds=OPEN_SECONDS,
                late=lambda stream: stream.close(),
            )
        except DeviceError as error:
            named = self._named(output=output)
            raise await self._explaining.explained(error, output=output, named=named) from error.__cause__

    def _named(self, *, output: bool) -> bool:
        return (self._output_device if output else self._input_device) is not None

    def _backends(self) -> Iterator[Backend]:
        """The libraries that load, best first, each loaded when it is asked for and once."""
        for position, load in enumerate(self._loaders):
            with self._loading:
                if position not in self._loaded:
                    try:
                        self._loaded[position] = load()
                    except Unavailable as problem:
                        self._loaded[position] = str(problem)
                found = self._loaded[position]
            if not isinstance(found, str):
                yield found

    def _first(self, attempt: Callable[[Backend], Stream], *, output: bool) -> Stream:
        """A stream from the first library that opens one; the first refusal when none does."""
        refusal: DeviceError | None = None
        for backend in self._backends():
            try:
                return attempt(backend)
            except DeviceError as problem:
                _log.info("%s: %s", backend.library, problem.message)
                refusal = refusal or problem
        if refusal is not None:
            raise refusal
        raise NoDevice(
            f"No sound library can be used: {self._why_none()}.",
            hint=advice(Trouble.LIBRARY, self._place, output=output),
        )

    def _why_none(self) -> str:
        return "; ".join(found for found in self._loaded.values() if isinstance(found, str))

    def _report(self) -> DeviceReport:
        best: DeviceReport | None = None
        notes: list[str] = []
        for backend in self._backends():
            try:
                devices = backend.devices()
            except DeviceError as problem:
                notes.append(f"{backend.library}: {problem.message}")
                continue
            report = DeviceReport(library=backend.library, version=backend.version, devices=devices)
            if devices:
                best = report
                break
            notes.append(f"{backend.library} lists no device.")
            best = best or report
        notes = [found for found in self._loaded.values() if isinstance(found, str)] + notes
        if best is None:
            best = DeviceReport(library="", version="", devices=(), why_none="; ".join(notes))
        asked = self._ask_server()
        linux = self._place.platform.startswith("linux")
        nothing = Trouble.SERVER if linux and not asked.answers and not best.devices else None
        return replace(
            best,
            notes=tuple(notes),
            place=self._place,
            input=None if self._input_device else asked.input or nothing,
            output=None if self._output_device else asked.output or nothing,
            input_name=used(best.devices, self._input_device, asked.input_name, output=False),
            output_name=used(best.devices, self._output_device, asked.output_name, output=True),
        )


def _elsewhere() -> DeviceLost:
    return DeviceLost("The system's default output is now another device.", retryable=True)
