"""One socket of the Realtime API: set up once, then many texts are read over it, each in a response of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from voicemode import clock
from voicemode.engines import realtime_errors as errors
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.realtime_events import (
    SETTING_UP,
    Manner,
    Received,
    cancel,
    parse,
    read_aloud,
    set_up,
)
from voicemode.errors import EngineError

if TYPE_CHECKING:
    from openai.resources.realtime.realtime import AsyncRealtimeConnection
    from openai.types.realtime import RealtimeClientEventParam

LONGEST_S = 55 * 60.0
"""OpenAI ends a session after 60 minutes, in the middle of a word if need be."""


class Piece:
    """One text being read: its sound as it comes, and the model's own transcript of it."""

    def __init__(
        self, session: Session, number: str, request: RealtimeClientEventParam, *, asked: float
    ) -> None:
        self.number, self.request, self.asked = number, request, asked
        self.response = ""
        self.transcript = ""
        self.received = 0
        self.taken = asyncio.Event()
        """The service has taken it, or refused it."""
        self._session = session
        self._sound: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._over = False
        self._error: EngineError | None = None

    async def chunk(self) -> bytes | None:
        """The next sound; None at its end. Raises `EngineError` once all that came before a break has been given."""
        while not self._sound:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._sound.popleft()

    def drop(self) -> None:
        """Nobody listens any more: the service is told to stop. Waits for nothing."""
        self._sound.clear()
        if not self._over:
            self.end(None)
            self._session.cancel(self)

    @property
    def over(self) -> bool:
        return self._over

    def add(self, sound: bytes) -> None:
        if sound and not self._over:
            self.received += len(sound)
            self._sound.append(sound)
            self.taken.set()
            self._changed.set()

    def end(self, error: EngineError | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self.taken.set()
            self._changed.set()


class Session:
    """An open socket in one manner of speaking. It lives until it is retired or the service ends it, and then closes
    by itself."""

    def __init__(
        self,
        connection: AsyncRealtimeConnection,
        endpoint: Endpoint,
        manner: Manner,
        *,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.manner = manner
        self.used = self.heard = self._began = now()
        """When it was last given a text, last said anything, and was opened."""
        self._now = now
        self._connection = connection
        self._endpoint = endpoint
        self._numbers = itertools.count(1)
        self._pieces: dict[str, Piece] = {}
        """By our own number: asked for, and not yet done at the service."""
        self._waiting: deque[Piece] = deque()
        """Sent back by a service that does one at a time."""
        self._outbox: asyncio.Queue[RealtimeClientEventParam] = asyncio.Queue()
        self._ready: asyncio.Queue[errors.Complaint | EngineError | None] = asyncio.Queue()
        self._ending: asyncio.Task[None] | None = None
        self._open, self._is_set_up = True, False
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    @property
    def usable(self) -> bool:
        return self._open and self._now() - self._began < LONGEST_S

    @property
    def busy(self) -> bool:
        """Whether somebody listens to it."""
        return any(not piece.over for piece in self._pieces.values())

    @property
    def gone(self) -> bool:
        return self._ending is not None and self._ending.done()

    async def set_up(self, model: str) -> errors.Complaint | None:
        """Gives what the service has against the manner, if anything. The caller limits the time."""
        answer = await self._asked(model, reasoning=True)
        if answer is not None and answer.names_reasoning:
            return await self._asked(model, reasoning=False)
        return answer

    async def _asked(self, model: str, *, reasoning: bool) -> errors.Complaint | None:
        self._outbox.put_nowait(set_up(model, self.manner, reasoning=reasoning))
        answer = await self._ready.get()
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def read(self, text: str, task: str) -> Piece:
        """Asks for `text` to be read; its sound comes out of the piece."""
        number = f"piece-{next(self._numbers)}"
        self.used = self._now()
        piece = Piece(self, number, read_aloud(number, text, task), asked=self.used)
        self._pieces[number] = piece
        self._outbox.put_nowait(piece.request)
        return piece

    def cancel(self, piece: Piece) -> None:
        """A response that has no id yet is cancelled when it gets one."""
        if piece in self._waiting:
            self._waiting.remove(piece)
            self._pieces.pop(piece.number, None)
        elif piece.response:
            self._outbox.put_nowait(cancel(piece.response))
        if not self._open:
            self.retire()

    def retire(self) -> None:
        """Takes no more texts. What is being read goes on; then the socket is closed."""
        self._open = False
        if not self.busy:
            self.end()

    def end(self) -> asyncio.Task[None]:
        """Closes the socket in the background; whoever waits for its sound hears of it at once."""
        self._open = False
        self._die(errors.closed(self._endpoint, 1000, "closed here"))
        if self._ending is None:
            self._ending = asyncio.create_task(self._close())
        return self._ending

    async def _close(self) -> None:
        reader, writer = self._tasks
        writer.cancel()
        try:
            await self._connection.close()
        finally:
            reader.cancel()
            await asyncio.wait(self._tasks)

    async def _write(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                await self._connection.send(await self._outbox.get())
        except ConnectionClosed:
            pass  # The reader finds out why.

    async def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                self._take(parse(await self._connection.recv_bytes()))
        except ConnectionClosed as error:
            frame = error.rcvd
            self._die(
                errors.closed(self._endpoint, frame.code if frame else 1006, frame.reason if frame else "")
            )
        except ValueError as error:
            self._die(errors.not_the_protocol(self._endpoint, str(error)))
        self.end()

    def _die(self, error: EngineError) -> None:
        self._open = False
        self._ready.put_nowait(error)
        for piece in self._pieces.values():
            sounded = piece.received > 0
            piece.end(errors.broken(self._endpoint, error.message, piece.received) if sounded else error)
        self._pieces.clear()
        self._waiting.clear()

    # What comes.

    def _take(self, event: Received) -> None:
        self.heard = self._now()
        match event.kind:
            case "session.updated":
                self._is_set_up = True
                self._ready.put_nowait(None)
            case "error":
                self._complain(event.complaint or errors.Complaint(message="an error without a reason"))
            case "response.created":
                self._created(event)
            case "response.done":
                self._done(event)
            case _:
                self._more(event)

    def _more(self, event: Received) -> None:
        piece = self._piece_of(event)
        if piece is None:
            return
        match event.kind:
            case "response.output_audio.delta":
                piece.add(event.sound)
            case "response.output_audio_transcript.delta":
                piece.transcript += event.text
            case "response.output_audio_transcript.done":
                piece.transcript = event.text or piece.transcript

    def _piece_of(self, event: Received) -> Piece | None:
        if event.piece:
            return self._pieces.get(event.piece)
        return next((piece for piece in self._pieces.values() if event.response == piece.response), None)

    def _created(self, event: Received) -> None:
        """A service that does not give our metadata back takes texts in the order in which they were sent."""
        piece = self._pieces.get(event.piece) or next(
            (each for each in self._pieces.values() if not each.response and each not in self._waiting), None
        )
        if piece is None:
            return
        piece.response = event.response
        piece.taken.set()
        if piece.over:
            self.cancel(piece)

    def _done(self, event: Received) -> None:
        piece = self._piece_of(event)
        if piece is not None:
            del self._pieces[piece.number]
            piece.end(self._verdict(piece, event))
            if not self._open:
                self.retire()
        if self._waiting:
            self._outbox.put_nowait(self._waiting.popleft().request)

    def _verdict(self, piece: Piece, event: Received) -> EngineError | None:
        if event.status == "completed" and piece.received:
            return None
        why = f"the response was {event.status or 'ended'}"
        if event.complaint is not None:
            why = event.complaint.message or event.complaint.code or why
        elif event.reason:
            why += f" ({event.reason})"
        if piece.received:
            return errors.broken(
                self._endpoint, why, piece.received, retryable=event.reason != "content_filter"
            )
        if event.complaint is not None:
            return errors.refused(self._endpoint, event.complaint)
        return errors.no_sound(self._endpoint, why)

    def _complain(self, complaint: errors.Complaint) -> None:
        """An error that names no event is about the oldest text that has not been taken."""
        untaken = (
            each for each in self._pieces.values() if not each.taken.is_set() and each not in self._waiting
        )
        piece = self._pieces.get(complaint.asked) if complaint.asked else next(untaken, None)
        if complaint.code == errors.EXPIRED:
            self._die(errors.closed(self._endpoint, 1000, complaint.message))
            self.end()
        elif complaint.asked == SETTING_UP or not (complaint.asked or self._is_set_up):
            self._ready.put_nowait(complaint)
        elif piece is not None and complaint.code == errors.TAKEN:
            piece.taken.set()
            self._waiting.append(piece)
        elif piece is not None:
            del self._pieces[piece.number]
            piece.end(errors.refused(self._endpoint, complaint))
