"""The stand-in for the package chatterbox-tts, importable as the real one would be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = ("chatterbox", "perth", "torch")
STANDINS = Path(__file__).parent / "standins"


@contextmanager
def standin() -> Iterator[Any]:
    """Its `chatterbox.tts`."""
    sys.path.insert(0, str(STANDINS))
    try:
        import chatterbox.tts as module

        module.ChatterboxTTS.made.clear()
        yield module
    finally:
        sys.path.remove(str(STANDINS))
        for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
            del sys.modules[name]
