"""A conversation over fakes of which everything is kept, on a clock that its own sound drives."""

from __future__ import annotations

import json
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tests.flows.world import REQUEST, World, over
from voicemode.events import Event
from voicemode.flows.calls import Call
from voicemode.flows.conversation import Conversation
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.recording.recordings import Recordings
from voicemode.recording.taps import KeptStreams, Microphone, kept_sink
from voicemode.recording.turns import KeptTurns
from voicemode.sound.chimes import ChimeRules
from voicemode.speech import Exchange

BEGAN = 1_000.0
"""What the clock says when the first loudspeaker opens."""

AWAY_SECONDS = 1.5
"""For so long there is no loudspeaker between one and the next."""


class TimedMicrophone:
    """A fake microphone's frames, each captured 10 ms after the one before."""

    def __init__(self, frames: AsyncIterator[Frame]) -> None:
        self.captured: float | None = None
        self.read: list[bytes] = []
        self._frames = frames

    async def __anext__(self) -> Frame:
        frame = await anext(self._frames)
        self.read.append(frame.data)
        self.captured = BEGAN + 7.0 + len(self.read) * 0.01
        return frame


class KeptWorld:
    """`world` with taps before its ports."""

    def __init__(self, world: World, recordings: Recordings) -> None:
        self.world = world
        self.turns = KeptTurns(recordings, conversation="talk")
        self.microphones: list[TimedMicrophone] = []

    def conversation(self, *, chimes: ChimeRules | None = None) -> Conversation:
        world = self.world
        microphone = Microphone(self._open_source, self.turns)
        return Conversation(
            mouth=replace(
                world.mouth_ports,
                engine=KeptStreams(world.voice, self.turns),
                open_sink=kept_sink(world.speaker, self.turns, now=self.now),
                begin_recording=self.turns.begin,
                keep_recording=True,
            ),
            ear=replace(
                world.ear_ports,
                open_source=microphone,
                captured=microphone.captured,
                begin_recording=self.turns.begin,
                keep_recording=True,
            ),
            floor=world.floor,
            emit=self._emit,
            chimes=chimes,
            kept=self.turns,
        )

    def now(self) -> float:
        """Driven by what the loudspeakers have pulled."""
        speaker = self.world.speaker
        return BEGAN + len(speaker.heard) / 2 / SPEECH.rate + AWAY_SECONDS * (speaker.opened - 1)

    def _emit(self, event: Event) -> None:
        self.world.watched(event)
        self.turns.watch(event)

    @asynccontextmanager
    async def _open_source(self, fmt: PcmFormat) -> AsyncIterator[TimedMicrophone]:
        async with self.world.microphone(fmt) as frames:
            timed = TimedMicrophone(frames)
            self.microphones.append(timed)
            yield timed


def sound(path: Path) -> bytes:
    """What any player finds in the file."""
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


def the_turn(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The only turn that was kept: where its JSON is, and what it says."""
    (path,) = folder.rglob("*_turn.json")
    return path, json.loads(path.read_text())


def of_kind(told: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [file for file in told["files"] if file["kind"] == kind]


@dataclass(frozen=True, kw_only=True)
class KeptTurn:
    """`told` is the JSON at `path`."""

    kept: KeptWorld
    call: Call
    exchange: Exchange
    path: Path
    told: dict[str, Any]

    def file(self, kind: str) -> dict[str, Any]:
        """The only one of its kind."""
        (file,) = of_kind(self.told, kind)
        return file

    def sound(self, kind: str) -> bytes:
        return sound(self.path.with_name(self.file(kind)["name"]))


async def kept_turn(
    folder: Path,
    world: World,
    text: str = "how are you?",
    *,
    kind: Literal["speak", "converse"] = "converse",
    secrets: Sequence[str] = (),
) -> KeptTurn:
    """One call to its end, and what is kept of it in `folder`."""
    with Recordings(folder, secrets=secrets) as recordings:
        kept = KeptWorld(world, recordings)
        conversation = kept.conversation()
        ask = conversation.speak if kind == "speak" else conversation.converse
        call = ask(text, REQUEST)
        exchange = await over(call)
        path, told = the_turn(folder)
    return KeptTurn(kept=kept, call=call, exchange=exchange, path=path, told=told)


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
