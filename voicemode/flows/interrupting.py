"""Talking over us: our speech pauses when a voice is suspected, ends when it is meant, and goes on when it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from voicemode import clock
from voicemode.events import Emit, InterruptionJudged
from voicemode.flows.guessing import Guess
from voicemode.flows.judging import Judged
from voicemode.flows.listening import HIDDEN_LEAD_SECONDS, Hearing
from voicemode.turn_taking.captions import is_caption
from voicemode.turn_taking.interruption import Interruption, InterruptionRules, Sign, Talk, Verdict
from voicemode.turn_taking.meanings import meaning


class OwnSpeech(Protocol):
    """Our message while it sounds, as far as the ear is concerned with it. `said`: nothing of it sounds any more;
    `nearly_said`: so little is left that nobody need stop it. `ended` is when its last sample was to be audible
    (monotonic seconds), as far as that is known."""

    @property
    def said(self) -> bool: ...

    @property
    def nearly_said(self) -> bool: ...

    @property
    def ended(self) -> float | None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cut(self) -> None: ...


class TalkingOver:
    """One message and whoever talks over it. `begin` makes a hearing of the frames it is given.

    `hearing` is what the user says, once that is certain; `stopped` that they want silence and nothing else; `late` for
    how many seconds the message went on until their words were known.
    """

    def __init__(
        self,
        rules: InterruptionRules,
        own: OwnSpeech,
        guess: Guess,
        *,
        turn: str,
        emit: Emit,
        begin: Callable[[Sequence[Judged]], Hearing],
    ) -> None:
        self.hearing: Hearing | None = None
        self.stopped = False
        self.late = 0.0
        self._went_on: float | None = None
        """When our speech went on without their words being known, in seconds of microphone time."""
        self._machine = Interruption(rules)
        self._own = own
        self._guess = guess
        self._turn = turn
        self._emit = emit
        self._begin = begin
        self._suspected: Hearing | None = None

    def feed(self, judged: Judged, before: Sequence[Judged]) -> None:
        """One more frame, the last of `before`, which is what the microphone gave lately. Who begins with our last word
        need not be suspected: they will be listened to in a moment, and from their first sample on."""
        machine = self._machine
        suspected = machine.state is Talk.SUSPECTED
        if not suspected and self._own.nearly_said:
            return
        if suspected and self._suspected is not None:
            self._suspected.feed(judged)
        sign = self._sign()
        awaiting = self._guess.asking or sign not in (None, Sign.QUIET)
        verdict = machine.feed(
            judged.frame.seconds,
            voice=judged.voice,
            known=judged.known,
            mistaken=judged.mistaken,
            awaiting=awaiting,
            wordless=sign is Sign.QUIET,
        )
        if verdict is None and sign is not None and sign is not Sign.QUIET:
            verdict = machine.heard(sign)
        if verdict is not None:
            self._act(verdict, before)

    def take(self) -> Hearing | None:
        """Our speech is over by itself: what was suspected meanwhile is the beginning of the user's turn."""
        self.release()
        if self._machine.state is Talk.DOUBTED:
            self._drop()
        found, self._suspected = self._suspected, None
        if found is not None:
            found.tell()
        return found

    def release(self) -> None:
        """Nobody listens any more: what we have paused goes on."""
        if self._machine.state is Talk.SUSPECTED:
            self._own.resume()

    def _sign(self) -> Sign | None:
        """What the words mean, as far as there are any. None found, or a recogniser's caption of a cough, are quiet:
        they decide nothing at once, for a word may be just beginning; the silence will."""
        found = self._guess.transcript
        if self._suspected is None or found is None:
            return None
        if is_caption(found.text, voice=self._machine.voice):
            return Sign.QUIET
        return meaning(found.text, found.language or None)

    def _act(self, verdict: Verdict, before: Sequence[Judged]) -> None:
        machine = self._machine
        was_late, self._went_on = self._went_on, None
        self._emit(InterruptionJudged(at=clock.monotonic(), turn=self._turn, verdict=verdict))
        if verdict is Verdict.SUSPECTED:
            self._own.pause()
            since = machine.now - (machine.voice_from or 0.0) + HIDDEN_LEAD_SECONDS
            self._suspected = self._begin(latest(before, since))
        elif verdict is Verdict.POSTPONED:
            self._went_on = machine.now
            self._own.resume()
        elif verdict is Verdict.FALSE:
            self._drop()
            self._own.resume()
        else:
            self.late = machine.now - was_late if was_late is not None else 0.0
            self.stopped = verdict is Verdict.STOPPED
            self._own.cut()
            self.hearing, self._suspected = self._suspected, None
            if self.hearing is not None:
                self.hearing.tell()

    def _drop(self) -> None:
        self._guess.drop()
        self._suspected = None


def latest(frames: Sequence[Judged], seconds: float) -> Sequence[Judged]:
    """The last frames, at most `seconds` of them."""
    start = len(frames)
    while start and seconds - frames[start - 1].frame.seconds > -1e-9:
        start -= 1
        seconds -= frames[start].frame.seconds
    return list(frames)[start:]
