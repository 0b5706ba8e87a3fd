"""A turn's recorded microphone, listened to again: voice activity, turn-taking and transcription with other settings,
as fast as the machine can, and what comes out differently."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from voicemode import events
from voicemode.capturing import capture
from voicemode.codecs.convert import Converter
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.events import Event
from voicemode.guessing import Guess
from voicemode.listening import ListeningPorts
from voicemode.logbook import LoggedTurn
from voicemode.pcm import Frame, PcmFormat
from voicemode.sound_files import KeptSound
from voicemode.speech import RecordingNote
from voicemode.transcribing import guessing, transcribe

E = TypeVar("E", bound=Event)

KINDS = ("mic", "stt")
BLOCK_SECONDS = 0.02
SAME_SECONDS = 0.04
BEFORE_SECONDS = 1.0
"""Of what came before an interruption: a voice's beginning, and the room it stands out of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """One way in which a turn went. Moments are seconds of the recording; `noticed` is when the voice was sure, `last`
    the last of it, `ended` when the turn was over, `why` for what reason. `words` None: there were none to be had, and
    `problem` says why."""

    noticed: float | None
    last: float | None
    ended: float | None
    why: str
    recorded: float | None
    words: str | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """`began` is where in the recording listening begins."""

    turn: str
    sound: KeptSound
    began: float
    then: Bounds
    now: Bounds


async def replay(
    turn: LoggedTurn, sounds: Sequence[KeptSound], ear: ListeningPorts, *, language: str | None
) -> Replayed:
    """`ear` is how this machine listens now; of it the microphone, the recordings and the events are left alone. Raises
    `InvalidRequest` where the microphone was not recorded."""
    sound = _recorded(sounds, turn)
    audio = await asyncio.to_thread(_read, sound)
    began = _listening_from(turn, sound)
    now = await _listened(turn.id, audio, began, ear, language)
    return Replayed(turn=turn.id, sound=sound, began=began, then=_then(turn, sound), now=now)


# What there was.


def _recorded(sounds: Sequence[KeptSound], turn: LoggedTurn) -> KeptSound:
    for kind in KINDS:
        for sound in sounds:
            if sound.kind == kind and sound.is_wav and sound.position is not None:
                return sound
    raise InvalidRequest(
        f"The microphone of turn {turn.id} was not recorded.",
        hint="VOICEMODE_SAVE_AUDIO=true keeps that of later turns.",
    )


def _read(sound: KeptSound) -> Frame:
    with wave.open(str(sound.path), "rb") as file:
        fmt = PcmFormat(rate=file.getframerate(), channels=file.getnchannels())
        data = file.readframes(file.getnframes())
    return Frame(data=data[: len(data) - len(data) % fmt.bytes_per_sample], format=fmt)


def _listening_from(turn: LoggedTurn, sound: KeptSound) -> float:
    """Where in the recording the user's turn begins: while we spoke nobody but who interrupted us was listened to."""
    begins = [event.at for event in turn.events if isinstance(event, events.ListeningStarted)]
    judged = [
        event.at - BEFORE_SECONDS for event in turn.events if isinstance(event, events.InterruptionJudged)
    ]
    moment = min([*begins, *judged], default=0.0)
    return max(moment - (sound.position or 0.0), 0.0)


def _then(turn: LoggedTurn, sound: KeptSound) -> Bounds:
    origin = sound.position or 0.0
    ended = _last(turn.events, events.TurnEnded)
    voice = next((event for event in turn.events if isinstance(event, events.VoiceStarted)), None)
    words = _last(turn.events, events.Transcribed)
    last = None
    if ended is not None and ended.silence is not None:
        last = ended.at - ended.silence - origin
    return Bounds(
        noticed=None if voice is None else round(voice.at - origin, 3),
        last=None if last is None else round(last, 3),
        ended=None if ended is None else round(ended.at - origin, 3),
        why=ended.why if ended is not None else "",
        recorded=None if ended is None else round(ended.seconds, 3),
        words=None if words is None else words.text,
        problem="" if words is not None else "There was no transcript.",
    )


# What there is now.


class _Tape:
    """The recording as a microphone that is read as fast as somebody listens. After its end there is silence, so that a
    turn which would be longer now can end."""

    def __init__(self, audio: Frame, began: float, silence: float) -> None:
        self._audio = audio
        self._began = began
        self._silence = silence
        self.guess: Guess | None = None
        """Its answer is waited for: the time that a recogniser takes is none of the recording's."""
        self.played = began

    @asynccontextmanager
    async def open(self, format: PcmFormat) -> AsyncIterator[AsyncIterator[Frame]]:  # noqa: A002
        yield self._frames(format)

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        start = min(self._began, self._audio.seconds)
        skipped = self._audio.format.samples(start) * self._audio.format.bytes_per_sample
        heard = await asyncio.to_thread(
            _converted, replace(self._audio, data=self._audio.data[skipped:]), fmt
        )
        whole = heard + fmt.silence(fmt.samples(self._silence))
        size = fmt.samples(BLOCK_SECONDS) * fmt.bytes_per_sample
        for at in range(0, len(whole), size):
            frame = Frame(data=whole[at : at + size], format=fmt)
            self.played += frame.seconds
            yield frame
            if self.guess is not None:
                await self.guess.settled()


