"""A microphone with a key: pressed, it begins to be heard, and pressed again the turn is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from voicemode.flows.listening import ListeningPorts
from voicemode.pcm import LISTENING, Frame, PcmFormat

TAIL_SECONDS = 0.15
"""Taken in after the key: what the microphone's driver and library still hold was said before it."""


class KeyIsVoice:
    """The `Vad` of somebody who presses a key to talk: all that comes is meant."""

    format = LISTENING
    frame_samples = 320
    onset_seconds = 0.3
    overhang_seconds = 0.0

    def feed(self, frame: Frame) -> float:
        return 1.0


class KeyedMicrophone:
    """A way to listen in which a turn ends with a key, where nothing ends it before.

    With `push_to_talk` it also begins with one, no detector decides, and nothing is transcribed before its end. `press`
    may come before the microphone is open; each opening begins anew. It waits for the first press for no longer than
    `longest` seconds (None: than a turn may last), since others wait for the floor meanwhile.
    """

    def __init__(self, *, push_to_talk: bool, longest: float | None = None) -> None:
        self._waits = push_to_talk
        self._longest = longest
        self.heard = not push_to_talk
        """Whether what comes is the user's."""
        self.unpressed = False
        """The first press was waited for in vain."""
        self._over = False

    def press(self) -> None:
        self.heard, self._over = True, self.heard

    def hears(self, ear: ListeningPorts) -> ListeningPorts:
        """The same ear, with the key."""
        longest = ear.rules.maximum if self._longest is None else self._longest

        @asynccontextmanager
        async def open_source(format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
            async with ear.open_source(format) as source:
                try:
                    yield self._sound(source, longest)
                finally:
                    self.heard, self._over = not self._waits, False

        keyed = replace(ear, open_source=open_source)
        if not self._waits:
            return keyed
        return replace(
            keyed,
            open_vad=KeyIsVoice,
            rules=replace(ear.rules, silence=None, no_speech=ear.rules.maximum),
            speculative=False,
            barge_in=False,
            open_echo=None,
        )

    async def _sound(self, source: AsyncIterator[Frame], longest: float) -> AsyncIterator[Frame]:
        """Zeros are let through as long as nothing else has come: a dead microphone is told at once, and not when
        somebody has talked into it."""
        alive = False
        left = TAIL_SECONDS
        async for frame in source:
            alive = alive or any(frame.data)
            if self._over and alive:
                left -= frame.seconds
                if left < -1e-9:
                    return
            if self.heard or not alive:
                yield frame
                continue
            longest -= frame.seconds
            if longest < 1e-9:
                self.unpressed = True
                return
