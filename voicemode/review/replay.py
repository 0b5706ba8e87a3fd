"""A turn's recorded microphone, listened to again: voice activity, turn-taking and transcription with other settings,
as fast as the machine can, and what comes out differently."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from voicemode import clock, events
from voicemode.codecs.convert import Converter
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.events import Event
from voicemode.flows.capturing import capture
from voicemode.flows.guessing import Guess
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.transcribing import guessing, transcribe
from voicemode.logs.logbook import LoggedTurn
from voicemode.pcm import Frame, PcmFormat
from voicemode.recording.sound_files import KeptSound
from voicemode.speech import RecordingNote

E = TypeVar("E", bound=Event)

KINDS = ("clean", "mic", "stt")
"""What the detector heard comes first: the microphone without our own sound, where that was taken out."""

SAME_SECONDS = 0.04
BEFORE_SECONDS = 1.0
"""Of what came before an interruption: a voice's beginning, and the room it stands out of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """One way in which a turn went. Moments are seconds of the recording; `voice` is the first of the user's voice,
    `last` the last of it, `ended` when the turn was over, `why` for what reason. `words` None: there were none, and
    `problem` says why."""

    voice: float | None
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
    take = _Take(
        audio=await asyncio.to_thread(_read, sound),
        began=_listening_from(turn, sound),
        after_us=_after_us(turn, sound),
        taken_out=sound.kind == "clean",
    )
    now = await _listened(turn.id, take, ear, language)
    return Replayed(turn=turn.id, sound=sound, began=take.began, then=_then(turn, sound), now=now)


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


def _after_us(turn: LoggedTurn, sound: KeptSound) -> bool:
    """Whether the microphone was open beside our own message, which went on to its end."""
    kinds = {type(event) for event in turn.events}
    return sound.kind != "stt" and events.ListeningStarted in kinds and events.InterruptionJudged not in kinds


def _then(turn: LoggedTurn, sound: KeptSound) -> Bounds:
    words = _last(turn.events, events.Transcribed)
    return _bounds(
        turn.events,
        sound.position or 0.0,
        words=None if words is None else words.text,
        problem="" if words is not None else "There was no transcript.",
    )


def _bounds(seen: Sequence[Event], origin: float, *, words: str | None, problem: str) -> Bounds:
    """`origin` is where the recording begins on the events' clock."""
    ended = _last(seen, events.TurnEnded)
    voice = next((event for event in seen if isinstance(event, events.VoiceStarted)), None)
    silence = ended.silence if ended is not None else None
    return Bounds(
        voice=None if voice is None else round(voice.at - origin, 3),
        last=None if ended is None or silence is None else round(ended.at - silence - origin, 3),
        ended=None if ended is None else round(ended.at - origin, 3),
        why=ended.why if ended is not None else "",
        recorded=None if ended is None else round(ended.seconds, 3),
        words=words,
        problem=problem,
    )


# What there is now.


class _Tape:
    """The recording as a microphone that is read as fast as somebody listens; its clock is in seconds of the recording.
    After its end there is silence, so that a turn which would be longer now can end."""

    def __init__(self, audio: Frame, began: float, silence: float, *, block: int) -> None:
        self._audio = audio
        self._began = began
        self._silence = silence
        self._block = block
        """Samples at a time: a frame of the detector, so that each has the time at which it was captured."""
        self.guess: Guess | None = None
        """While it is asked the recording goes on at its own pace: what the words say of the silence then comes when it
        came."""
        self.played = began

    def captured(self) -> float:
        return self.played

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
        size = self._block * fmt.bytes_per_sample
        ahead = clock.monotonic() - self.played
        for at in range(0, len(whole), size):
            frame = Frame(data=whole[at : at + size], format=fmt)
            self.played += frame.seconds
            yield frame
            if self.guess is None or not self.guess.asking:
                ahead = clock.monotonic() - self.played
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self.played + ahead - clock.monotonic(), 0.0)):
                    await self.guess.settled()


class _OwnSpeech:
    """Our message, which sounded until `until` seconds of the recording: nothing of it can be stopped any more."""

    nearly_said = True
    ended = None

    def __init__(self, tape: _Tape, until: float, frame_seconds: float) -> None:
        self._tape = tape
        self._until = until - frame_seconds / 2
        self._frame_seconds = frame_seconds

    @property
    def said(self) -> bool:
        """By the frame that was captured last."""
        return self._tape.played - self._frame_seconds >= self._until

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cut(self) -> None: ...


def _converted(audio: Frame, fmt: PcmFormat) -> bytes:
    if audio.format == fmt:
        return audio.data
    converter = Converter(fmt)
    return b"".join(frame.data for frame in (*converter.feed(audio), *converter.flush()))


class _TakenOut:
    """The `Echo` of a recording that our own sound has been taken out of, as far as that went: what is left of it may
    still be taken for a voice."""

    clean = False
    free = True
    known = mistaken = False

    def __init__(self, frame_samples: int) -> None:
        self.frame_samples = frame_samples
        self.quieted: Frame

    def near(self, frame: Frame) -> Frame:
        self.quieted = frame
        return frame

    def close(self) -> None: ...


class _NoRecording:
    """What is listened to again is recorded already."""

    def write(self, frame: Frame) -> None:
        pass

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None:
        pass

    async def saved(self) -> Path | None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Take:
    """What is listened to, from `began` on. `after_us`: until then we spoke, and the microphone was open; `taken_out`:
    our own sound was taken out of it."""

    audio: Frame
    began: float
    after_us: bool
    taken_out: bool


async def _listened(turn: str, take: _Take, ear: ListeningPorts, language: str | None) -> Bounds:
    silence = (ear.rules.silence_most + 1.0) if ear.rules.silence is not None else 0.0
    vad = await asyncio.to_thread(ear.open_vad)
    tape = _Tape(take.audio, 0.0 if take.after_us else take.began, silence, block=vad.frame_samples)
    seen: list[Event] = []
    ports = replace(
        ear,
        open_source=tape.open,
        open_vad=lambda: vad,
        captured=tape.captured,
        begin_recording=lambda *, kind, turn, format: _NoRecording(),  # noqa: A006
        emit=seen.append,
        barge_in=False,
        open_echo=(lambda: _TakenOut(vad.frame_samples)) if take.taken_out else None,
        stop_ear=None,
        keep_recording=False,
    )
    words, problem = None, ""
    own = _OwnSpeech(tape, take.began, vad.format.seconds(vad.frame_samples)) if take.after_us else None
    async with guessing(ports, turn=turn, language=language) as guess:
        tape.guess = guess
        captured = await capture(ports, turn=turn, rules=ports.rules, guess=guess, own=own)
        if captured.audio is None:
            problem = "Nobody spoke."
        else:
            try:
                heard = await transcribe(ports, captured, turn=turn, language=language, guess=guess)
                words = heard.transcript.text if heard.transcript is not None else None
                problem = str(heard.failure) if heard.failure is not None else ""
            except VoiceModeError as error:
                problem = str(error)
    return _bounds(seen, 0.0, words=words, problem=problem)


def _last(seen: Iterable[Event], kind: type[E]) -> E | None:
    found = [event for event in seen if isinstance(event, kind)]
    return found[-1] if found else None


# How it is told.

ROWS = (
    ("first voice", "voice"),
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