def _converted(audio: Frame, fmt: PcmFormat) -> bytes:
    if audio.format == fmt:
        return audio.data
    converter = Converter(fmt)
    return b"".join(frame.data for frame in (*converter.feed(audio), *converter.flush()))


class _NoRecording:
    """What is listened to again is recorded already."""

    def write(self, frame: Frame) -> None:
        pass

    def finish(self, note: RecordingNote) -> None:
        pass

    async def saved(self) -> Path | None:
        return None


async def _listened(
    turn: str, audio: Frame, began: float, ear: ListeningPorts, language: str | None
) -> Bounds:
    tape = _Tape(audio, began, (ear.rules.silence_most + 1.0) if ear.rules.silence is not None else 0.0)
    seen: list[tuple[float, Event]] = []
    ports = replace(
        ear,
        open_source=tape.open,
        begin_recording=lambda *, kind, turn, format: _NoRecording(),  # noqa: A006
        emit=lambda event: seen.append((tape.played, event)),
        barge_in=False,
        open_echo=None,
        stop_ear=None,
        keep_recording=False,
    )
    words, problem = None, ""
    async with guessing(ports, turn=turn, language=language) as guess:
        tape.guess = guess
        captured = await capture(ports, turn=turn, rules=ports.rules, guess=guess)
        ended = round(tape.played, 3)
        if captured.audio is None:
            problem = "Nobody spoke."
        else:
            try:
                heard = await transcribe(ports, captured, turn=turn, language=language, guess=guess)
                words = heard.transcript.text if heard.transcript is not None else None
                problem = str(heard.failure) if heard.failure is not None else ""
            except VoiceModeError as error:
                problem = str(error)
    over = [event for _, event in seen if isinstance(event, events.TurnEnded)]
    noticed = next((at for at, event in seen if isinstance(event, events.VoiceStarted)), None)
    silence = over[-1].silence if over else None
    return Bounds(
        noticed=None if noticed is None else round(noticed, 3),
        last=None if silence is None else round(ended - silence, 3),
        ended=ended,
        why=captured.why,
        recorded=captured.audio.seconds if captured.audio is not None else 0.0,
        words=words,
        problem=problem,
    )


def _last(seen: Iterable[Event], kind: type[E]) -> E | None:
    found = [event for event in seen if isinstance(event, kind)]
    return found[-1] if found else None


# How it is told.

ROWS = (
    ("voice noticed", "noticed"),
    ("last voice", "last"),
    ("end of turn", "ended"),
    ("recorded", "recorded"),
)


def told(found: Replayed, settings: Mapping[str, str]) -> dict[str, object]:
    """For programs."""
    return {
        "turn": found.turn,
        "recording": str(found.sound.path),
        "listening_from": round(found.began, 3),
        "settings": dict(settings),
        "then": asdict(found.then),
        "now": asdict(found.now),
        "differs": differences(found),
    }


def differences(found: Replayed) -> list[str]:
    """The names of what is not as it was. Two moments are the same within a frame of the slowest detector."""
    differing = []
    for _, name in ROWS:
        then, now = getattr(found.then, name), getattr(found.now, name)
        if (then is None) != (now is None) or (then is not None and abs(then - now) > SAME_SECONDS):
            differing.append(name)
    differing += [name for name in ("why", "words") if getattr(found.then, name) != getattr(found.now, name)]
    return differing


def shown(found: Replayed, settings: Mapping[str, str]) -> str:
    """For a person."""
    differing = differences(found)
    lines = [
        f"Turn {found.turn}, {found.sound.path.name}, listened to from {found.began:.2f} s on",
        f"With: {', '.join(f'{name}={value}' for name, value in settings.items()) or 'the settings of now'}",
        "",
        f"{'':16}{'then':>12}{'now':>12}",
    ]
    for title, name in ROWS:
        then, now = getattr(found.then, name), getattr(found.now, name)
        change = f"{now - then:+10.2f} s" if name in differing and None not in (then, now) else ""
        lines.append(f"{title:16}{_seconds(then):>12}{_seconds(now):>12}{change}")
    lines.append(f"{'why':16}{found.then.why or '–':>12}{found.now.why or '–':>12}")
    lines += ["", f"Words then: {_words(found.then)}", f"Words now:  {_words(found.now)}"]
    lines += ["", f"Different: {', '.join(differing)}." if differing else "Nothing is different."]
    return "\n".join(lines)


def _words(bounds: Bounds) -> str:
    return bounds.words or bounds.problem or "Nothing was understood."


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"
