"""Where sound breaks off: the last few milliseconds are held back, so that they can fade instead of clicking."""

from __future__ import annotations

import sys
from array import array

from voicemode.pcm import Frame, PcmFormat

FADE_SECONDS = 0.005
"""Long enough not to click, too short to be heard as a fade (the joins of the speech server specification)."""


class Joint:
    """Passes frames on and keeps the last `FADE_SECONDS` back until it is known how the sound goes on."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._size = fmt.samples(FADE_SECONDS) * fmt.bytes_per_sample
        self._held = b""

    def feed(self, item: Frame) -> list[Frame]:
        data = self._held + item.data
        cut = max(len(data) - self._size, 0)
        self._held = data[cut:]
        return [Frame(data=data[:cut], format=self._format)] if cut else []

    def flush(self) -> list[Frame]:
        """The sound ends as it should."""
        held, self._held = self._held, b""
        return [Frame(data=held, format=self._format)] if held else []

    def fade(self) -> list[Frame]:
        """The sound breaks off here: the last of it fades to nothing."""
        values = array("h", self._held)
        if sys.byteorder == "big":
            values.byteswap()
        steps = max(len(values) // self._format.channels, 1)
        for index, value in enumerate(values):
            values[index] = value * (steps - 1 - index // self._format.channels) // steps
        if sys.byteorder == "big":
            values.byteswap()
        self._held = values.tobytes()
        return self.flush()
