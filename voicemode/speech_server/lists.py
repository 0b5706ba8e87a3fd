"""What can be asked of the server beside speech and words: models, voices, health, and getting ready before a call."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import Response

from voicemode import __version__, clock
from voicemode.engines.voice_cache import MOST_SECONDS
from voicemode.errors import UnknownVoice, VoiceModeError
from voicemode.local_http.guard import TRUSTED
from voicemode.pcm import SPEECH, Frame
from voicemode.ports import TtsEngine
from voicemode.speech import SpeechRequest
from voicemode.speech_server.answers import UNAVAILABLE, UnknownModel, error_json, json_response
from voicemode.speech_server.asked import MU_LAW, Asked, Fields, Wanted, json_fields
from voicemode.speech_server.capped import body_of, while_there
from voicemode.speech_server.engines import STANDARD_VOICES, Warms, none_can
from voicemode.speech_server.service import Service
from voicemode.speech_server.uploads import decoded
from voicemode.speech_server.utterance import encoder

MOST_BODY_BYTES = 65_536
MOST_PRELOAD_BYTES = 14_000_000
"""One large recording, or several of ten seconds."""
MOST_VOICES = 50
"""As many as the cache holds."""

WARM_WORD = "Ready."


class Holds(Protocol):
    """A voice that is ready: where it was found, and after how many seconds."""

    @property
    def level(self) -> str: ...

    @property
    def seconds(self) -> float: ...


@runtime_checkable
class Preloads(Protocol):
    """An engine whose voices are held elsewhere."""

    async def preload(self, voice: str) -> Holds:
        """Raises `UnknownVoice`."""


async def health(service: Service, request: Request) -> Response:
    """503 where no engine can speak, and while the server is about to end: balancers then send nobody here."""
    draining = service.places.draining
    reasons = await none_can(service.engines.behind())
    told: dict[str, object] = {
        "status": "draining" if draining else "unavailable" if reasons else "healthy",
        "version": __version__,
        "engines": list(service.engines.names),
        "active_streams": service.places.active,
        "stream_limit": service.places.limit,
        "waiting": service.places.waiting,
        "voices_cached": sum(len(each.held) for each in service.caches()),
    }
    if reasons and request.scope.get(TRUSTED, False):
        told["reason"] = " ".join(map(str, reasons))
    elif reasons:  # What an engine says may name folders and addresses.
        whose = ", ".join(f"{each.engine} ({each.code})" for each in reasons)
        told["reason"] = f"No engine can speak: {whose}. Whoever brings the token is told why."
    return json_response(told, status=UNAVAILABLE if draining or reasons else 200)


async def models(service: Service, request: Request) -> Response:
    return json_response({"object": "list", "data": [_model(name) for name in _names(service)]})


async def model(service: Service, request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in _names(service):
        raise UnknownModel(name, _names(service))
    return json_response(_model(name))


def _names(service: Service) -> list[str]:
    """Of those that speak, then of those that only listen."""
    return list(dict.fromkeys((*service.engines.models(), *service.hearers.models())))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "voicemode"}


async def voices(service: Service, request: Request) -> Response:
    """The names of the usual voice, which is what clients take that take the first; then the voices of every engine
    that answers, and those in a cache that are not in its list."""
    found = await service.engines.voices()
    listed: list[dict[str, object]] = [
        {"id": each.id, "name": each.name or each.id, "engine": each.engine, "language": each.language}
        for each in found
    ]
    known = {each.id for each in found}
    cached = {name for cache in service.caches() for name in cache.held}
    listed += [{"id": name, "name": name, "engine": "", "language": ""} for name in sorted(cached - known)]
    usual = [
        {"id": name, "name": name, "engine": "", "language": "", "usual": True}
        for name in STANDARD_VOICES
        if name not in known | cached
    ]
    return json_response({"voices": [*usual, *listed]})


async def preload(service: Service, request: Request) -> Response:
    """Voices into the cache before they are needed; each is told by itself, since one that fails spoils no other."""
    fields = _optional(await body_of(request, most=MOST_PRELOAD_BYTES))
    named = fields.voices("voices" if "voices" in fields.given else "voice_ids", most=MOST_VOICES)
    return await while_there(request.receive, _preloaded(service, fields, named))


async def _preloaded(service: Service, fields: Fields, named: list[Wanted]) -> Response:
    engine = service.engines.choose(fields.text("model"))
    told = await asyncio.gather(*(_load(service, engine, wanted) for wanted in named))
    return json_response({"voices": dict(zip((each.id for each in named), told, strict=True))})


async def _load(service: Service, engine: TtsEngine, wanted: Wanted) -> dict[str, object]:
    try:
        caches = service.caches(engine)
        if wanted.recording is not None:
            if not caches:
                raise UnknownVoice("No engine here speaks in the voice of a recording.")
            sound = await asyncio.to_thread(
                decoded, wanted.recording, SPEECH, longest=MOST_SECONDS, param="audio"
            )
            for cache in caches:
                cache.put(wanted.id, sound)
        for cache in caches:
            with suppress(UnknownVoice):  # Its own voice, or another engine's.
                return _held(await cache.get(wanted.id))
        for each in service.engines.behind(engine):
            if isinstance(each, Preloads):
                with suppress(UnknownVoice):
                    return _held(await each.preload(wanted.id))
        known = {each.id for each in await engine.voices()}
        if wanted.id not in known and wanted.id not in STANDARD_VOICES:
            raise UnknownVoice(f"No engine here has the voice {wanted.id[:64]!r}.")
    except VoiceModeError as error:
        return {"status": "error", "error": error_json(error)}
    return {"status": "ready", "level": "engine", "ms": 0.0}


def _held(held: Holds) -> dict[str, object]:
    return {"status": "ready", "level": held.level, "ms": round(held.seconds * 1000, 3)}


async def warmup(service: Service, request: Request) -> Response:
    """Voice, model path and resampler made ready before a call: the next request finds them warm."""
    fields = _optional(await body_of(request, most=MOST_BODY_BYTES))
    return await while_there(request.receive, _warmed(service, fields))


def _optional(body: bytes) -> Fields:
    """Nothing asks for nothing in particular."""
    return json_fields(body) if body.strip() else Fields()


async def _warmed(service: Service, fields: Fields) -> Response:
    engine = service.engines.choose(fields.text("model"))
    began = clock.monotonic()
    voice = fields.text("voice", "voice_id") or None
    for each in service.engines.behind(engine):
        await _warm(each)
    loaded = clock.monotonic()
    async with service.places.place() as progress:
        asked = Asked(format=MU_LAW, voice=voice)
        async with engine.synthesize(SpeechRequest(text=WARM_WORD, voice=voice)) as audio:
            async for _ in audio.chunks:
                progress.first = progress.first or clock.monotonic()
                break
    spoken = clock.monotonic()
    await asyncio.to_thread(_resampled, asked)
    ended = clock.monotonic()
    return json_response(
        {
            "status": "ready",
            "backend": audio.engine,
            "voice": audio.voice,
            "model_ms": round((loaded - began) * 1000, 1),
            "voice_ms": round((spoken - loaded) * 1000, 1),
            "resampler_ms": round((ended - spoken) * 1000, 1),
            "total_ms": round((ended - began) * 1000, 1),
        }
    )


async def _warm(engine: object) -> None:
    if isinstance(engine, Warms):
        try:
            await engine.warm()
        except VoiceModeError:
            return  # Another one of the chain may speak; if none does, what follows says why.


def _resampled(asked: Asked) -> None:
    stage = encoder(asked)
    stage.feed(Frame(data=SPEECH.silence(SPEECH.samples(0.1)), format=SPEECH))
    stage.flush()
