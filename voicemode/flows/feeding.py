"""From text to a playback buffer: sound is rendered as fast as the buffer takes it, and its samples told from one
another: speech, the audible part of it, and what only follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from voicemode.errors import VoiceModeError
from voicemode.events import Emit, Event, SpeechBroken, SpeechReceived, SpeechRequested
from voicemode.flows.loudspeakers import Loudspeakers
from voicemode.flows.rendering import Rendering, RenderingPorts
from voicemode.pcm import Frame
from voicemode.playout.links import HeadStart
from voicemode.sound.levels import audible_to
from voicemode.speech import SpeechRequest

WRITE_SECONDS = 0.1
"""Decoded sound is handed to the buffer in parts of this size, so that a large frame cannot overfill it."""


class Feeding:
    """One message's sound on its way to `into`. `chime` follows the last word; `keep` is shown everything.

    `streaming` lets the link say how much is gathered before the first sample; without it, it is everything.
    Raises `InvalidRequest` when there is nothing to say or too much.
    """

    def __init__(
        self,
        ports: RenderingPorts,
        text: str | AsyncIterator[str],
        request: SpeechRequest,
        *,
        into: Loudspeakers,
        turn: str,
        emit: Emit,
        keep: Callable[[Frame], None],
        streaming: bool = True,
        chime: Frame | None = None,
    ) -> None:
        self.ended = asyncio.Event()
        """Set when all sound is in the buffer, or none will come."""
        self.broken: VoiceModeError | None = None
        self.speech_samples = 0
        """How many there are of the words, those included that came after a cut; known at the end."""
        self.cut_off = False
        """It was ended from outside; how many more there are, nobody knows."""
        self.rendering = Rendering(ports, text, request, turn=turn, emit=self._rendered, on_fill=self._fill)
        self._into = into
        self._emit = emit
        self._keep = keep
        self._streaming = streaming
        self._chime = chime
        self._fed = 0
        """Samples that have come, also those that came after a cut and went nowhere: what was heard is a part of all of
        them."""
        self._audible_samples = 0
        """Written up to the end of the last audible one of them; 0 where there is none."""
        self._asked = 0
        """The last piece that sound was asked for."""

    @property
    def last_audible(self) -> int:
        """Samples up to the end of the last audible one: voices end in a quarter of a second of silence."""
        return self._audible_samples or self.speech_samples

    @property
    def given_out(self) -> bool:
        """Its last audible sample is with the loudspeaker, heard or not: nothing is left to be held back."""
        playback = self._into.playback
        return playback.over or (self.ended.is_set() and playback.given >= self.last_audible)

    async def run(self) -> None:
        """Engine → decoder → buffer. The first failure ends it; what came is still played."""
        playback = self._into.playback
        try:
            await self.rendering.run(self._write)
            self.speech_samples = self._fed
            if self._chime is not None and self.speech_samples:
                await self._write(None, self._chime)
        except VoiceModeError as error:
            self.broken = error
        except asyncio.CancelledError:
            self.cut_off = not self.speech_samples
            raise
        finally:
            self.speech_samples = self.speech_samples or self._fed
            playback.end()
            self.ended.set()
            if self.given_out:
                # Paused where only silence followed: whoever listens for an answer need not wait.
                playback.resume()

    async def _write(self, piece: int | None, frame: Frame) -> None:
        playback = self._into.playback
        for part in _parts(frame):
            await self._into.room()
            if piece is not None:
                self.rendering.ledger.sound(piece, at=self._fed, samples=part.samples)
                if audible := audible_to(part):
                    self._audible_samples = playback.written + audible
            self._fed += part.samples
            self._keep(part)
            if not self._into.missing:
                playback.write(part)

    def _fill(self, start: HeadStart) -> None:
        if self._streaming:
            self._into.playback.fill(start.sound, start.wait)

    def _rendered(self, event: Event) -> None:
        """While no sound is on order, a silence waits for text to be written."""
        playback = self._into.playback
        if isinstance(event, SpeechRequested):
            self._asked = event.piece
            playback.expecting = True
        elif isinstance(event, SpeechReceived):
            playback.expecting = self._asked > event.piece
        elif isinstance(event, SpeechBroken):
            playback.expecting = bool(event.again)
        self._emit(event)


def _parts(frame: Frame) -> Iterator[Frame]:
    size = frame.format.samples(WRITE_SECONDS) * frame.format.bytes_per_sample
    for start in range(0, len(frame.data), size):
        yield Frame(data=frame.data[start : start + size], format=frame.format)
