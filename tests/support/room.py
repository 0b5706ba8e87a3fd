"""The air between loudspeaker, user and microphone: speech at known moments, noise, and the echo of the loudspeaker.

    loudspeaker's monitor ─▸ walls: delay, room response, loss ─┐
    say() at a moment ──────────────────────────────────────────┼─▸ microphone
    noise, for ever ────────────────────────────────────────────┘

All of it is one stream into the microphone, paced by the loudspeaker's monitor, so that a sample's place in the stream
is a moment at the microphone: `Room` measures which, and what the path of the echo really is.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import numpy as np

from tests.support.listening import (
    FULL_SCALE,
    Samples,
    Wave,
    best_offset,
    chirp,
    decibels,
    resampled,
)
from tests.support.recording import Recording
from tests.support.sound_card import MIC_FEED, MICROPHONE, RATE, SPEAKER, VirtualSoundCard
from tests.support.speakers import Speech

MARK_S = 0.15
MARK_LEVEL = 0.1
MARK_LIMIT_S = 5.0
END_LIMIT_S = 10.0
LEAST_BLOCK = RATE // 200
LONGEST_BLOCK = RATE // 20
CALM_MS = 300
"""Sound in store without an echo: what a busy machine does to this thread is not to be taken for the user's pauses."""
LEAST_MS, STORE_SHARE = 10, 0.6
"""With an echo most of its delay is sound in store: the rest is what the way in and out takes."""
LATE_S = 0.02
"""A speech is put this far behind what has been written, so that none of it is late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """How the loudspeaker comes back: `loss_db` fainter in all, the direct sound `delay_ms` later, with reflections
    and a tail that dies by 60 dB in `reverb_s` (None: the direct sound only)."""

    loss_db: float = 20.0
    delay_ms: float = 60.0
    reverb_s: float | None = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """What an echo's path was found to be."""

    delay_ms: float
    loss_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A sound on its way to the microphone; `start` is its first sample's place in the room's stream."""

    start: int
    wave: Wave

    @property
    def end(self) -> int:
        return self.start + len(self.wave)


class Room:
    """A context manager. `microphone` records what an application captures; `path` is the echo's, as measured."""

    def __init__(
        self, card: VirtualSoundCard, *, echo: Echo | None = None, noise: Samples | None = None
    ) -> None:
        self._card = card
        self._echo = echo
        self._walls = _Walls(echo) if echo else None
        self._noise: Wave | None = None if noise is None else noise.astype(np.float64)
        self._noisy = False
        self._store_ms = max(LEAST_MS, round(echo.delay_ms * STORE_SHARE)) if echo else CALM_MS
        self._placed: list[Placed] = []
        self._written = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._lag = 0.0
        self.underruns = 0
        """Times the stream ran dry: from then on everything is later than it should be."""
        self.path: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
            self._lag = self._measure_lag()
            if self._walls:
                self.path = self.measure_path()
                self._walls.lag(round((self._walls.delay_ms - self.path.delay_ms) * RATE / 1000))
                self.path = self.measure_path()
        except BaseException:
            self.close()
            raise
        self._noisy = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def say(self, speech: Speech, *, at: float | None = None, gain_db: float = 0.0) -> Placed:
        """`speech` into the microphone; its first sample comes at the moment `at` (monotonic seconds), or as soon as
        it can."""
        wave = resampled(speech.samples, speech.rate, RATE) * 10 ** (gain_db / 20)
        return self._place(wave, at)

    def sound(self, samples: Samples, *, at: float | None = None) -> Placed:
        """The same for samples at the card's rate."""
        return self._place(samples.astype(np.float64), at)

    def moment(self, placed: Placed, seconds: float = 0.0) -> float:
        """When (monotonic seconds) the microphone hears what is `seconds` behind the first sample of a sound."""
        return self._lag + placed.start / RATE + seconds

    @property
    def soonest(self) -> float:
        """The first moment at which something said now can be heard."""
        with self._lock:
            return self._lag + self._written / RATE + LATE_S

    def close(self) -> None:
        self._stopped.set()
        for process in (self._ear, self._mouth):
            process.kill()
        self._air.join(END_LIMIT_S)
        self._teller.join(END_LIMIT_S)
        for process in (self._ear, self._mouth):
            process.wait(END_LIMIT_S)
        self.microphone.stop()

    # --- the stream ---

    def _start(self) -> None:
        shape = ["--raw", "--format=s16le", f"--rate={RATE}", "--channels=1"]
        ear = ["parec", *shape, f"--device={SPEAKER}.monitor", "--latency-msec=5"]
        mouth = ["pacat", "--playback", "--verbose", *shape, f"--device={MIC_FEED}"]
        mouth += [f"--latency-msec={self._store_ms}", "--process-time-msec=5"]
        self.microphone = Recording(environment=self._card.environment, source=MICROPHONE, channels=1)
        self._ear = subprocess.Popen(
            ear, env=self._card.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._mouth = subprocess.Popen(
            mouth, env=self._card.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        assert self._mouth.stderr is not None
        self._teller = threading.Thread(target=self._told, args=(self._mouth.stderr,), daemon=True)
        self._air = threading.Thread(target=self._carry, name="air", daemon=True)
        self._teller.start()
        self._air.start()
        self.microphone.wait_until_running()

    def _place(self, wave: Wave, at: float | None) -> Placed:
        with self._lock:
            soonest = self._written + round(LATE_S * RATE)
            wanted = soonest if at is None else round((at - self._lag) * RATE)
            placed = Placed(start=max(soonest, wanted), wave=wave)
            self._placed.append(placed)
        return placed

    def _carry(self) -> None:
        assert self._ear.stdout is not None
        assert self._mouth.stdin is not None
        rest = b""
        with self._ear.stdout as ear, self._mouth.stdin as mouth:
            while not self._stopped.is_set():
                data = os.read(ear.fileno(), 2 * LONGEST_BLOCK)
                if not data:
                    return
                rest += data
                whole = len(rest) - len(rest) % 2
                if whole < 2 * LEAST_BLOCK:
                    continue
                far = np.frombuffer(rest[:whole], dtype="<i2").astype(np.float64)
                rest = rest[whole:]
                try:
                    mouth.write(self._block(far))
                except BrokenPipeError:
                    return

    def _block(self, far: Wave) -> bytes:
        """What the microphone hears while the loudspeaker gives `far`."""
        out = self._walls.feed(far) if self._walls else np.zeros(len(far))
        with self._lock:
            start = self._written
            self._written = end = start + len(far)
            self._placed = [placed for placed in self._placed if placed.end > start]
            for placed in self._placed:
                first, last = max(start, placed.start), min(end, placed.end)
                if first < last:
                    out[first - start : last - start] += placed.wave[
                        first - placed.start : last - placed.start
                    ]
        if self._noise is not None and self._noisy:
            out += np.take(self._noise, np.arange(start, end), mode="wrap")
        return np.clip(np.round(out), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()

    def _told(self, words: IO[bytes]) -> None:
        with words:
            while line := os.read(words.fileno(), 4096):
                self.underruns += len(re.findall(rb"[Uu]nderrun", line))

    # --- what it really is ---

    def _measure_lag(self) -> float:
        """Seconds to add to a place in the stream, in seconds, to have its moment."""
        before = self.microphone.position
        mark = chirp(RATE, MARK_S, level=MARK_LEVEL)
        placed = self.sound(mark)
        return self._found(self.microphone, mark, before) - placed.start / RATE

    def measure_path(self) -> Path:
        """Plays a chirp of 0.15 s on the loudspeaker, which has to be silent, and finds it in the microphone."""
        mark = chirp(RATE, MARK_S, level=MARK_LEVEL)
        with self._card.recording() as loudspeaker:
            before, there = self.microphone.position, loudspeaker.position
            self._card.play(mark.tobytes(), RATE).wait(MARK_LIMIT_S)
            left = self._found(loudspeaker, mark, there)
            came = self._found(self.microphone, mark, before)
            sent = decibels(loudspeaker.samples()[there:]) + _length_db(loudspeaker.position - there)
            got = decibels(self.microphone.samples()[before:])
            got += _length_db(self.microphone.position - before)
        return Path(delay_ms=(came - left) * 1000, loss_db=sent - got)

    def _found(self, recording: Recording, mark: Samples, before: int) -> float:
        """The moment at which `mark` was heard."""
        recording.wait_for_sound(MARK_LIMIT_S, after=before)
        recording.wait_for_silence(0.1, MARK_LIMIT_S)
        heard = recording.samples()[before:].astype(np.float64)
        return recording.time_of(before + best_offset(heard, mark.astype(np.float64)))


class _Walls:
    """From what the loudspeaker gives to what comes back of it."""

    def __init__(self, echo: Echo) -> None:
        self.delay_ms = echo.delay_ms
        response = _response(echo)
        self._taps = len(response)
        self._size = 1 << (self._taps + LONGEST_BLOCK).bit_length()
        self._response = np.fft.rfft(response, self._size)
        self._extra = 0
        self._past = np.zeros(self._taps - 1 + RATE)

    def lag(self, samples: int) -> None:
        """Everything comes so much later; what the way itself takes cannot be made less."""
        self._extra = min(max(samples, 0), RATE)

    def feed(self, far: Wave) -> Wave:
        self._past = np.concatenate((self._past[len(far) :], far))
        end = len(self._past) - self._extra
        piece = self._past[max(end - len(far) - self._taps + 1, 0) : end]
        if not piece.any():
            return np.zeros(len(far))
        whole: Wave = np.fft.irfft(np.fft.rfft(piece, self._size) * self._response, self._size)
        return whole[len(piece) - len(far) : len(piece)]


def _response(echo: Echo) -> Wave:
    """A direct sound, a few reflections and an exponential tail, with `loss_db` of energy in all."""
    if echo.reverb_s is None:
        response = np.ones(1)
    else:
        generator = np.random.default_rng(65)
        time = np.arange(round(RATE * echo.reverb_s * 0.7)) / RATE
        response = generator.normal(size=len(time)) * 10 ** (-3 * time / echo.reverb_s) * 0.02
        response[: RATE // 250] = 0.0
        response[0] = 1.0
        for delay_ms, gain in ((4.1, 0.5), (7.7, -0.35), (12.9, 0.3), (19.3, -0.2)):
            response[round(delay_ms * RATE / 1000)] += gain
    scaled: Wave = response * 10 ** (-echo.loss_db / 20) / np.sqrt(np.sum(response**2))
    return scaled


def _length_db(samples: int) -> float:
    """From the mean power of so many samples to their energy."""
    return 10 * float(np.log10(max(samples, 1)))
