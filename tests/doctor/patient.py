"""An app on fakes that the doctor may look at: a home, a loudspeaker and a microphone of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.doors.door import FakedApp, World
from tests.support.fakes import FakeLoudspeaker, FakeMicrophone
from voicemode.devices.soundcard import SoundCard
from voicemode.logs.eventlog import EventLog
from voicemode.ports import OpenSink, OpenSource
from voicemode.recording.recordings import Recordings


class FakeCard(SoundCard):
    """A sound card made of fakes."""

    def __init__(self, speaker: OpenSink, microphone: OpenSource) -> None:
        super().__init__(loaders=[])
        self.open_sink = speaker  # type: ignore[assignment,method-assign]
        self.open_source = microphone  # type: ignore[assignment,method-assign]


NOISE = b"\1\1"


class Patient(FakedApp):
    """An app on fakes, with a home of its own."""

    def __init__(self, world: World, folder: Path, log: EventLog, recordings: Recordings) -> None:
        super().__init__(world, folder, log, recordings)
        self.environment = {"HOME": str(folder), "PATH": ""}
        self.heard = FakeMicrophone([NOISE * 160] * 300)
        self.speaker = FakeLoudspeaker()
        self.card = FakeCard(self.speaker, self.heard)


@asynccontextmanager
async def patient(folder: Path, **environment: str) -> AsyncIterator[Patient]:
    with EventLog(folder / "events", enabled=False) as log, Recordings(folder / "recordings") as recordings:
        app = Patient(World(**environment), folder, log, recordings)
        try:
            yield app
        finally:
            await app.conversation.close()
