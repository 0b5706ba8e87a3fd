"""ALSA kept from writing to stderr: each underrun, and each device that it cannot find."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_Complaint = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)


def _unheard(file: bytes, line: int, function: bytes, error: int, form: bytes) -> None:
    """ALSA's complaints end here."""


_unheard_by_alsa = _Complaint(_unheard)
"""Kept for as long as the program runs: ALSA calls it from its own threads."""


def hush_alsa() -> None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_unheard_by_alsa)
