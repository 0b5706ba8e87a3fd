"""A speech server in the test's own loop, on a real port, with a voice whose words can be read back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import openai

from tests.support import voice
from tests.support.encoding import encode
from voicemode.errors import EngineError, StreamBroken, UnknownLanguage, UnknownVoice
from voicemode.events import Event
from voicemode.local_http.door import Limits, listen, open_door, url_of
from voicemode.local_http.guard import own_hosts
from voicemode.pcm import SPEECH, Frame
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import (
    AudioFormat,
    EncodedAudio,
    SpeechRequest,
    TimedWord,
    Transcript,
    TranscriptionRequest,
    Voice,
)
from voicemode.speech_server.admission import Admission, FullOfRecordings
from voicemode.speech_server.engines import Engines
from voicemode.speech_server.figures import Figures
from voicemode.speech_server.hearers import Hearers
from voicemode.speech_server.serve import LIMITS
from voicemode.speech_server.service import Service
from voicemode.speech_server.utterance import encoders
from voicemode.speech_server.web import web
from voicemode.text.pieces import Splitter
from voicemode.text.sentences import CLAUSES

LIMIT_SECONDS = 20.0


class WordVoice:
    """A `TtsEngine` that says its words in tones. Chunks come one at a time; each takes a permit of `gate`, where there
    is one. `breaks` are for the first requests: after so many chunks the stream breaks off (0: before any)."""

    def __init__(
        self,
        *,
        name: str = "words",
        voices: Sequence[str] = ("ann", "bob"),
        format: AudioFormat = AudioFormat.PCM,  # noqa: A002
        gate: asyncio.Semaphore | None = None,
        breaks: Sequence[int] = (),
        chunk_bytes: int = 4_800,
    ) -> None:
        self.name = name
        self.asked: list[SpeechRequest] = []
        self.open = 0
        self._voices = tuple(voices)
        self._format = format
        self._gate = gate
        self._breaks = list(breaks)
        self._chunk_bytes = chunk_bytes

    def heal(self) -> None:
        self._breaks.clear()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        if request.voice is not None and request.voice not in self._voices:
            raise UnknownVoice(f"{self.name} has no voice {request.voice!r}.", hint="Choose ann or bob.")
        self.asked.append(request)
        broken = self._breaks.pop(0) if self._breaks else None
        if broken == 0:
            raise EngineError("The voice is hoarse.", engine=self.name, retryable=True)
        self.open += 1
        try:
            yield EncodedAudio(
                chunks=self._chunks(await asyncio.to_thread(self._sound, request), broken),
                format=self._format,
                engine=self.name,
                voice=request.voice or self._voices[0],
            )
        finally:
            self.open -= 1

    async def voices(self) -> list[Voice]:
        return [Voice(id=each, engine=self.name) for each in self._voices]

    async def close(self) -> None:
        return

    def _sound(self, request: SpeechRequest) -> bytes:
        said = voice.speak(request.text, SPEECH.rate, speed=request.speed)
        if self._format is AudioFormat.PCM:
            return said
        return encode(Frame(data=said, format=SPEECH), self._format)

    async def _chunks(self, sound: bytes, broken: int | None) -> AsyncIterator[bytes]:
        for number, start in enumerate(range(0, len(sound), self._chunk_bytes)):
            if broken is not None and number >= broken:
                raise StreamBroken("The voice broke.", engine=self.name, retryable=True)
            if self._gate is not None:
                await self._gate.acquire()
            yield sound[start : start + self._chunk_bytes]


class WordEar:
    """An `SttEngine` that reads the tones of `WordVoice`. `timed`: if asked, it knows when words were said. It knows
    `languages` alone, where they are given."""

    def __init__(self, *, name: str = "ear", timed: bool = False, languages: Sequence[str] = ()) -> None:
        self.name = name
        self.asked: list[TranscriptionRequest] = []
        self._timed = timed
        self._languages = languages

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        self.asked.append(request)
        if self._languages and request.language not in (None, *self._languages):
            raise UnknownLanguage(
                f"Not {request.language!r}.", engine=self.name, languages=tuple(self._languages)
            )
        found = await asyncio.to_thread(voice.listen, request.audio.data, request.audio.format.rate)
        times = tuple(TimedWord(text=each.text, start=each.start, end=each.end) for each in found)
        return Transcript(
            text=" ".join(each.text for each in found),
            engine=self.name,
            language="en-US",
            confidence=0.9,
            words=times if self._timed and request.timed else None,
        )

    async def close(self) -> None:
        return


@dataclass(kw_only=True)
class House:
    """The open server and what it told."""

    url: str
    service: Service
    events: list[Event] = field(default_factory=list)
    token: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @asynccontextmanager
    async def client(self, *, retries: int = 0) -> AsyncIterator[openai.AsyncOpenAI]:
        async with openai.AsyncOpenAI(
            base_url=f"{self.url}/v1",
            api_key=self.token or "none",
            max_retries=retries,
            timeout=LIMIT_SECONDS,
        ) as client:
            yield client

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def house(
    *engines: TtsEngine,
    ear: SttEngine | None = None,
    most: int = 256,
    first: float = 64,
    token: str = "",
    origins: tuple[str, ...] = (),
    limits: Limits = LIMITS,
    threads: Executor | None = None,
    take_seconds: float = LIMIT_SECONDS,
) -> AsyncIterator[House]:
    places, hearings = Admission(most=most, first=first), Admission(most=4, first=4, full=FullOfRecordings)
    figures = Figures(places)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        figures.watch(event)

    service = Service(
        engines=Engines(engines or (WordVoice(),)),
        hearers=Hearers(ear or WordEar()),
        places=places,
        hearings=hearings,
        new_splitter=lambda request: Splitter(),
        clauses=lambda request: Splitter(rules=CLAUSES),
        source=AudioFormat.PCM,
        emit=emit,
        threads=threads or encoders(),
        take_seconds=take_seconds,
    )
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(listen("127.0.0.1", 0, token=token))
        hosts = own_hosts("127.0.0.1", listening.getsockname()[1])
        application = web(service, figures, hosts=hosts, token=token, origins=origins)
        await stack.enter_async_context(open_door(application, listening, limits=limits, websockets=True))
        async with asyncio.timeout(3 * LIMIT_SECONDS):
            yield House(url=url_of(listening, "127.0.0.1"), service=service, events=events, token=token)


def words_in(sound: bytes) -> list[str]:
    """The words of raw sound at 24 kHz."""
    return voice.hear(sound[: len(sound) // 2 * 2], SPEECH.rate)
