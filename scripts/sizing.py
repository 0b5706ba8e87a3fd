"""How many replicas of a speech engine are enough: a simulation of requests that come at random and wait in one queue.

    python -m scripts.sizing --first-ms 350 --factor 0.5 --per-minute 60 --seconds 4
    python -m scripts.sizing --log serve.log --per-minute 60

`--first-ms` and `--factor` (seconds of work per second of sound) are what `voicemode bench` measures of the engine.
`--log` takes what requests took from the lines that `voicemode serve` wrote of them, while nobody had to wait.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

REQUESTS = 20_000
SETTLING = 0.1
"""Share of the requests that come before the queue is what it will be; they are not counted."""
MOST_REPLICAS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """`per_second` requests come in the mean, independently; each is exponentially long with a mean of `sound` seconds,
    which spreads more than sentences do: the result is rather too many replicas than too few."""

    per_second: float
    sound: float


class Replica(Protocol):
    """What one replica takes for a request it works on. `slots` are the requests it works on at once, each as fast as
    alone (so count no more than was measured)."""

    @property
    def slots(self) -> int: ...

    @property
    def quickest(self) -> float:
        """Seconds to the first chunk, at best."""

    def draw(self, chance: random.Random, load: Load) -> tuple[float, float]:
        """Of a request that comes by chance: seconds to its first chunk, and to its end."""

    def mean(self, load: Load) -> float:
        """Seconds of work, over all requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one replica takes by two figures: `first` seconds to the first chunk, then `factor` seconds for each second
    of sound."""

    first: float
    factor: float
    slots: int = 1

    @property
    def quickest(self) -> float:
        return self.first

    def seconds(self, sound: float) -> float:
        return self.first + self.factor * sound

    def draw(self, chance: random.Random, load: Load) -> tuple[float, float]:
        return self.first, self.seconds(chance.expovariate(1.0 / load.sound))

    def mean(self, load: Load) -> float:
        return self.seconds(load.sound)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one replica takes by requests that were measured: of each the seconds to its first chunk and to its end.
    How long their sound is stands in them."""

    times: tuple[tuple[float, float], ...]
    slots: int = 1

    @property
    def quickest(self) -> float:
        firsts = sorted(first for first, _ in self.times)
        return firsts[len(firsts) * 95 // 100]

    def draw(self, chance: random.Random, load: Load) -> tuple[float, float]:
        return chance.choice(self.times)

    def mean(self, load: Load) -> float:
        return sum(takes for _, takes in self.times) / len(self.times)


def seen(lines: Iterable[str], slots: int = 1) -> Seen:
    """From the lines of `voicemode serve`. Raises ValueError where no request was served to its end."""
    times = []
    for line in lines:
        start = line.find('{"event": "speech_served"')
        if start < 0:
            continue
        told = json.loads(line[start:])
        if told["outcome"] == "finished" and told["first"] is not None:
            times.append((float(told["first"]), max(float(told["first"]), float(told["total"]))))
    if not times:
        raise ValueError("there is no line of a request that was spoken to its end")
    return Seen(times=tuple(times), slots=slots)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Seconds from a request to its first sound, and the share of time that replicas work. `stable` is False where more
    comes than can be done: the queue only grows, and the other figures depend on how long one looks."""

    replicas: int
    mean_wait: float
    first_p50: float
    first_p95: float
    busy: float
    stable: bool


def simulate(
    load: Load, service: Replica, replicas: int, *, requests: int = REQUESTS, seed: int = 1
) -> Result:
    """Requests are served in the order in which they came, by whichever slot is free first."""
    chance = random.Random(seed)
    free = [0.0] * (replicas * service.slots)
    now, worked = 0.0, 0.0
    waits: list[float] = []
    firsts: list[float] = []
    for _ in range(requests):
        now += chance.expovariate(load.per_second)
        first, takes = service.draw(chance, load)
        begins = max(now, heapq.heappop(free))
        heapq.heappush(free, begins + takes)
        waits.append(begins - now)
        firsts.append(begins - now + first)
        worked += takes
    counted = waits[int(requests * SETTLING) :]
    heard = sorted(firsts[int(requests * SETTLING) :])
    offered = load.per_second * service.mean(load)
    return Result(
        replicas=replicas,
        mean_wait=sum(counted) / len(counted),
        first_p50=heard[len(heard) // 2],
        first_p95=heard[len(heard) * 95 // 100],
        busy=worked / (now * len(free)),
        stable=offered < len(free),
    )


def enough(load: Load, service: Replica, target: float) -> Result:
    """The fewest replicas with which 95 of 100 requests have their first sound within `target` seconds.

    Raises ValueError where no number of them can do that.
    """
    if service.quickest > target:
        raise ValueError(
            f"one request alone takes {service.quickest:g} s to its first sound, more than {target:g} s"
        )
    low, high = 1, 1
    while not _good(simulate(load, service, high), target):
        low, high = high + 1, high * 2
        if high > MOST_REPLICAS:
            raise ValueError(f"more than {MOST_REPLICAS} replicas are needed: split the load")
    while low < high:
        middle = (low + high) // 2
        if _good(simulate(load, service, middle), target):
            high = middle
        else:
            low = middle + 1
    return simulate(load, service, high)


def _good(result: Result, target: float) -> bool:
    return result.stable and result.first_p95 <= target


def table(service: Replica, per_minute: Sequence[float], sound: float, target: float) -> str:
    """A row for each rate of arrival, as Markdown."""
    rows = [
        "| requests a minute | replicas | first sound, median | 95 of 100 within | busy |",
        "|---|---|---|---|---|",
    ]
    for rate in per_minute:
        got = enough(Load(per_second=rate / 60, sound=sound), service, target)
        rows.append(
            f"| {rate:g} | {got.replicas} | {1000 * got.first_p50:.0f} ms | {1000 * got.first_p95:.0f} ms "
            f"| {100 * got.busy:.0f} % |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Replicas that a load of speech needs.")
    parser.add_argument("--first-ms", type=float, help="to the first chunk, engine idle")
    parser.add_argument("--factor", type=float, help="seconds of work per second of sound")
    parser.add_argument("--log", type=Path, help="lines of `voicemode serve`, in place of both figures")
    parser.add_argument("--slots", type=int, default=1, help="requests a replica works on at once")
    parser.add_argument("--per-minute", type=float, nargs="+", default=[6, 30, 60, 120, 300, 600])
    parser.add_argument("--seconds", type=float, default=4.0, help="mean length of a request's sound")
    parser.add_argument("--target-ms", type=float, default=1_000.0, help="for 95 of 100 first sounds")
    given = parser.parse_args()
    if (given.log is None) == (given.first_ms is None or given.factor is None):
        parser.error("give --first-ms and --factor, or --log")
    service: Replica
    if given.log is None:
        service = Service(first=given.first_ms / 1000, factor=given.factor, slots=given.slots)
    else:
        with given.log.open(encoding="utf-8", errors="replace") as lines:
            service = seen(lines, given.slots)
    print(table(service, given.per_minute, given.seconds, given.target_ms / 1000))


if __name__ == "__main__":
    main()
