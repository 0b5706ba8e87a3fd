"""The turn machine: when the user began to speak, and when they are done. It counts audio time and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from voicemode.sound.levels import QUIETEST
from voicemode.turn_taking.aftersound import DOUBT_SECONDS, AfterSound
from voicemode.turn_taking.patience import Patience, PatienceRules

SHORTEST_LISTEN_SECONDS, LONGEST_LISTEN_SECONDS = 0.5, 600.0
"""What a call may ask for."""

DONE_SECONDS = 1.0
"""Who has been silent for so long has ended, also where no silence ends the turn."""


class TurnState(Enum):
    WAITING = "waiting"
    """Nobody has spoken yet."""
    SPEAKING = "speaking"
    PAUSING = "pausing"
    """Spoken, and silent for less than the endpointing silence."""
    ENDED = "ended"


class Step(Enum):
    VOICE = "voice"
    """Enough voice in a row to be speech."""
    QUIET = "quiet"
    SILENCE_OVER = "silence over"
    NOBODY = "nobody"
    MAXIMUM = "maximum"
    DEAD = "dead"


TRANSITIONS: dict[tuple[TurnState, Step], TurnState] = {
    (TurnState.WAITING, Step.VOICE): TurnState.SPEAKING,
    (TurnState.WAITING, Step.NOBODY): TurnState.ENDED,
    (TurnState.WAITING, Step.MAXIMUM): TurnState.ENDED,
    (TurnState.WAITING, Step.DEAD): TurnState.ENDED,
    (TurnState.SPEAKING, Step.QUIET): TurnState.PAUSING,
    (TurnState.SPEAKING, Step.MAXIMUM): TurnState.ENDED,
    (TurnState.PAUSING, Step.VOICE): TurnState.SPEAKING,
    (TurnState.PAUSING, Step.SILENCE_OVER): TurnState.ENDED,
    (TurnState.PAUSING, Step.MAXIMUM): TurnState.ENDED,
}
"""Every move there is. The picture in specs/listening.md is drawn from it."""


class Why(StrEnum):
    """Why a turn ended."""

    SILENCE = "silence"
    NO_SPEECH = "no_speech"
    MAXIMUM = "maximum"
    DEAD = "dead"
    """The microphone delivered nothing but zeros: it is muted or not permitted."""


_WHY = {
    Step.SILENCE_OVER: Why.SILENCE,
    Step.NOBODY: Why.NO_SPEECH,
    Step.MAXIMUM: Why.MAXIMUM,
    Step.DEAD: Why.DEAD,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRules:
    """Seconds of microphone time.

    `onset` of voice opens a turn (a key click lasts 20–40 ms); `resume` of voice continues it after a pause;
    `silence` ends it, shorter or longer by what is known of the speaker and the words, but not less than
    `silence_least` nor more than `silence_most`, and not before `minimum` has been recorded; nobody speaking for
    `no_speech` gives up; `maximum` after the microphone opened ends everything; `dead` seconds of digital zeros from
    the start are no silent user but a dead microphone. `silence` None means that only `maximum` ends a turn once it
    is opened.
    """

    onset: float = 0.09
    resume: float = 0.03
    silence: float | None = 1.0
    silence_least: float = 0.6
    silence_most: float = 3.0
    minimum: float = 0.5
    no_speech: float = 10.0
    maximum: float = 120.0
    dead: float = 1.5

    @property
    def patience(self) -> PatienceRules:
        return PatienceRules(usual=self.silence, least=self.silence_least, most=self.silence_most)


class Turn:
    """One turn of listening. `feed` every frame in order; it gives the reason once the turn has ended.

    `voice_from` and `voice_to` (seconds of microphone time, None before there was speech) bound what was said, as far
    as can be said by now; `voiced` is how much of it was voice. `patience` says what silence ends it: a detector that
    holds on to a voice for `overhang` seconds after it costs the user nothing of that.
    """

    def __init__(self, rules: TurnRules, patience: Patience | None = None, *, overhang: float = 0.0) -> None:
        self._rules = rules
        self._called_to = 0.0
        """The last that was called voice."""
        self._after = AfterSound(overhang=overhang)
        self._patience = patience or Patience(rules.patience)
        self.state = TurnState.WAITING
        self.why: Why | None = None
        self.now = 0.0
        self.voice_from: float | None = None
        self.voiced = 0.0
        self._run = 0.0
        self._run_from = 0.0
        self._alive = False

    def feed(
        self,
        seconds: float,
        *,
        voice: bool,
        zeros: bool,
        sound: bool = False,
        maybe: bool = False,
        opens: bool = True,
        levels: Sequence[float] = (),
        room: float = QUIETEST,
    ) -> Why | None:
        """One frame of `seconds`: does it hold voice; is it nothing but digital zeros; is it a sound that a voice could
        be, whatever the detector says; does the detector say that it may be one; may a voice open a turn with it; how
        loud are its parts, and how loud was the room before it, in dB?"""
        if self.state is TurnState.ENDED:
            return self.why
        self._alive = self._alive or not zeros
        began, self.now = self.now, self.now + seconds
        self._count(began, seconds, voice=voice)
        self._after.heard(self.now, seconds, levels=levels, room=room, soft=sound)
        for step in self._steps(seconds, voice=voice, maybe=maybe, opens=opens):
            self._move(step)
        return self.why

    @property
    def silent(self) -> float:
        """How long the pause lasts that is going on; 0 while someone speaks or nobody has yet."""
        if self.state is not TurnState.PAUSING or self.voice_to is None:
            return 0.0
        return self.now - self.voice_to

    @property
    def cut(self) -> bool:
        """Whether the maximum came while somebody still spoke, and not in a silence that would have been their end."""
        limit = self._patience.limit()
        done = DONE_SECONDS if limit is None else limit
        return (
            self.why is Why.MAXIMUM and self.voice_to is not None and self.now - self.voice_to < done - 1e-9
        )

    @property
    def voice_to(self) -> float | None:
        return self._after.ended()

    def _count(self, began: float, seconds: float, *, voice: bool) -> None:
        """A run of voice leaks twice as fast as it fills: single dropped frames do not break it, clicks do not sum.

        It holds no more than opens a turn: after a long speech the next blip has to prove itself all the same.
        """
        if voice:
            if self._run <= 0.0:
                self._run_from = began
            self._run = min(self._run + seconds, max(self._rules.onset, self._rules.resume))
        else:
            self._run = max(self._run - 2 * seconds, 0.0)

    def _steps(self, seconds: float, *, voice: bool, maybe: bool, opens: bool) -> list[Step]:
        rules = self._rules
        steps: list[Step] = []
        enough = rules.onset if self.state is TurnState.WAITING else rules.resume
        if voice and self._run >= enough - 1e-9 and (opens or self.state is not TurnState.WAITING):
            steps.append(Step.VOICE)
        elif not voice:
            steps.append(Step.QUIET)
        if not voice and self._silence_over(seconds, maybe=maybe):
            steps.append(Step.SILENCE_OVER)
        # Even where the user's patience ends earlier: zeros are never "nobody spoke".
        if not self._alive and self.now >= min(rules.dead, rules.no_speech, rules.maximum) - 1e-9:
            steps.append(Step.DEAD)
        if self.now >= rules.no_speech - 1e-9 and not (opens and self._run > 0.0):
            steps.append(Step.NOBODY)
        if self.now >= rules.maximum - 1e-9:
            steps.append(Step.MAXIMUM)
        return steps

    def _silence_over(self, seconds: float, *, maybe: bool) -> bool:
        """With the frame that is nearest to the limit: the neural detector's are of 32 ms."""
        limit, voice_to = self._patience.limit(), self.voice_to
        if voice_to is None or limit is None or self.now < self._rules.minimum - 1e-9:
            return False
        silent = self.now - voice_to + seconds / 2 + 1e-9
        if silent < limit:
            return False
        return silent >= limit + DOUBT_SECONDS or not (maybe or self._after.begins())

    def _move(self, step: Step) -> None:
        after = TRANSITIONS.get((self.state, step))
        if step is Step.VOICE and self.state is not TurnState.ENDED:
            self._heard_voice()
        if after is None:
            return
        self.state = after
        if after is TurnState.ENDED:
            self.why = _WHY[step]

    def _heard_voice(self) -> None:
        """Voice up to now. What a run has gathered before it counted belongs to it."""
        if self.voice_from is None:
            self.voice_from = self._called_to = self._run_from
        elif self.state is TurnState.PAUSING:
            pause = self._run_from - self._called_to
            self._patience.paused(pause)
            self.voiced -= max(pause, 0.0)
        self.voiced += self.now - self._called_to
        self._called_to = self.now
        self._after.voice(self.now)
