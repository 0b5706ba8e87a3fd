"""Speech and transcription over the OpenAI HTTP interface, which every local speech server speaks too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from voicemode.engines import http_errors
from voicemode.engines.http_body import SoundBody, most_seconds
from voicemode.engines.http_client import Ask, HttpClient, read_whole
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.http_voices import Voices
from voicemode.errors import BadContent, EndpointRefused, InvalidRequest
from voicemode.pcm import SPEECH, PcmFormat
from voicemode.sound.sniff import not_sound, sniff
from voicemode.sound.wav import wav_bytes
from voicemode.speech import (
    AudioFormat,
    EncodedAudio,
    SpeechRequest,
    Tell,
    TimedWord,
    Transcript,
    TranscriptionRequest,
    Trouble,
    Voice,
)

_SPEECH_MODEL = "gpt-4o-mini-tts"
_TRANSCRIPTION_MODEL = "gpt-transcribe"
_SLOWEST, _FASTEST = 0.25, 4.0
_SHORTEST_S = 0.1
"""No word is shorter, and OpenAI's service refuses what is."""

_TRANSCRIPT_BYTES = 1 << 20
_UNWILLING = (400, 422)


class _Models:
    """The models to ask for, in order: one that the server does not know is not asked for again."""

    def __init__(self, models: tuple[str, ...], usual: str) -> None:
        self._names = models or (usual,)
        self._at = 0

    @property
    def current(self) -> str:
        return self._names[self._at]

    def give_up(self, asked: str, error: EndpointRefused, tell: Tell) -> bool:
        """Whether another model is worth a try after this refusal."""
        if not http_errors.model_has_ended(error):
            return False
        if self._names[self._at] == asked and self._at + 1 < len(self._names):
            self._at += 1
        if self.current == asked:
            return False
        tell(Trouble(engine=error.engine, code=error.code, reason=str(error), after=0.0))
        return True


class OpenAiSpeech:
    """A `TtsEngine` behind `POST /audio/speech`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = HttpClient(endpoint)
        self._voices = Voices(self._http)
        self._models = _Models(endpoint.models, _SPEECH_MODEL)

    @property
    def name(self) -> str:
        return self._endpoint.name

    async def warm(self) -> None:
        """Loads what the first request needs. Opens no connection."""
        await self._http.warm()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        _check(request)
        try:
            async with asyncio.timeout(self._endpoint.limits.first_byte_s):
                audio, body = await self._open(request)
        except TimeoutError as error:
            raise http_errors.timed_out(self._endpoint, "send any sound") from error
        try:
            yield audio
        finally:
            await body.aclose()

    async def voices(self) -> list[Voice]:
        return await self._voices.all()

    async def close(self) -> None:
        await self._http.close()

    async def _open(self, request: SpeechRequest) -> tuple[EncodedAudio, SoundBody]:
        """Asks until a model is found that the server knows."""
        voice = await self._voices.choose(request.voice, request.language)
        while True:
            model = self._models.current
            body = _speech_json(request, voice, model)
            ask = Ask(method="POST", path="/audio/speech", content=body, tell=request.tell)
            try:
                return await self._begin(request, ask, voice, model)
            except EndpointRefused as error:
                if self._models.give_up(model, error, request.tell):
                    continue
                await self._voices.explain(error, voice)
                raise

    async def _begin(
        self, request: SpeechRequest, ask: Ask, voice: str, model: str
    ) -> tuple[EncodedAudio, SoundBody]:
        response = await self._http.send(ask)
        body = SoundBody(self._endpoint, response)
        try:
            head = await body.head()
            content_type = response.headers.get("content-type", "")
            if not_sound(head, content_type) is not None:
                readable = self._endpoint.redact(head.decode("utf-8", "replace")).encode()
                raise BadContent(
                    f"{self.name} answered with {not_sound(readable, content_type) or 'text'}",
                    engine=self.name,
                    hint="Check the base URL, the model and the voice.",
                )
            fmt = sniff(head) or _labelled(content_type) or request.format
            body.expect(most_seconds(request), fmt)
        except BaseException:
            await body.aclose()
            raise
        audio = EncodedAudio(
            chunks=body,
            format=fmt,
            engine=self.name,
            voice=voice,
            model=model,
            pcm=_pcm_format(content_type),
            unsealed=body.unsealed,
        )
        return audio, body


class OpenAiTranscription:
    """An `SttEngine` behind `POST /audio/transcriptions`. What it heard comes back as the server wrote it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = HttpClient(endpoint)
        self._models = _Models(endpoint.models, _TRANSCRIPTION_MODEL)

    @property
    def name(self) -> str:
        return self._endpoint.name

    async def warm(self) -> None:
        """Loads what the first request needs. Opens no connection."""
        await self._http.warm()

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        if request.audio.seconds < _SHORTEST_S:
            return Transcript(text="", engine=self.name)
        limits = self._endpoint.limits
        # Recognisers on slow machines need up to twice the length of what was said before they answer at all.
        limit = min(limits.whole_s, limits.first_byte_s + 2 * request.audio.seconds)
        try:
            async with asyncio.timeout(limit):
                return await self._transcribe(request)
        except TimeoutError as error:
            raise http_errors.timed_out(self._endpoint, "send a transcript", limit) from error

    async def close(self) -> None:
        await self._http.close()

    async def _transcribe(self, request: TranscriptionRequest) -> Transcript:
        upload = ("speech.wav", wav_bytes(request.audio), "audio/wav")
        while True:
            model = self._models.current
            form = _transcription_form(request, model)
            ask = Ask(
                method="POST",
                path="/audio/transcriptions",
                form=form,
                upload=upload,
                tell=request.tell,
            )
            try:
                response = await self._http.send(ask)
            except EndpointRefused as error:
                if request.timed and error.status in _UNWILLING:
                    # Not every model knows times; its words are good.
                    request = replace(request, timed=False)
                    continue
                if self._models.give_up(model, error, request.tell):
                    continue
                raise
            try:
                answer = await read_whole(self._endpoint, response, _TRANSCRIPT_BYTES)
            finally:
                await response.aclose()
            return self._read(answer, model)

    def _read(self, answer: bytes, model: str) -> Transcript:
        try:
            found: object = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        text = found.get("text") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(text, str):
            said = self._endpoint.excerpt(http_errors.server_message(answer)) or "an empty answer"
            raise BadContent(
                f"{self.name} answered without a transcript: {said}",
                engine=self.name,
                hint="Check the base URL and the model.",
            )
        language = found.get("language")
        return Transcript(
            text=text,
            engine=self.name,
            model=model,
            language=language if isinstance(language, str) else "",
            words=_timed_words(found.get("words")),
        )


