"""The audio servers' command-line tools: how each is told what to do, and how its server is asked if it is there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from voicemode import clock
from voicemode.pcm import PcmFormat

TOOL_SECONDS = 0.060
"""What the tool and its server are asked to hold."""
ANSWER_SECONDS = 1.0
"""A server that runs answers within 50 ms."""

Arguments = Callable[[PcmFormat, str | None], list[str]]
Question = tuple[str, ...]
Answers = Callable[[frozenset[Question]], frozenset[Question]]
"""Commands that ask for a server → those that got an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A program that plays its stdin or records to its stdout. `arguments` are for a format and a device; `question`
    is the command that finds out whether its server answers, without opening a device."""

    program: str
    arguments: Arguments
    question: tuple[str, ...]


def _pulse(fmt: PcmFormat, device: str | None) -> list[str]:
    named = [f"--device={device}"] if device else []
    latency = f"--latency-msec={round(TOOL_SECONDS * 1000)}"
    return ["--raw", "--format=s16le", f"--rate={fmt.rate}", f"--channels={fmt.channels}", latency, *named]


def _pipewire(fmt: PcmFormat, device: str | None) -> list[str]:
    named = [f"--target={device}"] if device else []
    latency = f"--latency={round(TOOL_SECONDS * 1000)}ms"
    return ["--raw", "--format=s16", f"--rate={fmt.rate}", f"--channels={fmt.channels}", latency, *named, "-"]


def _alsa(fmt: PcmFormat, device: str | None) -> list[str]:
    named = [f"--device={device}"] if device else []
    held = f"--buffer-time={round(TOOL_SECONDS * 1e6)}"
    return ["-q", "-t", "raw", "-f", "S16_LE", f"-r{fmt.rate}", f"-c{fmt.channels}", held, *named]


_ALSA_DEFAULT = ("amixer", "info")
"""Opens the default card's mixer, which leads to an audio server where ALSA's default does."""

PLAYERS = (
    Tool(program="paplay", arguments=_pulse, question=("pactl", "info")),
    Tool(program="pw-play", arguments=_pipewire, question=("pw-cli", "info", "0")),
    Tool(program="aplay", arguments=_alsa, question=_ALSA_DEFAULT),
)
RECORDERS = (
    Tool(program="parec", arguments=_pulse, question=("pactl", "info")),
    Tool(program="pw-record", arguments=_pipewire, question=("pw-cli", "info", "0")),
    Tool(program="arecord", arguments=_alsa, question=_ALSA_DEFAULT),
)


def server_answers(questions: frozenset[Question]) -> frozenset[Question]:
    """Asks all at once and waits `ANSWER_SECONDS` at most. A command that is not installed counts as answered: what
    is not known is not denied."""
    running = {}
    answered = set()
    for question in questions:
        try:
            running[question] = subprocess.Popen(
                question, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            answered.add(question)
    until = clock.monotonic() + ANSWER_SECONDS
    for question, process in running.items():
        try:
            if process.wait(max(until - clock.monotonic(), 0.0)) == 0:
                answered.add(question)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return frozenset(answered)
