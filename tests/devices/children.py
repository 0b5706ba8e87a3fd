"""Runs `tests.devices.child` and reads what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 40.0

Told = dict[str, object]


class Child:
    def __init__(self, environment: Mapping[str, str], words: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.devices.child", *words],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Killed at the limit, which ends every read below.
        self._limit = threading.Timer(LIMIT_S, self.process.kill)
        self._limit.start()

    def told(self, what: str) -> Told:
        """The next line, which has to be `what`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended instead of telling {what!r}: {self.noise()}"
        told: Told = json.loads(line)
        assert told["what"] == what, told
        return told

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def noise(self) -> str:
        """Everything on its stderr, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def close(self) -> None:
        self._limit.cancel()
        self.process.kill()
        self.process.communicate()


@contextmanager
def child(environment: Mapping[str, str], *words: str) -> Iterator[Child]:
    running = Child(environment, words)
    try:
        yield running
    finally:
        running.close()


def number(told: Told, name: str) -> float:
    value = told[name]
    assert isinstance(value, float | int)
    return float(value)
