"""`voicemode serve --ray FILE` as a process with a small Ray of its own, and a look at all that belongs to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.engine import VOICES
from tests.live.host import COMMAND, environment
from voicemode.clock import monotonic

READY = "Serving at "
START_SECONDS = 240.0
END_SECONDS = 90.0
REPLICAS, ONGOING, WAITING = 2, 2, 1

FILE = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - name: speech
    import_path: voicemode.cluster:application
    args:
      engines:
        words:
          import_path: tests.cluster.engine:make
          num_replicas: {replicas}
          num_cpus: 0.1
          max_ongoing_requests: {ongoing}
          waiting: {waiting}
          voices: 8
          health_check_period_s: 1
        tide:
          import_path: tests.cluster.engine:make
          num_cpus: 0.1
          max_ongoing_requests: {ongoing}
          autoscaling_config:
            min_replicas: 1
            max_replicas: 2
            target_ongoing_requests: 1
            upscale_delay_s: 0.5
            downscale_delay_s: 2
            metrics_interval_s: 0.5
            look_back_period_s: 2
      ingress: {{num_cpus: 0.1}}
      local: {{num_cpus: 2, object_store_memory: 100000000, temp_dir: {temp}}}
"""


@dataclass(kw_only=True)
class OnRay:
    url: str
    folder: Path
    logs: Path
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def at_work(self) -> list[str]:
        """Requests that replicas are busy with."""
        return [each.name for each in self.folder.glob("open-*")]

    def loaded(self) -> list[str]:
        """Of which voice, for every time that one was loaded."""
        return sorted(each.name.split("-")[1] for each in self.folder.glob("loaded-*"))

    def belonging(self) -> set[int]:
        """Every process that was started from here, however far down: its home is this test's."""
        mark = f"HOME={self.folder}".encode()
        found = set()
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (each / "environ").read_bytes().split(b"\0"):
                    found.add(int(each.name))
        return found

    def ended(self, seconds: float = END_SECONDS) -> int:
        return self.process.wait(seconds)


@contextmanager
def on_ray(folder: Path) -> Iterator[OnRay]:
    (folder / "voices").mkdir()
    for name in VOICES:
        (folder / "voices" / f"{name}.wav").write_text(name)
    # Its sockets' names would be too long in pytest's folders.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as temp:
        file = folder / "speech.yaml"
        file.write_text(
            FILE.format(port=_free_port(), replicas=REPLICAS, ongoing=ONGOING, waiting=WAITING, temp=temp)
        )
        process = subprocess.Popen(
            [*COMMAND, "serve", "--ray", str(file)],
            env=environment(None, folder),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        running = OnRay(url="", folder=folder, logs=Path(temp), process=process)
        try:
            running.url = _ready(running)
            yield running
        finally:
            process.kill()
            for pid in running.belonging():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def _ready(running: OnRay) -> str:
    """Reads what it says, from now on, and gives its address. Raises AssertionError when there will be none."""
    told = threading.Event()
    url: list[str] = []

    def read() -> None:
        assert running.process.stderr is not None
        for line in running.process.stderr:
            running.said.append(line)
            if line.startswith(READY):
                url.append(line.removeprefix(READY).strip())
                told.set()
        running.process.stderr.close()
        told.set()

    threading.Thread(target=read, daemon=True).start()
    began = monotonic()
    told.wait(START_SECONDS)
    assert url, f"no server after {monotonic() - began:.0f} s: {''.join(running.said)}"
    return url[0]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
