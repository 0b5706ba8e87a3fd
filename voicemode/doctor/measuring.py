"""Which servers are measured, and with what: those that answered, by leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from voicemode.codecs import open_decoder
from voicemode.configuration.config import Config, EndpointChoice
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.formats import ANSWER, examine_formats, examine_transcription
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.errors import ConfigurationError, EngineError
from voicemode.measuring.timing import said
from voicemode.pcm import LISTENING, Frame
from voicemode.sound.sweep import sweep
from voicemode.speech import SpeechRequest
from voicemode.wiring.endpoints import endpoint_of
from voicemode.wiring.status import Engines, EngineStatus


class Measure(Enum):
    """Whose sound is measured. What is on this machine costs nothing."""

    NONE = "none"
    LOCAL = "local"
    ALL = "all"


Doing = Callable[[str], None]
"""Is told what is being done now."""


async def examine_servers(
    config: Config, engines: Engines, measure: Measure, doing: Doing = lambda what: None
) -> list[Finding]:
    """All servers at once, each format after the other."""
    if measure is Measure.NONE:
        return []
    speech = [
        _one(config, choice, config.speech.voices, engines.speech, measure, doing, speaks=True)
        for choice in config.speech_endpoints()
    ]
    transcription = [
        _one(config, choice, (), engines.transcription, measure, doing, speaks=False)
        for choice in config.transcription_endpoints()
    ]
    return [finding for found in await asyncio.gather(*speech, *transcription) for finding in found]


async def _one(
    config: Config,
    choice: EndpointChoice,
    voices: tuple[str, ...],
    states: tuple[EngineStatus, ...],
    measure: Measure,
    doing: Doing,
    *,
    speaks: bool,
) -> list[Finding]:
    kind = "speech" if speaks else "transcription"
    try:
        endpoint = endpoint_of(config, choice, voices)
    except ConfigurationError as error:
        return [
            Finding(
                state=State.WARN, what=kind, found=f"a server is left out: {error.message}", mend=error.hint
            )
        ]
    if not any(each.name == endpoint.name and each.state == "ready" for each in states):
        return []
    if not endpoint.loopback and measure is not Measure.ALL:
        return [
            Finding(
                state=State.NOTE,
                what=f"{kind}: {endpoint.name}",
                found="not measured: it may cost money",
                mend="`voicemode doctor --endpoints` has it say six short sentences and understand one.",
            )
        ]
    return await (_speaks(endpoint, config, doing) if speaks else _listens(endpoint, doing))


async def _speaks(endpoint: Endpoint, config: Config, doing: Doing) -> list[Finding]:
    engine = OpenAiSpeech(endpoint)
    try:
        return await examine_formats(engine, config.speech.audio_format, open_decoder, doing=doing)
    finally:
        await engine.close()


async def _listens(endpoint: Endpoint, doing: Doing) -> list[Finding]:
    engine = OpenAiTranscription(endpoint)
    doing(f"{engine.name} is given three words to understand")
    try:
        with suppress(EngineError):
            return [await examine_transcription(engine, await spoken(ANSWER))]
        # Without the embedded voice there is nobody to say a word: a tone asks whether it answers at all.
        return [await examine_transcription(engine, sweep(LISTENING), words="")]
    finally:
        await engine.close()


async def spoken(words: str) -> Frame:
    """Words in the embedded voice. Raises `EngineError`."""
    voice = EmbeddedVoice()
    try:
        request = SpeechRequest(text=words, language="en-US")
        sound, _ = await said(voice, request, open_decoder, LISTENING)
        return sound
    finally:
        await voice.close()
