"""What macOS says of its default loudspeaker, asked of Core Audio itself."""

from __future__ import annotations

import ctypes
from typing import Protocol

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


def load_library(path: str) -> Library:
    library: Library = ctypes.CDLL(path)
    return library


def _address(selector: str) -> object:
    """Core Audio writes its constants as four letters."""
    return ctypes.byref(Address(_code(selector), _code("glob"), 0))


def _code(letters: str) -> int:
    return int.from_bytes(letters.encode(), "big")
