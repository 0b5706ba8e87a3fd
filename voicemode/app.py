"""The root: builds everything from a configuration and closes it again. The only place that sees every layer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from voicemode import clock
from voicemode.codecs import open_decoder
from voicemode.codecs.convert import Converter
from voicemode.configuration.config import Config
from voicemode.configuration.variables import BargeIn
from voicemode.devices.backend import DeviceReport
from voicemode.devices.place import look_around
from voicemode.devices.soundcard import SoundCard
from voicemode.errors import VoiceModeError
from voicemode.events import Warned
from voicemode.flows.conversation import Conversation
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.rendering import NewSplitter
from voicemode.flows.speaking import SpeakingPorts
from voicemode.logs.eventlog import EventLog
from voicemode.machine.floor import MachineFloor
from voicemode.machine.pronunciation_files import splitters
from voicemode.machine.settings_files import Folders, folders, working_folder
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.links import Links
from voicemode.ports import BeginRecording, Stage, Vad
from voicemode.recording.recordings import Recordings
from voicemode.recording.taps import KeptStreams
from voicemode.sound.chimes import ChimeRules
from voicemode.speech import SpeechRequest, Voice
from voicemode.text import languages
from voicemode.text.sentences import MESSAGES, SplitRules
from voicemode.turn_taking.turn import TurnRules
from voicemode.wiring.line_up import LineUp
from voicemode.wiring.sound_ends import SoundEnds
from voicemode.wiring.witnesses import Witnesses

if TYPE_CHECKING:
    from voicemode.machine.interruptible import Permission
    from voicemode.recording.answers import LeftAnswer
    from voicemode.recording.turns import KeptTurns
    from voicemode.wiring.status import Engines, Status

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = MappingProxyType({})


class App:
    """Everything that is open, and what the doors may ask of it."""

    def __init__(
        self,
        *,
        config: Config,
        places: Folders,
        log: EventLog,
        recordings: Recordings,
        card: SoundCard,
        environment: Mapping[str, str] = NOTHING,
    ) -> None:
        self.config = config
        self.environment = environment
        self.places = places
        self.card = card
        self.log = log
        self.recordings = recordings
        self.witnesses = Witnesses(log)
        self.line_up = self._line_up()
        self.floor = MachineFloor(places.data, on_warning=self.witnesses.warn)
        self.kept = self._kept_turns() if config.keeps_audio else None
        self._ends = SoundEnds(
            config.sound, card, self.kept, data=places.data, on_warning=self.witnesses.warn
        )
        self.ways = self._ends.ways
        self.meanwhile = self._ends.meanwhile
        if self.kept is not None:
            self.witnesses.add(self.kept.watch)
        if self.meanwhile is not None:
            self.witnesses.add(self.meanwhile.watch)
        if config.keeps_transcripts and not config.keeps_audio:
            self.witnesses.add(recordings.keep_text)
        self.conversation = self._conversation(self.ear())

    def request(
        self,
        *,
        voice: str | None = None,
        speed: float | None = None,
        instructions: str | None = None,
        language: str | None = None,
    ) -> SpeechRequest:
        """A speech request with the configuration's values where a call names none."""
        settings = self.config.speech
        return SpeechRequest(
            text="",
            voice=voice or None,
            speed=settings.speed if speed is None else speed,
            instructions=instructions or None,
            format=settings.audio_format,
            language=language,
        )

    @property
    def language(self) -> str | None:
        """The language the user speaks, None when the recogniser finds out."""
        return languages.tag(self.config.listening.language)

    async def voices(self) -> list[Voice]:
        return await self.line_up.speech.voices()

    async def status(self, *, check: bool = False) -> Status:
        """`check` asks every endpoint; without it nothing leaves this machine."""
        from voicemode.wiring.status import Status

        engines, devices = await asyncio.gather(self.engines(check=check), self.devices())
        return Status(
            speech=engines.speech,
            transcription=engines.transcription,
            devices=devices,
            interrupting=str(await self.interruptible(devices)),
            floor=self.floor.shown(),
            problems=self.config.problems,
            folders=self.places,
        )

    async def engines(self, *, check: bool = False) -> Engines:
        """Who would speak and listen; `check` asks every endpoint."""
        return await self.line_up.states(check=check)

    async def devices(self) -> DeviceReport:
        """What this machine has for sound."""
        try:
            return await self.card.inventory()
        except VoiceModeError as error:
            return DeviceReport(
                library="",
                version="",
                devices=(),
                why_none=error.message,
                way_out=error.hint,
                place=self.card.place,
            )

    async def interruptible(self, devices: DeviceReport | None = None) -> Permission:
        """Whether the user may talk over a message now: with `auto` what `voicemode doctor --sound` has found between
        the devices that would be used decides."""
        from voicemode.devices.diagnosis import Trouble, advice
        from voicemode.ears.canceller import canceller_installed
        from voicemode.machine.echo_path import load
        from voicemode.machine.interruptible import permission

        choice = self.config.listening.barge_in
        if choice is not BargeIn.AUTO:
            return permission(choice)
        here = devices or await self.devices()
        return permission(
            choice,
            path=load(self.places.data, output=here.output_name, input=here.input_name)
            if here.named
            else None,
            loudspeaker=here.output_name,
            canceller=canceller_installed(),
            unnamed=advice(Trouble.UNNAMED, here.place, output=True) if here.nameless else "",
        )

    async def warm(self) -> None:
        """Loads what the first call should not wait for. Never raises."""
        await self.line_up.warm()

    async def left_answer(self, handle: str) -> LeftAnswer | None:
        """What another process has left of the answer to a call that this one does not know."""
        if any(call.handle == handle for call in self.conversation.calls()):
            return None
        from voicemode.recording.answers import left_answer

        return await asyncio.to_thread(left_answer, self.recordings.folder, handle)

    def refusing(self) -> AbstractContextManager[None]:
        """What is turned away in the block, before it is a call, is told."""
        return self.witnesses.refusing()

    @asynccontextmanager
    async def listening_by(
        self, change: Callable[[ListeningPorts], ListeningPorts]
    ) -> AsyncIterator[Conversation]:
        """A conversation with another way to listen; leaving the block is silence."""
        conversation = self._conversation(change(self.ear()))
        try:
            yield conversation
        finally:
            await conversation.close()

    # What the flows are handed.

    def mouth(self) -> SpeakingPorts:
        """How this application speaks."""
        streaming, speech = self.config.streaming, self.line_up.speech
        return SpeakingPorts(
            engine=KeptStreams(speech, self.kept) if self.kept else speech,
            open_decoder=open_decoder,
            open_sink=self._ends.open_sink,
            begin_recording=self._begin_recording,
            emit=self.witnesses.tell,
            streaming=streaming.enabled,
            links=Links(fill_seconds=streaming.buffer_ms / 1000, limit_seconds=streaming.max_buffer_s),
            limit_seconds=streaming.max_buffer_s,
            chunk_bytes=streaming.chunk_size,
            keep_recording=self.config.keeps_audio,
            new_splitter=self.splitters(),
        )

    def ear(self) -> ListeningPorts:
        """How this application listens."""
        settings, microphone = self.config.listening, self._ends.microphone
        barge_in = settings.barge_in is not BargeIn.FALSE
        return ListeningPorts(
            open_source=microphone,
            captured=microphone.captured,
            whereabouts=self.card.whereabouts,
            open_vad=self._open_vad,
            engine=self.line_up.transcription,
            begin_recording=self._begin_recording,
            emit=self.witnesses.tell,
            prompt=settings.prompt or None,
            rules=TurnRules(
                silence=None if settings.disable_silence_detection else settings.silence_ms / 1000,
                silence_least=settings.silence_min_ms / 1000,
                silence_most=settings.silence_max_ms / 1000,
                minimum=settings.minimum_s,
                no_speech=settings.no_speech_s,
                maximum=settings.maximum_s,
            ),
            keep_recording=self.config.keeps_audio,
            speculative=settings.speculative,
            barge_in=barge_in,
            proved=self._interruptible_now,
            open_echo=self._ends.open_echo if barge_in else None,
            stop_ear=self.line_up.word_ear if barge_in else None,
        )

    def splitters(self, rules: SplitRules = MESSAGES) -> NewSplitter:
        """How texts are read here, and cut by these rules."""
        return splitters(
            working_folder(),
            self.places.user_file.parent,
            rules=rules,
            markdown=self.config.speech.read_markdown,
            on_problem=self.witnesses.warn,
        )

    def _line_up(self) -> LineUp:
        return LineUp(self.config, self.places)

    def _kept_turns(self) -> KeptTurns:
        from voicemode.recording.turns import KeptTurns

        return KeptTurns(self.recordings, conversation=self.log.conversation)

    def _conversation(self, ear: ListeningPorts) -> Conversation:
        sound = self.config.sound
        chimes = ChimeRules(lead=sound.chime_leading_s, trail=sound.chime_trailing_s)
        return Conversation(
            mouth=self.mouth(),
            ear=ear,
            floor=self.floor,
            emit=self.witnesses.tell,
            chimes=chimes if sound.chimes else None,
            kept=self.kept,
        )

    @property
    def _begin_recording(self) -> BeginRecording:
        return self.kept.begin if self.kept else self.recordings.begin

    def _open_vad(self) -> Vad:
        from voicemode.ears.choice import open_vad

        settings = self.config.listening
        return open_vad(settings.vad, settings.vad_aggressiveness, on_warning=self.witnesses.warn)

    async def _interruptible_now(self) -> bool:
        return (await self.interruptible()).allowed


