"""The air of a room, in a process of its own: what the loudspeaker gives comes in on standard input, what the
microphone hears goes out on standard output, sample for sample.

It is told what else sounds through a socket, one order at a time, and answers each with a number:

    say     place in the stream (-1: as soon as it can), samples ─▸ the place it got
    noise   0, samples for ever (none: silence)                  ─▸ 0
    later   samples that the echo is to be later                 ─▸ 0
    where   0                                                    ─▸ the place that is written next
    begin   0: the microphone is there                           ─▸ 0, once it takes what is written as it comes
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from dataclasses import dataclass
from enum import Enum

import numpy as np

from tests.support.listening import FULL_SCALE, Wave

RATE = 48_000
LEAST_BLOCK = RATE // 200
LONGEST_BLOCK = RATE // 20
LATE_S = 0.02
"""What is said goes this far behind what has been written, so that none of it is late."""
WAITING_BYTES = 2 * RATE // 100
CALM_BLOCKS = 60
"""A microphone that has just been opened lets sound wait for it, which would be late for ever: it is not written then.
After so many blocks in a row that did not wait it takes all of them as they come."""
TAIL = 0.7
"""Of the time in which a tail dies by 60 dB: by then it has died by 42."""
REFLECTIONS = ((4.1, 0.5), (7.7, -0.35), (12.9, 0.3), (19.3, -0.2))
"""(ms after the direct sound, loudness beside it)."""

ORDER = struct.Struct("<BqI")
ANSWER = struct.Struct("<q")
PRIORITY = 5


class Order(Enum):
    SAY = 1
    NOISE = 2
    LATER = 3
    WHERE = 4
    BEGIN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """How the loudspeaker comes back: `loss_db` fainter in all, the direct sound `delay_ms` later, with reflections
    and a tail that dies by 60 dB in `reverb_s` (0: the direct sound only)."""

    loss_db: float = 20.0
    delay_ms: float = 60.0
    reverb_s: float = 0.3


def hurry(pid: int = 0) -> None:
    """A process that never waits long for its turn, where that is allowed; 0 is the calling thread."""
    with contextlib.suppress(PermissionError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(PRIORITY))


class Walls:
    """From what the loudspeaker gives to what comes back of it, without the delay that the way itself has."""

    def __init__(self, echo: Echo) -> None:
        response = _response(echo)
        self._taps = len(response)
        self._size = 1 << (self._taps + LONGEST_BLOCK).bit_length()
        self._response = np.fft.rfft(response, self._size)
        self._later = 0
        self._past = np.zeros(self._taps - 1 + RATE)

    def later(self, samples: int) -> None:
        self._later = min(max(samples, 0), RATE)

    def feed(self, far: Wave) -> Wave:
        self._past = np.concatenate((self._past[len(far) :], far))
        end = len(self._past) - self._later
        piece = self._past[max(end - len(far) - self._taps + 1, 0) : end]
        if not piece.any():
            return np.zeros(len(far))
        whole: Wave = np.fft.irfft(np.fft.rfft(piece, self._size) * self._response, self._size)
        return whole[len(piece) - len(far) : len(piece)]


class Air:
    """All that sounds, mixed."""

    def __init__(self, walls: Walls | None) -> None:
        self._walls = walls
        self._noise: Wave = np.zeros(0)
        self._said: list[tuple[int, Wave]] = []
        self._written = 0
        self._calm: int | None = None

    def writes(self, waiting: int) -> bool:
        """Whether a block goes to the microphone while so many bytes wait for it."""
        if self._calm is None:
            return False
        if not self.settled:
            self._calm = self._calm + 1 if waiting <= WAITING_BYTES else 0
        return self._calm > 0

    @property
    def settled(self) -> bool:
        return self._calm is not None and self._calm >= CALM_BLOCKS

    def block(self, far: Wave) -> bytes:
        """What the microphone hears while the loudspeaker gives `far`."""
        out = self._walls.feed(far) if self._walls else np.zeros(len(far))
        start, end = self._written, self._written + len(far)
        self._written = end
        self._said = [(at, wave) for at, wave in self._said if at + len(wave) > start]
        for at, wave in self._said:
            first, last = max(start, at), min(end, at + len(wave))
            if first < last:
                out[first - start : last - start] += wave[first - at : last - at]
        if len(self._noise):
            out += np.take(self._noise, np.arange(start, end), mode="wrap")
        return np.clip(np.round(out), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()

    def obey(self, order: Order, number: int, wave: Wave) -> int:
        match order:
            case Order.SAY:
                place = max(self._written + round(LATE_S * RATE), number)
                self._said.append((place, wave))
                return place
            case Order.NOISE:
                self._noise = wave
            case Order.LATER if self._walls:
                self._walls.later(number)
            case Order.WHERE:
                return self._written
            case Order.BEGIN:
                self._calm = 0
        return 0


def _response(echo: Echo) -> Wave:
    """A direct sound, reflections and an exponential tail, with `loss_db` of energy in all."""
    response = np.ones(1)
    if echo.reverb_s:
        time = np.arange(round(RATE * echo.reverb_s * TAIL)) / RATE
        response = 0.02 * np.random.default_rng(65).normal(size=len(time)) * 10 ** (-3 * time / echo.reverb_s)
        response[: RATE // 250] = 0.0
        response[0] = 1.0
        for delay_ms, gain in REFLECTIONS:
            response[round(delay_ms * RATE / 1000)] += gain
    scaled: Wave = response * 10 ** (-echo.loss_db / 20) / np.sqrt(np.sum(response**2))
    return scaled


def _exactly(orders: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = orders.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _waiting() -> int:
    """Bytes written that the microphone has not taken yet."""
    held = array.array("i", [0])
    fcntl.ioctl(1, termios.FIONREAD, held)
    return held[0]


def _serve(air: Air, orders: socket.socket) -> None:
    """Until the loudspeaker, the microphone or who gives orders has gone."""
    rest, owed = b"", b""
    while True:
        ready, _, _ = select.select([0, orders.fileno()], [], [])
        if orders.fileno() in ready:
            code, number, count = ORDER.unpack(_exactly(orders, ORDER.size))
            wave = np.frombuffer(_exactly(orders, 4 * count), dtype="<f4").astype(np.float64)
            order = Order(code)
            answer = ANSWER.pack(air.obey(order, number, wave))
            if order is Order.BEGIN:
                owed = answer
            else:
                orders.sendall(answer)
        if 0 in ready:
            data = os.read(0, 2 * LONGEST_BLOCK)
            if not data:
                return
            rest += data
            whole = len(rest) - len(rest) % 2
            if whole >= 2 * LEAST_BLOCK:
                far = np.frombuffer(rest[: min(whole, 2 * LONGEST_BLOCK)], dtype="<i2").astype(np.float64)
                rest = rest[2 * len(far) :]
                out = air.block(far) if air.writes(_waiting()) else b""
                while out:
                    out = out[os.write(1, out) :]
                if owed and air.settled:
                    orders.sendall(owed)
                    owed = b""


def main(words: list[str]) -> None:
    """The socket's number, then loss, delay and reverberation where there is an echo."""
    echo = (
        Echo(loss_db=float(words[1]), delay_ms=float(words[2]), reverb_s=float(words[3]))
        if words[1:]
        else None
    )
    hurry()
    with (
        socket.socket(fileno=int(words[0])) as orders,
        contextlib.suppress(EOFError, BrokenPipeError, ConnectionError),
    ):
        _serve(Air(Walls(echo) if echo else None), orders)


if __name__ == "__main__":
    main(sys.argv[1:])
