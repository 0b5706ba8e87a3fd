"""Which loudspeaker the system plays on by default, for a sound library that stays with the one it opened.

Linux and Windows move a stream that is on the default themselves: a PulseAudio or PipeWire server does, and so does the
wave mapper. PortAudio on Core Audio stays where it is when a headset becomes the default, so Core Audio is asked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicemode.devices.core_audio import CoreAudio, Library

LOOK_SECONDS = 0.5
"""A user who plugs a headset in hears the old loudspeaker for so much longer at most; asking takes microseconds."""

AskDefault = Callable[[], int | None]
"""The number of the device that is the default now, None when that cannot be told. Blocks; any thread."""


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
        from voicemode.devices.core_audio import CORE_AUDIO, CoreAudio, load_library

        if not asks:
            try:
                asks.append(CoreAudio((load or load_library)(CORE_AUDIO)))
            except OSError:
                return None
        return asks[0]()

    return ask
