"""Which loudspeaker the system plays on by default, for a sound library that stays with the one it opened.

Linux and Windows move a stream that is on the default themselves: a PulseAudio or PipeWire server does, and so does the
wave mapper. PortAudio on Core Audio stays where it is when a headset becomes the default, so Core Audio is asked.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from typing import Protocol

LOOK_SECONDS = 0.5
"""A user who plugs a headset in hears the old loudspeaker for so much longer at most; asking takes microseconds."""

AskDefault = Callable[[], int | None]
"""The number of the device that is the default now, None when that cannot be told. Blocks; any thread."""

CORE_AUDIO = "/System/Library/Frameworks/CoreAudio.framework/CoreAudio"
SYSTEM_OBJECT = 1


class Address(ctypes.Structure):
    """Core Audio's AudioObjectPropertyAddress."""

    _fields_ = (("selector", ctypes.c_uint32), ("scope", ctypes.c_uint32), ("element", ctypes.c_uint32))


class Library(Protocol):
    """The two functions of Core Audio that are needed. Both give 0 when all went well."""

    def AudioObjectGetPropertyData(
        self, thing: int, address: object, qualifier_size: int, qualifier: None, size: object, data: object
    ) -> int: ...

    def AudioObjectSetPropertyData(
        self, thing: int, address: object, qualifier_size: int, qualifier: None, size: int, data: object
    ) -> int: ...


class CoreAudio:
    """An `AskDefault` on macOS."""

    def __init__(self, library: Library) -> None:
        self._library = library
        # Core Audio keeps what it tells up to date through the main thread's run loop, which this program does not run.
        # Told that there is none, it uses a thread of its own.
        nothing = ctypes.c_void_p(None)
        library.AudioObjectSetPropertyData(
            SYSTEM_OBJECT, _address("rnlp"), 0, None, ctypes.sizeof(nothing), ctypes.byref(nothing)
        )

    def __call__(self) -> int | None:
        device = ctypes.c_uint32(0)
        size = ctypes.c_uint32(ctypes.sizeof(device))
        failed = self._library.AudioObjectGetPropertyData(
            SYSTEM_OBJECT, _address("dOut"), 0, None, ctypes.byref(size), ctypes.byref(device)
        )
        return None if failed else device.value or None


class DefaultWatch:
    """Asks in a thread of its own every `seconds` and calls `changed`, once, when the answer is no longer `known`."""

    def __init__(
        self,
        ask: AskDefault,
        known: int | None,
        changed: Callable[[], None],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._ask = ask
        self._known = known
        self._changed = changed
        self._seconds = seconds
        self._left = threading.Event()
        threading.Thread(target=self._run, name="voicemode default output", daemon=True).start()

    def stop(self) -> None:
        self._left.set()

    def _run(self) -> None:
        while not self._left.wait(self._seconds):
            found = self._ask()
            if found is None:
                continue  # Between two devices there may be none.
            if self._known is not None and found != self._known:
                self._changed()
                return
            self._known = found


def system_default(
    platform: str = sys.platform, load: Callable[[str], Library] | None = None
) -> AskDefault | None:
    """How to ask on this platform; None where nobody has to. Core Audio is loaded with the first question."""
    if platform != "darwin":
        return None
    asks: list[CoreAudio] = []

    def ask() -> int | None:
        if not asks:
            try:
                asks.append(CoreAudio((load or _load)(CORE_AUDIO)))
            except OSError:
                return None
        return asks[0]()

    return ask


def _load(path: str) -> Library:
    library: Library = ctypes.CDLL(path)
    return library


def _address(selector: str) -> object:
    """Core Audio writes its constants as four letters."""
    return ctypes.byref(Address(_code(selector), _code("glob"), 0))


def _code(letters: str) -> int:
    return int.from_bytes(letters.encode(), "big")
