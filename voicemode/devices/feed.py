"""The sound card's side of `pull`: what its thread calls, and what is known about its pulse."""

from __future__ import annotations

import threading
from collections.abc import Callable

from voicemode.devices.fitting import Fitted, Resample
from voicemode.errors import DeviceLost, VoiceModeError
from voicemode.pcm import BYTES_PER_VALUE, PcmFormat
from voicemode.ports import Lost, Pull

FORGET = 0.01
"""Share of a callback's own figure in the stated latency while it falls; a rise counts in full at once."""

AHEAD_SECONDS = 0.5
DRIFT = 0.01
"""How far a device may be ahead of the clock: what it holds at the start, and its crystal's error with room to
spare. One that takes more plays to nobody: ALSA's null and file devices take 2 s in 1 ms."""

STARTING_TIMES = 4
"""A device that starts asks for several periods at once and plays them later than it asked: these do not count."""


class Dryness:
    """Knows from when a device asks whether it has run dry, for a library that does not tell.

    `spare` is the seconds of sound that the device still has when it asks in time.
    """

    def __init__(self, spare: float) -> None:
        self._spare = spare
        self._times = 0
        self._due = 0.0
        """When the device is to ask again."""

    def asked(self, at: float, seconds: float) -> bool:
        """`seconds` of sound were asked for at the moment `at`; true when what it had was over by then."""
        self._times += 1
        dry = at - self._due > self._spare and self._times > STARTING_TIMES
        # What came early stays due; a device that has run dry is filled anew and may ask before its spare is gone.
        self._due = (at - self._spare / 2 if dry else max(self._due, at)) + seconds
        return dry


class Feed:
    """Hands pulled samples to a device's thread; nothing raised by `pull` gets past it.

    `format` is what the device takes; `latency` is seconds from pull to audible sound; `last_at` is when the device
    last asked (None: not yet); `short` tells whether sound is expected of which there is not a block yet.
    """

    def __init__(self, fmt: PcmFormat, pull: Pull, lost: Lost, now: Callable[[], float]) -> None:
        self.format = fmt
        self.latency = 0.0
        self.last_at: float | None = None
        self.short: Callable[[], bool] = lambda: False
        self.underflows = 0
        """Times the device ran dry because its thread came too late (not for want of sound)."""
        self._pull = self._flow = pull
        self._wanted = fmt
        self._fitted: Fitted | None = None
        self._lost = lost
        self._now = now
        self._first_at = 0.0
        self._pulled = 0
        self._over = False
        self._told = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def convert_to(self, target: PcmFormat, resample: Resample) -> None:
        """The device takes `target` instead of what the flow gives. Before the first `fill`; may load a library."""
        self._fitted = Fitted(self._wanted, target, self._flow, resample)
        self._pull, self.format = self._fitted, target

    def convert_no_more(self) -> None:
        """The device did not take that either."""
        self._fitted = None
        self._pull, self.format = self._flow, self._wanted

    @property
    def over(self) -> bool:
        """Nothing more is pulled: aborted, or the device is lost."""
        return self._over

    def fill(self, samples: int) -> bytes:
        """Exactly `samples` samples; silence once it is over. Called from the device's thread; never raises."""
        at, fmt = self._now(), self.format
        if self.last_at is None:
            self._first_at = at
        self.last_at = at
        if self._pulled > ((at - self._first_at) * (1 + DRIFT) + AHEAD_SECONDS) * fmt.rate:
            self.lose(
                DeviceLost(
                    "The loudspeaker takes sound faster than time passes: nobody hears it.", retryable=True
                )
            )
        if self._over:
            return fmt.silence(samples)
        self._pulled += samples
        try:
            data = self._pull(samples)
        except Exception as problem:  # the edge of the device's thread
            self.lose(_failed(f"{type(problem).__name__}: {problem}", problem))
            return fmt.silence(samples)
        if len(data) != samples * BYTES_PER_VALUE * fmt.channels:
            self.lose(_failed(f"{len(data)} bytes for {samples} samples of {fmt}", None))
            return fmt.silence(samples)
        return data

    def put_off(self, seconds: float) -> None:
        """Holds the device's thread up; stopping ends it."""
        self._stopped.wait(seconds)

    def delay(self, seconds: float, *, settled: bool = True) -> None:
        """What the device says of the samples that it asks for: all audible in `seconds`. Until it has `settled` the
        last word counts; then the longest."""
        if 0.0 < seconds < 5.0:  # PortAudio gives 0 or nonsense before its clock runs
            seconds += self._fitted.held if self._fitted is not None else 0.0
            slowly = self.latency + FORGET * (seconds - self.latency)
            self.latency = max(seconds, slowly) if settled else seconds

    def stop(self) -> None:
        self._over = True
        self._stopped.set()

    def lose(self, error: VoiceModeError) -> None:
        """The device has gone: told once, and not at all after a stop."""
        with self._lock:
            if self._told or self._over:
                return
            self._told = self._over = True
        self._stopped.set()
        self._lost(error)


def _failed(why: str, cause: Exception | None) -> DeviceLost:
    error = DeviceLost(f"Playback stopped: the next samples could not be had ({why}).")
    error.__cause__ = cause
    return error
