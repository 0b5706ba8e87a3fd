"""The interruption machine: whether a sound that comes while we speak means us. It counts seconds of microphone time.

It is fed frames that have been cleaned of our own speech, and gives verdicts; pausing, cutting and resuming is up to
the flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Talk(Enum):
    """Who has the word."""

    OURS = "ours"
    SUSPECTED = "suspected"
    """Somebody may be talking to us: our speech is paused."""
    DOUBTED = "doubted"
    """Our speech goes on, and what was said over it is not known yet."""
    THEIRS = "theirs"


class Sign(Enum):
    VOICE = "voice"
    """Enough voice in a row to be a word."""
    MORE_VOICE = "more voice"
    """More than a cough or an assent, whatever it says."""
    WORDS = "words"
    STOP_WORD = "stop word"
    ASSENT = "assent"
    QUIET = "quiet"
    """Silence after less than that, and no words."""
    LATE = "late"
    """The words take longer than a pause may last."""
    ECHO = "echo"
    """What was taken for a voice was ours."""


TRANSITIONS: dict[tuple[Talk, Sign], Talk] = {
    (Talk.OURS, Sign.VOICE): Talk.SUSPECTED,
    (Talk.SUSPECTED, Sign.MORE_VOICE): Talk.THEIRS,
    (Talk.SUSPECTED, Sign.WORDS): Talk.THEIRS,
    (Talk.SUSPECTED, Sign.STOP_WORD): Talk.THEIRS,
    (Talk.SUSPECTED, Sign.ASSENT): Talk.OURS,
    (Talk.SUSPECTED, Sign.QUIET): Talk.OURS,
    (Talk.SUSPECTED, Sign.ECHO): Talk.OURS,
    (Talk.SUSPECTED, Sign.LATE): Talk.DOUBTED,
    (Talk.DOUBTED, Sign.VOICE): Talk.SUSPECTED,
    (Talk.DOUBTED, Sign.WORDS): Talk.THEIRS,
    (Talk.DOUBTED, Sign.STOP_WORD): Talk.THEIRS,
    (Talk.DOUBTED, Sign.ASSENT): Talk.OURS,
    (Talk.DOUBTED, Sign.QUIET): Talk.OURS,
}
"""Every move there is. The picture in specs/listening.md is drawn from it."""


class Verdict(StrEnum):
    """What the flow has to do."""

    SUSPECTED = "suspected"
    """Pause."""
    CONFIRMED = "confirmed"
    """Be silent; what is being said is the user's turn."""
    STOPPED = "stopped"
    """The same, and the turn is over: the user wants silence and nothing else."""
    POSTPONED = "postponed"
    """Go on where it stopped; what was said is still being found out."""
    FALSE = "false"
    """Go on where it stopped, or where it is."""


_VERDICTS = {
    Sign.VOICE: Verdict.SUSPECTED,
    Sign.MORE_VOICE: Verdict.CONFIRMED,
    Sign.WORDS: Verdict.CONFIRMED,
    Sign.STOP_WORD: Verdict.STOPPED,
    Sign.ASSENT: Verdict.FALSE,
    Sign.QUIET: Verdict.FALSE,
    Sign.ECHO: Verdict.FALSE,
    Sign.LATE: Verdict.POSTPONED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InterruptionRules:
    """Seconds of microphone time.

    `suspect` of voice in a row pauses us (a tap or a click is shorter): beside an echo of -10 dB a detector finds
    little more of a word in the 350 ms after which we should be silent. What begins in the first `guard` seconds, while
    an echo canceller still adapts, takes `guarded`, unless it knows the way from an earlier time. `confirm` of voice in
    all is an interruption while it goes on, whatever it says; "yeah, okay" lasts less, and who is not believed yet has
    silenced us all the same. Silence for `quiet`, or where words are awaited for `patience`, ends the doubt: `enough`
    of voice in which nobody has failed to find words (a cough lasts 0.2–0.4 s) was an interruption, less was none:
    where its words are still awaited we go on, and they count for another `late`. A voice that began no longer than
    `mistaken` ago was ours where that is found out now: a device that held its sound up, or a room that has changed.
    """

    suspect: float = 0.12
    guard: float = 1.25
    guarded: float = 0.4
    confirm: float = 1.2
    enough: float = 0.55
    quiet: float = 0.4
    patience: float = 3.0
    late: float = 10.0
    mistaken: float = 0.6


class Interruption:
    """One message's interruptions. `feed` every frame in order; it gives a verdict when there is one to act on."""

    def __init__(self, rules: InterruptionRules) -> None:
        self._rules = rules
        self.state = Talk.OURS
        self.now = 0.0
        self.silent = 0.0
        """Since the last voice, while somebody is suspected."""
        self.voice_from: float | None = None
        """Where the voice began that is suspected or believed."""
        self._run = 0.0
        self._run_from = 0.0
        self.voice = 0.0
        """Seconds of it."""

    def feed(
        self,
        seconds: float,
        *,
        voice: bool,
        known: bool = False,
        mistaken: bool = False,
        awaiting: bool = False,
        wordless: bool = False,
    ) -> Verdict | None:
        """One frame: does it hold a voice that is not ours; does a canceller know our way to the microphone from
        before, or has it found out that what it left lately was ours; is a transcript of what was said on its way, or
        has a recogniser found no words in it?"""
        began, self.now = self.now, self.now + seconds
        if mistaken:
            return self._was_ours(began)
        if self.state is Talk.OURS:
            return self._look_for_voice(began, seconds, voice=voice, known=known)
        if self.state is Talk.THEIRS:
            return None
        if self.state is Talk.DOUBTED:
            self.silent += seconds
            if not awaiting or self.silent >= self._rules.late - 1e-9:
                return self._move(Sign.QUIET)
            return self._look_for_voice(began, seconds, voice=voice, known=known)
        if voice:
            self.voice += seconds
            self.silent = 0.0
        else:
            self.silent += seconds
        if self.voice >= self._rules.confirm - 1e-9:
            return self._move(Sign.MORE_VOICE)
        if self.silent < (self._rules.patience if awaiting else self._rules.quiet) - 1e-9:
            return None
        meant = self.voice >= self._rules.enough - 1e-9 and not wordless
        if meant:
            return self._move(Sign.MORE_VOICE)
        return self._move(Sign.LATE if awaiting else Sign.QUIET)

    def heard(self, sign: Sign) -> Verdict | None:
        """What the words were, as soon as they are known."""
        return self._move(sign)

    def _was_ours(self, began: float) -> Verdict | None:
        """A frame that shows the mistake is a part of it."""
        self._run = 0.0
        since = began - self.voice_from if self.voice_from is not None else 0.0
        return self._move(Sign.ECHO) if since <= self._rules.mistaken + 1e-9 else None

    def _look_for_voice(self, began: float, seconds: float, *, voice: bool, known: bool) -> Verdict | None:
        """A run of voice leaks as fast as it fills: our own speech hides parts of words, and taps do not sum."""
        if not voice:
            self._run = max(self._run - seconds, 0.0)
            return None
        if self._run <= 0.0:
            self._run_from = began
        self._run += seconds
        rules = self._rules
        wanted = rules.guarded if self._run_from < rules.guard and not known else rules.suspect
        if self._run < wanted - 1e-9:
            return None
        self.voice = self._run
        return self._move(Sign.VOICE)

    def _move(self, sign: Sign) -> Verdict | None:
        after = TRANSITIONS.get((self.state, sign))
        if after is None:
            return None
        self.state = after
        self._run = 0.0
        self.silent = 0.0
        self.voice_from = None if after is Talk.OURS else self._run_from
        return _VERDICTS[sign]
