"""Which voices an endpoint has, and which one to ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from voicemode import clock
from voicemode.engines import http_errors
from voicemode.engines.http_client import Ask, HttpClient, read_whole
from voicemode.errors import BadContent, EndpointRefused, EndpointTimeout, StreamBroken, UnknownVoice
from voicemode.speech import Voice
from voicemode.text.similar import similar

OPENAI_VOICES = (
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()  # noqa: SIM905
)
"""The voices of OpenAI's own service, which has no route to list them."""

_USUAL = "alloy"
"""Every local server that was tried maps this name to a voice of its own."""

_ENGLISH = "en"
"""What a text is taken to be where nobody says."""
_STANDARD = {"en": ("en", "en-us", "en-gb")}
"""Of a language with many accents, those that most expect; lists in the alphabet's order begin with others."""

_FRESH_S = 300.0
_LIST_BYTES = 1 << 20
_MIXES = ("+", "(", ",")
"""Signs of a mixture such as `af_sky+af_bella(2)`, which no list contains."""

_NO_SUCH_ROUTE = frozenset({400, 404, 405, 406, 410, 415, 422, 501})
_NAMES_THE_VOICE = frozenset({400, 404, 422})


class Voices:
    """The list of one endpoint's voices, asked for when it is first needed and kept for five minutes."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._endpoint = http.endpoint
        self._known: list[Voice] | None = None
        self._until = 0.0

    async def all(self) -> list[Voice]:
        """Every voice; empty when the endpoint cannot say. Raises `EngineError` when it cannot be asked."""
        if self._endpoint.is_openai:
            return self._named(OPENAI_VOICES)
        if self._known is None or clock.monotonic() >= self._until:
            self._known = await self._fetch()
            self._until = clock.monotonic() + _FRESH_S
        return self._known

    async def choose(self, wanted: str | None, language: str | None = None) -> str:
        """The voice to ask for: `wanted`, else one that is preferred, else one that speaks `language`. Raises
        `UnknownVoice` when the endpoint's list does not have `wanted`."""
        preferred = self._endpoint.voices
        if wanted is None and len(preferred) == 1:
            return preferred[0]
        if self._endpoint.is_openai:
            # Its list changes; the service itself says no to a name that it does not know.
            return wanted or next((voice for voice in preferred if voice in OPENAI_VOICES), _USUAL)
        offered = await self._offered()
        ids = [voice.id for voice in offered]
        if wanted is not None:
            if ids and wanted not in ids and not any(sign in wanted for sign in _MIXES):
                raise unknown_voice(wanted, ids, where=self._endpoint.name)
            return wanted
        if not ids:
            return preferred[0] if preferred else _USUAL
        return next((voice for voice in (*preferred, _USUAL) if voice in ids), _speaks(offered, language))

    async def explain(self, error: EndpointRefused, voice: str) -> None:
        """Raises `UnknownVoice` if that is what a refusal is about."""
        said = error.message.lower()
        if error.status in _NAMES_THE_VOICE and "voice" in said and "model" not in said:
            ids = [each.id for each in await self._offered()]
            raise unknown_voice(voice, ids, where=self._endpoint.name) from error

    async def _offered(self) -> list[Voice]:
        """Empty when the server is slow or odd about its voices; it then judges for itself."""
        try:
            return await self.all()
        except (EndpointTimeout, EndpointRefused, BadContent, StreamBroken):
            return []

    async def _fetch(self) -> list[Voice]:
        limit = self._endpoint.limits.list_s
        try:
            async with asyncio.timeout(limit):
                response = await self._http.send(Ask(method="GET", path="/audio/voices"))
                try:
                    answer = await read_whole(self._endpoint, response, _LIST_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise http_errors.timed_out(self._endpoint, "list its voices", limit) from error
        except EndpointRefused as error:
            if error.status in _NO_SUCH_ROUTE:
                return []
            raise
        return list(self._parsed(answer))

    def _parsed(self, answer: bytes) -> Iterable[Voice]:
        """`{"voices": [...]}`, `{"data": [...]}` or a bare list, of ids or of objects with an id or a name."""
        try:
            found: object = json.loads(answer)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            found = found.get("voices", found.get("data"))
        for item in found if isinstance(found, list) else []:
            fields = item if isinstance(item, dict) else {"id": item}
            texts = {str(key): value for key, value in fields.items() if isinstance(value, str)}
            voice = texts.get("id") or texts.get("voice_id") or texts.get("name")
            if voice:
                yield Voice(
                    id=voice,
                    engine=self._endpoint.name,
                    name=texts.get("name", ""),
                    language=texts.get("language", ""),
                    usual=fields.get("usual") is True,
                )

    def _named(self, ids: Iterable[str]) -> list[Voice]:
        return [Voice(id=voice, engine=self._endpoint.name) for voice in ids]


def _speaks(offered: list[Voice], language: str | None) -> str:
    """The first voice that is listed with this language, a usual accent of it, or any other; else the first of all."""
    wanted = _tag(language or _ENGLISH)
    primary = wanted.split("-")[0]
    tags = [_tag(voice.language) for voice in offered]
    for each in (wanted, *_STANDARD.get(primary, (primary,))):
        if each in tags:
            return offered[tags.index(each)].id
    related = (voice.id for voice, tag in zip(offered, tags, strict=True) if tag.split("-")[0] == primary)
    return next(related, offered[0].id)


def _tag(language: str) -> str:
    return language.lower().replace("_", "-")


def near(wanted: str, ids: Iterable[str]) -> list[str]:
    """Up to five of `ids` that look like `wanted`, else the first five."""
    unique = list(dict.fromkeys(ids))
    return similar(wanted, unique, most=5, cutoff=0.5) or unique[:5]


def unknown_voice(wanted: str, ids: Iterable[str], *, where: str) -> UnknownVoice:
    choices = near(wanted, ids)
    return UnknownVoice(
        f"{where} has no voice {wanted[:64]!r}.",
        hint=f"Choose one of: {', '.join(choices)}."
        if choices
        else "Leave the voice out to use its own choice.",
    )
