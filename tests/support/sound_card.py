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
import ctypes.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tests.support.listening import AUDIBLE, FULL_SCALE, Samples, samples_of
from voicemode import clock

RATE = 48_000
SPEAKER = "speaker"
MICROPHONE = "microphone"
MIC_FEED = "mic_feed"

NOISE_DBFS = -70.0
"""Level of the bed in the microphone: a real room is never digital zeros, a denied microphone is."""

_START_LIMIT_S = 10.0
_TOOLS = ("pulseaudio", "pactl", "pacat", "parec")
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


class VirtualSoundCard:
    """A context manager. `environment` is all that a child process needs to use the card, PATH included."""

    def __init__(self) -> None:
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
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """The daemon's process."""
        self._thaw: threading.Timer | None = None
        self._bed: Saying | None = None
        self._sayings: list[Saying] = []
        self._zeros = False

    def __enter__(self) -> Self:
        try:
            self._start()
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
        self._end_freeze()
        for saying in self._sayings:
            saying.stop()
        self._stop_daemon()
        shutil.rmtree(self.folder, ignore_errors=True)

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
        for line in _DEVICES:
            self.pactl(*line.split())
        self._set_defaults()
        self.hold_microphone_quiet(zeros=self._zeros)

    def freeze(self, seconds: float) -> None:
        """Stops the daemon as a machine under load does; it goes on by itself after `seconds`. Returns at once."""
        self._end_freeze()
        self._signal(signal.SIGSTOP)
        self._thaw = threading.Timer(seconds, self._signal, (signal.SIGCONT,))
        self._thaw.start()

    def kill(self) -> None:
        """The daemon is gone, without a word to anyone; `restart` brings another at the same address."""
        self._end_freeze()
        self._signal(signal.SIGKILL)

    def restart(self) -> None:
        self._end_freeze()
        self._stop_daemon()
        self._start()
        self.hold_microphone_quiet(zeros=self._zeros)

    # --- the daemon ---

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

    def _start(self) -> None:
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
        script = self.folder / "devices.pa"
        # The door comes last: once a client can connect, every device is there.
        door = f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._socket}"
        script.write_text(
            "\n".join(
                [
                    *_DEVICES,
                    f"set-default-sink {SPEAKER}",
                    f"set-default-source {MICROPHONE}",
                    door,
                    "",
                ]
            )
        )
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", f"--file={script}"]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.folder), *command],
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
        limit = clock.monotonic() + _START_LIMIT_S
        pause = threading.Event()
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
                door.connect(str(self._socket))
                return
            if clock.monotonic() > limit:
                raise TimeoutError(f"PulseAudio did not start within {_START_LIMIT_S} s:\n{self.log}")
            pause.wait(0.01)

    def _saying(
        self, pcm: bytes, rate: int, *, sink: str, channels: int = 1, for_ever: bool = False
    ) -> Saying:
        self._sayings = [saying for saying in self._sayings if not saying.ended]
        saying = Saying(
            environment=self.environment, pcm=pcm, rate=rate, channels=channels, sink=sink, for_ever=for_ever
        )
        self._sayings.append(saying)
        return saying

    def _set_defaults(self) -> None:
        self.pactl("set-default-sink", SPEAKER)
        self.pactl("set-default-source", MICROPHONE)

    def _module_of(self, sink_input: str) -> str:
        """The number of the module that owns a stream into a sink."""
        for block in self.pactl("list", "sink-inputs").split("Sink Input #"):
            if block.startswith(f"{sink_input}\n"):
                for line in block.splitlines():
                    name, _, value = line.strip().partition(": ")
                    if name == "Owner Module":
                        return value
        return ""

    def _end_freeze(self) -> None:
        if self._thaw:
            self._thaw.cancel()
            self._thaw = None
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _stop_daemon(self) -> None:
        if self._guard:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(_START_LIMIT_S)
            self._guard = None


