"""One PortAudio stream, the one lock on the library, and what becomes known when a stream does not open or ends.

A stream ends from inside: the callback returns "abort", and PortAudio's own thread drops what the device holds.
Aborting from outside cancels that thread, which on Linux may happen while it waits for the interpreter's lock and
would leave the lock held for ever.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from voicemode.devices.backend import DeviceInfo
from voicemode.errors import DeviceError, DeviceLost
from voicemode.pcm import PcmFormat

CALL_SECONDS = 4.0
"""How long one call waits for another that is stuck in the library."""
FINISH_SECONDS = 0.25
"""How long a closing stream waits for its own callback to end it; longer than any period in use."""

_calls = threading.Lock()
"""PortAudio's lists of devices and of open streams are not safe between threads."""
_open: set[PortAudioStream] = set()
devices_changed = threading.Event()
"""A device came or went since PortAudio made its list; it reads it only when it starts."""


@contextlib.contextmanager
def one_call() -> Iterator[None]:
    if not _calls.acquire(timeout=CALL_SECONDS):
        raise DeviceError(
            "PortAudio is still busy with an earlier call: the sound system hangs.",
            hint="Restart the audio server (PulseAudio, PipeWire, coreaudiod), then try again.",
            retryable=True,
        )
    try:
        yield
    finally:
        _calls.release()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """PortAudio writes the line of its source code at which a device refused to descriptor 2; what matters of it is in
    its error. Under the library's lock: one at a time. What its own thread writes when a device vanishes, three lines,
    comes at no call of ours, and its own hook for such lines (PaUtil_SetDebugPrintFunction) is not exported."""
    try:
        kept = os.dup(2)
    except OSError:  # It is closed.
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def any_open() -> bool:
    return bool(_open)


class PortAudioStream:
    """A started stream. `close` may be called from any thread, also while the callback runs."""

    def __init__(self, library: ModuleType, name: str) -> None:
        self.name = name
        self.finished = threading.Event()
        self._library = library
        self._stream: object | None = None
        self._ending = threading.Lock()

    def start(self, make: Callable[[], object]) -> None:
        """Opens and starts under the library's lock; nothing stays open when starting fails."""
        with one_call(), _hushed():
            stream = make()
            try:
                stream.start()  # type: ignore[attr-defined]
            except BaseException:
                stream.close()  # type: ignore[attr-defined]
                raise
            self._stream = stream
            _open.add(self)

    @property
    def latency(self) -> float:
        """What the library expects before the first callback has told."""
        return float(self._stream.latency) if self._stream is not None else 0.0  # type: ignore[attr-defined]

    def close(self) -> None:
        with self._ending:
            if self._stream is None:
                return
            # PortAudio's own thread ends the stream at its next callback; one that gets no more
            # callbacks waits in the kernel and can be ended from here.
            self.finished.wait(FINISH_SECONDS)
            with one_call():
                # If the library hangs in here for ever, leaving the program must not hang in it again.
                atexit.unregister(self._library._exit_handler)
                self._stream.close()  # type: ignore[attr-defined]
                self._stream = None
                _open.discard(self)
                atexit.register(self._library._exit_handler)


def finished(stream: PortAudioStream, lose: Callable[[], None]) -> None:
    """PortAudio's word that a stream has ended: by us, or because its device went."""
    stream.finished.set()
    lose()


def gone(what: str, info: DeviceInfo) -> DeviceLost:
    devices_changed.set()
    return DeviceLost(
        f"The {what} {info.name!r} has gone.", hint="Connect it again or choose another.", retryable=True
    )


def refused_format(problem: Exception) -> bool:
    """PortAudio's paInvalidSampleRate, paInvalidChannelCount, paSampleFormatNotSupported."""
    return len(problem.args) > 1 and problem.args[1] in (-9997, -9998, -9994)


def refusal(info: DeviceInfo, fmt: PcmFormat, problem: Exception, *, output: bool) -> DeviceError:
    side = "loudspeaker" if output else "microphone"
    kind = "mono" if fmt.channels == 1 else f"{fmt.channels} channels"
    if refused_format(problem):
        hint = "Choose the system's default device, which converts, instead of the hardware itself."
    else:
        hint = ""
    return DeviceError(
        f"The {side} {info.name!r} ({info.host_api}) does not open at {fmt.rate} Hz, {kind}: {problem.args[0]}.",
        hint=hint,
        retryable=not refused_format(problem),
    )
