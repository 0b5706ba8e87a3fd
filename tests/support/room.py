"""The room between loudspeaker, user and microphone: speech at known moments, noise, and the echo of the loudspeaker.

    loudspeaker's monitor ─▸ walls: delay, room response, loss ─┐
    say() at a moment ──────────────────────────────────────────┼─▸ microphone
    noise, for ever ────────────────────────────────────────────┘

All of it is one stream into the microphone (`air.py`), paced by the loudspeaker's monitor, so that a sample's place in
the stream is a moment at the microphone: `Room` measures which, and what the path of the echo really is.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path as File
from types import TracebackType
from typing import IO, Self

import numpy as np

from tests.support.air import ANSWER, LATE_S, ORDER, Echo, Order, hurry
from tests.support.listening import Samples, Wave, best_offset, chirp, decibels, resampled
from tests.support.recording import Recording
from tests.support.sound_card import MIC_FEED, MICROPHONE, RATE, SPEAKER, VirtualSoundCard
from tests.support.speakers import Speech

__all__ = ["Echo", "Path", "Placed", "Room"]

MARK_S = 0.15
MARK_LEVEL = 0.1
LIMIT_S = 10.0
CALM_MS = 200
"""Sound in store without an echo: what a busy machine does to the air is not to be taken for the user's pauses."""
LEAST_MS, WAY_MS = 10, 12
"""With an echo its delay is sound in store, but for what the way in and out takes."""
TRIES = 4
NEAR_MS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """What an echo's path was found to be."""

    delay_ms: float
    loss_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A sound on its way to the microphone; `start` is its first sample's place in the room's stream."""

    start: int
    samples: int


class Room:
    """A context manager. `microphone` records what an application captures; `path` is the echo's, as measured."""

    def __init__(
        self, card: VirtualSoundCard, *, echo: Echo | None = None, noise: Samples | None = None
    ) -> None:
        self._card = card
        self._echo = echo
        self._noise = noise
        self._processes: list[subprocess.Popen[bytes]] = []
        self._orders, self._others = socket.socketpair()
        self._orders.settimeout(LIMIT_S)
        self._giving = threading.Lock()
        self._there = threading.Event()
        self._teller: threading.Thread | None = None
        self._lag = 0.0
        self.microphone: Recording
        self.path: Path | None = None
        self.underruns = 0
        """Times the stream ran dry: from then on everything is later than it should be."""

    def __enter__(self) -> Self:
        self.microphone = Recording(environment=self._card.environment, source=MICROPHONE, channels=1)
        try:
            self._start()
            self._lag = self._measure_lag()
            if self._echo:
                self.path = self._tune(self._echo)
            self.make_noise(self._noise)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def say(self, speech: Speech, *, at: float | None = None, gain_db: float = 0.0) -> Placed:
        """`speech` into the microphone; its first sample comes at the moment `at` (monotonic seconds), or as soon as
        it can."""
        return self._place(resampled(speech.samples, speech.rate, RATE) * 10 ** (gain_db / 20), at)

    def sound(self, samples: Samples, *, at: float | None = None) -> Placed:
        """The same for samples at the card's rate."""
        return self._place(samples.astype(np.float64), at)

    def make_noise(self, samples: Samples | None) -> None:
        """For ever, in place of what there was."""
        self._order(Order.NOISE, wave=None if samples is None else samples.astype(np.float64))

    def moment(self, placed: Placed, seconds: float = 0.0) -> float:
        """When (monotonic seconds) the microphone hears what is `seconds` behind the first sample of a sound."""
        return self._lag + placed.start / RATE + seconds

    @property
    def soonest(self) -> float:
        """The first moment at which something said now can be heard."""
        return self._lag + self._order(Order.WHERE) / RATE + LATE_S

    def measure_path(self) -> Path:
        """Plays a chirp of 0.15 s on the loudspeaker, which has to be silent, and finds it in the microphone."""
        mark = chirp(RATE, MARK_S, level=MARK_LEVEL)
        with self._card.recording() as loudspeaker:
            before, there = self.microphone.position, loudspeaker.position
            self._card.play(mark.tobytes(), RATE).wait(LIMIT_S)
            left = self._found(loudspeaker, mark, there)
            came = self._found(self.microphone, mark, before)
            sent, got = loudspeaker.samples()[there:], self.microphone.samples()[before:]
        return Path(delay_ms=(came - left) * 1000, loss_db=_energy_db(sent) - _energy_db(got))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(LIMIT_S)
        if self._teller:
            self._teller.join(LIMIT_S)
        self._orders.close()
        self._others.close()
        self.microphone.stop()

    # --- the stream ---

    def _start(self) -> None:
        shape = ["--raw", "--format=s16le", f"--rate={RATE}", "--channels=1"]
        store_ms = max(LEAST_MS, round(self._echo.delay_ms) - WAY_MS) if self._echo else CALM_MS
        ear = ["parec", *shape, f"--device={SPEAKER}.monitor", "--latency-msec=5"]
        mouth = ["pacat", "--playback", "--verbose", *shape, f"--device={MIC_FEED}"]
        mouth += [f"--latency-msec={store_ms}", "--process-time-msec=5"]
        air = [sys.executable, "-m", "tests.support.air", str(self._others.fileno())]
        if self._echo:
            air += [str(value) for value in (self._echo.loss_db, self._echo.delay_ms, self._echo.reverb_s)]
        hurry(self._card.pid)
        hears = self._run(ear, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        carries = self._run(air, stdin=hears.stdout, stdout=subprocess.PIPE, passed=self._others.fileno())
        says = self._run(mouth, stdin=carries.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for pipe in (hears.stdout, carries.stdout):  # each end is now the next one's
            assert pipe is not None
            pipe.close()
        self._others.close()
        assert says.stderr is not None
        self._teller = threading.Thread(target=self._told, args=(says.stderr,), daemon=True)
        self._teller.start()
        self.microphone.wait_until_running()
        if not self._there.wait(LIMIT_S):
            raise TimeoutError(f"the room has no microphone within {LIMIT_S} s")
        self._order(Order.BEGIN)

    def _run(
        self,
        command: list[str],
        *,
        stdin: int | IO[bytes] | None,
        stdout: int,
        stderr: int = subprocess.DEVNULL,
        passed: int | None = None,
    ) -> subprocess.Popen[bytes]:
        environment = {**self._card.environment, "PYTHONPATH": str(File(__file__).parents[2])}
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=() if passed is None else (passed,),
        )
        hurry(process.pid)
        self._processes.append(process)
        return process

    def _place(self, wave: Wave, at: float | None) -> Placed:
        wanted = -1 if at is None else round((at - self._lag) * RATE)
        return Placed(start=self._order(Order.SAY, wanted, wave), samples=len(wave))

    def _order(self, order: Order, number: int = 0, wave: Wave | None = None) -> int:
        data = b"" if wave is None else wave.astype("<f4").tobytes()
        with self._giving:
            self._orders.sendall(ORDER.pack(order.value, number, len(data) // 4) + data)
            answer = self._orders.recv(ANSWER.size, socket.MSG_WAITALL)
        if len(answer) < ANSWER.size:
            raise RuntimeError("the room's air is gone")
        return int(ANSWER.unpack(answer)[0])

    def _told(self, words: IO[bytes]) -> None:
        with words:
            while line := os.read(words.fileno(), 4096):
                if b"successfully created" in line:  # pacat's words without a locale
                    self._there.set()
                self.underruns += len(re.findall(rb"[Uu]nderrun", line))

    # --- what it really is ---

    def _tune(self, echo: Echo) -> Path:
        """Adds to the delay that the way itself has. A machine that was busy in between is asked again."""
        later = 0
        path = self.measure_path()
        for _ in range(TRIES):
            later = max(later + round((echo.delay_ms - path.delay_ms) * RATE / 1000), 0)
            self._order(Order.LATER, later)
            path = self.measure_path()
            if abs(path.delay_ms - echo.delay_ms) <= NEAR_MS or not later:
                break
        return path

    def _measure_lag(self) -> float:
        """Seconds to add to a place in the stream, in seconds, to have its moment."""
        before = self.microphone.position
        mark = chirp(RATE, MARK_S, level=MARK_LEVEL)
        placed = self.sound(mark)
        return self._found(self.microphone, mark, before) - placed.start / RATE

    def _found(self, recording: Recording, mark: Samples, before: int) -> float:
        """The moment at which `mark` was heard."""
        recording.wait_for_sound(LIMIT_S, after=before)
        recording.wait_for_silence(0.1, LIMIT_S)
        heard = recording.samples()[before:].astype(np.float64)
        return recording.time_of(before + best_offset(heard, mark.astype(np.float64)))


def _energy_db(samples: Samples) -> float:
    return decibels(samples) + 10 * float(np.log10(max(len(samples), 1)))
