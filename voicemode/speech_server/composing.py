"""The server's service put together for an application: engines in front, what is told of them behind."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from voicemode import clock
from voicemode.app import App
from voicemode.events import (
    EndpointFailed,
    Event,
    RequestFailed,
    RequestRefused,
    SpeechServed,
    TranscriptServed,
)
from voicemode.logs.eventlog import event_name
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import AudioFormat
from voicemode.speech_server.admission import FIRST_LIMIT, Admission, FullOfRecordings
from voicemode.speech_server.asked import MU_LAW, Asked
from voicemode.speech_server.engines import Engines
from voicemode.speech_server.figures import Figures
from voicemode.speech_server.hearers import Hearers
from voicemode.speech_server.request_lines import REQUESTS
from voicemode.speech_server.service import MOST_HEARINGS, Service
from voicemode.speech_server.utterance import encoder
from voicemode.text.sentences import CLAUSES

requests = logging.getLogger(REQUESTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """A service and its figures. `drain` takes nothing new and returns when everything was said, or after its limit."""

    service: Service
    figures: Figures
    drain_seconds: float

    async def drain(self) -> None:
        places, hearings = self.service.places, self.service.hearings
        places.draining = hearings.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self.drain_seconds):
                await places.idle.wait()
                await hearings.idle.wait()


def composed(
    app: App,
    engines: Sequence[TtsEngine],
    *,
    transcription: SttEngine | None = None,
    first: float = FIRST_LIMIT,
) -> Composed:
    """`engines` speak; `transcription` listens, or whoever the application has. `first` streams are let in before
    anything was seen."""
    settings = app.config.speech_server
    places = Admission(most=settings.streams, first=first)
    figures = Figures(places)

    def emit(event: Event) -> None:
        figures.watch(event)
        app.log.emit(event)
        tell_log(event)

    service = Service(
        engines=Engines(engines),
        hearers=Hearers(transcription or app.line_up.transcription),
        places=places,
        hearings=Admission(most=MOST_HEARINGS, first=MOST_HEARINGS, full=FullOfRecordings),
        new_splitter=app.splitters(),
        clauses=app.splitters(CLAUSES),
        source=app.config.speech.audio_format,
        emit=emit,
    )
    return Composed(service=service, figures=figures, drain_seconds=settings.drain_s)


def warm_codecs() -> None:
    """The first client need not wait until PyAV is imported and resampler and codecs have been opened once: 0.5 s."""
    odd = PcmFormat(rate=22_050)
    silence = Frame(data=odd.silence(odd.samples(0.2)), format=odd)
    for name in (*AudioFormat, MU_LAW):
        stage = encoder(Asked(format=name))
        stage.feed(silence)
        stage.flush()


def tell_log(event: Event) -> None:
    """One line of JSON a request, without a word of what was said; its id stands in the answer as well."""
    if isinstance(event, SpeechServed | TranscriptServed | RequestRefused | RequestFailed | EndpointFailed):
        told = {
            "event": event_name(type(event)),
            "time": clock.wall().isoformat(timespec="milliseconds"),
            "request_id": event.turn,
        }
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(event).items()
            if name not in ("at", "turn")
        }
        requests.info("%s", json.dumps(told | rounded, ensure_ascii=False))
