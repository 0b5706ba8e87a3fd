"""The lines about requests: JSON and nothing before it, for programs that read them among other messages."""

from __future__ import annotations

import copy
import logging

from voicemode.speech_server.failures import failure

REQUESTS = "voicemode.speech_server.requests"
"""Its messages are such lines."""


def show_requests() -> None:
    """What stands on standard error from now on are these lines too, bare; other messages look as before, but that an
    exception is told by its kind and place alone: what it says could be a client's words."""
    logging.getLogger("voicemode.speech_server").setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, BareRequests):
            handler.setFormatter(BareRequests(handler.formatter or logging.Formatter()))


class BareRequests(logging.Formatter):
    """`others` forms what is not about a request."""

    def __init__(self, others: logging.Formatter) -> None:
        super().__init__()
        self._others = others

    def format(self, record: logging.LogRecord) -> str:
        if record.name == REQUESTS:
            return record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return self._others.format(record)
        bare = copy.copy(record)
        bare.exc_info = bare.exc_text = None
        told = failure(error)
        return f"{self._others.format(bare).rstrip()}: {told.error} at {told.place} ({told.frames})"
