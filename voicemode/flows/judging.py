"""What the microphone gives, as a turn hears it: cut to the detector's frames, without our own sound, judged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from voicemode import clock
from voicemode.pcm import Frame, Framer
from voicemode.ports import VOICELIKE, Vad
from voicemode.sound.levels import QUIETEST, Room, mean_decibels, part_decibels

VOICE = 0.5
"""The probability from which a frame counts as voice."""

MAYBE = 0.07
"""From here on it may be one that begins: 95 of 100 frames of a silence have less (decision 0009)."""


class Echo(Protocol):
    """What knows our own sound, as the loudspeaker was given it, and takes it out of what the microphone gives."""

    @property
    def frame_samples(self) -> int: ...

    @property
    def clean(self) -> bool:
        """What is `free` and sounds like a voice is not ours: the way from loudspeaker to microphone is known."""

    @property
    def known(self) -> bool:
        """That way was found before, and is the same."""

    @property
    def mistaken(self) -> bool:
        """With the last frame it was found that the way is another: what was free lately was ours."""

    @property
    def free(self) -> bool:
        """Whether the last frame holds clearly more than the echo that is to be expected."""

    def near(self, frame: Frame) -> Frame:
        """A frame of `frame_samples` from the microphone → the same with our sound subtracted."""

    @property
    def quieted(self) -> Frame:
        """The last frame with nothing of us in it, and of the user what that leaves."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A frame of the detector's size. `began` is when its first sample was heard, `free` that it holds more than our
    own sound; `known` that the way of our sound need not be learnt; `mistaken` that what was free lately was not;
    `quieted` has less of us in it, and of the user (None: the same)."""

    frame: Frame
    began: float
    free: bool = True
    known: bool = False
    mistaken: bool = False
    quieted: Frame | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A sound and what the detector takes it for: `maybe` where it is in doubt, `voicelike` a voice that opens no turn
    and goes on with none; `known` and `mistaken` as of the sound. `margin` is how many dB it stands out of the room,
    `level` how loud it is, `parts` how loud its parts are."""

    frame: Frame
    began: float
    voice: bool = False
    maybe: bool = False
    voicelike: bool = False
    known: bool = False
    mistaken: bool = False
    level: float = QUIETEST
    parts: tuple[float, ...] = ()
    margin: float = 0.0
    quieted: Frame | None = None


class Ear:
    """One microphone's judge, from its opening to its closing."""

    def __init__(self, vad: Vad, echo: Echo | None, captured: Callable[[], float] = clock.monotonic) -> None:
        self._vad = vad
        self._captured = captured
        self.format = vad.format
        self._echo = echo
        self._room = Room()

    @property
    def onset_seconds(self) -> float:
        return self._vad.onset_seconds

    @property
    def overhang_seconds(self) -> float:
        return self._vad.overhang_seconds

    @property
    def hears_past_us(self) -> bool:
        """Whether there is anything that could tell a voice from ours."""
        return self._echo is not None

    @property
    def clean(self) -> bool:
        return self._echo is not None and self._echo.clean

    async def sounds(self, source: AsyncIterator[Frame]) -> AsyncIterator[Sound]:
        framer, quieter = (Framer(self.format, self._vad.frame_samples) for _ in range(2))
        pieces = Framer(self.format, self._echo.frame_samples) if self._echo is not None else None
        free = mistaken = False
        waiting = 0.0
        """Seconds that came and have not been given on."""
        async for block in source:
            waiting += block.seconds
            heard = pieces.feed(block.data) if pieces is not None else [block]
            for piece in heard:
                cleaned = self._echo.near(piece) if self._echo is not None else piece
                free = free or self._echo is None or self._echo.free
                mistaken = mistaken or (self._echo is not None and self._echo.mistaken)
                quieted = self._echo.quieted if self._echo is not None else piece
                for frame, other in zip(framer.feed(cleaned.data), quieter.feed(quieted.data), strict=True):
                    yield Sound(
                        frame=frame,
                        began=self._captured() - waiting,
                        free=free,
                        known=self._echo is not None and self._echo.known,
                        mistaken=mistaken,
                        quieted=other,
                    )
                    waiting -= frame.seconds
                    free = mistaken = False

    def judge(self, sound: Sound) -> Judged:
        """Every frame in order, or none: detectors remember."""
        probability = self._vad.feed(sound.frame)
        parts = part_decibels(sound.frame)
        voice, level = probability >= VOICE, mean_decibels(parts)
        voicelike = probability == VOICELIKE
        return Judged(
            frame=sound.frame,
            began=sound.began,
            voice=voice,
            maybe=probability >= MAYBE,
            voicelike=voicelike,
            known=sound.known,
            mistaken=sound.mistaken,
            level=level,
            parts=parts,
            margin=self._room.feed(level, sound.frame.seconds, voice=voice and not voicelike),
            quieted=sound.quieted,
        )

    def close(self) -> None:
        if self._echo is not None:
            self._echo.close()
