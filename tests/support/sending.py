"""An answer on its way over the wire as its `Behaviour` has it: paced, stalled, cut, badly framed, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from tests.support.behaviour import Accept, Behaviour, Cut, Length, due
from tests.support.http1 import Answer, Wire
from voicemode.clock import monotonic

_PHRASES = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


async def send_whole(wire: Wire, answer: Answer) -> None:
    """At once and well-behaved."""
    await wire.send(head_of(answer, Behaviour(length=Length.STATED), "") + answer.body)


async def send_answer(
    wire: Wire,
    answer: Answer,
    behaviour: Behaviour,
    *,
    url: str,
    asked_at: float,
    sent: Callable[[int], None],
) -> bool:
    """True when the body has been sent so that the connection can carry another request.

    `asked_at` (monotonic seconds) is when the whole request was there; `sent` is told the size of each piece.
    """
    head = head_of(answer, behaviour, url)
    if behaviour.headers_at_once:
        await wire.send(head)
        head = b""
    await _until(asked_at + behaviour.time_to_first_byte_s)
    chunked = behaviour.length is Length.CHUNKED
    started, late, at = monotonic(), 0.0, 0
    for piece in _pieces(answer.body, behaviour):
        if at == behaviour.stall_after_bytes:
            await wire.send(head)
            head, late = b"", late + await _stall(behaviour.stall_s)
        if at == behaviour.cut_after_bytes:
            return await _cut(wire, head, behaviour.cut)
        if answer.seconds and behaviour.pace:
            await _until(started + late + due(at / len(answer.body) * answer.seconds, behaviour))
        await wire.send(head + (b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece))
        head, at = b"", at + len(piece)
        sent(len(piece))
    if at == behaviour.stall_after_bytes:
        await _stall(behaviour.stall_s)
    if at == behaviour.cut_after_bytes:
        return await _cut(wire, head, behaviour.cut)
    await wire.send(head + (b"0\r\n\r\n" if chunked and behaviour.last_chunk else b""))
    if chunked:
        return behaviour.last_chunk
    return behaviour.length is Length.STATED and not behaviour.length_error


async def refuse(wire: Wire, accept: Accept) -> None:
    if accept is Accept.NEVER:
        await asyncio.Event().wait()
    elif accept is Accept.RESET:
        wire.reset_on_close()
    elif accept is Accept.JUNK:
        await wire.send(b"\x00\xffthis is not HTTP\r\n\r\n")


async def _cut(wire: Wire, head: bytes, cut: Cut) -> bool:
    await wire.send(head)
    if cut is Cut.RESET:
        wire.reset_on_close()
    return False


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - monotonic()))


async def _stall(seconds: float | None) -> float:
    if seconds is None:
        await asyncio.Event().wait()
    await asyncio.sleep(seconds or 0.0)
    return seconds or 0.0


def head_of(answer: Answer, behaviour: Behaviour, url: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Something')}"]
    lines += [f"Content-Type: {behaviour.content_type or answer.content_type}"]
    if behaviour.length is Length.CHUNKED:
        lines += ["Transfer-Encoding: chunked"]
    elif behaviour.length is Length.STATED:
        lines += [f"Content-Length: {max(0, len(answer.body) + behaviour.length_error)}"]
    else:
        lines += ["Connection: close"]
    if behaviour.retry_after:
        lines += [f"Retry-After: {behaviour.retry_after}"]
    if behaviour.location:
        lines += [f"Location: {url if behaviour.location == 'self' else behaviour.location}"]
    if behaviour.bad_gzip:
        lines += ["Content-Encoding: gzip"]
    for start in range(0, behaviour.huge_headers_bytes, 4096):
        lines += [f"X-Padding-{start}: " + "x" * min(4096, behaviour.huge_headers_bytes - start)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _pieces(body: bytes, behaviour: Behaviour) -> Iterator[bytes]:
    """The body in chunks, cut also where something is to happen."""
    marks = sorted(mark for mark in (behaviour.stall_after_bytes, behaviour.cut_after_bytes) if mark)
    at, sent = 0, 0
    while at < len(body):
        size = min(behaviour.chunk_bytes, *(mark - sent for mark in marks if mark > sent), len(body) - at)
        yield body[at : at + size]
        at, sent = at + size, sent + size
        if at == len(body) and behaviour.endless:
            at = 0
