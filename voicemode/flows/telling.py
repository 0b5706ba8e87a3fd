"""Trouble of engines as events of the turn, and the piece of it, that it befell."""

from __future__ import annotations

from voicemode import clock
from voicemode.events import Emit, EndpointFailed, EndpointRetried
from voicemode.speech import Tell, Trouble


def telling(emit: Emit, *, turn: str, piece: int | None = None) -> Tell:
    """What a request for this piece is told with; `piece` None: it is for a transcript."""

    def tell(trouble: Trouble) -> None:
        at, engine, code, reason = clock.monotonic(), trouble.engine, trouble.code, trouble.reason
        if trouble.after is None:
            following = trouble.following
            emit(
                EndpointFailed(
                    at=at, turn=turn, piece=piece, engine=engine, code=code, reason=reason, next=following
                )
            )
        else:
            after = round(trouble.after, 3)
            emit(
                EndpointRetried(
                    at=at, turn=turn, piece=piece, engine=engine, code=code, reason=reason, after=after
                )
            )

    return tell
