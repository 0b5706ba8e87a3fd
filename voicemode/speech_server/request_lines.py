"""The lines about requests: JSON and nothing before it, for programs that read them among other messages."""

from __future__ import annotations

import logging

REQUESTS = "voicemode.speech_server.requests"
"""Its messages are such lines."""


def show_requests() -> None:
    """What stands on standard error from now on are these lines too, bare; other messages look as before."""
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
        return record.getMessage() if record.name == REQUESTS else self._others.format(record)
