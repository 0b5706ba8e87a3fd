"""A sound card without hardware: a private PulseAudio daemon with a loudspeaker that can be recorded and a
microphone that can be spoken into.

    loudspeaker "speaker"  ── its monitor is what a listener hears ──▸ Recording
    say() ──▸ "mic_feed" ── its monitor, remapped ──▸ microphone "microphone"

Two loopbacks into a third sink keep both working in blocks of about 5 ms; a null sink left alone works in blocks of
2 s, which no sound card does. Everything runs at 48 kHz in 16 bits, so sound at that rate passes bit for bit. At any
other rate the daemon's resampler adds noise at -50 dB or less and keeps the last 2 ms: let a measured sound end in
silence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tests.support.listening import FULL_SCALE
from tests.support.looking import look_for
from tests.support.pulse_daemon import PulseDaemon, what_is_missing
from tests.support.recording import RATE, Recording
from tests.support.saying import Saying

__all__ = [
    "MICROPHONE",
    "MIC_FEED",
    "RATE",
    "SPEAKER",
    "Recording",
    "Saying",
    "VirtualSoundCard",
    "what_is_missing",
]

SPEAKER = "speaker"
MICROPHONE = "microphone"
MIC_FEED = "mic_feed"

NOISE_DBFS = -70.0
"""Level of the bed in the microphone: a real room is never digital zeros, a denied microphone is."""

_NULL = "load-module module-null-sink format=s16le rate=48000 norewinds=1"

# In this order: a stream on whatever is the default is moved when the default changes, so the microphone is there
# before the monitor that a recording sits on.
_DEVICES = (
    f"{_NULL} sink_name={MIC_FEED} channels=1",
    f"load-module module-remap-source source_name={MICROPHONE} master={MIC_FEED}.monitor",
    f"{_NULL} sink_name={SPEAKER} channels=2",
    f"{_NULL} sink_name=pace channels=1",
    f"load-module module-loopback source={SPEAKER}.monitor sink=pace latency_msec=5",
    f"load-module module-loopback source={MIC_FEED}.monitor sink=pace latency_msec=5",
)

_DEFAULTS = (f"set-default-sink {SPEAKER}", f"set-default-source {MICROPHONE}")


class VirtualSoundCard:
    """A context manager. `environment` is all that a child process needs to use the card, PATH included."""

    def __init__(self, daemon: PulseDaemon | None = None) -> None:
        self._daemon = daemon or PulseDaemon((*_DEVICES, *_DEFAULTS))
        self._bed: Saying | None = None
        self._sayings: list[Saying] = []
        self._zeros = False

    @property
    def environment(self) -> dict[str, str]:
        return self._daemon.environment

    @property
    def folder(self) -> Path:
        return self._daemon.folder

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self._daemon.pid

    def pactl(self, *words: str) -> str:
        """Asks the daemon; the answer without the last newline."""
        return self._daemon.pactl(*words)

    def __enter__(self) -> Self:
        try:
            self._daemon.start()
            self.hold_microphone_quiet()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._daemon.thaw()
        for saying in self._sayings:
            saying.stop()
        self._daemon.remove()

    # --- the loudspeaker ---

    @contextlib.contextmanager
    def recording(self, *, of: str = f"{SPEAKER}.monitor", channels: int = 1) -> Iterator[Recording]:
        """What is audible while the block runs; `of=MICROPHONE` records what an application captures."""
        recording = Recording(environment=self.environment, source=of, channels=channels)
        try:
            recording.wait_until_running()
            yield recording
        finally:
            recording.stop()

    def play(self, pcm: bytes, rate: int, *, channels: int = 1) -> Saying:
        """Plays into the loudspeaker as any other program would."""
        return self._saying(pcm, rate, sink=SPEAKER, channels=channels)

    # --- the microphone ---

    def say(self, pcm: bytes, rate: int) -> Saying:
        """Speaks mono `pcm` (s16le at `rate`) into the microphone, on top of its noise; returns at once.

        To know when a word reached the microphone, record `of=MICROPHONE` at the same time.
        """
        return self._saying(pcm, rate, sink=MIC_FEED)

    def hold_microphone_quiet(self, *, zeros: bool = False) -> None:
        """A faint noise, as every real microphone has; with `zeros` digital silence, as a denied one gives."""
        if self._bed:
            self._bed.stop()
            self._bed = None
        self._zeros = zeros
        if not zeros:
            noise = np.random.default_rng(70).normal(0, FULL_SCALE * 10 ** (NOISE_DBFS / 20), 4 * RATE)
            pcm = np.round(noise).astype("<i2").tobytes()
            self._bed = self._saying(pcm, RATE, sink=MIC_FEED, for_ever=True)

    def microphone_users(self) -> int:
        """Streams that are open on a source, those of recordings and of loopbacks included."""
        return len(self.pactl("list", "short", "source-outputs").splitlines())

    def wait_for_microphone_users(self, wanted: int, limit_s: float = 15.0) -> None:
        look_for(
            lambda: self.microphone_users() == wanted,
            limit_s,
            lambda: f"the microphone has {self.microphone_users()} users, not {wanted}",
        )

    @contextlib.contextmanager
    def echo(self, *, loss_db: float = 20.0, delay_ms: int = 40) -> Iterator[None]:
        """While the block runs the microphone hears the loudspeaker, `loss_db` fainter and about `delay_ms` later."""
        loaded = self.pactl(
            "load-module",
            "module-loopback",
            f"source={SPEAKER}.monitor",
            f"sink={MIC_FEED}",
            f"latency_msec={delay_ms}",
            "adjust_time=0",
        )
        try:
            for line in self.pactl("list", "short", "sink-inputs").splitlines():
                number = line.split("\t")[0]
                if self._module_of(number) == loaded:
                    self.pactl("set-sink-input-volume", number, f"-{loss_db}dB")
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # unplugged or killed in between: it went with the rest
                self.pactl("unload-module", loaded)

    # --- faults ---

    def unplug_speaker(self) -> None:
        """Takes every device away, as a headset that is pulled out: its streams end and none can be opened.

        The daemon would move a stream to any device that is left, so the microphone goes too.
        """
        for saying in self._sayings:
            saying.stop()
        modules = [line.split("\t")[:3] for line in self.pactl("list", "short", "modules").splitlines()]
        for wanted in ("module-loopback", "module-remap-source", "sink_name=pace", MIC_FEED, SPEAKER):
            for number, name, arguments in modules:
                if name == wanted or (name == "module-null-sink" and wanted in arguments):
                    self.pactl("unload-module", number)

    def plug_speaker(self) -> None:
        for line in (*_DEVICES, *_DEFAULTS):
            self.pactl(*line.split())
        self.hold_microphone_quiet(zeros=self._zeros)

    def freeze(self, seconds: float) -> None:
        """Stops the daemon as a machine under load does; it goes on by itself after `seconds`. Returns at once."""
        self._daemon.freeze(seconds)

    def kill(self) -> None:
        """The daemon is gone, without a word to anyone; `restart` brings another at the same address."""
        self._daemon.kill()

    def restart(self) -> None:
        self._daemon.stop()
        self._daemon.start()
        self.hold_microphone_quiet(zeros=self._zeros)

    def _saying(
        self, pcm: bytes, rate: int, *, sink: str, channels: int = 1, for_ever: bool = False
    ) -> Saying:
        self._sayings = [saying for saying in self._sayings if not saying.ended]
        saying = Saying(
            environment=self.environment, pcm=pcm, rate=rate, channels=channels, sink=sink, for_ever=for_ever
        )
        self._sayings.append(saying)
        return saying

    def _module_of(self, sink_input: str) -> str:
        """The number of the module that owns a stream into a sink."""
        for block in self.pactl("list", "sink-inputs").split("Sink Input #"):
            if block.startswith(f"{sink_input}\n"):
                for line in block.splitlines():
                    name, _, value = line.strip().partition(": ")
                    if name == "Owner Module":
                        return value
        return ""
