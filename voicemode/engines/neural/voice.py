"""A neural voice on the processor: an installed model that speaks, clause by clause, while the next is being made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from voicemode.engines.embedded.child import ChildGone, Message
from voicemode.engines.embedded.order import possible, speakable
from voicemode.engines.http_voices import near
from voicemode.engines.neural.reading import Ipa, pieces
from voicemode.engines.neural.worker import IDLE_SECONDS, Answers, Worker, packages
from voicemode.errors import EngineError, StreamBroken, UnknownVoice
from voicemode.models.model import Speaker
from voicemode.models.store import Installed, measured
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice

LONGEST_CHARACTERS = 10_000
"""Ten minutes of speech, made in one go. The flows ask for a few sentences at a time."""
NOTHING_SECONDS, SILENT_RATE = 0.1, 16_000
"""Silence in place of a text with nothing in it to pronounce, such as a lone dash: no model is asked."""


class NeuralVoice:
    """A `TtsEngine`. `ipa` reads its text; `preferred` are voices in order of preference, of which it may have some."""

    def __init__(
        self,
        model: Installed,
        *,
        ipa: Ipa,
        preferred: Sequence[str] = (),
        threads: int = 0,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.model = model
        self._ipa = ipa
        self._preferred = tuple(preferred)
        self._worker = Worker(self.name, model, threads=threads, idle_seconds=idle_seconds)

    @property
    def name(self) -> str:
        return f"neural {self.model.id}"

    @property
    def pids(self) -> frozenset[int]:
        return self._worker.pids

    @property
    def busy(self) -> bool:
        return self._worker.busy

    async def warm(self) -> None:
        """Loads the model and its reader, and lets them say a letter: the first time takes longer than any other.
        Raises `EngineError`."""
        async with self.synthesize(SpeechRequest(text="a")) as audio:
            async for _ in audio.chunks:
                pass

    async def check(self) -> None:
        """Raises `EngineUnavailable` where what runs models is not installed. Loads nothing."""
        await asyncio.to_thread(packages)

    async def holds(self) -> float | None:
        """Streams at once that keep ahead of real time, by the measurement on this machine; None without one."""
        known = await asyncio.to_thread(measured, self.model)
        return 1 / known.factor if known and known.factor > 0 else None

    async def voices(self) -> list[Voice]:
        return [
            Voice(id=each.id, engine=self.name, name=self.model.id, language=each.language)
            for each in self.model.speakers
        ]

    async def close(self) -> None:
        await self._worker.close()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        text = speakable(request.text)
        if len(text) > LONGEST_CHARACTERS:
            raise EngineError(
                f"{self.name} says at most {LONGEST_CHARACTERS} characters at once, not {len(text)}.",
                engine=self.name,
                hint="Say it in parts.",
            )
        speaker = self._speaker(request)
        order = {
            "pieces": await pieces(text, speaker.espeak, self._ipa),
            "speaker": speaker.number,
            "speed": possible(request.speed),
        }
        if not order["pieces"]:
            pcm = PcmFormat(rate=SILENT_RATE)
            yield self._audio(_silence(pcm), speaker, pcm)
            return
        async with self._worker.asked(b"S", json.dumps(order).encode()) as (answers, first):
            if first.kind != b"A":
                raise EngineError(f"{self.name} made no sound of {text[:40]!r}.", engine=self.name)
            pcm = PcmFormat(rate=self._worker.rate)
            yield self._audio(_sound(answers, first, self.name), speaker, pcm)

    def _audio(self, chunks: AsyncIterator[bytes], speaker: Speaker, pcm: PcmFormat) -> EncodedAudio:
        return EncodedAudio(
            chunks=chunks,
            format=AudioFormat.PCM,
            engine=self.name,
            voice=speaker.id,
            model=self.model.id,
            pcm=pcm,
        )

    def _speaker(self, request: SpeechRequest) -> Speaker:
        """The voice asked for; else the first preferred one, else the first, that speaks the language asked for."""
        known = {each.id: each for each in self.model.speakers}
        if request.voice:
            if request.voice.lower() in known:
                return known[request.voice.lower()]
            choices = ", ".join(near(request.voice, list(known)))
            raise UnknownVoice(
                f"{self.name} has no voice {request.voice[:64]!r}.",
                hint=f"Choose one of: {choices}; or leave the voice out.",
            )
        order = [known[name] for name in self._preferred if name in known] + list(self.model.speakers)
        language = _language(request.language or "")
        for each in order:
            if not language or _language(each.language) == language:
                return each
        raise UnknownVoice(
            f"{self.name} has no voice for the language {request.language!r}.",
            hint=f"It speaks {', '.join(self.model.languages)}.",
            about="language",
        )


def _language(tag: str) -> str:
    return tag.lower().replace("_", "-").split("-")[0]


async def _sound(answers: Answers, first: Message, engine: str) -> AsyncIterator[bytes]:
    message = first
    while message.kind == b"A":
        yield message.payload
        try:
            message = await answers.next()
        except ChildGone as gone:
            raise StreamBroken(
                f"{engine} stopped in the middle of a text: {gone}.", engine=engine, retryable=True
            ) from gone


async def _silence(pcm: PcmFormat) -> AsyncIterator[bytes]:
    yield pcm.silence(pcm.samples(NOTHING_SECONDS))
