"""How much of the sound a device is given ahead of time: little before the first sound, all it can hold once there is
some."""

from __future__ import annotations

LEAST_SECONDS = 0.01
"""What a device keeps while nothing sounds. Its thread wakes up to 4 ms late; what runs dry here is silence."""
MORE_SECONDS = 0.01
"""So much more it keeps after it ran dry at that: its thread wakes later, or it takes more at a time."""
QUIET_SECONDS = 1.0
"""So long a silence is none of those between words and sentences: what is held stays the same through these, and with
it the way of an echo."""


class Reserve:
    """How much a device is to have in store: little while nothing sounds, so that the first sound does not queue behind
    silence, and all it can hold once something does, so that it is asked seldom and survives a program that is late.

    A device that asks for `block` seconds at a time has room for them when it asks; putting the answer off lets it play
    on of what it has. `held` is all it can hold, in seconds. Sound that is there is as good in the device as before it:
    where the next has not come yet, the answer is put off until the device needs it, so that a full device makes no
    stream run dry.

    PortAudio fills PipeWire's own ALSA plugin with silence before it starts and after each time it ran dry (it offers
    its memory, PulseAudio's does not). Such a device comes for its second block only when it has played one; another
    one comes at once. It takes its sound a quantum at a time, 5 to 21 ms.
    """

    def __init__(self, held: float, block: float) -> None:
        self._held = held
        self._least = min(LEAST_SECONDS, held)
        self._full = held - block
        self._quiet = QUIET_SECONDS
        self._out_at = 0.0
        """When the device will have played all that it was given."""
        self._first_at: float | None = None
        """When it was given its first block since it started, while it is not known whether it started full."""
        self._starting = True
        self._started_full = False

    @property
    def sounding(self) -> bool:
        """It was given sound, and no long silence since."""
        return self._quiet < QUIET_SECONDS

    def early(self, at: float, queue: float = 0.0, *, short: bool = False) -> float:
        """By how many seconds the device asks too soon at the moment `at`; `queue` is its own word of how many seconds
        of sound are before what it asks for, those included that are not in its store. `short`: sound is expected of
        which there is not a block yet."""
        if self._starting:
            self._look_at_start(at, queue)
        wanted = self._full if self.sounding and not short else self._least
        return max(self._out_at - at - wanted, 0.0) if wanted < self._full else 0.0

    def ran_dry(self) -> None:
        """The device says so; it starts again, with nothing of what it was given."""
        self._least = self._full if self._started_full else min(self._least + MORE_SECONDS, self._full)
        self._starting, self._first_at, self._started_full = True, None, False
        self._out_at = 0.0

    def _look_at_start(self, at: float, queue: float) -> None:
        if self._first_at is None:
            # What is not full at its first block starts empty.
            self._first_at, self._starting = at, queue >= self._full
            return
        self._starting = False
        if at - self._first_at > (self._held - self._full) / 2:
            self._started_full = True
            self._out_at = at + self._full

    def given(self, at: float, seconds: float, *, sound: bool) -> None:
        self._out_at = min(max(self._out_at, at) + seconds, at + self._held)
        self._quiet = 0.0 if sound else self._quiet + seconds
