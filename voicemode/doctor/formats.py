"""What a speech server does with each format, and a transcription server with a short recording, measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from voicemode import clock
from voicemode.doctor.finding import Finding, State
from voicemode.errors import (
    BadContent,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    VoiceModeError,
)
from voicemode.measuring.timing import TimedEngine, said
from voicemode.pcm import SPEECH, Frame
from voicemode.ports import OpenDecoder, SttEngine, TtsEngine
from voicemode.speech import AudioFormat, SpeechRequest, TranscriptionRequest

SENTENCE = "One, two, three, four, five. This is how I sound."
ANSWER = "one two three"
"""What a transcription server is given to understand."""

FORMAT_SECONDS = 20.0
"""For one format: a server that needs longer for three seconds of sound is no voice."""
ANSWER_SECONDS = 30.0

REAL_TIME = 1.0
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """One sentence in one format; seconds from the request. `first_sound` is the first audible sample decoded,
    `seconds` the length of the sound, `whole` when its last byte was decoded."""

    came: AudioFormat
    voice: str
    model: str
    first_byte: float
    first_sound: float
    seconds: float
    whole: float

    @property
    def factor(self) -> float:
        """Below 1 it is made faster than it is heard."""
        return self.whole / self.seconds


async def time_format(engine: TtsEngine, asked: AudioFormat, open_decoder: OpenDecoder) -> Timed:
    """Has one sentence said. Raises `VoiceModeError`; `BadContent` where what came is no sound that anybody hears."""
    began = clock.monotonic()
    noted = TimedEngine(engine, open_decoder)
    request = SpeechRequest(text=SENTENCE, format=asked)
    sound, audio = await said(noted, request, noted.open_decoder, SPEECH)
    whole = clock.monotonic() - began
    if noted.first_audible is None:
        raise BadContent(
            f"{engine.name} sent {'nothing but silence' if sound.samples else 'no sound'}.",
            engine=engine.name,
        )
    return Timed(
        came=audio.format,
        voice=audio.voice,
        model=audio.model,
        first_byte=noted.chunks[0][0] - began,
        first_sound=noted.first_audible - began,
        seconds=sound.seconds,
        whole=whole,
    )


async def examine_formats(
    engine: TtsEngine,
    used: AudioFormat,
    open_decoder: OpenDecoder,
    *,
    doing: Callable[[str], None] = lambda what: None,
) -> list[Finding]:
    """A line for each format, after one for model and voice. `used` is the format that is asked for from day to day.
    One after the other, so that none waits for another; a server that does not answer is not asked again."""
    with suppress(
        VoiceModeError
    ):  # The connection is made and the voices are looked up before anything is timed.
        await engine.voices()
    with suppress(ImportError):
        await asyncio.to_thread(__import__, "av")
    timed: dict[AudioFormat, Timed] = {}
    wrong: dict[AudioFormat, str] = {}
    for number, each in enumerate(AudioFormat, 1):
        doing(f"{engine.name} says a sentence as {each} ({number} of {len(AudioFormat)})")
        try:
            async with asyncio.timeout(FORMAT_SECONDS):
                timed[each] = await time_format(engine, each, open_decoder)
        except TimeoutError:
            wrong[each] = f"not all of it came within {FORMAT_SECONDS:g} s"
            break
        except VoiceModeError as error:
            wrong[each] = str(error)
            if isinstance(error, EndpointTimeout | EndpointUnreachable) or _refuses_all(error):
                break
    return _told(engine.name, used, timed, wrong)


def _refuses_all(error: VoiceModeError) -> bool:
    """The key, the credit or the pace, and not this format."""
    return isinstance(error, EndpointRefused) and error.status in (401, 402, 403, 407, 429)


def _told(
    name: str, used: AudioFormat, timed: dict[AudioFormat, Timed], wrong: dict[AudioFormat, str]
) -> list[Finding]:
    what = f"speech: {name}"
    if not timed:
        why = wrong.get(used) or next(iter(wrong.values()), "")
        return [
            Finding(
                state=State.WARN,
                what=what,
                found=f"answers and says nothing in any format: {why}",
                mend="See what its own log says; its model and voice are VOICEMODE_TTS_MODELS and VOICEMODE_VOICES.",
            )
        ]
    best = timed.get(used) or next(iter(timed.values()))
    findings = [
        Finding(state=State.OK, what=what, found=f"says a sentence: model {best.model}, voice {best.voice}")
    ]
    for each in AudioFormat:
        if each in timed:
            findings.append(_measured(what, each, timed[each], used=each is used))
        elif each in wrong:
            others = ", ".join(timed)
            findings.append(
                Finding(
                    state=State.WARN if each is used else State.NOTE,
                    what=f"{what} {each}",
                    found=f"not usable: {wrong[each]}",
                    mend=f"Set VOICEMODE_TTS_AUDIO_FORMAT to one that it sends: {others}."
                    if each is used
                    else "",
                )
            )
    return findings


def _measured(what: str, asked: AudioFormat, timed: Timed, *, used: bool) -> Finding:
    came = "" if timed.came is asked else f"comes as {timed.came}; "
    slow = timed.factor >= REAL_TIME
    return Finding(
        state=State.WARN if slow and used else State.OK,
        what=f"{what} {asked}",
        found=f"{came}first byte {timed.first_byte * 1000:4.0f} ms, first sound {timed.first_sound * 1000:4.0f} ms, "
        f"{timed.factor:.2f} × real time"
        f"{', slower than it is heard: it will pause' if slow else ''}",
        mend="Give it a faster model or machine, or name another server first in VOICEMODE_TTS_BASE_URLS."
        if slow and used
        else "",
        figures={
            "first_byte_ms": round(timed.first_byte * 1000, 1),
            "first_sound_ms": round(timed.first_sound * 1000, 1),
            "real_time_factor": round(timed.factor, 3),
        },
    )


async def examine_transcription(engine: SttEngine, recording: Frame, *, words: str = ANSWER) -> Finding:
    """Gives it a short recording in which `words` are said; "" where nothing is."""
    what = f"transcription: {engine.name}"
    began = clock.monotonic()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            transcript = await engine.transcribe(TranscriptionRequest(audio=recording, language="en"))
    except TimeoutError:
        return Finding(
            state=State.WARN,
            what=what,
            found=f"no answer within {ANSWER_SECONDS:g} s to {recording.seconds:.1f} s of sound",
            mend="Give it a smaller model or a faster machine.",
        )
    except EngineError as error:
        return Finding(
            state=State.WARN,
            what=what,
            found=f"does not transcribe: {error.message}",
            mend=error.hint or "See what its own log says; its model is VOICEMODE_STT_MODEL.",
        )
    took = clock.monotonic() - began
    text = " ".join("".join(char if char.isprintable() else " " for char in transcript.text).split())
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
    understood = f"understood {shown!r}" + (f" where {words!r} was said" if words else "")
    nothing = bool(words) and not text
    return Finding(
        state=State.NOTE if nothing else State.OK,
        what=what,
        found=f"{understood}, after {took * 1000:.0f} ms (model {transcript.model})",
        mend="A robot's voice is hard to understand: try `voicemode listen`. If it does not understand you either, its "
        "model (VOICEMODE_STT_MODEL) or its language is another."
        if nothing
        else "",
        figures={"answer_ms": round(took * 1000, 1), "sound_s": round(recording.seconds, 2)},
    )