def _timed_words(given: object) -> tuple[TimedWord, ...] | None:
    """None where there are none, or one of them has no times."""
    if not isinstance(given, list):
        return None
    found = []
    for each in given:
        match each:
            case {"word": str(word), "start": int() | float() as start, "end": int() | float() as end}:
                found.append(TimedWord(text=word.strip(), start=float(start), end=float(end)))
            case _:
                return None
    return tuple(found)


def _check(request: SpeechRequest) -> None:
    if not any(letter.isprintable() and not letter.isspace() for letter in request.text):
        raise InvalidRequest(
            "The text is empty: there is nothing to say.", hint="Give at least one word.", about="text"
        )
    if not _SLOWEST <= request.speed <= _FASTEST:
        raise InvalidRequest(
            f"The speed {request.speed} is not between {_SLOWEST} and {_FASTEST}.",
            hint="1.0 is the normal speed.",
            about="speed",
        )


def _speech_json(request: SpeechRequest, voice: str, model: str) -> bytes:
    """The request's body. Escaped to ASCII, so that half a surrogate pair in the text breaks nothing."""
    fields: dict[str, str | float] = {
        "model": model,
        "input": request.text,
        "voice": voice,
        "response_format": request.format.value,
    }
    if request.speed != 1.0:
        fields["speed"] = request.speed
    if request.instructions:
        fields["instructions"] = request.instructions
    return json.dumps(fields).encode("ascii")


def _transcription_form(request: TranscriptionRequest, model: str) -> dict[str, str]:
    form = {"model": model, "response_format": "json"}
    if request.timed:
        form |= {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    if request.language:
        # Recognisers know languages (ISO 639), not regions.
        form["language"] = request.language.partition("-")[0].lower()
    if request.prompt:
        form["prompt"] = request.prompt.encode("utf-8", "replace").decode()
    return form


def _labelled(content_type: str) -> AudioFormat | None:
    """Raw PCM where the label says so: it is the only format whose bytes do not."""
    kind = content_type.partition(";")[0].strip().lower()
    return AudioFormat.PCM if kind in ("audio/pcm", "audio/x-pcm", "audio/l16") else None


def _pcm_format(content_type: str) -> PcmFormat:
    """How raw PCM is to be read: `audio/pcm;rate=16000;channels=1` where the server states it, else 24 kHz mono."""
    numbers = {"rate": SPEECH.rate, "channels": SPEECH.channels}
    for part in content_type.lower().split(";")[1:]:
        key, _, value = part.strip().partition("=")
        if key in numbers and value.strip('"').isdecimal():
            numbers[key] = int(value.strip('"'))
    try:
        return PcmFormat(rate=numbers["rate"], channels=numbers["channels"])
    except ValueError:
        return SPEECH
