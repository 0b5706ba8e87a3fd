"""A conversation in a room: a real server on a virtual sound card, a user who answers, and all that is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client

from tests.live.host import client, environment
from tests.support import voice
from tests.support.listening import Samples
from tests.support.looking import looked_for
from tests.support.recording import Recording
from tests.support.request_log import RequestSeen
from tests.support.room import Echo, Room
from tests.support.sound_card import VirtualSoundCard
from tests.support.speakers import Speech
from tests.support.speech_server import SpeechServer
from voicemode import clock
from voicemode.logs.logbook import LoggedEvent, read_events

LIMIT_S = 30.0
TRIES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What became of one call. Moments are monotonic seconds; `own_start` is the first of its own voice at the
    loudspeaker and `own_end` the last, had nobody interrupted it (word-coded voice only); `said_from` and `said_to`
    are the user's first and last voiced moment at the microphone."""

    answer: dict[str, object]
    error: str
    came_at: float
    own_start: float
    own_end: float
    said_from: float
    said_to: float
    events: tuple[LoggedEvent, ...]
    uploads: tuple[RequestSeen, ...]

    def event(self, name: str) -> LoggedEvent:
        """The last of its kind."""
        return [event for event in self.events if event.name == name][-1]

    def at(self, name: str) -> float:
        moment = self.event(name).monotonic
        assert moment is not None
        return moment

    @property
    def upload(self) -> RequestSeen:
        """The one whose answer counted: the last that was answered."""
        return [request for request in self.uploads if request.finished_at is not None][-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    host: Client
    server: SpeechServer
    room: Room
    loudspeaker: Recording
    folder: Path

    async def ask(
        self,
        message: str,
        speech: Speech | Samples | None,
        *,
        pause_s: float = 0.5,
        into_s: float | None = None,
        max_listen_s: float | None = None,
    ) -> Answered:
        """Says `message`; the user speaks (or something sounds) `pause_s` after its last word in the word-coded voice,
        or `into_s` after its first sound in any voice."""
        before, log_before = self.loudspeaker.position, len(self.server.requests)
        known = {(event.pid, event.sequence) for event in self._events()}
        arguments: dict[str, object] = {"message": message}
        if max_listen_s is not None:
            arguments["max_listen_seconds"] = max_listen_s
        call = asyncio.create_task(self.host.call_tool("converse", arguments))
        first = await asyncio.to_thread(self.loudspeaker.wait_for_sound, LIMIT_S, after=before)
        own_start = self.loudspeaker.time_of(first)
        own_end = own_start + voice.timetable(message)[-1].end
        said_from = said_to = own_end
        begins = own_end + pause_s if into_s is None else own_start + into_s
        if isinstance(speech, Speech):
            placed = self.room.say(speech, at=begins - speech.starts_s)
            said_from = self.room.moment(placed, speech.starts_s)
            said_to = self.room.moment(placed, speech.ends_s)
        elif speech is not None:
            said_from = said_to = self.room.moment(self.room.sound(speech, at=begins))
        async with asyncio.timeout(LIMIT_S):
            result = await call
        came_at = clock.monotonic()
        events = await self._when_over(known)
        return Answered(
            answer=dict(result.structured_content or {}),
            error=str(result.content) if result.is_error else "",
            came_at=came_at,
            own_start=own_start,
            own_end=own_end,
            said_from=said_from,
            said_to=said_to,
            events=events,
            uploads=tuple(
                request
                for request in self.server.requests[log_before:]
                if request.path.endswith("/audio/transcriptions")
            ),
        )

    async def _when_over(self, known: set[tuple[int, int]]) -> tuple[LoggedEvent, ...]:
        """The new events, once the log has the turn's end."""
        fresh: list[LoggedEvent] = []

        async def over() -> bool:
            nonlocal fresh
            fresh = [event for event in self._events() if (event.pid, event.sequence) not in known]
            return any(event.name in ("turn_finished", "turn_failed") for event in fresh)

        await looked_for(over, LIMIT_S)
        return tuple(fresh)

    def _events(self) -> list[LoggedEvent]:
        return [event for path in self.folder.glob("events/*.jsonl") for event in read_events(path)]


@asynccontextmanager
async def scene(
    card: VirtualSoundCard,
    folder: Path,
    *,
    echo: Echo | None = None,
    noise: Samples | None = None,
    prepare: Callable[[SpeechServer], None] = lambda server: None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Scene]:
    """`settings` are variables without their prefix; chimes are off unless they say otherwise."""
    with (
        SpeechServer() as server,
        Room(card, echo=echo, noise=noise) as room,
        card.recording() as loudspeaker,
    ):
        prepare(server)
        variables = environment(
            card,
            folder,
            **{
                "TTS_BASE_URLS": server.base_url,
                "STT_BASE_URLS": server.base_url,
                "AUDIO_FEEDBACK": "false",
                **(settings or {}),
            },
        )
        async with client(variables) as host:
            yield Scene(host=host, server=server, room=room, loudspeaker=loudspeaker, folder=folder)
