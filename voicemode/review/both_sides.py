"""Both sides of a turn in one WAV, each at its place on the clock: the assistant left, the user right, so that either
can still be heard alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.errors import InvalidRequest
from voicemode.logs.logbook import LoggedTurn
from voicemode.recording.sound_files import KeptSound, sound_bytes
from voicemode.review.archive import placed

if TYPE_CHECKING:
    from pydub import AudioSegment

OURS = ("sink", "tts")
THEIRS = ("mic", "clean", "stt")
"""Of each side the first that there is: what was really heard before what was meant to be."""

LONGEST_SECONDS = 3_600.0
"""What lies further apart belongs to different processes, whose clocks are not one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """`left` and `right` name the files; "" where that side is silent."""

    wav: bytes
    seconds: float
    left: str
    right: str


def both_sides(sounds: Sequence[KeptSound], turn: LoggedTurn) -> Mixed:
    """Raises `InvalidRequest` where nothing of the turn was recorded."""
    left, right = _chosen(sounds, OURS), _chosen(sounds, THEIRS)
    if not left and not right:
        raise InvalidRequest(
            f"No sound of turn {turn.id} was kept.",
            hint="VOICEMODE_SAVE_AUDIO=true keeps that of later turns.",
        )
    starts = {sound.path: placed(sound, turn, _zero(turn)) for sound in (*left, *right)}
    began = min(starts.values())
    length = max(starts[sound.path] + sound.seconds for sound in (*left, *right)) - began
    if length > LONGEST_SECONDS:
        raise InvalidRequest(
            f"The recordings of turn {turn.id} lie {length:.0f} s apart: what they say of their time cannot be right."
        )
    rate = max(sound.rate for sound in (*left, *right))
    pydub = _pydub()
    sides = [_side(pydub, side, starts, began, length, rate) for side in (left, right)]
    # Milliseconds are what a segment is cut by: whole samples are what both have in common.
    samples = min(side.frame_count() for side in sides)
    made = pydub.from_mono_audiosegments(*(side.get_sample_slice(0, int(samples)) for side in sides))
    out = io.BytesIO()
    made.export(out, format="wav")
    return Mixed(wav=out.getvalue(), seconds=made.duration_seconds, left=_names(left), right=_names(right))


def _pydub() -> type[AudioSegment]:
    with warnings.catch_warnings():
        # It misses ffmpeg, which only other formats than WAV need, and has old escapes in its strings.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    made: type[AudioSegment] = AudioSegment
    return made


def _zero(turn: LoggedTurn) -> float:
    """The turn's beginning on its process's clock."""
    return next((line.monotonic for line in turn.lines if line.monotonic is not None), 0.0)


def _chosen(sounds: Sequence[KeptSound], kinds: Sequence[str]) -> list[KeptSound]:
    """All of the best kind: a turn may have its sound in several files."""
    for kind in kinds:
        found = [sound for sound in sounds if sound.kind == kind and sound.is_wav]
        if found:
            return found
    return []


def _side(
    pydub: type[AudioSegment],
    sounds: Sequence[KeptSound],
    starts: dict[Path, float],
    began: float,
    length: float,
    rate: int,
) -> AudioSegment:
    side = pydub.silent(duration=round(length * 1000) + 1, frame_rate=rate)
    for sound in sounds:
        part = (
            pydub.from_wav(io.BytesIO(b"".join(sound_bytes(sound))))
            .set_channels(1)
            .set_sample_width(2)
            .set_frame_rate(rate)
        )
        side = side.overlay(part, position=round((starts[sound.path] - began) * 1000))
    return side


def _names(sounds: Sequence[KeptSound]) -> str:
    return ", ".join(sound.path.name for sound in sounds)
