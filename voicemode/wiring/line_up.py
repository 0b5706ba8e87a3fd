"""Who speaks and who listens here: the engines of a configuration, in the order in which they are asked."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from voicemode.codecs import load, open_decoder
from voicemode.configuration.config import Config
from voicemode.engines.embedded.ear import EmbeddedEar
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.first import FirstSpeech, FirstTranscription
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.engines.phrases import PhraseCache
from voicemode.errors import VoiceModeError
from voicemode.machine.settings_files import Folders
from voicemode.models.store import Store
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import AudioFormat
from voicemode.text import languages
from voicemode.wiring.endpoints import usable
from voicemode.wiring.own_models import OwnModels

if TYPE_CHECKING:
    from voicemode.engines.mixed_start import MixedStart
    from voicemode.wiring.status import Engines, EngineStatus

CHATTERBOX = "chatterbox"

SYSTEM_VOICE = sys.platform in ("darwin", "win32")
"""These systems bring voices better than the embedded one."""


class LineUp:
    """`speech` and `transcription` are what flows ask; `speakers` are those who speak, each by itself; `word_ear` also
    hears the words that ask for silence."""

    def __init__(self, config: Config, places: Folders) -> None:
        self._config = config
        self._places = places
        self._speech_endpoints = usable(config, config.speech_endpoints(), config.speech.voices)
        self._transcription_endpoints = usable(config, config.transcription_endpoints(), ())
        self._servers = [OpenAiSpeech(endpoint) for endpoint in self._speech_endpoints]
        self._clouds = self._realtime()
        self._embedded = EmbeddedVoice()
        self.word_ear = EmbeddedEar()
        self.models = OwnModels(config, Store(places.models), self._embedded.ipa)
        self.speakers = self._speakers()
        chain = FirstSpeech(self.speakers)
        self._mixed = self._mixed_start(chain)
        self.speech = self._phrases(self._mixed or chain)
        self.transcription = FirstTranscription(self._listeners())

    async def states(self, *, check: bool = False) -> Engines:
        """`check` asks every endpoint; without it nothing leaves this machine."""
        from voicemode.engines.http_probe import Purpose
        from voicemode.wiring.status import Engines, embedded_ear, embedded_voice, server_states, system_voice

        config = self._config
        system = (system_voice(),) if SYSTEM_VOICE else ()
        speech, transcription = await asyncio.gather(
            server_states(self._speech_endpoints, Purpose.SPEECH, config.speech.base_urls, check=check),
            server_states(
                self._transcription_endpoints, Purpose.TRANSCRIPTION, config.listening.base_urls, check=check
            ),
        )
        return Engines(
            speech=tuple(map(self._timed, (*self.models.with_voices(speech), *system, embedded_voice()))),
            transcription=(
                *self.models.with_ears(transcription),
                *(
                    ()
                    if config.listening.base_urls
                    else (embedded_ear(languages.tag(config.listening.language)),)
                ),
            ),
        )

    async def warm(self) -> None:
        """Loads what costs the first call 100 ms and more. Never raises.

        The sound library and the embedded voice's process are not among it: they start in 35 and 25 ms while the
        first request is on its way, and would take 20 and 13 MB from every idle server.
        """
        for step in (*(engine.warm for engine in self._servers), self._warm_codecs, *self.models.warming()):
            with suppress(VoiceModeError):
                await step()

    def _timed(self, state: EngineStatus) -> EngineStatus:
        """With how soon it begins, where that decides who does."""
        first = self._mixed.first_sound(state.name) if self._mixed is not None else None
        if first is None:
            return state
        told = f"first sound after {first:.2f} s"
        return replace(state, detail=f"{state.detail}, {told}" if state.detail else told)

    def costs(self, engine: TtsEngine | SttEngine) -> bool:
        """Whether somebody is paid for what it does."""
        endpoints = (*self._speech_endpoints, *self._transcription_endpoints)
        paid = {each.name for each in endpoints if each.api_key and not each.loopback}
        return engine.name in paid or engine in self._clouds

    def formats(self, engine: TtsEngine) -> tuple[AudioFormat, ...]:
        """What it can be asked for."""
        return tuple(AudioFormat) if isinstance(engine, OpenAiSpeech) else (AudioFormat.PCM,)

    def _speakers(self) -> list[TtsEngine]:
        """Servers, then what is installed here, or the other way round where that is named; the system's own voice
        where it is better than the embedded one, which always answers."""
        servers = [*self._servers, *self._clouds]
        own = self.models.voices
        engines = [*own, *servers] if self.models.voices_first else [*servers, *own]
        if SYSTEM_VOICE:
            from voicemode.engines.system import SystemVoice

            engines.append(SystemVoice())
        # Behind the voice that always answers: only who names it gets a model of three gigabytes.
        named = [self._chatterbox()] if CHATTERBOX in self._config.speech_server.engines else []
        return [*engines, self._embedded, *named]

    def _mixed_start(self, chain: FirstSpeech) -> MixedStart | None:
        """The system's and the embedded voice have names of their own; the cloud's next voice may reword."""
        alike = self._config.speech.mixed_start
        if alike is None:
            return None
        from voicemode.engines.mixed_start import MixedStart

        return MixedStart(chain, [*self._servers, *self.models.voices], alike)

    def _chatterbox(self) -> TtsEngine:
        from voicemode.engines.chatterbox.model import ChatterboxSettings
        from voicemode.engines.chatterbox.voice import ChatterboxVoice
        from voicemode.engines.far_voices import far_voices

        settings = self._config.speech_server
        far = settings.voices_url
        return ChatterboxVoice(
            ChatterboxSettings(device=settings.chatterbox_device, weights=self._places.chatterbox),
            folders=[self._places.data / "voices"],
            remote=far_voices(far) if far else None,
        )

    def _realtime(self) -> list[TtsEngine]:
        """The cloud's next voice, behind its present one."""
        model = self._config.speech.realtime_model
        clouds = [each for each in self._speech_endpoints if each.is_openai and each.api_key]
        if model.lower() == "none" or not clouds:
            return []
        from voicemode.engines.realtime import RealtimeSpeech

        return [RealtimeSpeech(replace(each, models=(model,))) for each in clouds]

    def _phrases(self, engine: TtsEngine) -> PhraseCache:
        """What servers and models have said more than once comes from disk, at once, while a model may still be
        loading. Who is asked is part of what was asked for."""
        asked: list[object] = [(each.base_url, each.models, each.voices) for each in self._speech_endpoints]
        asked_of = json.dumps([*asked, *self.models.names])
        return PhraseCache(
            engine,
            self._places.data / "phrases",
            max_bytes=int(self._config.files.phrases_mb * 1e6),
            open_decoder=open_decoder,
            asked_of=asked_of,
            worth_keeping=[
                *(each.name for each in self._servers),
                *(each.name for each in self.models.voices),
            ],
        )

    def _listeners(self) -> list[SttEngine]:
        """The embedded ear answers only for those who named no server: its wrong words are worse than a clear error."""
        servers = [OpenAiTranscription(endpoint) for endpoint in self._transcription_endpoints]
        own = [self.models.ear] if self.models.ear else []
        engines: list[SttEngine] = [*own, *servers] if self.models.ear_first else [*servers, *own]
        return engines if self._config.listening.base_urls else [*engines, self.word_ear]

    async def _warm_codecs(self) -> None:
        wanted = self._config.speech.audio_format
        if wanted not in (AudioFormat.PCM, AudioFormat.WAV):
            await asyncio.to_thread(load, wanted)
