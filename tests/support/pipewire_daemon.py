"""A private PipeWire with its session manager and its PulseAudio door: its own folder, its own address, no D-Bus.

It ends with whoever started it, even one that is killed.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.looking import look_for
from tests.support.pulse_daemon import PulseDaemon

_START_LIMIT_S = 10.0
_TOOLS = ("dbus-run-session", "pipewire", "pipewire-pulse", "wireplumber", "pactl", "pacat", "parec")

_CARD_CONF = """\
context.properties = { default.clock.min-quantum = %(least)d }
context.objects = [
%(sinks)s
]
"""
_SINK = """\
  { factory = adapter args = {
      factory.name = support.null-audio-sink node.name = %(name)s node.description = %(name)s
      media.class = Audio/Sink audio.position = [ %(channels)s ] object.linger = true
      monitor.channel-volumes = true priority.session = %(priority)d } }"""

_NATIVE_RC = """\
pcm.!default { type pipewire playback_node "-1" capture_node "-1" }
ctl.!default { type pipewire }
"""

# $1 is the folder. The session manager wants a D-Bus of its own; all four are one group of processes.
_GUARD = """\
folder=$1
setsid dbus-run-session -- /bin/sh "$folder/servers" "$folder" </dev/null 2>"$folder/bus.log" &
servers=$!
exec >/dev/null 2>&1
while read -r _; do :; done
kill -9 "-$servers"
wait "$servers"
for again in 1 2 3 4 5; do
    rm -rf "$folder" && break
    sleep 0.2
done
"""
_SERVERS = """\
folder=$1
pipewire >"$folder/daemon.log" 2>&1 &
echo "$!"
exec >/dev/null 2>&1
for again in $(seq 100); do
    [ -S "$XDG_RUNTIME_DIR/pipewire-0" ] && break
    sleep 0.05
done
wireplumber >"$folder/wireplumber.log" 2>&1 &
pipewire-pulse >"$folder/pulse.log" 2>&1 &
wait
"""


def what_is_missing(path: str | None = None) -> str:
    """The missing programs, joined by commas; empty when the server can be started."""
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=path) is None]
    return ", ".join(missing)


def has_alsa_plugin() -> bool:
    return any(Path("/usr").glob("lib*/**/alsa-lib/libasound_module_pcm_pipewire.so"))


class PipeWireDaemon(PulseDaemon):
    """`lines` are asked of the PulseAudio door once it is open. With `native` ALSA's default leads to PipeWire's own
    plugin instead of through that door. `least` is the smallest quantum (samples at 48 kHz) that a client may
    ask for."""

    def __init__(
        self, sinks: Sequence[tuple[str, int]], lines: Sequence[str], *, native: bool = False, least: int = 16
    ) -> None:
        super().__init__(())
        self._sinks = sinks
        self._lines = lines
        self._native = native
        self._least = least
        self.environment |= {
            "XDG_STATE_HOME": str(self.folder / ".local/state"),
        }

    def start(self) -> None:
        self._make_folders()
        configuration = self.folder / ".config/pipewire/pipewire.conf.d"
        configuration.mkdir(parents=True, exist_ok=True)
        sinks = [
            _SINK
            % {"name": name, "channels": "MONO" if channels == 1 else "FL FR", "priority": 2000 - number}
            for number, (name, channels) in enumerate(self._sinks)
        ]
        (configuration / "card.conf").write_text(
            _CARD_CONF % {"least": self._least, "sinks": "\n".join(sinks)}
        )
        if self._native:
            (self.folder / "asoundrc").write_text(_NATIVE_RC)
        (self.folder / "servers").write_text(_SERVERS)
        self._launch(_GUARD)
        look_for(self._managed, _START_LIMIT_S, lambda: f"PipeWire has no sinks ({self.log.strip()})")
        for line in self._lines:
            self.pactl(*line.split())

    def _managed(self) -> bool:
        """The session manager is there when it can be told a default."""
        with contextlib.suppress(RuntimeError):
            for name, _ in self._sinks[::-1]:
                self.pactl("set-default-sink", name)
            return True
        return False
