"""A private PulseAudio daemon: with its own folder, its own address and the devices it is told to load.

It ends with whoever started it, even one that is killed.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.support.looking import look_for

_START_LIMIT_S = 10.0
_TOOLS = ("pulseaudio", "pactl", "pacat", "parec")

_DAEMON_CONF = """\
default-sample-format = s16le
default-sample-rate = 48000
alternate-sample-rate = 48000
resample-method = speex-float-5
exit-idle-time = -1
flat-volumes = no
enable-shm = no
cpu-limit = no
high-priority = yes
realtime-scheduling = yes
"""

_ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.pulse { type pulse }
ctl.pulse { type pulse }
"""

# Outlives whoever started it by a moment: when the pipe on its standard input closes, for whatever reason, the
# daemon and its folder go. $1 is the folder, the rest is the daemon's command.
_GUARD = """\
folder=$1; shift
"$@" </dev/null >"$folder/daemon.log" 2>&1 &
daemon=$!
echo "$daemon"
exec >/dev/null 2>&1
while read -r _; do :; done
kill -9 "$daemon"
wait "$daemon"
for again in 1 2 3 4 5; do  # a client on its way out may still write its cookie
    rm -rf "$folder" && break
    sleep 0.2
done
"""


def what_is_missing(path: str | None = None) -> str:
    """The missing parts of the machine, joined by commas; empty when a card can be made.

    `path` is where the tools are looked for, in place of PATH.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=path) is None]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("libportaudio2")
    if not any(Path("/usr").glob("lib*/**/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("libasound2-plugins")
    return ", ".join(missing)


class PulseDaemon:
    """`devices` are lines of its configuration language. `environment` is all that a client process needs, PATH
    included."""

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices
        self.folder = Path(tempfile.mkdtemp(prefix="voicemode-card-"))
        runtime = self.folder / "run"
        self._socket = runtime / "pulse" / "native"
        self.environment: dict[str, str] = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(self.folder / ".config"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": str(self._socket.parent),
            "ALSA_CONFIG_PATH": str(self.folder / "asoundrc"),
        }
        self.pid = 0
        """The daemon's process."""
        self._guard: subprocess.Popen[bytes] | None = None
        self._thaw: threading.Timer | None = None

    def _make_folders(self) -> None:
        for folder in (
            self.folder,
            self._socket.parent.parent,
            self._socket.parent,
            self.folder / ".config/pulse",
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / ".config/pulse/daemon.conf").write_text(_DAEMON_CONF)
        (self.folder / ".config/pulse/client.conf").write_text("autospawn = no\nenable-shm = no\n")
        (self.folder / "asoundrc").write_text(_ASOUNDRC)

    def start(self) -> None:
        self._make_folders()
        script = self.folder / "devices.pa"
        # The door comes last: once a client can connect, every device is there.
        door = f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._socket}"
        script.write_text("\n".join([*self._devices, door, ""]))
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", f"--file={script}"]
        self._launch(_GUARD, *command)

    def stop(self) -> None:
        self.thaw()
        if self._guard:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(_START_LIMIT_S)
            self._guard = None

    def remove(self) -> None:
        """The folder goes too."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def freeze(self, seconds: float) -> None:
        """As a machine under load does; it goes on by itself after `seconds`. Returns at once."""
        self.thaw()
        self._signal(signal.SIGSTOP)
        self._thaw = threading.Timer(seconds, self._signal, (signal.SIGCONT,))
        self._thaw.start()

    def thaw(self) -> None:
        if self._thaw:
            self._thaw.cancel()
            self._thaw = None
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Gone, without a word to anyone."""
        self.thaw()
        self._signal(signal.SIGKILL)

    def pactl(self, *words: str) -> str:
        """Asks the daemon; the answer without the last newline."""
        done = subprocess.run(
            ["pactl", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_START_LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"pactl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    @property
    def log(self) -> str:
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _launch(self, guard: str, *command: str) -> None:
        """`guard` is a shell's script that starts the daemon and writes its number first."""
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", guard, "guard", str(self.folder), *command],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline())
        self._guard.stdout.close()
        self._wait_for_door()

    def _wait_for_door(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
                door.connect(str(self._socket))
                return True
            return False

        look_for(answers, _START_LIMIT_S, lambda: f"PulseAudio did not start ({self.log.strip()})")
