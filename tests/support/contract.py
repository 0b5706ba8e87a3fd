"""What every engine owes the flows, whatever is behind it: it streams, it stops, it says what is wrong.

A test of an engine hands it to these, one by one, so that a failure names the promise that was broken.
"""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
from array import array
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

import pytest

from voicemode.clock import monotonic
from voicemode.errors import InvalidRequest, UnknownVoice
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import SttEngine, TtsEngine
from voicemode.speech import EncodedAudio, SpeechRequest, Transcript, TranscriptionRequest

LIMIT_SECONDS = 30.0
STOP_SECONDS = 0.5
"""How soon after a cancel nothing may be at work any more. It takes a hundredth of that; a machine that is busy with
other work takes its time to end a process. What went on working would take seconds."""

AtWork = Callable[[], int]
"""How many connections or processes are busy for the engine right now."""


async def comes_true(condition: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> float:
    """Looks every millisecond until `condition` holds, and gives the seconds that took."""
    begun = monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is looked at belongs to the system, which sets no event
            await asyncio.sleep(0.001)
    return monotonic() - begun


def process_is_gone(pid: int) -> bool:
    """Gone and reaped. POSIX only: elsewhere signal 0 is a signal."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def process_runs(pid: int) -> bool:
    """Whether it runs; one that has ended counts as ended even where nobody reaps orphans."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def loudness(pcm: bytes) -> float:
    """RMS in dBFS of s16le samples."""
    samples = array("h", pcm)
    power = sum(value * value for value in samples) / max(1, len(samples))
    return 10 * math.log10(power / 32_768**2 + 1e-12)


async def said(engine: TtsEngine, request: SpeechRequest) -> tuple[EncodedAudio, bytes]:
    async with asyncio.timeout(LIMIT_SECONDS), engine.synthesize(request) as audio:
        return audio, b"".join([chunk async for chunk in audio.chunks])


async def assert_streams(engine: TtsEngine, request: SpeechRequest) -> tuple[EncodedAudio, bytes]:
    """Sound comes in more than one piece, none of them empty, and says who speaks."""
    async with asyncio.timeout(LIMIT_SECONDS), engine.synthesize(request) as audio:
        chunks = [chunk async for chunk in audio.chunks]
        again = [chunk async for chunk in audio.chunks]
    assert len(chunks) > 1
    assert all(chunks)
    assert again == []
    assert audio.engine == engine.name
    return audio, b"".join(chunks)


async def assert_each_gets_its_own(engine: TtsEngine, texts: Sequence[str]) -> None:
    """Requests at the same time give what each gives alone (lengths within 5 %: no engine is exact)."""
    alone = [len((await said(engine, SpeechRequest(text=text)))[1]) for text in texts]
    together = await asyncio.gather(*(said(engine, SpeechRequest(text=text)) for text in texts))
    assert [len(sound) for _, sound in together] == [pytest.approx(length, rel=0.05) for length in alone]


async def assert_refuses_nonsense(engine: TtsEngine, unknown_voice: str = "no such voice") -> None:
    """An empty text, an impossible speed and an unknown voice are the caller's errors, each with a way out."""
    good = SpeechRequest(text="Hello.")
    bad = (
        (replace(good, text=""), InvalidRequest),
        (replace(good, text=" \n\t\x00"), InvalidRequest),
        (replace(good, speed=math.nan), InvalidRequest),
        (replace(good, speed=-1.0), InvalidRequest),
        (replace(good, speed=math.inf), InvalidRequest),
        (replace(good, voice=unknown_voice), UnknownVoice),
    )
    for request, error in bad:
        with pytest.raises(error) as caught:
            await said(engine, request)
        assert caught.value.hint
    assert (await said(engine, good))[1], "a refused request must not harm the next one"


async def assert_leaving_stops_it(engine: TtsEngine, long_text: str, at_work: AtWork) -> None:
    """A block left after its first chunk has nothing working for it any more, and the engine speaks on."""
    async with asyncio.timeout(LIMIT_SECONDS), engine.synthesize(SpeechRequest(text=long_text)) as audio:
        async for chunk in audio.chunks:
            assert chunk
            break
    await comes_true(lambda: at_work() == 0, STOP_SECONDS)
    assert (await said(engine, SpeechRequest(text="Next.")))[1]


async def assert_cancel_stops_speech(engine: TtsEngine, long_text: str, at_work: AtWork) -> None:
    """A task cancelled inside the block, wherever it is, leaves nothing at work within `STOP_SECONDS`."""
    inside = asyncio.Event()

    async def speak() -> None:
        async with engine.synthesize(SpeechRequest(text=long_text)):
            inside.set()
            await asyncio.Event().wait()

    await _cancelled(speak(), inside.is_set, at_work)
    await _cancelled(speak(), lambda: at_work() > 0, at_work)
    assert (await said(engine, SpeechRequest(text="Next.")))[1]


async def heard(engine: SttEngine, audio: Frame, language: str | None = None) -> Transcript:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await engine.transcribe(TranscriptionRequest(audio=audio, language=language))


async def assert_hears(engine: SttEngine, audio: Frame, text: str) -> Transcript:
    transcript = await heard(engine, audio)
    assert transcript.text.lower().strip(" .!?") == text
    assert transcript.engine == engine.name
    assert transcript.confidence is None or 0.0 <= transcript.confidence <= 1.0
    return transcript


async def assert_silence_is_no_words(engine: SttEngine) -> None:
    for seconds in (0.0, 0.01, 2.0):
        silence = Frame(data=LISTENING.silence(LISTENING.samples(seconds)), format=LISTENING)
        assert (await heard(engine, silence)).text == ""


async def assert_cancel_stops_hearing(engine: SttEngine, audio: Frame, at_work: AtWork) -> None:
    async def listen() -> None:
        await engine.transcribe(TranscriptionRequest(audio=audio))

    await _cancelled(listen(), lambda: at_work() > 0, at_work)


async def _cancelled(work: Coroutine[None, None, None], begun: Callable[[], bool], at_work: AtWork) -> None:
    task = asyncio.create_task(work)
    await comes_true(lambda: begun() or task.done())
    assert not task.done(), "it ended before it could be cancelled"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes_true(lambda: at_work() == 0, STOP_SECONDS)
