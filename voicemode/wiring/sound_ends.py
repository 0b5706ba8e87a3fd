"""Where sound leaves and enters here: the loudspeaker, the microphone, what is kept of both, and what takes the one out
of the other.

a flow ─> mixed (thinking sound) ─> panned ─> Tap (the canceller's copy) ─> kept ─> the loudspeaker
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.configuration.variables import SoundSettings
from voicemode.devices.soundcard import SoundCard
from voicemode.errors import EngineUnavailable
from voicemode.flows.own_sound import EchoGates, OwnSound, Tap
from voicemode.ports import EchoCanceller, OpenSink
from voicemode.recording.taps import KeptCanceller, Microphone, kept_sink
from voicemode.wiring.known_ways import KnownWays

if TYPE_CHECKING:
    from voicemode.flows.meanwhile import Meanwhile
    from voicemode.recording.turns import KeptTurns


class SoundEnds:
    """One loudspeaker and one microphone. `meanwhile` is the sound while the assistant works, where it is wanted; in
    `data` it is kept what our sound's way from the one to the other is like."""

    def __init__(
        self,
        settings: SoundSettings,
        card: SoundCard,
        kept: KeptTurns | None,
        *,
        data: Path,
        on_warning: Callable[[str], None],
    ) -> None:
        self._kept = kept
        self._warned = on_warning
        self._gates = EchoGates()
        self.ways = KnownWays(data)
        self._tap = Tap(kept_sink(card.open_sink, kept) if kept else card.open_sink)
        self.meanwhile: Meanwhile | None = None
        self.open_sink = (
            self._beside(self._tap, settings) if settings.pan or settings.thinking_sound else self._tap
        )
        self.microphone = Microphone(card.open_source, kept)

    def _beside(self, speaker: OpenSink, settings: SoundSettings) -> OpenSink:
        """The loudspeaker with what few users want of it: a place in stereo, a sound while the assistant works."""
        from voicemode.devices.mixers import mixed, panned
        from voicemode.flows.meanwhile import Meanwhile
        from voicemode.sound.thinking import thinking_sound

        if settings.pan:
            speaker = panned(speaker, settings.pan)
        if settings.thinking_sound:
            self.meanwhile = Meanwhile(speaker, thinking_sound)
            speaker = mixed(speaker, thinking_sound)
        return speaker

    def open_echo(self) -> OwnSound | None:
        """Without a canceller nobody can talk over a message, and everything else goes on."""
        from voicemode.ears.canceller import WebRtcCanceller

        try:
            canceller: EchoCanceller = WebRtcCanceller(ways=self.ways.open())
            if self._kept is not None:
                canceller = KeptCanceller(canceller, self._kept, self.microphone.captured)
            return OwnSound(self._tap, canceller, self._gates)
        except EngineUnavailable as error:
            self._warned(str(error))
            return None
