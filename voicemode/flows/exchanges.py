"""One turn from beginning to end: the floor, the message, the microphone, the transcript, and how it all went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from voicemode import clock
from voicemode.errors import VoiceModeError
from voicemode.events import Emit, FloorAwaited, FloorTaken, TurnFailed, TurnFinished
from voicemode.flows.capturing import capture, capture_with, open_ear
from voicemode.flows.guessing import Guess
from voicemode.flows.listening import Captured, ListeningPorts
from voicemode.flows.loudspeakers import play
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.flows.transcribing import guessing, keep, transcribe
from voicemode.ports import Floor
from voicemode.sound.chimes import DONE_TONES, LISTENING_TONES, TONE_SECONDS, ChimeRules, chime
from voicemode.speech import Exchange, Outcome, Spoken
from voicemode.turn_taking.turn import TurnRules

LONGEST_CHIME_SECONDS = 1.0
"""A chime lasts a quarter of that; a device that holds it up holds up nothing else."""

LAST_WORD_SECONDS = 0.4
"""Whoever begins so shortly before the end of a message lets it end: less than a pre-roll."""

LISTENER = "listener"
"""Pauses a message while a voice is suspected; what the caller has paused stays so when the voice was none."""

HUSHED = "The user asked for silence: say nothing more until they speak, or write."

LATE = "What they said over the message took long to understand: it went on for {seconds:.1f} s meanwhile."

GONE = "After that the microphone gave nothing but zeros, as one that is unplugged or muted: there may have been more."

MUTED = "In the end the microphone gave nothing but zeros, as one that is unplugged or muted: they may have spoken."

MOVED = (
    "Meanwhile the microphone became another: the sound server went over from {before!r} to {after!r}, and what was "
    "said around then may be missing. {hint}"
)

NO_WORDS = "There was a sound, but no words in it."

NOTHING_SAID = Spoken(heard="", unheard="", outcome=Outcome.FINISHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanges:
    """What a turn needs, and the turns themselves: each takes the floor and holds it to its end.

    Each gives an `Exchange` without its timings and raises `VoiceModeError`; cancelling is silence, a closed
    microphone and a free floor.
    """

    mouth: SpeakingPorts
    ear: ListeningPorts
    floor: Floor
    emit: Emit
    chimes: ChimeRules | None = None
    _sounding: set[asyncio.Task[None]] = field(default_factory=set)

    async def speak(self, utterance: Utterance) -> Exchange:
        async with self._turn(utterance.turn, "speak", utterance):
            spoken = await utterance.run()
            return self._ended(utterance.turn, Exchange(spoken=spoken, outcome=spoken.outcome))

    async def speak_instead(self, utterance: Utterance, silence: Callable[[], Awaitable[None]]) -> Exchange:
        """Takes its place in the line at once; `silence` ends what is before it when the first sound is there."""
        async with utterance.prepared(silence):
            return await self.speak(utterance)

    async def speak_and_listen(
        self, utterance: Utterance, rules: TurnRules, language: str | None
    ) -> Exchange:
        """The microphone opens while the last words sound, or the first where the user may talk over us. It stays
        closed when the message broke off, was stopped or has no loudspeaker: nobody will be asked to answer."""
        turn = utterance.turn
        own = _Message(utterance, chime=self._listening_chime_seconds)

        async def listen(guess: Guess) -> Captured | None:
            ports = await self._ear_now()
            if not ports.barge_in:
                await utterance.ending.wait()
            async with open_ear(ports) as ear:  # while the first sound is on its way
                await utterance.started.wait()
                if utterance.failed and not utterance.gave_way:
                    return None
                own.expect_end()
                return await capture_with(ear, ports, turn=turn, rules=rules, guess=guess, own=own)

        async with (
            self._turn(turn, "converse", utterance),
            guessing(self.ear, turn=turn, language=language) as guess,
        ):
            hearing = asyncio.create_task(listen(guess))
            answering = False
            try:
                spoken = await utterance.run()
                if own.interrupted:
                    spoken = replace(spoken, outcome=Outcome.INTERRUPTED)
                elif spoken.outcome not in (Outcome.FINISHED, Outcome.INTERRUPTED):
                    return self._ended(turn, Exchange(spoken=spoken, outcome=spoken.outcome))
                captured = await _heard_after(hearing, spoken)
                if captured is None:
                    return self._ended(turn, Exchange(spoken=spoken, outcome=Outcome.CANCELLED))
                answering = True
                return await self._answer(turn, spoken, captured, language, guess)
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])
                unanswered = _retrieve(hearing)
                if unanswered is not None and not answering:
                    keep(unanswered, turn=turn)

    async def listen(self, turn: str, rules: TurnRules, language: str | None) -> Exchange:
        async with (
            self._turn(turn, "listen"),
            self._chiming(LISTENING_TONES),
            guessing(self.ear, turn=turn, language=language) as guess,
        ):
            # Nothing of ours sounds: there is no echo to be taken out.
            ports = replace(self.ear, open_echo=None)
            captured = await capture(ports, turn=turn, rules=rules, guess=guess)
            return await self._answer(turn, NOTHING_SAID, captured, language, guess)

    async def _ear_now(self) -> ListeningPorts:
        """Whether the user may talk over a message is asked anew for each: headphones come and go."""
        if not self.ear.barge_in or await self.ear.proved():
            return self.ear
        return replace(self.ear, barge_in=False, open_echo=None)

    @property
    def _listening_chime_seconds(self) -> float:
        rules = self.chimes
        return rules.lead + len(LISTENING_TONES) * TONE_SECONDS + rules.trail if rules else 0.0

    def silence(self) -> None:
        """Chimes that still sound end now; `settled` waits for them."""
        for chiming in self._sounding:
            chiming.cancel()

    async def settled(self) -> None:
        if self._sounding:
            await asyncio.wait(self._sounding)

    def note_cancelled(self, turn: str, utterance: Utterance | None) -> None:
        if utterance is not None and (why := utterance.refused) is not None:
            self.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=why.code, reason=str(why)))
            return
        heard, unheard = utterance.split_text() if utterance else ("", "")
        outcome = Outcome.CANCELLED
        self.emit(
            TurnFinished(at=clock.monotonic(), turn=turn, outcome=outcome, heard=heard, unheard=unheard)
        )

    async def _answer(
        self, turn: str, spoken: Spoken, captured: Captured, language: str | None, guess: Guess
    ) -> Exchange:
        interrupted = spoken.outcome is Outcome.INTERRUPTED
        note = _note(captured)
        silent = Outcome.INTERRUPTED if interrupted else Outcome.NO_SPEECH
        if captured.audio is None:
            return self._ended(
                turn, Exchange(spoken=spoken, outcome=silent, note=_of_the_microphone(captured))
            )
        async with self._chiming(DONE_TONES):
            heard = await transcribe(self.ear, captured, turn=turn, language=language, guess=guess)
        answered = Outcome.TIMED_OUT if captured.cut else Outcome.ANSWERED
        exchange = Exchange(
            spoken=spoken,
            outcome=Outcome.INTERRUPTED if interrupted else answered,
            transcript=heard.transcript,
            recording=heard.recording,
            note=note,
        )
        if heard.failure is not None:
            note = f"{heard.failure} {_of_the_microphone(captured)}".rstrip()
            exchange = replace(exchange, outcome=Outcome.NOT_TRANSCRIBED, note=note)
        elif heard.transcript is None or not heard.transcript.text:
            why = heard.transcript.note if heard.transcript is not None else ""
            note = " ".join(filter(None, (NO_WORDS, why, _of_the_microphone(captured))))
            exchange = replace(exchange, outcome=silent, note=note)
        return self._ended(turn, exchange)

    def _ended(self, turn: str, exchange: Exchange) -> Exchange:
        spoken = exchange.spoken
        self.emit(
            TurnFinished(
                at=clock.monotonic(),
                turn=turn,
                outcome=exchange.outcome,
                heard=spoken.heard,
                unheard=spoken.unheard,
            )
        )
        return exchange

    @asynccontextmanager
    async def _turn(self, turn: str, kind: str, utterance: Utterance | None = None) -> AsyncIterator[None]:
        try:
            async with self.floor.hold(kind, partial(self._note_waiting, turn)) as waited:
                if self._sounding:  # The last turn's chime: one voice at a time.
                    await asyncio.wait(self._sounding, timeout=LONGEST_CHIME_SECONDS)
                self.emit(FloorTaken(at=clock.monotonic(), turn=turn, waited=waited))
                yield
        except VoiceModeError as error:
            self.emit(TurnFailed(at=clock.monotonic(), turn=turn, code=error.code, reason=str(error)))
            raise
        except asyncio.CancelledError:
            self.note_cancelled(turn, utterance)
            raise

    def _note_waiting(self, turn: str, holder: str) -> None:
        self.emit(FloorAwaited(at=clock.monotonic(), turn=turn, holder=holder))

    @asynccontextmanager
    async def _chiming(self, tones: tuple[float, ...]) -> AsyncIterator[None]:
        """A chime beside the block, never waited for: one that cannot be played is left out."""
        if not self.chimes:
            yield
            return
        sound = chime(self.mouth.format, tones, self.chimes)
        chiming = asyncio.create_task(play(self.mouth.open_sink, sound, self.emit))
        self._sounding.add(chiming)
        chiming.add_done_callback(self._sounding.discard)
        try:
            yield
        except BaseException:
            chiming.cancel()
            await asyncio.wait([chiming])
            raise


class _Message:
    """The `OwnSpeech` of an utterance. `chime` is the seconds of sound that follow its last word."""

    def __init__(self, utterance: Utterance, *, chime: float) -> None:
        self.interrupted = False
        self.ended: float | None = None
        self._utterance = utterance
        self._chime = chime

    @property
    def said(self) -> bool:
        return self._utterance.silent

    @property
    def nearly_said(self) -> bool:
        return self._utterance.ending.is_set() and self._left <= LAST_WORD_SECONDS

    @property
    def _left(self) -> float:
        playback = self._utterance.playback
        return playback.format.seconds(playback.written - playback.heard) - self._chime

    def expect_end(self) -> None:
        """All sound is in the buffer: what is left of it lasts as long as it is."""
        if self._utterance.ending.is_set():
            self.ended = clock.monotonic() + self._left

    def pause(self) -> None:
        self._utterance.playback.pause(LISTENER)

    def resume(self) -> None:
        self._utterance.playback.resume(LISTENER)

    def cut(self) -> None:
        self.interrupted = not self._utterance.said
        self._utterance.stop()


def _note(captured: Captured) -> str:
    """What is to be known of a recording beside its words."""
    late = LATE.format(seconds=captured.late) if captured.late else ""
    return " ".join(filter(None, (HUSHED if captured.hushed else "", late, _of_the_microphone(captured))))


def _of_the_microphone(captured: Captured) -> str:
    """Why there may have been more than was heard."""
    moved = captured.moved
    told = MOVED.format(before=moved.before, after=moved.after, hint=moved.hint) if moved is not None else ""
    gone = MUTED if captured.audio is None else GONE
    return " ".join(filter(None, (gone if captured.gone else "", told)))


async def _heard_after(hearing: asyncio.Task[Captured | None], spoken: Spoken) -> Captured | None:
    """A microphone or detector that fails after the message was heard says so: the message need not be said again."""
    try:
        return await hearing
    except VoiceModeError as error:
        if spoken.outcome is not Outcome.FINISHED:
            raise
        error.hint = f"{error.hint} The message itself was heard.".lstrip()
        raise


def _retrieve(task: asyncio.Task[Captured | None]) -> Captured | None:
    """What it gave; a failure that came with another one is looked at, so that asyncio does not report it as
    forgotten."""
    return None if task.cancelled() or task.exception() is not None else task.result()
