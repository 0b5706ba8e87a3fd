"""The ear that is always there: pocketsphinx from its wheel, in a process of its own. English, short answers."""

from __future__ import annotations

import asyncio
import importlib.util
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.codecs.convert import Converter
from voicemode.engines.embedded.child import Child, ChildGone, Message
from voicemode.engines.embedded.grammar import SHORT_ANSWERS
from voicemode.engines.embedded.notes import BETTER_EAR, DICTATION_NOTE, SHORT_NOTE
from voicemode.errors import EngineError, EngineUnavailable, UnknownLanguage
from voicemode.pcm import LISTENING, Frame
from voicemode.speech import Transcript, TranscriptionRequest

if TYPE_CHECKING:
    from voicemode.engines.embedded.judgement import Heard

NAME = "embedded"
LANGUAGE = "en"
MODEL = "pocketsphinx en-us"
IDLE_SECONDS = 180.0
"""The models take 100 MB and 0.4 s to load; after this long without a request the memory is given back."""
START_SECONDS = 20.0
LIMIT_SECONDS, LIMIT_PER_SECOND = 20.0, 4.0
"""Limit for one piece: a start, and ten times what a second of sound takes to decode."""
SHORT_SECONDS = 8.0
"""Only recordings up to here are tried as a short answer; the longest takes 3 s, the rest is silence."""
PIECE_SECONDS = 20.0
"""Longer recordings are cut at the quietest moment in the last quarter before this."""
GRACE_SECONDS = 1.0
"""A cancelled short request is decoded in less: the child lives on then, since the next request would have to load the
models again. Beyond it, or with a longer recording, it is killed."""
EDGE_SECONDS = 0.3
"""Silence put before and after: the recogniser's noise model starts on it, and a turn is cut close."""
PROGRAM = Path(__file__).with_name("sphinx_child.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class SphinxFiles:
    """`packages` is the folder to import pocketsphinx from; `model` the folder of its American English."""

    packages: Path
    model: Path


def installed_files(package_name: str = "pocketsphinx") -> SphinxFiles:
    """Where the wheel has put pocketsphinx, without importing it. Raises `EngineUnavailable`."""
    found = importlib.util.find_spec(package_name)
    if found is None or not found.origin:
        raise EngineUnavailable(
            f"The embedded ear needs the package {package_name}, which is not installed "
            "(it has no wheel for Python 3.14 and later).",
            engine=NAME,
            hint=f"Run voicemode on Python 3.13 or earlier. {BETTER_EAR}",
        )
    package = Path(found.origin).parent
    return SphinxFiles(packages=package.parent, model=package / "model" / "en-us")


def understands(language: str | None) -> bool:
    """Whether a BCP 47 tag is English; None is whatever is spoken."""
    return (language or LANGUAGE).lower().replace("_", "-").split("-")[0] == LANGUAGE


class EmbeddedEar:
    """An `SttEngine`. One recording at a time; others wait. `files` None looks for the wheel at the first use."""

    def __init__(self, *, files: SphinxFiles | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self._files = files
        self._idle_seconds = idle_seconds
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._killed: set[Child] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._answer: asyncio.Task[Message] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return NAME

    @property
    def pids(self) -> frozenset[int]:
        return frozenset({self._child.pid}) if self._child is not None and self._child.alive else frozenset()

    async def warm(self) -> None:
        """Loads the models, so that the next request need not wait. Raises `EngineUnavailable`."""
        async with self._turn:
            await self._ready()
            self._set_alarm()

    async def close(self) -> None:
        """Kills the child, and returns when the system has let go of it."""
        self._closed = True
        self._stop()
        async with asyncio.timeout(2.0):
            for child in self._killed:
                await child.exited()

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        if not understands(request.language):
            raise UnknownLanguage(
                f"The embedded ear understands English only, not {request.language!r}.",
                engine=NAME,
                languages=(LANGUAGE,),
                hint=BETTER_EAR,
            )
        from voicemode.engines.embedded.judgement import joined

        sound = await listening(request.audio)
        pieces = cut_at_quiet(sound)
        heard: list[Heard] = []
        begins = 0.0
        async with self._turn:
            try:
                for piece in pieces:
                    found = await self._understand(piece, alone=len(pieces) == 1)
                    heard.append(found.later(begins - EDGE_SECONDS))
                    begins += LISTENING.seconds(len(piece) // LISTENING.bytes_per_sample)
            except asyncio.CancelledError:
                self._leave(request.audio.seconds)
                raise
            except BaseException:
                self._stop()
                raise
            self._set_alarm()
        result = joined(heard)
        return Transcript(
            text=result.text,
            engine=NAME,
            model=MODEL,
            language="en-US",
            confidence=result.confidence,
            words=result.words,
            note=(SHORT_NOTE if result.short else DICTATION_NOTE) if result.text else "",
        )

    async def _understand(self, piece: bytes, *, alone: bool) -> Heard:
        """A child that died while idle is replaced once."""
        from voicemode.engines.embedded.judgement import Heard, judge, read_words

        if not any(piece):
            return Heard(text="", confidence=None, short=False)
        seconds = len(piece) / 2 / LISTENING.rate
        edge = LISTENING.silence(LISTENING.samples(EDGE_SECONDS))
        flag = b"\1" if alone and seconds <= SHORT_SECONDS else b"\0"
        fresh = self._child is None
        limit = LIMIT_SECONDS + LIMIT_PER_SECOND * seconds
        try:
            answer = await self._ask(flag + edge + piece + edge, limit)
        except ChildGone as gone:
            self._stop()
            if not fresh:
                return await self._understand(piece, alone=alone)
            raise EngineError(f"pocketsphinx's process ended while listening: {gone}.", engine=NAME) from gone
        except TimeoutError:
            raise EngineError(
                f"pocketsphinx gave no answer within {limit:.0f} s.", engine=NAME, retryable=True
            ) from None
        if answer.kind != b"R":
            reason = answer.payload.decode("utf-8", "replace")
            raise EngineError(f"pocketsphinx could not read the recording: {reason}.", engine=NAME)
        return judge(read_words(answer.payload.decode("utf-8", "replace")), seconds)

    async def _ask(self, payload: bytes, limit: float) -> Message:
        child = await self._ready()
        child.send(b"T", payload)
        self._answer = asyncio.ensure_future(child.receive())
        self._answer.add_done_callback(_look_at)
        async with asyncio.timeout(limit):
            return await asyncio.shield(self._answer)

    def _leave(self, seconds: float) -> None:
        """Nobody wants the answer any more that the child is at work on."""
        if self._answer is None or seconds > SHORT_SECONDS:
            self._stop()
        elif self._answer.done():
            self._set_alarm()
        else:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._stop)
            self._answer.add_done_callback(self._left)

    def _left(self, answer: asyncio.Task[Message]) -> None:
        """The answer came within the grace: the child may idle, unless it is at work again or gone."""
        if self._answer is answer and not answer.cancelled() and answer.exception() is None:
            self._set_alarm()

    async def _answered(self) -> None:
        """An answer that nobody wanted any more is out of the way, or the child that owes it."""
        answer = self._answer
        if answer is not None and not answer.done():
            try:
                async with asyncio.timeout(GRACE_SECONDS):
                    await asyncio.shield(answer)
            except (ChildGone, TimeoutError):
                self._stop()

    async def _ready(self) -> Child:
        """The child with its models loaded; nobody else asks it meanwhile (the lock is held)."""
        await self._answered()
        if self._alarm is not None:
            self._alarm.cancel()
        if self._closed:
            raise EngineUnavailable("The embedded ear has been closed.", engine=NAME)
        if self._child is not None and self._child.alive:
            return self._child
        self._stop()
        files = self._files or installed_files()
        try:
            async with asyncio.timeout(START_SECONDS):
                self._child = child = await Child.start(PROGRAM, (str(files.packages), str(files.model)))
                child.send(b"G", SHORT_ANSWERS.encode())
                hello = await child.receive()
        except (OSError, ChildGone, TimeoutError) as error:
            self._stop()
            raise _will_not_start(str(error) or type(error).__name__) from error
        except BaseException:
            self._stop()
            raise
        if hello.kind != b"H" or self._closed:
            self._stop()
            raise _will_not_start(hello.payload.decode("utf-8", "replace") or "it was closed")
        return child

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(self._idle_seconds, self._stop)

    def _stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._child is not None:
            self._child.kill()
            self._killed = {killed for killed in (*self._killed, self._child) if not killed.reaped}
            self._child = None


async def listening(frame: Frame) -> bytes:
    """The recording as 16 kHz mono samples."""
    if frame.format == LISTENING or not frame.data:
        return frame.data
    return await asyncio.to_thread(_resampled, frame)


def _resampled(frame: Frame) -> bytes:
    converter = Converter(LISTENING)
    return b"".join(part.data for part in [*converter.feed(frame), *converter.flush()])


def cut_at_quiet(sound: bytes) -> list[bytes]:
    """Pieces of at most `PIECE_SECONDS`, cut where it is quietest, so that no word is cut in two."""
    most = LISTENING.samples(PIECE_SECONDS)
    step = LISTENING.samples(0.05)
    samples = array("h", sound[: len(sound) - len(sound) % 2])
    pieces: list[bytes] = []
    start = 0
    while len(samples) - start > most:
        places = range(start + 3 * most // 4, start + most - step, step)
        at = min(places, key=lambda place: sum(map(abs, samples[place : place + step]))) + step // 2
        pieces.append(samples[start:at].tobytes())
        start = at
    return [*pieces, samples[start:].tobytes()]


def _look_at(answer: asyncio.Task[Message]) -> None:
    """So that asyncio does not report a failure as forgotten: who waits for it is told."""
    if not answer.cancelled():
        answer.exception()


def _will_not_start(reason: str) -> EngineUnavailable:
    return EngineUnavailable(f"The embedded ear does not start: {reason}.", engine=NAME, hint=BETTER_EAR)
