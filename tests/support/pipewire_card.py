"""The virtual sound card on PipeWire: two sinks that work at the server's own pace, nothing beside them.

The quantum is what the clients ask for, up to 1024 samples: a recording asks for no less.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.pipewire_daemon import PipeWireDaemon
from tests.support.recording import Recording
from tests.support.sound_card import MIC_FEED, MICROPHONE, SPEAKER, VirtualSoundCard

_BLOCK_MS = 22
_MONO = "channels=1 channel_map=mono master_channel_map=mono"


class PipeWireCard(VirtualSoundCard):
    """With `native` ALSA's default leads to PipeWire's own plugin, else to PulseAudio's plugin and PipeWire's door for
    it. `least` is the smallest quantum in samples at 48 kHz."""

    def __init__(self, *, native: bool, least: int = 32) -> None:
        lines = (
            f"load-module module-remap-source source_name={MICROPHONE} master={MIC_FEED}.monitor {_MONO}",
            f"set-default-sink {SPEAKER}",
            f"set-default-source {MICROPHONE}",
        )
        sinks = ((SPEAKER, 2), (MIC_FEED, 1))
        super().__init__(PipeWireDaemon(sinks, lines, native=native, least=least))

    @contextlib.contextmanager
    def recording(self, *, of: str = f"{SPEAKER}.monitor", channels: int = 1) -> Iterator[Recording]:
        recording = Recording(environment=self.environment, source=of, channels=channels, block_ms=_BLOCK_MS)
        try:
            recording.wait_until_running()
            yield recording
        finally:
            recording.stop()
