"""What is audible on a virtual sound card, sample by sample, with the moment at which each block came."""

from __future__ import annotations

import os
import subprocess
import threading
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from tests.support.listening import AUDIBLE, Samples, samples_of
from voicemode import clock

RATE = 48_000
END_LIMIT_S = 10.0


class Recording:
    """Samples as they come, with the moment at which each block came.

    Survives the end of its source: it begins again when the source is back; `breaks` are the samples at which it did.
    """

    def __init__(self, *, environment: dict[str, str], source: str, channels: int, block_ms: int = 5) -> None:
        command = ["parec", "--raw", "--format=s16le", f"--rate={RATE}", f"--channels={channels}"]
        self._command = [*command, f"--device={source}", f"--latency-msec={block_ms}"]
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
        self._thread.join(END_LIMIT_S)

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
