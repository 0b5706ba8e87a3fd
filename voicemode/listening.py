"""From spoken sound to text: microphone → voice activity → turn → recording → recogniser → transcript."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from voicemode import clock
from voicemode.errors import EngineError, MicrophoneSilent
from voicemode.events import (
    Emit,
    MicrophoneOpened,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnFailed,
    VoiceStarted,
)
from voicemode.pcm import Frame, Framer
from voicemode.ports import BeginRecording, OpenSource, SttEngine, Vad
from voicemode.speech import Outcome, RecordingNote, Transcript, TranscriptionRequest
from voicemode.text import clean_transcript
from voicemode.turn import Turn, TurnRules, Why

LEAD_SECONDS = 0.3
"""Kept before the first voice: soft onsets (h, f, s) are no voice to a detector."""

TAIL_SECONDS = 0.3

VOICE = 0.5
"""The probability from which a frame counts as voice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningPorts:
    open_source: OpenSource
    open_vad: Callable[[], Vad]
    engine: SttEngine
    begin_recording: BeginRecording
    emit: Emit
    rules: TurnRules
    keep_recording: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """What the microphone gave: `audio` is the speech with a little before and after, None when nobody spoke;
    `began` is when its first sample was heard (monotonic seconds)."""

    audio: Frame | None
    why: Why
    began: float


async def capture(
    ports: ListeningPorts, *, turn: str, rules: TurnRules, ready: Callable[[], bool] = lambda: True
) -> Captured:
    """Opens the microphone, waits for a turn and closes it again.

    The microphone may be opened before it is wanted: frames that come before `ready` are thrown away, so that no
    time is deaf between the last word spoken and the first word heard. Raises `DeviceError`.
    """
    vad = ports.open_vad()
    machine = Turn(rules)
    framer = Framer(vad.format, vad.frame_samples)
    kept = bytearray()
    opened = clock.monotonic()
    async with ports.open_source(vad.format) as source:
        ports.emit(MicrophoneOpened(at=clock.monotonic(), turn=turn, rate=vad.format.rate))
        async for frame in _frames(source, framer):
            if not kept and not ready():
                continue
            if not kept:
                opened = clock.monotonic() - frame.seconds
            kept += frame.data
            spoken = machine.voice_from is not None
            zeros = not any(frame.data)
            why = machine.feed(frame.seconds, voice=vad.feed(frame) >= VOICE, zeros=zeros)
            if not spoken and machine.voice_from is not None:
                ports.emit(VoiceStarted(at=clock.monotonic(), turn=turn, position=machine.voice_from))
            if why is not None:
                break
    return _captured(machine, Frame(data=bytes(kept), format=vad.format), opened, ports, turn)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What became of a recording: its words, or why there are none (`failure`), and where it is kept."""

    transcript: Transcript | None
    recording: Path | None
    failure: EngineError | None = None


async def transcribe(ports: ListeningPorts, captured: Captured, *, turn: str, language: str | None) -> Heard:
    """The recording's words. Until there are any the recording is kept: nobody is asked to say a thing twice."""
    audio = captured.audio
    if audio is None:
        raise ValueError("nobody spoke: there is nothing to transcribe")
    engine = ports.engine.name
    recording = (
        ports.begin_recording(kind="stt", turn=turn, format=audio.format) if ports.keep_recording else None
    )
    ports.emit(TranscriptionRequested(at=clock.monotonic(), turn=turn, engine=engine, seconds=audio.seconds))
    transcript: Transcript | None = None
    failure: EngineError | None = None
    try:
        found = await ports.engine.transcribe(TranscriptionRequest(audio=audio, language=language))
        transcript = replace(found, text=clean_transcript(found.text))
    except EngineError as error:
        failure = error
        ports.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
    finally:
        if transcript is None and recording is None:
            recording = ports.begin_recording(kind="stt", turn=turn, format=audio.format)
        if recording is not None:
            recording.write(audio)
            recording.finish(_note(turn, transcript, captured.began))
    if transcript is not None:
        text, confidence = transcript.text, transcript.confidence
        ports.emit(
            Transcribed(
                at=clock.monotonic(), turn=turn, engine=transcript.engine, text=text, confidence=confidence
            )
        )
    return Heard(transcript=transcript, recording=recording.path if recording else None, failure=failure)


def _note(turn: str, transcript: Transcript | None, began: float) -> RecordingNote:
    if transcript is None:
        return RecordingNote(kind="stt", turn=turn, text="", outcome=Outcome.NOT_TRANSCRIBED, position=began)
    return RecordingNote(
        kind="stt",
        turn=turn,
        text=transcript.text,
        engine=transcript.engine,
        outcome=Outcome.ANSWERED,
        position=began,
    )


async def _frames(source: AsyncIterator[Frame], framer: Framer) -> AsyncIterator[Frame]:
    async for block in source:
        for frame in framer.feed(block.data):
            yield frame


def _captured(machine: Turn, audio: Frame, opened: float, ports: ListeningPorts, turn: str) -> Captured:
    why = machine.why or Why.NO_SPEECH
    seconds = 0.0
    speech = None
    start = 0.0
    if machine.voice_from is not None and machine.voice_to is not None:
        start = max(machine.voice_from - LEAD_SECONDS, 0.0)
        speech = _slice(audio, start, machine.voice_to + TAIL_SECONDS)
        seconds = speech.seconds
    ports.emit(TurnEnded(at=clock.monotonic(), turn=turn, why=why, seconds=seconds))
    if why is Why.DEAD:
        raise MicrophoneSilent(
            f"The microphone was open for {machine.now:.1f} s and delivered nothing but zeros.",
            hint="It is muted, unplugged or not permitted: check the system's microphone permission for this "
            "program and `voicemode doctor`.",
        )
    return Captured(audio=speech, why=why, began=opened + start)


def _slice(audio: Frame, start: float, end: float) -> Frame:
    size = audio.format.bytes_per_sample
    return Frame(
        data=audio.data[audio.format.samples(start) * size : audio.format.samples(end) * size],
        format=audio.format,
    )
