"""Sound through the audio servers' own command-line tools, where no library can be used: raw samples on pipes.

Playback is kept in step by the pipe: it is made as small as the kernel allows, and writing waits for the tool.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

from voicemode.devices.backend import DeviceInfo, Stream, Unavailable, no_default, way_out
from voicemode.devices.capture import Capture
from voicemode.devices.feed import Feed
from voicemode.errors import DeviceError, DeviceLost
from voicemode.pcm import PcmFormat

PIPE_BYTES = 4096
"""The least a Linux pipe holds: 85 ms at 24 kHz mono."""
TOOL_SECONDS = 0.060
"""What the tool and its server are asked to hold."""
BLOCK_SECONDS = 0.010
SETTLE_SECONDS = 0.25
"""A tool that cannot reach its server is gone by then, with a sentence on its stderr."""
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)

Arguments = Callable[[PcmFormat, str | None], list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A program that plays its stdin or records to its stdout. `arguments` are for a format and a device."""

    program: str
    arguments: Arguments


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


PLAYERS = (
    Tool(program="paplay", arguments=_pulse),
    Tool(program="pw-play", arguments=_pipewire),
    Tool(program="aplay", arguments=_alsa),
)
RECORDERS = (
    Tool(program="parec", arguments=_pulse),
    Tool(program="pw-record", arguments=_pipewire),
    Tool(program="arecord", arguments=_alsa),
)


class _ToolStream:
    """A running tool and the thread that feeds or reads it."""

    def __init__(self, tool: Tool, command: list[str], *, output: bool) -> None:
        self.name = tool.program
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if output else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if output else subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        pipe = self.process.stdin if output else self.process.stdout
        assert pipe is not None
        self.pipe = pipe.fileno()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.pipe, F_SETPIPE_SZ, PIPE_BYTES)

    def run(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"voicemode {self.name}", daemon=True).start()

    def complaint(self) -> str:
        """What a tool that has ended wrote on its stderr; its last line."""
        assert self.process.stderr is not None
        lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"exit status {self.process.returncode}"

    def settle(self) -> str | None:
        """Waits a moment; why the tool has ended, or None when it runs."""
        try:
            self.process.wait(SETTLE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return self.complaint()

    def close(self) -> None:
        # Killed, not ended: the server throws away at once what a killed client still has queued.
        self.process.kill()
        self.process.wait()


class Pipes:
    """The `Backend` on whichever tools are installed. A device is named as the tool itself names it."""

    library = "command-line tools"

    def __init__(self, players: tuple[Tool, ...], recorders: tuple[Tool, ...]) -> None:
        self._players = players
        self._recorders = recorders
        self.version = " ".join(tool.program for tool in (*players[:1], *recorders[:1]))

    def devices(self) -> tuple[DeviceInfo, ...]:
        """One line for the default of each side: the tools' own lists differ too much to be worth reading."""
        return tuple(
            DeviceInfo(
                index=index,
                name="default",
                host_api=tools[0].program,
                input_channels=0 if output else 1,
                output_channels=1 if output else 0,
                rate=0,
                default_input=not output,
                default_output=output,
            )
            for index, (tools, output) in enumerate(((self._players, True), (self._recorders, False)))
            if tools
        )

    def open_output(self, device: str | None, feed: Feed) -> Stream:
        def play(stream: _ToolStream) -> None:
            feed.delay(PIPE_BYTES / feed.format.bytes_per_sample / feed.format.rate + TOOL_SECONDS)
            block = feed.format.samples(BLOCK_SECONDS)
            try:
                while not feed.over:
                    _write(stream.pipe, feed.fill(block))
            except OSError:  # the tool has ended
                feed.lose(_gone("loudspeaker", stream))

        return self._first(self._players, device, feed.format, play, output=True)

    def open_input(self, device: str | None, wanted: PcmFormat, capture: Capture) -> Stream:
        def record(stream: _ToolStream) -> None:
            rest = b""
            while not capture.over:
                data = os.read(stream.pipe, PIPE_BYTES)
                if not data:
                    capture.lose(_gone("microphone", stream))
                    return
                data = rest + data
                whole = len(data) - len(data) % wanted.bytes_per_sample
                rest = data[whole:]
                capture.give(data[:whole])

        return self._first(self._recorders, device, wanted, record, output=False)

    def _first(
        self,
        tools: tuple[Tool, ...],
        device: str | None,
        fmt: PcmFormat,
        work: Callable[[_ToolStream], None],
        *,
        output: bool,
    ) -> Stream:
        """The first tool that goes on running."""
        if not tools:
            raise no_default(self.library, output=output)
        refusals = []
        for tool in tools:
            stream = _ToolStream(tool, [tool.program, *tool.arguments(fmt, device)], output=output)
            complaint = stream.settle()
            if complaint is None:
                stream.run(lambda stream=stream: work(stream))  # type: ignore[misc]
                return stream
            stream.close()
            refusals.append(f"{tool.program}: {complaint}")
        side = "loudspeaker" if output else "microphone"
        raise DeviceError(
            f"The {side} {device or 'default'!r} does not open: {'; '.join(refusals)}.",
            hint=way_out(output=output),
            retryable=True,
        )


def load_pipes(which: Callable[[str], str | None] = shutil.which) -> Pipes:
    """Looks for the tools; nothing is started yet."""
    players = tuple(tool for tool in PLAYERS if which(tool.program))
    recorders = tuple(tool for tool in RECORDERS if which(tool.program))
    if not players and not recorders:
        raise Unavailable(
            "none of " + ", ".join(tool.program for tool in (*PLAYERS, *RECORDERS)) + " is installed"
        )
    return Pipes(players, recorders)


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _gone(what: str, stream: _ToolStream) -> DeviceLost:
    stream.process.wait()
    return DeviceLost(
        f"The {what} has gone: {stream.name} ended ({stream.complaint()}).",
        hint="Check the audio server, then try again.",
        retryable=True,
    )
