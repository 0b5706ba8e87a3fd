"""The voice that is always there: espeak-ng from its wheel, in a process of its own.

Measured on a slow two-core machine: 40 ms from nothing to ready, then 1 ms to the first sound, 1/500 of real
time. The child is kept warm between requests, and killed when a request is left before its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from voicemode.engines.embedded.catalogue import DEFAULT_VOICE, Catalogue
from voicemode.engines.embedded.child import Child, ChildGone
from voicemode.engines.embedded.order import order, speakable, words_per_minute
from voicemode.errors import EngineError, EngineUnavailable, StreamBroken
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice, WordBegins

NAME = "embedded"
MODEL = "espeak-ng"
RATE = 22_050
"""Hz. espeak-ng states it at start; another one is taken over from there."""
MOST_CHILDREN = 16
"""Requests that are served at once; one more waits. A child takes 12 MB."""
KEPT_WARM = 2
SPARE_SECONDS = 10.0
"""For so long what was started for a crowd waits for the next one: starting takes longer than a sentence."""
START_SECONDS = 10.0
"""Limit for a child to become ready, and for the first sound: a thousand times what either takes."""
CLOSE_SECONDS = 2.0
NOTHING_SECONDS = 0.1
"""Silence in place of a text with nothing in it to pronounce, such as a lone dash."""
PROGRAM = Path(__file__).with_name("espeak_child.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class EspeakFiles:
    library: Path
    data: Path


def installed_files() -> EspeakFiles:
    """Where the wheel has put espeak-ng. Raises `EngineUnavailable`."""
    try:
        import espeakng_loader
    except ImportError:
        raise EngineUnavailable(
            "The embedded voice needs the package espeakng-loader, which is not installed.",
            engine=NAME,
            hint="Install it (pip install espeakng-loader), or name a speech server in VOICEMODE_TTS_BASE_URLS.",
        ) from None
    return EspeakFiles(
        library=Path(espeakng_loader.get_library_path()),
        data=Path(espeakng_loader.__file__).with_name("espeak-ng-data"),
    )


class EmbeddedVoice:
    """A `TtsEngine`. `files` None looks for the wheel when the first child is started."""

    def __init__(
        self,
        *,
        files: EspeakFiles | None = None,
        most: int = MOST_CHILDREN,
        spare_seconds: float = SPARE_SECONDS,
    ) -> None:
        self._files = files
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._killed: set[Child] = set()
        self._spare_seconds = spare_seconds
        self._alarm: asyncio.TimerHandle | None = None
        self._rate = RATE
        self._catalogue: Catalogue | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return NAME

    @property
    def pids(self) -> frozenset[int]:
        """The children that are alive, idle or at work."""
        return frozenset(child.pid for child in (*self._idle, *self._busy) if child.alive)

    async def warm(self) -> None:
        """A child that has read its dictionary, which makes the first sound come after 1 instead of 12 ms.

        Raises `EngineUnavailable`.
        """
        async with self.synthesize(SpeechRequest(text="a")) as audio:
            async for _ in audio.chunks:
                pass

    async def check(self) -> None:
        """Raises `EngineUnavailable` where it is not installed. Starts no child."""
        if self._files is None:
            await asyncio.to_thread(installed_files)

    async def voices(self) -> list[Voice]:
        """Every language, then American English in every variant. Any language takes a variant: `de+f3`."""
        return (await self._list()).voices()

    async def ipa(self, voice: str, text: str) -> str:
        """How espeak-ng reads a text, for voices that are given phonemes. Raises `EngineError`."""
        identifier = voice if voice == DEFAULT_VOICE else (await self._list()).find(voice)[1]
        asked = identifier.encode() + b"\0" + speakable(text).encode()
        answer = await self._once(b"P", asked, b"I", "did not say how a text is pronounced")
        return answer.decode("utf-8", "replace")

    async def close(self) -> None:
        """Kills every child, and returns when the system has let go of them."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for child in (*self._idle, *self._busy):
            self._give_back(child, fit=False)
        self._idle.clear()
        async with asyncio.timeout(CLOSE_SECONDS):
            for child in self._killed:
                await child.exited()

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        text = speakable(request.text)
        rate = words_per_minute(request.speed)
        voice, identifier = await self._resolve(request)
        async with self._slots:
            pieces = await self._begin(order(text, identifier, rate))
            try:
                yield EncodedAudio(
                    chunks=pieces,
                    format=AudioFormat.PCM,
                    engine=NAME,
                    voice=voice,
                    model=MODEL,
                    pcm=PcmFormat(rate=self._rate),
                    words=pieces.words,
                )
            finally:
                self._give_back(pieces.child, fit=pieces.finished)

    async def _begin(self, payload: bytes) -> _Pieces:
        """The child at work and its first piece of sound. An idle child that has died meanwhile is replaced once."""
        for last in (False, True):
            child = await self._take(fresh=last)
            fit = False
            try:
                child.send(b"S", payload)
                async with asyncio.timeout(START_SECONDS):
                    pieces = _Pieces(child, self._rate)
                    await pieces.begin()
                fit = True
                return pieces
            except ChildGone as gone:
                if last:
                    raise _crashed(gone) from gone
            except TimeoutError:
                raise EngineError(
                    f"espeak-ng gave no sound within {START_SECONDS:g} s.", engine=NAME, retryable=True
                ) from None
            finally:
                if not fit:
                    self._give_back(child, fit=False)
        raise AssertionError

    async def _take(self, *, fresh: bool = False) -> Child:
        while self._idle and not fresh:
            child = self._idle.pop()
            if child.alive:
                self._busy.add(child)
                return child
            self._give_back(child, fit=False)
        if self._closed:
            raise EngineUnavailable("The embedded voice has been closed.", engine=NAME)
        return await self._start()

    async def _start(self) -> Child:
        files = self._files or installed_files()
        child: Child | None = None
        try:
            async with asyncio.timeout(START_SECONDS):
                child = await Child.start(PROGRAM, (str(files.library), str(files.data)))
                self._busy.add(child)
                hello = await child.receive()
        except (OSError, ChildGone, TimeoutError) as error:
            self._drop(child)
            raise _will_not_start(str(error) or type(error).__name__) from error
        except BaseException:
            self._drop(child)
            raise
        if hello.kind != b"H":
            self._drop(child)
            raise _will_not_start(hello.payload.decode("utf-8", "replace"))
        if self._closed:
            self._drop(child)
            raise EngineUnavailable("The embedded voice has been closed.", engine=NAME)
        self._rate = int.from_bytes(hello.payload, "big")
        return child

    def _give_back(self, child: Child, *, fit: bool) -> None:
        """`fit`: it has said all of its last text. Anything else has to be stopped, and stopping is killing."""
        self._busy.discard(child)
        if fit and child.alive and not self._closed:
            self._idle.append(child)
            if len(self._idle) > KEPT_WARM:
                self._thin_out_later()
        else:
            child.kill()
            self._killed = {killed for killed in (*self._killed, child) if not killed.reaped}

    def _thin_out_later(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(self._spare_seconds, self._thin_out)

    def _thin_out(self) -> None:
        while len(self._idle) > KEPT_WARM:
            self._give_back(self._idle.pop(0), fit=False)

    def _drop(self, child: Child | None) -> None:
        if child is not None:
            self._give_back(child, fit=False)

    async def _list(self) -> Catalogue:
        """Reading 141 voice files takes espeak-ng 30 ms, so it is asked once."""
        if self._catalogue is not None:
            return self._catalogue
        listed = await self._once(b"L", b"", b"V", "did not list its voices")
        self._catalogue = Catalogue(listed.decode("utf-8", "replace"), NAME)
        return self._catalogue

    async def _once(self, kind: bytes, payload: bytes, wanted: bytes, failure: str) -> bytes:
        """A question that has one short answer."""
        child = await self._take()
        fit = False
        try:
            child.send(kind, payload)
            async with asyncio.timeout(START_SECONDS):
                answer = await child.receive()
            fit = answer.kind == wanted
        except (ChildGone, TimeoutError) as error:
            raise EngineError(f"espeak-ng {failure}.", engine=NAME, retryable=True) from error
        finally:
            self._give_back(child, fit=fit)
        if not fit:
            raise EngineError(
                f"espeak-ng {failure}: {answer.payload.decode('utf-8', 'replace')}.", engine=NAME
            )
        return answer.payload

    async def _resolve(self, request: SpeechRequest) -> tuple[str, str]:
        """(id, identifier) of the voice asked for; else the language's; else English, which asks nobody."""
        asked = request.voice or ""
        language = request.language or DEFAULT_VOICE
        if (asked or language).lower() in {"en", DEFAULT_VOICE}:
            return DEFAULT_VOICE, DEFAULT_VOICE
        catalogue = await self._list()
        return catalogue.find(asked or catalogue.for_language(language))


class _Pieces:
    """The rest of one text's sound. `finished` once the child has said that it is through."""

    def __init__(self, child: Child, rate: int) -> None:
        self.child = child
        self.finished = False
        self._heard_anything = False
        self._rate = rate
        self._first: bytes | None = None
        self._words: list[WordBegins] = []

    async def begin(self) -> None:
        """Until there is sound. Raises `ChildGone`, `EngineError`."""
        self._first = await self._sound()

    def words(self) -> Sequence[WordBegins]:
        return self._words

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        if self.finished:
            raise StopAsyncIteration
        try:
            piece_or_end = await self._sound()
        except ChildGone as gone:
            raise StreamBroken(
                f"espeak-ng stopped in the middle of a text: {gone}.", engine=NAME, retryable=True
            ) from gone
        if piece_or_end is None:
            raise StopAsyncIteration
        return piece_or_end

    async def _sound(self) -> bytes | None:
        message = await self.child.receive()
        while message.kind == b"W":
            milliseconds, character = (
                int.from_bytes(part, "big") for part in (message.payload[:4], message.payload[4:])
            )
            self._words.append(WordBegins(at=milliseconds / 1000, character=character))
            message = await self.child.receive()
        if message.kind == b"A":
            self._heard_anything = True
            return message.payload
        self.finished = True
        if message.kind != b"E":
            raise EngineError(message.payload.decode("utf-8", "replace") + ".", engine=NAME)
        if self._heard_anything:
            return None
        return PcmFormat(rate=self._rate).silence(round(NOTHING_SECONDS * self._rate))


def _crashed(gone: ChildGone) -> EngineError:
    code = "" if gone.returncode is None else f" (exit status {gone.returncode})"
    return EngineError(f"espeak-ng's process ended before any sound{code}.", engine=NAME)


def _will_not_start(reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The embedded voice does not start: {reason}.",
        engine=NAME,
        hint="Reinstall the package espeakng-loader, or name a speech server in VOICEMODE_TTS_BASE_URLS.",
    )
