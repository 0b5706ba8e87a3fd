"""How long a silence has to last until it ends the turn: the user's setting, this speaker's pauses, and what was said.

Seconds of microphone time throughout.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from enum import Enum

SHORTEST_PAUSE = 0.2
"""A shorter silence is a closed mouth inside a word or between two, not a pause for thought."""

REMEMBERED_PAUSES = 40
FEWEST_PAUSES = 4
"""So many have to be known before they say anything about the speaker."""

QUANTILE = 0.9
BEYOND_PAUSES = 1.6
"""The limit is so many times the pause that only one in ten exceeds. Longer pauses than the limit are never seen (they
ended a turn), hence the distance."""

LEAST_OF_SETTING, MOST_OF_SETTING = 0.7, 2.0
"""However the speaker pauses, the limit stays within these parts of the user's setting."""

FINISHED_FACTOR = 0.6
OPEN_FACTOR = 2.0


class Thought(Enum):
    """What the words so far look like."""

    FINISHED = "finished"
    """A whole sentence."""
    OPEN = "open"
    """In mid-thought: more will come."""
    UNKNOWN = "unknown"


OPEN_WORDS = {
    "en": "and or but because if the a an my your our their of um umm uh uhm er erm hmm whose than although unless "
    "between into whether",
    "de": "und oder aber weil wenn dass der das ein eine einen einem mein meine dein unser von ähm äh hm zwischen "
    "obwohl damit denn sondern",
    "fr": "et ou mais parce car le les une des mon ma mes votre notre du euh heu ben entre pour dans lorsque",
    "es": "y o pero porque si el los las un una unos mi tu su nuestro del eh em entre para con cuando aunque",
}
"""Words that do not end a sentence, whatever mark a recogniser puts behind them."""

_ENGLISH_ENDS = frozenset(("ben", "car", "con", "ma", "pour"))
"""End sentences in English ("It is in the car."), whatever they are in another language."""

_ALL_OPEN = frozenset(word for words in OPEN_WORDS.values() for word in words.split()) - _ENGLISH_ENDS
_WORDS = re.compile(r"[\w'’-]+")
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_LOOSE_ENDS = (",", ";", ":", "-", "–", "—", "…", "...", "(", "，", "、", "；", "：", "،", "؛")
_ASKING = ("?", "？", "؟")
_ENDS = (".", "!", "。", "．", "！", "।", "۔", *_ASKING)


def thought(text: str, language: str | None = None) -> Thought:
    """Whether `text` sounds finished; `language` (BCP 47) chooses the table, None and others mean all of them."""
    bare = text.strip().rstrip("\"'”’»)」』）")
    words = _WORDS.findall(bare.casefold())
    if not words:
        return Thought.UNKNOWN
    table = OPEN_WORDS.get((language or "").lower().replace("_", "-").split("-")[0])
    dangling = frozenset(table.split()) if table else _ALL_OPEN
    asked = bare.endswith(_ASKING)
    if bare.endswith(_LOOSE_ENDS) or (words[-1] in dangling and not asked) or _counting(bare):
        return Thought.OPEN
    return Thought.FINISHED if bare.endswith(_ENDS) else Thought.UNKNOWN


def _counting(bare: str) -> bool:
    """Two numbers in a row at the end: digits are being read out. One is an answer ("Two.", "Version 3.")."""
    last = bare.rstrip(".").split()[-2:]
    return len(last) == 2 and all(_NUMBER.fullmatch(word) for word in last)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatienceRules:
    """`usual` is the user's setting, None when no silence ends a turn; `least` and `most` bound what is made of it (a
    setting beyond them moves them)."""

    usual: float | None = 1.0
    least: float = 0.6
    most: float = 3.0


class Pauses:
    """The pauses a speaker made inside turns, the last ones, over a whole conversation."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED_PAUSES)

    def note(self, seconds: float) -> None:
        if seconds >= SHORTEST_PAUSE - 1e-9:
            self._seconds.append(seconds)

    def limit(self) -> float | None:
        """The silence beyond which this speaker is done; None while too little is known."""
        if len(self._seconds) < FEWEST_PAUSES:
            return None
        ordered = sorted(self._seconds)
        return ordered[int(QUANTILE * (len(ordered) - 1))] * BEYOND_PAUSES


class Patience:
    """The limit of silence in one turn. `pauses` outlives it."""

    def __init__(self, rules: PatienceRules, pauses: Pauses | None = None) -> None:
        self._rules = rules
        self._pauses = pauses if pauses is not None else Pauses()
        self._thought = Thought.UNKNOWN

    def limit(self) -> float | None:
        """Seconds of silence that end the turn, by what is known now; None: none does."""
        usual = self._rules.usual
        if usual is None:
            return None
        own = self._pauses.limit()
        if own is None:
            own = usual
        limit = min(max(own, LEAST_OF_SETTING * usual), MOST_OF_SETTING * usual)
        if self._thought is Thought.FINISHED:
            limit *= FINISHED_FACTOR
        elif self._thought is Thought.OPEN:
            limit *= OPEN_FACTOR
        return min(max(limit, min(self._rules.least, usual)), max(self._rules.most, usual))

    def paused(self, seconds: float) -> None:
        """The speaker went on after a silence of `seconds`: what was made of the words before it is void."""
        self._pauses.note(seconds)
        self._thought = Thought.UNKNOWN

    def heard(self, text: str, language: str | None = None) -> None:
        """What was said until the silence that lasts now."""
        self._thought = thought(text, language)
