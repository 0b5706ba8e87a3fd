"""Sound on its way into a virtual sound card."""

from __future__ import annotations

import contextlib
import subprocess
import threading

END_LIMIT_S = 10.0


class Saying:
    """Sound on its way into a sink, through a process of its own."""

    def __init__(
        self,
        *,
        environment: dict[str, str],
        pcm: bytes,
        rate: int,
        channels: int,
        sink: str,
        for_ever: bool = False,
    ) -> None:
        # A buffer of 0.5 s: what a busy machine does to this process is not to be taken for the patient's gaps.
        command = [
            "pacat",
            "--playback",
            "--raw",
            "--format=s16le",
            f"--rate={rate}",
            f"--channels={channels}",
        ]
        self._process = subprocess.Popen(
            [*command, f"--device={sink}", "--latency-msec=500"],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._pcm = pcm
        self._for_ever = for_ever
        self._feeder = threading.Thread(target=self._feed, name=f"saying into {sink}", daemon=True)
        self._feeder.start()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None and not self._feeder.is_alive()

    def wait(self, limit_s: float) -> None:
        """Returns when the last sample has been played."""
        self._process.wait(limit_s)
        self._feeder.join(limit_s)
        if self._process.returncode:
            raise RuntimeError(f"pacat ended with {self._process.returncode}")

    def stop(self) -> None:
        """Silence at once."""
        self._process.kill()
        self._process.wait(END_LIMIT_S)
        self._feeder.join(END_LIMIT_S)

    def _feed(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(self._pcm)
            while self._for_ever:
                pipe.write(self._pcm)
