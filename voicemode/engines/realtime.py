"""Speech over OpenAI's Realtime API: a conversation model, told to read aloud and watched while it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from voicemode import clock
from voicemode.engines import realtime_errors as errors
from voicemode.engines.http_body import most_seconds
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.http_voices import unknown_voice
from voicemode.engines.realtime_client import Tools, make_tools
from voicemode.engines.realtime_events import Manner
from voicemode.engines.realtime_session import Piece, Session
from voicemode.engines.realtime_words import FASTEST, SLOWEST, rewording, strays, task
from voicemode.errors import EndpointUnreachable, EngineError, InvalidRequest, StreamBroken
from voicemode.pcm import SPEECH
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Trouble, Voice

REALTIME_VOICES = tuple("marin cedar alloy ash ballad coral echo sage shimmer verse".split())  # noqa: SIM905
"""The API has no route to list them. OpenAI recommends the first two."""

MODEL = "gpt-realtime-2.1-mini"

_MOST_SPEED = 4.0
_SOCKETS = 3
"""Open at a time. A voice or a speed cannot change on a socket that has spoken."""

_TAKEN_S = 2.0
"""A kept socket on which nothing comes within this after a text is dead, and nobody has told us (a slept laptop)."""

_ATTEMPTS = 3


class RealtimeSpeech:
    """A `TtsEngine` behind the Realtime API at `endpoint` (the same base URL and key as for HTTP).

    Sockets stay open between requests, and several texts may be read over one at a time. When a text has been read to
    its end, its sound tells whether the words were the text's.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._endpoint, self._now = endpoint, now
        self._model = endpoint.models[0] if endpoint.models else MODEL
        self._tools: Tools | None = None
        self._sessions: dict[Manner, Session] = {}
        self._retired: set[Session] = set()
        self._opening = asyncio.Lock()

    @property
    def name(self) -> str:
        return errors.name_of(self._endpoint)

    async def warm(self) -> Tools:
        """Loads the client library, half a second of work, in a thread. Opens no connection."""
        if self._tools is None:
            try:
                tools = await asyncio.to_thread(make_tools, self._endpoint)
            except ImportError as error:
                raise errors.not_installed() from error
            self._tools = self._tools or tools
        return self._tools

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        _check(request)
        manner = Manner(voice=self._voice(request.voice), speed=min(max(request.speed, SLOWEST), FASTEST))
        limit = self._endpoint.limits.first_byte_s
        try:
            async with asyncio.timeout(limit):
                piece, first = await self._begin(request, manner)
        except TimeoutError as error:
            self._retire(manner)
            raise errors.late(self._endpoint, limit) from error
        sound = _Sound(self._endpoint, request, piece, first)
        try:
            yield EncodedAudio(
                chunks=sound,
                format=AudioFormat.PCM,
                engine=self.name,
                voice=manner.voice,
                model=self._model,
                pcm=SPEECH,
                reworded=sound.reworded,
            )
        finally:
            piece.drop()

    async def voices(self) -> list[Voice]:
        """OpenAI's voices; those of another service of the same protocol are not known."""
        known = REALTIME_VOICES if self._endpoint.is_openai else ()
        return [Voice(id=voice, engine=self.name) for voice in known]

    async def close(self) -> None:
        sessions = {*self._sessions.values(), *self._retired}
        self._sessions.clear()
        if sessions:
            await asyncio.wait([session.end() for session in sessions])
        tools, self._tools = self._tools, None
        if tools is not None:
            await tools.client.close()

    async def _begin(self, request: SpeechRequest, manner: Manner) -> tuple[Piece, bytes]:
        """Asks until there is sound. What a kept socket fails at is tried again on a new one, and so is, once, a text
        that the model began to answer."""
        answers = 0
        for _ in range(_ATTEMPTS):
            session, kept = await self._session(manner)
            piece = session.read(request.text, task(request))
            try:
                first = await self._first(session, piece, kept=kept)
            except EndpointUnreachable as error:
                piece.drop()
                session.end()
                if not kept:
                    raise
                self._tell_again(request, error)
                continue
            except BaseException:
                piece.drop()
                raise
            if not strays(request.text, piece.transcript):
                return piece, first
            piece.drop()
            answers += 1
            astray = errors.astray(self._endpoint, piece.transcript)
            if answers > 1:
                raise astray
            self._tell_again(request, astray)
        raise errors.closed(self._endpoint, 1006, "more than once")

    def _tell_again(self, request: SpeechRequest, error: EngineError) -> None:
        request.tell(Trouble(engine=self.name, code=error.code, reason=str(error), after=0.0))

    async def _first(self, session: Session, piece: Piece, *, kept: bool) -> bytes:
        if kept:
            try:
                async with asyncio.timeout(_TAKEN_S):
                    await piece.taken.wait()
            except TimeoutError as error:
                if session.heard <= piece.asked:
                    raise errors.closed(self._endpoint, 1006, "a kept socket fell silent") from error
        first = await piece.chunk()
        if first is None:
            raise errors.no_sound(self._endpoint, "the response was empty")
        return first

    async def _session(self, manner: Manner) -> tuple[Session, bool]:
        """An open socket for this manner, and whether it is an old one."""
        session = self._sessions.get(manner)
        if session is not None and session.usable:
            return session, True
        async with self._opening:
            session = self._sessions.get(manner)
            if session is not None and session.usable:
                return session, True
            self._retire(manner)
            self._make_room()
            session = await self._open(manner)
            self._sessions[manner] = session
            return session, False

    async def _open(self, manner: Manner) -> Session:
        tools = await self.warm()
        # TCP, then TLS, then the upgrade: the limit of an HTTP request is for the first of them alone.
        limit = 2 * self._endpoint.limits.connect_s
        with errors.while_connecting(self._endpoint, limit):
            async with asyncio.timeout(limit):
                connecting = tools.client.realtime.connect(
                    model=self._model, websocket_connection_options=tools.options
                )
                connection = await connecting.enter()
        session = Session(connection, self._endpoint, manner, now=self._now)
        try:
            complaint = await session.set_up(self._model)
        except BaseException:
            self._let_go(session)
            raise
        if complaint is None:
            return session
        self._let_go(session)
        if complaint.names_the_voice:
            raise unknown_voice(manner.voice, REALTIME_VOICES, where=self.name)
        raise errors.refused(self._endpoint, complaint)

    def _make_room(self) -> None:
        """What has been idle for longest goes."""
        idle = sorted((each for each in self._sessions.values() if not each.busy), key=lambda each: each.used)
        for session in idle[: max(0, len(self._sessions) - _SOCKETS + 1)]:
            self._retire(session.manner)

    def _retire(self, manner: Manner) -> None:
        session = self._sessions.pop(manner, None)
        if session is not None:
            self._let_go(session)

    def _let_go(self, session: Session) -> None:
        session.retire()
        self._retired = {each for each in (*self._retired, session) if not each.gone}

    def _voice(self, wanted: str | None) -> str:
        """The service itself says no to a name that it does not know."""
        preferred = self._endpoint.voices
        if wanted is not None or len(preferred) == 1:
            return wanted or preferred[0]
        return next((voice for voice in preferred if voice in REALTIME_VOICES), REALTIME_VOICES[0])