@asynccontextmanager
async def open_app(config: Config, environment: Mapping[str, str]) -> AsyncIterator[App]:
    """Builds it all; leaving the block is silence, a closed microphone, a free floor and finished files."""
    places = folders(config, environment)
    secrets = config.secrets()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(
            EventLog(
                places.events,
                enabled=config.log.events,
                keep_text=config.log.events_text,
                secrets=secrets,
                max_days=config.log.events_days,
                max_bytes=int(config.log.events_mb * 1e6),
                on_warning=_warned,
            )
        )

        def warned(what: str) -> None:
            _warned(what)
            log.emit(Warned(at=clock.monotonic(), turn="", what=what))

        recordings = stack.enter_context(
            Recordings(
                places.recordings,
                secrets=secrets,
                max_days=config.files.recordings_days,
                max_bytes=int(config.files.recordings_mb * 1e6),
                on_warning=warned,
            )
        )
        card = SoundCard(
            output_device=config.sound.output_device,
            input_device=config.sound.input_device,
            resample=_resample,
            place=look_around(environment),
        )
        app = App(
            config=config, places=places, log=log, recordings=recordings, card=card, environment=environment
        )
        stack.callback(app.witnesses.end)
        if app.meanwhile is not None:
            stack.push_async_callback(app.meanwhile.close)
        line_up = app.line_up
        for close in (
            line_up.speech.close,
            line_up.transcription.close,
            line_up.word_ear.close,  # Also where no transcription asks it.
            card.close,
            app.conversation.close,
        ):
            stack.push_async_callback(close)
        yield app


def _warned(what: str) -> None:
    logger.warning("%s", what)


def _resample(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
    return Converter(wanted)
