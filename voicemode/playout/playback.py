"""The playback machine and its buffer: what the loudspeaker is given, sample by sample.

The flow writes decoded frames in, the device pulls samples out in its own thread; the device is the metronome.
Nothing here waits, knows the time or touches a device. Seconds come from counting samples.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from enum import Enum

from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.pulling import BLOCK_SECONDS
from voicemode.playout.trail import LONGEST_LATENCY_SECONDS, Trail
from voicemode.sound.joins import FADE_SECONDS


class State(Enum):
    FILLING = "filling"
    """Nothing has sounded yet: silence until the first mark is reached."""
    PLAYING = "playing"
    REBUFFERING = "rebuffering"
    """The buffer ran dry before the end, or a pause is over: silence until the mark is reached."""
    PAUSED = "paused"
    DRAINING = "draining"
    """All sound is in the buffer; the rest is played and the device given time to make it audible."""
    DONE = "done"
    CUT = "cut"


class Signal(Enum):
    FILLED = "filled"
    RAN_DRY = "ran dry"
    ENDED = "ended"
    PLAYED_OUT = "played out"
    PAUSE = "pause"
    RESUME = "resume"
    CUT = "cut"


TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.FILLING, Signal.FILLED): State.PLAYING,
    (State.FILLING, Signal.ENDED): State.DRAINING,
    (State.FILLING, Signal.PAUSE): State.PAUSED,
    (State.FILLING, Signal.CUT): State.CUT,
    (State.PLAYING, Signal.RAN_DRY): State.REBUFFERING,
    (State.PLAYING, Signal.ENDED): State.DRAINING,
    (State.PLAYING, Signal.PAUSE): State.PAUSED,
    (State.PLAYING, Signal.CUT): State.CUT,
    (State.REBUFFERING, Signal.FILLED): State.PLAYING,
    (State.REBUFFERING, Signal.ENDED): State.DRAINING,
    (State.REBUFFERING, Signal.PAUSE): State.PAUSED,
    (State.REBUFFERING, Signal.CUT): State.CUT,
    (State.PAUSED, Signal.RESUME): State.REBUFFERING,
    (State.PAUSED, Signal.CUT): State.CUT,
    (State.DRAINING, Signal.PLAYED_OUT): State.DONE,
    (State.DRAINING, Signal.PAUSE): State.PAUSED,
    (State.DRAINING, Signal.CUT): State.CUT,
}
"""Every move there is; a signal without a row changes nothing. The picture in specs/speaking.md is drawn from it."""


SOUNDING = (State.PLAYING, State.DRAINING)


class Moment(Enum):
    """What the flow is told. Comes from the device's thread or from the caller's: the watcher must not block."""

    FIRST_AUDIO = "first audio"
    RAN_DRY = "ran dry"
    """Sound that was expected came too late; an underrun if more of it comes."""
    RESUMED = "resumed"
    """Sound goes on after silence within it."""
    PAUSED = "paused"
    ROOM = "room"
    OVER = "over"


Watch = Callable[[Moment, int, int], None]
"""(moment, position in samples of speech at which it happened, how many samples of sound and silence the device has
pulled from there on: by so much the moment is heard sooner than what it pulls next)."""

BEGINNINGS = frozenset({Moment.FIRST_AUDIO, Moment.RESUMED})
"""They happen at the first sample of a pull; the others behind the last of its speech."""

REFILL_GROWTH = 2.0
"""Each underrun doubles the mark: the link has shown that the last one was too small."""

DRAIN_MARGIN_SECONDS = 0.02
"""Silence pulled beyond the stated latency before the end is believed: one or two periods of a common device."""


class Playback:
    """One utterance's buffer and machine.

    `fill_seconds` of sound are gathered before the first sample is given out; at most `limit_seconds` of decoded
    sound are asked for ahead (`room` says how much). `device_latency` (set when the device is open) tells how many
    seconds a pulled sample now takes to be audible.
    """

    def __init__(
        self, fmt: PcmFormat, *, fill_seconds: float, limit_seconds: float, watch: Watch | None = None
    ) -> None:
        self.format = fmt
        self.device_latency: Callable[[], float] = lambda: 0.0
        self.expecting = True
        """Sound has been asked for and has not all come. A buffer that runs dry otherwise waits for text to be written:
        the link is not to blame."""
        self._size = fmt.bytes_per_sample
        self._block = fmt.samples(BLOCK_SECONDS) * fmt.bytes_per_sample
        self._limit = max(fmt.samples(limit_seconds), 1)
        self._mark = min(fmt.samples(fill_seconds), self._limit)
        self._wait = math.inf
        """Samples still to be pulled, since the first was written, until what is there is given out."""
        self._watch: Watch = watch or (lambda moment, position, after: None)
        self._lock = threading.Lock()
        self._state = State.FILLING
        self._buffer = bytearray()
        self._pausing: set[str] = set()
        self._ended = False
        self._full = False
        self._written = 0
        self._given = 0
        self._silence_since_end = 0
        self._trail = Trail(fmt)
        self._frozen_heard: int | None = None
        self._history = bytearray()
        """What was given last: at least `_remembered` bytes of it, at most twice as much."""
        self._remembered = fmt.samples(LONGEST_LATENCY_SECONDS) * self._size
        self._sounded = False
        self._goes_on = False
        """With the next pull sound follows a silence."""
        self._levels = 0
        self._blocks = 0

    # What the flow may ask.

    @property
    def latency(self) -> float:
        """Seconds from pull to audible sound, now."""
        return self.device_latency()

    @property
    def state(self) -> State:
        return self._state

    @property
    def over(self) -> bool:
        return self._state in (State.DONE, State.CUT)

    @property
    def buffered(self) -> int:
        """Samples written and not yet given to the device."""
        return len(self._buffer) // self._size

    @property
    def written(self) -> int:
        return self._written

    @property
    def given(self) -> int:
        """Samples that the device has taken, audible or not yet."""
        return self._given

    @property
    def short(self) -> bool:
        """What sounds is to go on, and less than a block of it has come."""
        return self._state is State.PLAYING and len(self._buffer) < self._block

    @property
    def has_room(self) -> bool:
        return self.buffered < self._limit

    @property
    def refill_seconds(self) -> float:
        return self.format.seconds(self._mark)

    @property
    def blocks(self) -> int:
        """Blocks of sound that the device has taken."""
        return self._blocks

    @property
    def average_buffer(self) -> float:
        """Seconds of sound held, on average over the blocks that the device has taken."""
        return self.format.seconds(self._levels) / self._blocks if self._blocks else 0.0

    @property
    def heard(self) -> int:
        """Samples of speech that have become audible, by the device's clock."""
        with self._lock:
            return self._heard()

    # What the flow may do.

    def write(self, frame: Frame) -> None:
        """Adds sound. Never refuses: the writer looks at `has_room` first, so that nothing is ever dropped."""
        if frame.format != self.format:
            raise ValueError(f"playback runs at {self.format}, not {frame.format}")
        moments: list[Moment] = []
        with self._lock:
            if self.over or self._ended:
                return
            self._buffer += frame.data
            self._written += frame.samples
            self._full = not self.has_room
            self._look_at_mark(moments)
            position = self._given
        self._tell(moments, position)

    def fill(self, seconds: float, wait: float = math.inf) -> None:
        """Another first mark, for a link that turned out to need more or less: so much sound, or so long a wait
        since the first of it. Later marks grow by themselves."""
        moments: list[Moment] = []
        with self._lock:
            if self._state is State.FILLING:
                self._mark = min(self.format.samples(seconds), self._limit)
                self._wait = wait * self.format.rate
                if self.buffered:
                    self._look_at_mark(moments)
            position = self._given
        self._tell(moments, position)

    def rewind(self) -> int:
        """Back to the first sample that was not heard, for a device that has gone with what it held; the next device
        begins there. Gives that position."""
        with self._lock:
            if not self.over:
                heard = self._heard()
                size = self.format.bytes_per_sample
                back = min(self._given - heard, len(self._history) // size)
                start = len(self._history) - back * size
                self._buffer[:0] = self._history[start:]
                del self._history[start:]
                self._given -= back
                self._silence_since_end = 0
                self._trail.begin(self._given)
            return self._given

    def end(self) -> None:
        """Nothing more will be written: what is there is played out."""
        self._act(Signal.ENDED)

    def pause(self, by: str = "caller") -> None:
        """Silence from the next pull on, until everybody who paused it has resumed it."""
        self._pausing.add(by)
        self._act(Signal.PAUSE)

    def resume(self, by: str = "caller") -> None:
        self._pausing.discard(by)
        if not self._pausing:
            self._act(Signal.RESUME)

    def cut(self) -> None:
        """Silence from the next pull on; what was heard until now stays known."""
        self._act(Signal.CUT)

    def take(self) -> Frame:
        """Everything buffered, at once and past the machine: for a file, where no device keeps the time."""
        with self._lock:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._full = False
        return Frame(data=data, format=self.format)

    # What the device does.

    def pull(self, samples: int) -> bytes:
        """Exactly `samples` samples: sound where there is some to give, silence where there is not.

        Called a hundred times a second by a thread that has slept, with nothing of it left in the processor's caches:
        what it costs is the number of calls and names in it.
        """
        moments: list[Moment] = []
        with self._lock:
            data = b""
            if self._state is State.FILLING and self._buffer:
                if self._wait <= samples / 2:  # On average the sound came in the middle of a pull.
                    self._signal(Signal.FILLED, moments)
                self._wait -= samples
            if self._state in SOUNDING:
                data = self._give(samples * self._size, moments)
            given = len(data) // self._size
            self._trail.pulled(samples, given, self._given, self.device_latency)
            if not self._buffer and self._state is State.DRAINING:
                self._drain(samples - given, moments)
            position = self._given
        for moment in moments:
            begins = moment in BEGINNINGS
            self._watch(moment, position - given if begins else position, samples - (0 if begins else given))
        return data if given == samples else data + bytes((samples - given) * self._size)

    def _give(self, size: int, moments: list[Moment]) -> bytes:
        """At most `size` bytes."""
        data = bytes(self._buffer[:size])
        if data:
            del self._buffer[:size]
            self._remember(data, moments)
            if self._full and self.buffered <= self._limit * 3 // 4:
                self._full = False
                moments.append(Moment.ROOM)
        if len(data) < size and not self._ended:
            if self.expecting:
                self._mark = min(int(self._mark * REFILL_GROWTH) or self.format.samples(0.1), self._limit)
                moments.append(Moment.RAN_DRY)
            self._signal(Signal.RAN_DRY, moments)
        return data

    def _remember(self, data: bytes, moments: list[Moment]) -> None:
        if not self._sounded:
            self._sounded = True
            moments.append(Moment.FIRST_AUDIO)
        elif self._goes_on:
            moments.append(Moment.RESUMED)
        self._goes_on = False
        self._given += len(data) // self._size
        self._blocks += 1
        self._levels += len(self._buffer) // self._size
        history = self._history
        history += data
        if len(history) > 2 * self._remembered:
            del history[: len(history) - self._remembered]

    def _drain(self, silence: int, moments: list[Moment]) -> None:
        self._silence_since_end += silence
        drain = self.format.samples(self.latency + DRAIN_MARGIN_SECONDS)
        if not self._sounded or self._silence_since_end >= drain:
            self._signal(Signal.PLAYED_OUT, moments)

    def _heard(self) -> int:
        if self._frozen_heard is not None:
            return self._frozen_heard
        if self._state is State.DONE:
            return self._given
        return self._trail.heard(self.latency)

    # The machine.

    def _act(self, signal: Signal) -> None:
        moments: list[Moment] = []
        with self._lock:
            if signal is Signal.ENDED:
                self._ended = True
            if signal is Signal.CUT and not self.over:
                self._frozen_heard = self._heard()
                self._buffer.clear()
            self._signal(signal, moments)
            if signal is Signal.RESUME:
                if self._ended:
                    self._signal(Signal.ENDED, moments)
                self._look_at_mark(moments)
            if self._state is State.DRAINING and self._written == 0:
                self._signal(Signal.PLAYED_OUT, moments)
            position = self._given
        self._tell(moments, position)

    def _look_at_mark(self, moments: list[Moment]) -> None:
        if self.buffered >= max(self._mark, 1):
            self._signal(Signal.FILLED, moments)

    def _signal(self, signal: Signal, moments: list[Moment]) -> None:
        before = self._state
        after = TRANSITIONS.get((before, signal), before)
        if after is before:
            return
        self._state = after
        if after is State.PAUSED:
            moments.append(Moment.PAUSED)
        elif before is State.REBUFFERING and self._follows(after):
            self._goes_on = True
        elif after in (State.DONE, State.CUT):
            moments.append(Moment.OVER)

    def _follows(self, after: State) -> bool:
        """Sound follows the silence, and not only what is held back until the end is known to be one."""
        least = self.format.samples(FADE_SECONDS) if after is State.DRAINING else 0
        return after in SOUNDING and self.buffered > least

    def _tell(self, moments: list[Moment], position: int) -> None:
        for moment in moments:
            self._watch(moment, position, 0)
