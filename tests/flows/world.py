"""A conversation over fakes: everything it touches, and ears that keep one waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tests.support.fakes import (
    ROOM,
    SPOKEN,
    FakeEar,
    FakeEcho,
    FakeLoudspeaker,
    FakeMicrophone,
    FakeVoice,
    LoudVad,
    OpenFloor,
    Shelf,
    Watched,
    open_passing,
    until,
)
from voicemode.errors import VoiceModeError
from voicemode.events import Event
from voicemode.flows.calls import Call
from voicemode.flows.conversation import Conversation
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.speaking import SpeakingPorts
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playout.links import Links
from voicemode.ports import Floor
from voicemode.sound.chimes import ChimeRules
from voicemode.speech import Exchange, SpeechRequest, Transcript, TranscriptionRequest
from voicemode.turn_taking.turn import TurnRules

REQUEST = SpeechRequest(text="")
RULES = TurnRules(silence=0.5, no_speech=2.0, maximum=4.0)
ANSWER = [*[ROOM] * 40, *[SPOKEN] * 50, *[ROOM] * 60]
"""0.4 s of room, 0.5 s of voice, and more silence than ends a turn."""
LIMIT_SECONDS = 20.0


class SlowEar(FakeEar):
    """A recogniser that never answers; `listening` counts those that wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.listening = 0

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        self.asked.append(request)
        self.listening += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.listening -= 1
        raise AssertionError("nobody sets the event")


class LateEar(FakeEar):
    """A recogniser that answers once `answering` is set."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.answering = asyncio.Event()

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        await self.answering.wait()
        return await super().transcribe(request)


class PatientMicrophone(FakeMicrophone):
    """Gives its blocks once nothing sounds any more: a user who lets others finish."""

    def __init__(self, blocks: Sequence[bytes], speaker: FakeLoudspeaker) -> None:
        super().__init__(blocks)
        self._speaker = speaker

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        await until(lambda: self._speaker.open == 0)
        async for frame in super()._frames(fmt):
            yield frame


class SteadyMicrophone(FakeMicrophone):
    """Gives a block for each 10 ms that the loudspeaker pulls, and runs on when that is closed."""

    def __init__(
        self, blocks: Sequence[bytes], speaker: FakeLoudspeaker, *, error: VoiceModeError | None = None
    ) -> None:
        super().__init__(blocks, error=error)
        self._speaker = speaker

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        size = 2 * SPEECH.samples(0.01)
        begun = len(self._speaker.heard) // size
        number = 0
        async for frame in super()._frames(fmt):
            number += 1
            await until(
                lambda: not self._speaker.open or len(self._speaker.heard) // size >= begun + number  # noqa: B023
            )
            yield frame


class World:
    """Everything that a conversation touches."""

    def __init__(
        self,
        *,
        blocks: Sequence[bytes] = ANSWER,
        voice: FakeVoice | None = None,
        speaker: FakeLoudspeaker | None = None,
        microphone: FakeMicrophone | None = None,
        ear: FakeEar | None = None,
        floor: Floor | None = None,
        rules: TurnRules = RULES,
        keep_recording: bool = False,
        speculative: bool = True,
        echo: FakeEcho | None = None,
        barge_in: bool = False,
    ) -> None:
        self.voice = voice or FakeVoice()
        self.speaker = speaker or FakeLoudspeaker()
        self.microphone = microphone or PatientMicrophone(blocks, self.speaker)
        self.ear = ear or FakeEar()
        self.floor = floor or OpenFloor()
        self.shelf = Shelf()
        self.watched = Watched()
        self.mouth_ports = SpeakingPorts(
            engine=self.voice,
            open_decoder=open_passing,
            open_sink=self.speaker,
            begin_recording=self.shelf,
            emit=self.watched,
            links=Links(fill_seconds=0.15, limit_seconds=2.0),
        )
        self.ear_ports = ListeningPorts(
            open_source=self.microphone,
            open_vad=LoudVad,
            engine=self.ear,
            begin_recording=self.shelf,
            emit=self.watched,
            rules=rules,
            keep_recording=keep_recording,
            speculative=speculative,
            open_echo=(lambda: echo) if echo is not None else None,
            barge_in=barge_in,
        )

    def conversation(self, *, chimes: ChimeRules | None = None) -> Conversation:
        return Conversation(
            mouth=self.mouth_ports,
            ear=self.ear_ports,
            floor=self.floor,
            emit=self.watched,
            chimes=chimes,
        )

    def of(self, turn: str) -> list[Event]:
        return [event for event in self.watched.events if event.turn == turn]

    @property
    def quiet(self) -> bool:
        """No device is open and no engine is asked."""
        return not (self.speaker.open or self.microphone.open or self.voice.open)


async def over(call: Call) -> Exchange:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await call.result()
