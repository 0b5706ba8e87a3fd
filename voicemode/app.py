"""The root: builds everything from a configuration and closes it again. The only place that sees every layer."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from voicemode import __version__, clock
from voicemode.chimes import ChimeRules
from voicemode.codecs import open_decoder
from voicemode.codecs.convert import Converter
from voicemode.config import Config
from voicemode.conversation import Conversation
from voicemode.devices.backend import DeviceReport
from voicemode.devices.mixers import mixed, panned
from voicemode.devices.nobody import HeardOnce, open_nobody
from voicemode.devices.place import look_around
from voicemode.devices.soundcard import SoundCard
from voicemode.ears.canceller import WebRtcCanceller, canceller_installed
from voicemode.ears.choice import Detector, chosen, open_vad
from voicemode.echo import EchoGate
from voicemode.echo_path import load
from voicemode.endpoints import usable
from voicemode.engines.chatterbox.model import NAME as CHATTERBOX
from voicemode.engines.chatterbox.voice import ChatterboxVoice
from voicemode.engines.embedded.ear import EmbeddedEar
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.first import FirstSpeech, FirstTranscription
from voicemode.engines.http_probe import Purpose
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.engines.phrases import PhraseCache
from voicemode.engines.realtime import RealtimeSpeech
from voicemode.engines.system import SystemVoice
from voicemode.errors import EngineUnavailable, VoiceModeError
from voicemode.eventlog import EventLog
from voicemode.events import CallRefused, ConversationClosed, ConversationOpened, Event, Warned
from voicemode.floor import MachineFloor
from voicemode.interruptible import Permission, permission
from voicemode.links import Links
from voicemode.listening import ListeningPorts
from voicemode.meanwhile import Meanwhile
from voicemode.models.store import Store
from voicemode.own_models import OwnModels
from voicemode.own_sound import OwnSound, Tap
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import BeginRecording, EchoCanceller, OpenSink, Stage, SttEngine, TtsEngine
from voicemode.pronunciation_files import splitters
from voicemode.recordings import Recordings
from voicemode.rendering import NewSplitter
from voicemode.sentences import MESSAGES, SplitRules
from voicemode.settings_files import Folders, folders, working_folder
from voicemode.speaking import SpeakingPorts
from voicemode.speech import AudioFormat, SpeechRequest, Voice
from voicemode.status import (
    SYSTEM_VOICE,
    Engines,
    Status,
    embedded_ear,
    embedded_voice,
    server_states,
    system_voice,
)
from voicemode.taps import KeptCanceller, KeptStreams, Microphone, kept_sink
from voicemode.thinking import thinking_sound
from voicemode.turn import TurnRules
from voicemode.turns import KeptTurns
from voicemode.variables import BargeIn

if TYPE_CHECKING:
    from voicemode.benching import BenchPorts

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = MappingProxyType({})

LONGEST_CLOSE_SECONDS = 0.25
"""A client kills a server 0.49 s after its first signal: by then the log and the recordings must be on disk."""


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
        self._opened = False
        """Something has been told."""
        self.recordings = recordings
        self._speech_endpoints = usable(config, config.speech_endpoints(), config.speech.voices)
        self._transcription_endpoints = usable(config, config.transcription_endpoints(), ())
        self._servers = [OpenAiSpeech(endpoint) for endpoint in self._speech_endpoints]
        self._embedded = EmbeddedVoice()
        self._embedded_ear = EmbeddedEar()
        self.models = OwnModels(config, Store(places.models), self._embedded.ipa)
        self.speech_engines = self._speech_engines()
        self._speakers = FirstSpeech(self.speech_engines)
        self.speech = self._phrases(self._speakers)
        self.transcription = FirstTranscription(self._transcription_engines())
        self.floor = MachineFloor(places.data, on_warning=self._warned)
        place = config.sound.pan
        self.kept = KeptTurns(recordings, conversation=log.conversation) if config.keeps_audio else None
        self._microphone = Microphone(card.open_source, self.kept)
        self._tap = Tap(kept_sink(card.open_sink, self.kept) if self.kept else card.open_sink)
        self._speaker: OpenSink = panned(self._tap, place) if place else self._tap
        self._gate = EchoGate()
        thinks = config.sound.thinking_sound
        self.meanwhile = Meanwhile(self._speaker, thinking_sound) if thinks else None
        self.conversation = self._conversation(self._ear())

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
        language = self.config.listening.language
        return None if language in ("", "auto") else language

    @property
    def detector(self) -> Detector:
        """Who tells voice from noise here, and why it is this one."""
        settings = self.config.listening
        return chosen(settings.vad, settings.vad_aggressiveness)

    async def voices(self) -> list[Voice]:
        return await self.speech.voices()

    async def status(self, *, check: bool = False) -> Status:
        """`check` asks every endpoint; without it nothing leaves this machine."""
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
        config = self.config
        speech, transcription = await asyncio.gather(
            server_states(self._speech_endpoints, Purpose.SPEECH, config.speech.base_urls, check=check),
            server_states(
                self._transcription_endpoints, Purpose.TRANSCRIPTION, config.listening.base_urls, check=check
            ),
        )
        return Engines(
            speech=(*self.models.with_voices(speech), *system_voice(), embedded_voice()),
            transcription=(
                *self.models.with_ears(transcription),
                *(() if config.listening.base_urls else (embedded_ear(),)),
            ),
        )

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
        choice = self.config.listening.barge_in
        if choice is not BargeIn.AUTO:
            return permission(choice)
        here = devices or await self.devices()
        return permission(
            choice,
            path=load(self.places.data, output=here.output_name, input=here.input_name),
            loudspeaker=here.output_name,
            canceller=canceller_installed(),
        )

    async def warm(self) -> None:
        """Loads what costs the first call 100 ms and more. Never raises.

        The sound library and the embedded voice's process are not among it: they start in 35 and 25 ms while the
        first request is on its way, and would take 20 and 13 MB from every idle server.
        """
        for step in (*(engine.warm for engine in self._servers), self._warm_codecs, *self.models.warming()):
            with suppress(VoiceModeError):
                await step()

    async def close_ear(self) -> None:
        """Also where no transcription asks it: it listens for words that ask for silence."""
        await self._embedded_ear.close()

    @asynccontextmanager
    async def listening_by(
        self, change: Callable[[ListeningPorts], ListeningPorts]
    ) -> AsyncIterator[Conversation]:
        """A conversation with another way to listen; leaving the block is silence."""
        conversation = self._conversation(change(self._ear()))
        try:
            yield conversation
        finally:
            await conversation.close()

    def bench_ports(self, *, sound: bool) -> BenchPorts:
        """Every engine by itself, for `voicemode bench`; without `sound` nobody hears anything."""
        # No server carries these along.
        from voicemode.bench_ports import quietly
        from voicemode.benching import BenchPorts, Listener, Speaker

        endpoints = (*self._speech_endpoints, *self._transcription_endpoints)
        paid = {each.name for each in endpoints if each.api_key and not each.loopback}
        return BenchPorts(
            speakers=tuple(
                Speaker(
                    engine=engine,
                    formats=tuple(AudioFormat) if isinstance(engine, OpenAiSpeech) else (AudioFormat.PCM,),
                    costs=engine.name in paid or isinstance(engine, RealtimeSpeech),
                )
                for engine in self._speakers.engines
            ),
            listeners=tuple(
                Listener(engine=engine, costs=engine.name in paid) for engine in self.transcription.engines
            ),
            mouth=self._mouth(),
            ear=self._ear(),
            sink=quietly(self.card.open_sink) if sound else open_nobody,
            heard=sound,
            microphone=HeardOnce,
            first_of=FirstTranscription,
            buffer_seconds=self.config.streaming.buffer_ms / 1000,
            language=self.language,
        )

    def ear(self) -> ListeningPorts:
        """How this application listens."""
        return self._ear()

    # How it is built.

    def _conversation(self, ear: ListeningPorts) -> Conversation:
        return Conversation(
            mouth=self._mouth(),
            ear=ear,
            floor=self.floor,
            emit=self._emit,
            chimes=_chimes(self.config),
            kept=self.kept,
        )

    def _speech_engines(self) -> list[TtsEngine]:
        """Servers, then what is installed here, or the other way round where that is named; the system's own voice
        where it is better than the embedded one, which always answers."""
        servers: list[TtsEngine] = [*self._servers, *self._realtime()]
        own = self.models.voices
        engines = [*own, *servers] if self.models.voices_first else [*servers, *own]
        if SYSTEM_VOICE:
            engines.append(SystemVoice())
        # Behind the voice that always answers: only who names it gets a model of two gigabytes.
        named = [self._chatterbox()] if CHATTERBOX in self.config.speech_server.engines else []
        return [*engines, self._embedded, *named]

    def _chatterbox(self) -> ChatterboxVoice:
        return ChatterboxVoice(folders=[self.places.data / "voices"])

    def _realtime(self) -> list[RealtimeSpeech]:
        """The cloud's next voice, behind its present one."""
        model = self.config.speech.realtime_model
        if model.lower() == "none":
            return []
        return [
            RealtimeSpeech(replace(each, models=(model,)))
            for each in self._speech_endpoints
            if each.is_openai and each.api_key
        ]

    def _phrases(self, engine: TtsEngine) -> PhraseCache:
        """What servers and models have said more than once comes from disk, at once, while a model may still be
        loading. Who is asked is part of what was asked for."""
        asked: list[object] = [(each.base_url, each.models, each.voices) for each in self._speech_endpoints]
        asked_of = json.dumps([*asked, *self.models.names])
        return PhraseCache(
            engine,
            self.places.data / "phrases",
            max_bytes=int(self.config.files.phrases_mb * 1e6),
            open_decoder=open_decoder,
            asked_of=asked_of,
            worth_keeping=[
                *(each.name for each in self._servers),
                *(each.name for each in self.models.voices),
            ],
        )

    def _transcription_engines(self) -> list[SttEngine]:
        """The embedded ear answers only for those who named no server: its wrong words are worse than a clear error."""
        servers = [OpenAiTranscription(endpoint) for endpoint in self._transcription_endpoints]
        own = [self.models.ear] if self.models.ear else []
        engines: list[SttEngine] = [*own, *servers] if self.models.ear_first else [*servers, *own]
        return engines if self.config.listening.base_urls else [*engines, self._embedded_ear]

    def _mouth(self) -> SpeakingPorts:
        streaming = self.config.streaming
        return SpeakingPorts(
            engine=KeptStreams(self.speech, self.kept) if self.kept else self.speech,
            open_decoder=open_decoder,
            open_sink=mixed(self._speaker, thinking_sound) if self.meanwhile else self._speaker,
            begin_recording=self._begin_recording,
            emit=self._emit,
            streaming=streaming.enabled,
            links=Links(fill_seconds=streaming.buffer_ms / 1000, limit_seconds=streaming.max_buffer_s),
            limit_seconds=streaming.max_buffer_s,
            chunk_bytes=streaming.chunk_size,
            keep_recording=self.config.keeps_audio,
            new_splitter=self.splitters(),
        )

    def splitters(self, rules: SplitRules = MESSAGES) -> NewSplitter:
        """How texts are read here, and cut by these rules."""
        return splitters(
            working_folder(),
            self.places.user_file.parent,
            rules=rules,
            markdown=self.config.speech.read_markdown,
            on_problem=self._warned,
        )

    def _ear(self) -> ListeningPorts:
        settings = self.config.listening
        barge_in = settings.barge_in is not BargeIn.FALSE
        return ListeningPorts(
            open_source=self._microphone,
            captured=self._microphone.captured,
            open_vad=partial(open_vad, settings.vad, settings.vad_aggressiveness, on_warning=self._warned),
            engine=self.transcription,
            begin_recording=self._begin_recording,
            emit=self._emit,
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
            open_echo=self._open_echo if barge_in else None,
            stop_ear=self._embedded_ear if barge_in else None,
        )

    @property
    def _begin_recording(self) -> BeginRecording:
        return self.kept.begin if self.kept else self.recordings.begin

    async def _interruptible_now(self) -> bool:
        return (await self.interruptible()).allowed

    def _open_echo(self) -> OwnSound | None:
        """Without a canceller nobody can talk over a message, and everything else goes on."""
        try:
            canceller: EchoCanceller = WebRtcCanceller()
            if self.kept is not None:
                canceller = KeptCanceller(canceller, self.kept, self._microphone.captured)
            return OwnSound(self._tap, canceller, self._gate)
        except EngineUnavailable as error:
            self._warned(str(error))
            return None

    async def _warm_codecs(self) -> None:
        if self.config.speech.audio_format not in (AudioFormat.PCM, AudioFormat.WAV):
            await asyncio.to_thread(__import__, "av")

    # What it tells.

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """What is turned away in the block, before it is a call, is told."""
        try:
            yield
        except VoiceModeError as error:
            self._emit(CallRefused(at=clock.monotonic(), turn="", code=error.code, reason=str(error)))
            raise

    def tell_end(self) -> None:
        if self._opened:
            self.log.emit(ConversationClosed(at=clock.monotonic(), turn=""))

    def _emit(self, event: Event) -> None:
        if not self._opened:
            self._opened = True
            self.log.emit(_opening())
        self.log.emit(event)
        if self.kept is not None:
            self.kept.watch(event)
        if self.meanwhile is not None:
            self.meanwhile.watch(event)
        if self.config.keeps_transcripts and not self.config.keeps_audio:
            self.recordings.keep_text(event)

    def _warned(self, what: str) -> None:
        logger.warning("%s", what)
        self._emit(Warned(at=clock.monotonic(), turn="", what=what))


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
        stack.callback(app.tell_end)
        if app.meanwhile is not None:
            stack.push_async_callback(app.meanwhile.close)
        for close in (
            app.speech.close,
            app.transcription.close,
            app.close_ear,
            card.close,
            app.conversation.close,
        ):
            stack.push_async_callback(close)
        yield app


def _opening() -> ConversationOpened:
    return ConversationOpened(
        at=clock.monotonic(),
        turn="",
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def _warned(what: str) -> None:
    logger.warning("%s", what)


def _chimes(config: Config) -> ChimeRules | None:
    sound = config.sound
    return ChimeRules(lead=sound.chime_leading_s, trail=sound.chime_trailing_s) if sound.chimes else None


def _resample(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
    return Converter(wanted)
