"""From a recording to words: recogniser → transcript, and what happens to the recording until there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path

from voicemode import clock
from voicemode.errors import EngineError
from voicemode.events import (
    AudioSaved,
    Transcribed,
    TranscriptionDropped,
    TranscriptionRequested,
    TurnFailed,
)
from voicemode.flows.guessing import Guess
from voicemode.flows.listening import Captured, ListeningPorts
from voicemode.flows.telling import telling
from voicemode.pcm import Frame
from voicemode.speech import Outcome, RecordingNote, Transcript, TranscriptionRequest, Trouble
from voicemode.text import languages
from voicemode.text.pieces import clean_transcript
from voicemode.turn_taking.captions import is_caption
from voicemode.turn_taking.interruption import Sign
from voicemode.turn_taking.meanings import meaning

LONGEST_STOP_SECONDS = 2.5
"""With what is kept before and after it nobody takes longer to say one."""

SURE_OF_STOP = 0.8
"""Of the embedded ear: it takes "shop" for "stop" with 0.67, and "stop" with 0.87 and more (decision 0010)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What became of a recording: its words, or why there are none (`failure`), and where it is kept."""

    transcript: Transcript | None
    recording: Path | None
    failure: EngineError | None = None


def guessing(ports: ListeningPorts, *, turn: str, language: str | None) -> Guess:
    """The transcription of this turn ahead of time, where that is wanted or needed."""

    async def ask(audio: Frame) -> Transcript:
        return await _ask(ports, audio, turn=turn, language=language, speculative=True)

    async def ask_needed(audio: Frame) -> Transcript:
        stop = _stop_word(ports, audio, turn=turn, language=language)
        return await _first(stop, ask(audio)) if stop is not None else await ask(audio)

    return Guess(ask, ahead=ports.speculative, ask_needed=ask_needed)


async def transcribe(
    ports: ListeningPorts, captured: Captured, *, turn: str, language: str | None, guess: Guess
) -> Heard:
    """The recording's words, those that `guess` has where it was asked for just them. Until there are any the recording
    is on disk, whatever becomes of this process: nobody is asked to say a thing twice."""
    audio, recording = captured.audio, captured.recording
    if audio is None or recording is None:
        raise ValueError("nobody spoke: there is nothing to transcribe")
    wanted = ports.keep_recording or not ports.awaited(turn)
    transcript: Transcript | None = None
    failure: EngineError | None = None
    try:
        found = await guess.answer(audio)
        if found is None:
            found = await _ask(ports, audio, turn=turn, language=language)
        transcript = _checked(found, captured)
    except EngineError as error:
        failure = error
        ports.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
    finally:
        # Who came back for the answer meanwhile, or was sent away, is heeded.
        wanted = wanted or transcript is None or not ports.awaited(turn)
        recording.finish(_note(turn, transcript, captured), wanted=wanted)
    if transcript is not None:
        ports.emit(
            Transcribed(
                at=clock.monotonic(),
                turn=turn,
                engine=transcript.engine,
                text=transcript.text,
                confidence=transcript.confidence,
                note=transcript.note,
            )
        )
    kept = await recording.saved() if wanted else None
    if kept is not None:
        ports.emit(AudioSaved(at=clock.monotonic(), turn=turn, kind="stt", path=str(kept)))
    return Heard(transcript=transcript, recording=kept, failure=failure)


def keep(captured: Captured, *, turn: str) -> None:
    """Someone cancelled when the turn had just ended: what was said is put away."""
    if captured.recording is not None:
        captured.recording.finish(
            RecordingNote(kind="stt", turn=turn, text="", outcome=Outcome.CANCELLED, position=captured.began)
        )


def _stop_word(
    ports: ListeningPorts, audio: Frame, *, turn: str, language: str | None
) -> Coroutine[None, None, Transcript | None] | None:
    """The listener for words that ask for silence, where there is one: what it has surely heard, None otherwise."""
    ear = ports.stop_ear
    if ear is None or audio.seconds > LONGEST_STOP_SECONDS:
        return None

    async def listen() -> Transcript | None:
        try:
            found = await ear.transcribe(TranscriptionRequest(audio=audio, language=language))
        except EngineError as error:  # it is an aid: the recogniser is asked as well
            reason = str(error)
            telling(ports.emit, turn=turn)(Trouble(engine=ear.name, code=error.code, reason=reason))
            return None
        sure = found.confidence is not None and found.confidence >= SURE_OF_STOP
        return found if sure and meaning(found.text) is Sign.STOP_WORD else None

    return listen()


async def _first(
    stop: Coroutine[None, None, Transcript | None], words: Coroutine[None, None, Transcript]
) -> Transcript:
    """A word that asks for silence, from whoever has it first; otherwise the words."""
    stopping, asking = asyncio.ensure_future(stop), asyncio.ensure_future(words)
    both: set[asyncio.Future[Transcript | None] | asyncio.Future[Transcript]] = {stopping, asking}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done() and asking.exception() is None:
            return asking.result()
        return await stopping or await asking
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)
        if not asking.cancelled():
            asking.exception()  # looked at, so that asyncio does not report it as forgotten


async def _ask(
    ports: ListeningPorts, audio: Frame, *, turn: str, language: str | None, speculative: bool = False
) -> Transcript:
    ports.emit(
        TranscriptionRequested(
            at=clock.monotonic(),
            turn=turn,
            engine=ports.engine.name,
            seconds=audio.seconds,
            speculative=speculative,
        )
    )
    request = TranscriptionRequest(
        audio=audio, language=language, prompt=ports.prompt, tell=telling(ports.emit, turn=turn)
    )
    try:
        found = await ports.engine.transcribe(request)
    except asyncio.CancelledError:
        ports.emit(TranscriptionDropped(at=clock.monotonic(), turn=turn, engine=ports.engine.name))
        raise
    # Some servers name the language in English, others not at all.
    spoken = languages.tag(found.language) or language or ""
    return replace(found, text=clean_transcript(found.text), language=spoken)


def _checked(found: Transcript, captured: Captured) -> Transcript:
    """What a recogniser makes of silence is no answer, and is told."""
    if not is_caption(found.text, voice=captured.voice, margin=captured.margin):
        return found
    told = f"{found.engine} wrote {found.text[:80]!r}, as recognisers do of silence; {captured.voice:.1f} s of voice "
    return replace(
        found, text="", note=f"{told}were too little or too faint to have said it. {found.note}".rstrip()
    )


def _note(turn: str, transcript: Transcript | None, captured: Captured) -> RecordingNote:
    began = captured.began
    if transcript is None:
        return RecordingNote(kind="stt", turn=turn, text="", outcome=Outcome.NOT_TRANSCRIBED, position=began)
    return RecordingNote(
        kind="stt",
        turn=turn,
        text=transcript.text,
        engine=transcript.engine,
        outcome=Outcome.TIMED_OUT if captured.cut else Outcome.ANSWERED,
        position=began,
    )
