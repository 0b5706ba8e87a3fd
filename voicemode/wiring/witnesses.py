"""Who is told what happens: the event log first, then whoever else must know."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from voicemode import __version__, clock
from voicemode.errors import VoiceModeError
from voicemode.events import CallRefused, ConversationClosed, ConversationOpened, Emit, Event, Warned
from voicemode.logs.eventlog import EventLog

logger = logging.getLogger(__name__)


class Witnesses:
    """`tell` is an `Emit`. A conversation is opened in the log with the first event: an application that did nothing
    leaves no trace."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._others: list[Emit] = []
        self._opened = False

    def add(self, witness: Emit) -> None:
        """It is told everything from now on, after those who came before it."""
        self._others.append(witness)

    def tell(self, event: Event) -> None:
        if not self._opened:
            self._opened = True
            self._log.emit(_opening())
        self._log.emit(event)
        for witness in self._others:
            witness(event)

    def warn(self, what: str) -> None:
        logger.warning("%s", what)
        self.tell(Warned(at=clock.monotonic(), turn="", what=what))

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """What is turned away in the block, before it is a call, is told."""
        try:
            yield
        except VoiceModeError as error:
            self.tell(CallRefused(at=clock.monotonic(), turn="", code=error.code, reason=str(error)))
            raise

    def end(self) -> None:
        if self._opened:
            self._log.emit(ConversationClosed(at=clock.monotonic(), turn=""))


def _opening() -> ConversationOpened:
    return ConversationOpened(
        at=clock.monotonic(),
        turn="",
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )
