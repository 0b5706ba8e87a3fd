"""Chunks of sound that were made one by one become one sound: where two meet, one melts into the other."""

from __future__ import annotations

from voicemode.pcm import Frame, PcmFormat
from voicemode.sound.joins import FADE_SECONDS
from voicemode.sound.mixing import crossfade


class Crossfade:
    """Stage: frames in, frames out, the last `seconds` of each held back until it is known what follows.

    After `join` the next chunk begins: its first `seconds` are laid over the last of the one before, with gains that
    sum to one. What both carry stays as it is, and each join makes the whole `seconds` shorter. Of chunks shorter than
    that, as much overlaps as there is.
    """

    def __init__(self, fmt: PcmFormat, seconds: float = FADE_SECONDS) -> None:
        self._format = fmt
        self._size = fmt.samples(seconds) * fmt.bytes_per_sample
        self._held = b""
        """The end of what was fed, not longer than the overlap."""
        self._before: bytes | None = None
        """The end of the chunk before, while the present one is shorter than it."""

    def feed(self, item: Frame) -> list[Frame]:
        if item.format != self._format:
            raise ValueError(f"a frame of {item.format} among frames of {self._format}")
        self._held += item.data
        if self._before is not None and len(self._held) >= len(self._before):
            self._meet()
        if self._before is not None:
            return []
        cut = max(len(self._held) - self._size, 0)
        data, self._held = self._held[:cut], self._held[cut:]
        return self._out(data)

    def join(self) -> list[Frame]:
        """The chunk has ended, and another follows."""
        out = self._end_short_chunk()
        if self._held:
            self._before, self._held = self._held, b""
        return out

    def flush(self) -> list[Frame]:
        """The sound has ended: the last chunk is untouched at its end."""
        out = self._end_short_chunk()
        data, self._held = self._held, b""
        return out + self._out(data)

    def _end_short_chunk(self) -> list[Frame]:
        """A chunk that ended before the overlap did lies over as much of the end before it."""
        if self._before is None:
            return []
        if not self._held:
            # Nothing came behind the join: the chunk before is the last one.
            self._held, self._before = self._before, None
            return []
        first = len(self._before) - len(self._held)
        data, self._before = self._before[:first], self._before[first:]
        self._meet()
        return self._out(data)

    def _meet(self) -> None:
        assert self._before is not None
        size = len(self._before)
        before = Frame(data=self._before, format=self._format)
        after = Frame(data=self._held[:size], format=self._format)
        self._held = crossfade(before, after).data + self._held[size:]
        self._before = None

    def _out(self, data: bytes) -> list[Frame]:
        return [Frame(data=data, format=self._format)] if data else []