class Saying:
    """Sound on its way into a sink, through a process of its own."""

    def __init__(
        self,
        *,
        environment: dict[str, str],
        pcm: bytes,
        rate: int,
        channels: int,
        sink: str,
        for_ever: bool = False,
    ) -> None:
        # A buffer of 0.5 s: what a busy machine does to this process is not to be taken for the patient's gaps.
        command = [
            "pacat",
            "--playback",
            "--raw",
            "--format=s16le",
            f"--rate={rate}",
            f"--channels={channels}",
        ]
        self._process = subprocess.Popen(
            [*command, f"--device={sink}", "--latency-msec=500"],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._pcm = pcm
        self._for_ever = for_ever
        self._feeder = threading.Thread(target=self._feed, name=f"saying into {sink}", daemon=True)
        self._feeder.start()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None and not self._feeder.is_alive()

    def wait(self, limit_s: float) -> None:
        """Returns when the last sample has been played."""
        self._process.wait(limit_s)
        self._feeder.join(limit_s)
        if self._process.returncode:
            raise RuntimeError(f"pacat ended with {self._process.returncode}")

    def stop(self) -> None:
        """Silence at once."""
        self._process.kill()
        self._process.wait(_START_LIMIT_S)
        self._feeder.join(_START_LIMIT_S)

    def _feed(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(self._pcm)
            while self._for_ever:
                pipe.write(self._pcm)


class Recording:
    """Samples as they come, with the moment at which each block came.

    Survives the end of its source: it begins again when the source is back; `breaks` are the samples at which it did.
    """

    def __init__(self, *, environment: dict[str, str], source: str, channels: int) -> None:
        command = ["parec", "--raw", "--format=s16le", f"--rate={RATE}", f"--channels={channels}"]
        self._command = [*command, f"--device={source}", "--latency-msec=5"]
        self._environment = environment
        self.channels = channels
        self.breaks: list[int] = []
        self._data = bytearray()
        self._ends: list[int] = []
        """Samples recorded when block i had come ..."""
        self._came: list[float] = []
        """... and the moment it came, monotonic seconds."""
        self._loud: list[tuple[int, int]] = []
        """(first, one past the last) audible sample of each block that has one."""
        self._news = threading.Condition()
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=f"recording {source}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """Samples recorded so far."""
        with self._news:
            return self._ends[-1] if self._ends else 0

    def samples(self, channel: int = 0) -> Samples:
        with self._news:
            data = bytes(self._data)
        return samples_of(data, self.channels, channel)

    def time_of(self, sample: int) -> float:
        """Monotonic seconds at which `sample` was audible.

        That is the moment it reached the recorder, which is 1 to 3 ms before the daemon itself says that it is
        audible (30 clicks, libpulse's own latency; the same with both cores busy): there is nothing to subtract.
        A block that was read late is put right by its neighbours within 0.1 s: sound comes at an even pace.
        """
        with self._news:
            if not 0 <= sample < (self._ends[-1] if self._ends else 0):
                raise IndexError(f"sample {sample} was not recorded")
            block = bisect_right(self._ends, sample)
            moment = self._came[block]
            first = bisect_right(self._came, moment - 0.1)
            last = bisect_right(self._came, moment + 0.1)
            lag = min(self._came[i] - self._ends[i] / RATE for i in range(first, last))
        return lag + sample / RATE

    def wait_until_running(self, limit_s: float = 5.0) -> None:
        self._wait(lambda: bool(self._ends), limit_s, "no sound card to record")

    def wait_for_sound(self, limit_s: float, *, after: int = 0) -> int:
        """The first audible sample at or behind sample `after`."""
        found: list[int] = []

        def heard() -> bool:
            for first, end in reversed(self._loud):
                if end <= after:
                    break
                found[:] = [max(first, after)]
            return bool(found)

        self._wait(heard, limit_s, "nothing was heard")
        return found[0]

    def wait_for_silence(self, seconds: float, limit_s: float) -> int:
        """Waits until nothing has been audible for `seconds`; the end of the last sound (0 if there was none)."""

        def last() -> int:
            return self._loud[-1][1] if self._loud else 0

        self._wait(lambda: self._ends[-1] - last() >= seconds * RATE, limit_s, "the sound went on")
        with self._news:
            return last()

    def stop(self) -> None:
        self._stopped.set()
        with self._news:
            if self._process:
                self._process.kill()
        self._thread.join(_START_LIMIT_S)

    def _wait(self, condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
        with self._news:
            if not self._news.wait_for(condition, limit_s):
                raise TimeoutError(f"{otherwise} within {limit_s} s")

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._news:
                if self._stopped.is_set():
                    return
                self._process = subprocess.Popen(
                    self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            with self._process as process:
                assert process.stdout is not None
                self._read(process.stdout.fileno())
            self._stopped.wait(0.05)

    def _read(self, pipe: int) -> None:
        rest = b""
        size = 2 * self.channels
        again = bool(self._ends)
        while data := os.read(pipe, 65_536):
            came = clock.monotonic()
            if again:
                self.breaks.append(self._ends[-1])
                again = False
            whole = rest + data
            rest = whole[len(whole) - len(whole) % size :]
            self._take(whole[: len(whole) - len(rest)], came)

    def _take(self, block: bytes, came: float) -> None:
        if not block:
            return
        values = (
            np.abs(np.frombuffer(block, dtype="<i2").astype(np.int32)).reshape(-1, self.channels).max(axis=1)
        )
        loud = np.flatnonzero(values > AUDIBLE)
        with self._news:
            start = self._ends[-1] if self._ends else 0
            self._data += block
            self._ends.append(start + len(values))
            self._came.append(came)
            if len(loud):
                self._loud.append((start + int(loud[0]), start + int(loud[-1]) + 1))
            self._news.notify_all()
