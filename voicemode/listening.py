"""From spoken sound to text: microphone → voice activity → turn → recording → recogniser → transcript."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from voicemode import clock
from voicemode.errors import DeviceError, EngineError, MicrophoneSilent
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
from voicemode.ports import BeginRecording, OpenSource, Recording, SttEngine, Vad
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
    prompt: str | None = None
    """Names and words that the recogniser should expect."""


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
    time is deaf between the last word spoken and the first word heard. Raises `DeviceError`. What had been said
    when the device went away or someone cancelled is kept as a recording.
    """
    hearing = _Hearing(ports, turn, rules)
    try:
        async with ports.open_source(hearing.vad.format) as source:
            ports.emit(MicrophoneOpened(at=clock.monotonic(), turn=turn, rate=hearing.vad.format.rate))
            async for frame in _frames(source, hearing.vad):
                if (hearing.kept or ready()) and hearing.feed(frame) is not None:
                    break
    except DeviceError as error:
        kept = hearing.keep(Outcome.BROKEN)
        if kept is not None and (path := await kept.saved()) is not None:
            error.hint = f"{error.hint} What was said until then is kept in {path}.".lstrip()
        raise
    except asyncio.CancelledError:
        hearing.keep(Outcome.CANCELLED)
        raise
    return hearing.captured()


class _Hearing:
    """What the microphone has given since it was wanted, and what the turn machine makes of it."""

    def __init__(self, ports: ListeningPorts, turn: str, rules: TurnRules) -> None:
        self.vad = ports.open_vad()
        self.kept = bytearray()
        self._ports = ports
        self._turn = turn
        self._machine = Turn(rules)
        self._opened = clock.monotonic()

    def feed(self, frame: Frame) -> Why | None:
        if not self.kept:
            self._opened = clock.monotonic() - frame.seconds
        self.kept += frame.data
        machine = self._machine
        spoken = machine.voice_from is not None
        voice = self.vad.feed(frame) >= VOICE
        why = machine.feed(frame.seconds, voice=voice, zeros=not any(frame.data))
        if not spoken and machine.voice_from is not None:
            at = clock.monotonic()
            self._ports.emit(VoiceStarted(at=at, turn=self._turn, position=machine.voice_from))
        return why

    def speech(self) -> Frame | None:
        """What was said, with its lead and tail; None while nobody has spoken."""
        machine = self._machine
        if machine.voice_from is None or machine.voice_to is None:
            return None
        fmt = self.vad.format
        start, end = (fmt.samples(seconds) * fmt.bytes_per_sample for seconds in (self._start, self._end))
        return Frame(data=bytes(self.kept[start:end]), format=fmt)

    @property
    def _start(self) -> float:
        return max((self._machine.voice_from or 0.0) - LEAD_SECONDS, 0.0)

    @property
    def _end(self) -> float:
        return (self._machine.voice_to or 0.0) + TAIL_SECONDS

    def keep(self, outcome: Outcome) -> Recording | None:
        """Puts away what was said before the turn could end; None when nobody had spoken."""
        speech = self.speech()
        if speech is None:
            return None
        recording = self._ports.begin_recording(kind="stt", turn=self._turn, format=speech.format)
        recording.write(speech)
        position = self._opened + self._start
        recording.finish(
            RecordingNote(kind="stt", turn=self._turn, text="", outcome=outcome, position=position)
        )
        return recording

    def captured(self) -> Captured:
        machine = self._machine
        why = machine.why or Why.NO_SPEECH
        speech = self.speech()
        seconds = speech.seconds if speech else 0.0
        self._ports.emit(TurnEnded(at=clock.monotonic(), turn=self._turn, why=why, seconds=seconds))
        if why is Why.DEAD:
            raise MicrophoneSilent(
                f"The microphone was open for {machine.now:.1f} s and delivered nothing but zeros.",
                hint="It is muted, unplugged or not permitted: check the system's microphone permission for this "
                "program and `voicemode doctor`.",
            )
        return Captured(audio=speech, why=why, began=self._opened + self._start)


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
    recording = _record(ports, audio, turn) if ports.keep_recording else None
    ports.emit(TranscriptionRequested(at=clock.monotonic(), turn=turn, engine=engine, seconds=audio.seconds))
    transcript: Transcript | None = None
    failure: EngineError | None = None
    try:
        found = await ports.engine.transcribe(
            TranscriptionRequest(audio=audio, language=language, prompt=ports.prompt)
        )
        transcript = replace(found, text=clean_transcript(found.text))
    except EngineError as error:
        failure = error
        ports.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
    finally:
        if transcript is None and recording is None:
            recording = _record(ports, audio, turn)
        if recording is not None:
            recording.finish(_note(turn, transcript, captured))
    if transcript is not None:
        text, confidence = transcript.text, transcript.confidence
        ports.emit(
            Transcribed(
                at=clock.monotonic(), turn=turn, engine=transcript.engine, text=text, confidence=confidence
            )
        )
    kept = await recording.saved() if recording is not None else None
    return Heard(transcript=transcript, recording=kept, failure=failure)


def _record(ports: ListeningPorts, audio: Frame, turn: str) -> Recording:
    recording = ports.begin_recording(kind="stt", turn=turn, format=audio.format)
    recording.write(audio)
    return recording


def _note(turn: str, transcript: Transcript | None, captured: Captured) -> RecordingNote:
    began = captured.began
    if transcript is None:
        return RecordingNote(kind="stt", turn=turn, text="", outcome=Outcome.NOT_TRANSCRIBED, position=began)
    return RecordingNote(
        kind="stt",
        turn=turn,
        text=transcript.text,
        engine=transcript.engine,
        outcome=Outcome.TIMED_OUT if captured.why is Why.MAXIMUM else Outcome.ANSWERED,
        position=began,
    )


async def _frames(source: AsyncIterator[Frame], vad: Vad) -> AsyncIterator[Frame]:
    framer = Framer(vad.format, vad.frame_samples)
    async for block in source:
        for frame in framer.feed(block.data):
            yield frame
