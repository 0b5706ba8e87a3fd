"""S5's WebSockets: `/ws/synthesize` takes a text in one piece, `/ws/synthesize-stream` while it is being written.

Messages are in specs/speech-api.md. One socket may ask again and again, one utterance at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress

from starlette.websockets import WebSocket

from voicemode.codecs.telephone import PACKET_BYTES, TELEPHONE
from voicemode.configuration.presets import TOKENS_PER_SECOND, delivery
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.pcm import SPEECH
from voicemode.speech import AudioFormat
from voicemode.speech_server.answers import BadArgument, error_json, retry_after
from voicemode.speech_server.asked import MU_LAW, Asked, Fields, s5_speech
from voicemode.speech_server.capped import Left
from voicemode.speech_server.parts import Parts
from voicemode.speech_server.peer import Peer
from voicemode.speech_server.service import Service

ASK_SECONDS = 30.0
"""A socket on which nothing is asked for so long is closed."""

TRY_AGAIN_LATER, POLICY, DONE = 1013, 1008, 1000
_SAMPLED = frozenset({AudioFormat.PCM, AudioFormat.WAV})


Work = Coroutine[object, object, None]
Stages = dict[str, object]
"""What `complete` tells."""


class Outlet:
    """Sound cut into messages: the first of `first` bytes, later ones of `then`; as it comes where both are 0."""

    def __init__(self, peer: Peer, asked: Asked) -> None:
        self._peer = peer
        self._base64 = asked.base64
        self._packets = asked.format == MU_LAW
        self._first, self._then = _sizes(asked)
        self._held = bytearray()
        self.messages = 0

    async def take(self, data: bytes) -> None:
        """Encoded sound, in any cut."""
        if not self._then:
            await self._audio(data)
            return
        self._held += data
        while len(self._held) >= (size := self._then if self.messages else self._first):
            part = bytes(self._held[:size])
            del self._held[:size]
            await self._audio(part)

    async def flush(self) -> None:
        """What is held goes out as a shorter message. Telephone packets are whole, always."""
        if self._held and not self._packets:
            part = bytes(self._held)
            self._held.clear()
            await self._audio(part)

    async def _audio(self, data: bytes) -> None:
        if data:
            await self._peer.sound(data, number=self.messages, in_json=self._base64)
            self.messages += 1


def _sizes(asked: Asked) -> tuple[int, int]:
    """Bytes of the first message and of the later ones, from the preset's chunks."""
    if asked.format == MU_LAW:
        return PACKET_BYTES, PACKET_BYTES
    if asked.audio_format not in _SAMPLED:
        return 0, 0  # A packet of a compressed format goes out as it is made.
    how = asked.delivery or delivery()

    def size(tokens: int) -> int:
        return SPEECH.samples(tokens / TOKENS_PER_SECOND) * SPEECH.bytes_per_sample

    return size(how.first_chunk), size(how.chunk)


async def synthesize(service: Service, socket: WebSocket) -> None:
    """`/ws/synthesize`: each message is a request."""
    peer = Peer(socket)
    await _again_and_again(peer, lambda fields: _one(service, peer, fields))


async def synthesize_stream(service: Service, socket: WebSocket) -> None:
    """`/ws/synthesize-stream`: init, text …, end; and again."""
    peer = Peer(socket)
    await _again_and_again(peer, lambda fields: _written(service, peer, fields))


async def _again_and_again(peer: Peer, answer: Callable[[Fields], Work]) -> None:
    with suppress(Left):
        await peer.accept()
        while await _answered(peer, _ask_and_answer(peer, answer)):
            pass


async def _ask_and_answer(peer: Peer, answer: Callable[[Fields], Work]) -> None:
    peer.begin()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            fields = await peer.message()
            while fields.text("type") == "cancel":  # It crossed the end of what it was to end.
                fields = await peer.message()
    except TimeoutError:
        await peer.close(DONE)
        raise Left from None
    await answer(fields)


async def _one(service: Service, peer: Peer, fields: Fields) -> None:
    asked = s5_speech(fields, usual=AudioFormat.PCM)
    parts = Parts(peer, ended=True)
    await _until_said(peer, parts, _spoken(service, peer, asked, asked.text, "/ws/synthesize"))


async def _written(service: Service, peer: Peer, fields: Fields) -> None:
    if fields.text("type") != "init":
        raise BadArgument("The first message must be of type init.", param="type")
    asked = s5_speech(fields, usual=AudioFormat.PCM, with_text=False)
    parts = Parts(peer)
    await _until_said(peer, parts, _spoken(service, peer, asked, parts.text(), "/ws/synthesize-stream"))


async def _until_said(peer: Peer, parts: Parts, work: Coroutine[object, object, Stages]) -> None:
    """Waits for `work`; a client that cancels, leaves or says something wrong meanwhile ends it.

    `complete` goes out when the place is free and nobody reads for this request any more: a client may ask for the
    next thing as soon as it has it.
    """
    speaking, reading = asyncio.ensure_future(work), asyncio.ensure_future(parts.read())
    both = {speaking, reading}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done():
            speaking.cancel()
            await asyncio.wait({speaking})
            reading.result()
            await peer.say("cancelled")
            return
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)
        for task in both:
            if not task.cancelled():
                task.exception()  # Looked at, so that it is not reported as forgotten.
    stages = speaking.result()
    if not reading.cancelled():
        reading.result()
    await peer.say("complete", **stages)


async def _spoken(
    service: Service, peer: Peer, asked: Asked, text: str | AsyncIterator[str], route: str
) -> Stages:
    """One utterance from `ready` to its last sound."""
    outlet = Outlet(peer, asked)
    ended: deque[dict[str, object]] = deque()
    wake = asyncio.Event()
    lock = asyncio.Lock()

    def on_sentence(number: int, said: str) -> None:
        ended.append({"index": number, "text": said})
        wake.set()

    async def tell_ends() -> None:
        async with lock:
            while ended:
                await outlet.flush()
                await peer.say("sentence_complete", **ended.popleft())

    async def take(data: bytes) -> None:
        await tell_ends()
        async with lock:
            await outlet.take(data)

    async def watch() -> None:
        while True:
            await wake.wait()
            wake.clear()
            await tell_ends()

    rate = TELEPHONE.rate if asked.format == MU_LAW else SPEECH.rate
    async with service.utterance(
        route,
        asked,
        text,
        request_id=peer.request_id,
        clauses=not isinstance(text, str),
        faded=True,
        on_sentence=on_sentence,
    ) as speaking:
        await peer.say("ready", request_id=peer.request_id, format=asked.format, sample_rate=rate)
        watching = asyncio.ensure_future(watch())
        try:
            if isinstance(text, str):
                await speaking.prepare()
            await speaking.run(take)
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        await tell_ends()
        await outlet.flush()
        await speaking.drop()
        return {"request_id": peer.request_id, "chunks": outlet.messages, **speaking.stages.as_json()}
    raise AssertionError("the block returns or raises")


async def _answered(peer: Peer, work: Work) -> bool:
    """Whether the socket can be asked again. An error is told and closes it: what follows may belong to it."""
    try:
        await work
    except VoiceModeError as error:
        told: dict[str, object] = {"error": error_json(error), "request_id": peer.request_id}
        seconds = retry_after(error)
        if seconds is not None:
            told["retry_after"] = seconds
        await peer.say("error", **told)
        await peer.close(POLICY if isinstance(error, InvalidRequest) else TRY_AGAIN_LATER)
        return False
    return True