class _Sound:
    """The sound of one piece, with a limit on every wait and a cap on the whole."""

    def __init__(self, endpoint: Endpoint, request: SpeechRequest, piece: Piece, first: bytes) -> None:
        self._endpoint, self._request, self._piece = endpoint, request, piece
        self._first: bytes | None = first
        seconds = most_seconds(request)
        self._cap = int(endpoint.limits.excess * seconds) * SPEECH.rate * SPEECH.bytes_per_sample
        self._left_s = endpoint.limits.whole_s + seconds

    def reworded(self) -> str | None:
        """How the model's transcript departs from the text."""
        said = self._piece.transcript
        return rewording(self._request.text, said) if said else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = (self._first, None) if self._first else (await self._next(), None)
        if chunk is None:
            raise StopAsyncIteration
        if self._piece.received > self._cap:
            self._piece.drop()
            raise errors.broken(
                self._endpoint, "several times the sound that the text can need", self._cap, retryable=False
            )
        return chunk

    async def _next(self) -> bytes | None:
        began = clock.monotonic()
        limit = min(self._endpoint.limits.gap_s, self._left_s)
        try:
            async with asyncio.timeout(limit):
                return await self._piece.chunk()
        except TimeoutError as error:
            raise self._silent(limit) from error
        finally:
            self._left_s -= clock.monotonic() - began

    def _silent(self, seconds: float) -> StreamBroken:
        return errors.broken(self._endpoint, f"nothing came for {seconds:.3g} s", self._piece.received)


def _check(request: SpeechRequest) -> None:
    if not any(letter.isprintable() and not letter.isspace() for letter in request.text):
        raise InvalidRequest(
            "The text is empty: there is nothing to say.", hint="Give at least one word.", about="text"
        )
    if not SLOWEST <= request.speed <= _MOST_SPEED:
        raise InvalidRequest(
            f"The speed {request.speed} is not between {SLOWEST} and {_MOST_SPEED}.",
            hint=f"1.0 is the normal speed; beyond {FASTEST} this voice only tries.",
            about="speed",
        )
