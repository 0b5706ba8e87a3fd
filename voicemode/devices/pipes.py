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

from voicemode.devices.backend import DeviceInfo, Stream, Unavailable, no_default
from voicemode.devices.capture import Capture
from voicemode.devices.feed import Feed
from voicemode.devices.tools import PLAYERS, RECORDERS, TOOL_SECONDS, Answers, Tool, server_answers
from voicemode.errors import DeviceError, DeviceLost, NoDevice
from voicemode.pcm import PcmFormat

PIPE_BYTES = 4096
"""The least a Linux pipe holds: 85 ms at 24 kHz mono."""
BLOCK_SECONDS = 0.010
SETTLE_SECONDS = 0.25
"""A tool that cannot reach its server is gone by then, with a sentence on its stderr."""
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


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

    def __init__(
        self, players: tuple[Tool, ...], recorders: tuple[Tool, ...], answers: Answers = server_answers
    ) -> None:
        self._players = players
        self._recorders = recorders
        self._answers = answers
        self.version = " ".join(tool.program for tool in (*players[:1], *recorders[:1]))

    def devices(self) -> tuple[DeviceInfo, ...]:
        """One line for the default of each side: the tools' own lists differ too much to be worth reading.

        Raises `NoDevice` when no server answers any of the tools.
        """
        tools = (*self._players, *self._recorders)
        heard = self._answers(frozenset(tool.question for tool in tools))
        sides = (
            (tuple(tool for tool in side if tool.question in heard), output)
            for side, output in ((self._players, True), (self._recorders, False))
        )
        found = tuple(
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
            for index, (tools, output) in enumerate(sides)
            if tools
        )
        if not found:
            names = ", ".join(tool.program for tool in tools)
            raise NoDevice(f"no audio server answers ({names})")
        return found

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
            f"The {side} {device or 'default'!r} does not open: {'; '.join(refusals)}.", retryable=True
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
