"""An MCP host on stdio as plain as can be, so that every time is taken at the pipe and nothing of a client's own
machinery is in it. Speaks 2025-11-25, as today's hosts do."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue, TypeAdapter

from voicemode import clock

PROTOCOL = "2025-11-25"
_MESSAGE = TypeAdapter(dict[str, JsonValue])


@dataclass(kw_only=True)
class Answer:
    """`sent_at` and `came_at` are monotonic seconds at the pipe."""

    id: int
    sent_at: float
    came_at: float | None = None
    message: dict[str, JsonValue] = field(default_factory=dict)
    _arrived: threading.Event = field(default_factory=threading.Event)

    def wait(self, limit_s: float) -> dict[str, JsonValue]:
        """The result; TimeoutError when none comes, RuntimeError when the server says no."""
        if not self._arrived.wait(limit_s):
            raise TimeoutError(f"no answer to request {self.id} within {limit_s} s")
        result = self.message.get("result")
        if not isinstance(result, dict):
            raise RuntimeError(f"request {self.id} failed: {json.dumps(self.message)[:500]}")
        return result

    def arrive(self, message: dict[str, JsonValue], at: float) -> None:
        self.message, self.came_at = message, at
        self._arrived.set()

    @property
    def arrived(self) -> bool:
        return self._arrived.is_set()

    @property
    def seconds(self) -> float:
        """How long it took; only after it came."""
        assert self.came_at is not None
        return self.came_at - self.sent_at


class Host:
    """A running server. Leaving the block closes its standard input and, should that not do, kills it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log_path = list(command), dict(environment), log
        self._waiting: dict[int, Answer] = {}
        self._next = 0
        self._lock = threading.Lock()
        self.started_at = 0.0
        self.tools: list[JsonValue] = []

    def __enter__(self) -> Self:
        self._log = self._log_path.open("ab")
        self.started_at = clock.monotonic()
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(3.0)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(5.0)
        self._reader.join(5.0)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, method: str, params: Mapping[str, JsonValue] | None = None) -> Answer:
        with self._lock:
            self._next += 1
            answer = Answer(id=self._next, sent_at=clock.monotonic())
            self._waiting[answer.id] = answer
            self._write({"jsonrpc": "2.0", "id": answer.id, "method": method, "params": dict(params or {})})
        return answer

    def tell(self, method: str, params: Mapping[str, JsonValue] | None = None) -> float:
        """Sends a notification; gives the moment it left."""
        with self._lock:
            self._write({"jsonrpc": "2.0", "method": method, "params": dict(params or {})})
            return clock.monotonic()

    def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> Answer:
        return self.ask("tools/call", {"name": tool, "arguments": dict(arguments)})

    def cancel(self, answer: Answer) -> float:
        return self.tell("notifications/cancelled", {"requestId": answer.id, "reason": "the user said stop"})

    def shake_hands(self, limit_s: float = 60.0) -> tuple[float, float]:
        """Seconds from the start of the process to the answers to `initialize` and `tools/list`."""
        client: dict[str, JsonValue] = {"name": "bench", "version": "1"}
        hello = self.ask(
            "initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}
        )
        hello.wait(limit_s)
        self.tell("notifications/initialized")
        listed = self.ask("tools/list")
        tools = listed.wait(limit_s).get("tools")
        self.tools = tools if isinstance(tools, list) else []
        assert hello.came_at is not None
        assert listed.came_at is not None
        return hello.came_at - self.started_at, listed.came_at - self.started_at

    def resident_bytes(self) -> int:
        """Of the server and all its descendants; shared pages count for each."""
        return sum(_resident(pid) for pid in _family(self.pid))

    def cpu_seconds(self) -> float:
        """Of the server and all its descendants, so far."""
        return sum(_cpu(pid) for pid in _family(self.pid))

    def _write(self, message: Mapping[str, JsonValue]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at = clock.monotonic()
            try:
                message = _MESSAGE.validate_json(line)
            except ValueError:
                continue
            identity = message.get("id")
            answer = self._waiting.pop(identity, None) if isinstance(identity, int) else None
            if answer and "method" not in message:
                answer.arrive(message, at)


def _cpu(pid: int) -> float:
    """User and system time of a process; 0 when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    line = next((line for line in text.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1]) * 1024


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(int(child)))]
