"""What becomes of a message whose streams break: whether it is worth going on, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voicemode.errors import EngineError, StreamBroken, VoiceModeError
from voicemode.playout.ledger import Ledger
from voicemode.sound.joins import Contour

MOST_BREAKS = 6
"""Streams of one message that may break off before it is given up."""

PATIENCE_SECONDS = 3.0
"""Hearing a piece again from its beginning is better than a silence that is longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What came of a piece, said by `speaker` (any name that tells voices apart)."""

    speaker: str
    contour: Contour


class Breaks:
    """Those of one message. `least_pause` (seconds): shorter silences end nothing."""

    def __init__(self, ledger: Ledger, *, least_pause: float) -> None:
        self._ledger = ledger
        self._least_pause = least_pause
        self._breaks = 0
        self._asked_again = False
        self._begun: Heard | None = None
        self._believed = (-1, "")
        """The piece, and the speaker in which it is not doubted a second time."""
        self._hasty = ""
        """The speaker that is believed to read faster than anybody."""

    def begun(self, speaker: str) -> Contour | None:
        """What `speaker` said already of the piece that is said now, from its beginning."""
        return self._begun.contour if self._begun is not None and self._begun.speaker == speaker else None

    def said(self) -> None:
        """The piece is complete."""
        self._begun = None

    def may_pass(self, error: VoiceModeError, *, spoken: bool) -> bool:
        """Whether asking again is worth it: after a stream that broke, and once where nobody gives any sound who gave
        some a moment ago (`spoken`)."""
        self._breaks += 1
        if not isinstance(error, EngineError) or not error.retryable or self._breaks > MOST_BREAKS:
            return False
        if isinstance(error, StreamBroken):
            return True
        first, self._asked_again = not self._asked_again, True
        return first and spoken

    def go_on_at(self, number: int, heard: Heard, *, speed: float | None) -> int:
        """The number of the piece to go on with: the rest from the clause in which it broke, or the same piece, of
        which what was heard is passed over if the same voice says it again. `speed` is that of the broken stream."""
        begun = self._begun
        if begun is not None and begun.speaker == heard.speaker:
            heard = max(begun, heard, key=lambda each: each.contour.seconds)
        self._begun = None
        voiced = heard.contour.voiced(pause=self._least_pause)
        silence = heard.contour.seconds / (speed or math.inf)
        unsure = self._ledger.may_repeat(number, voice=heard.speaker)
        if unsure and voiced.pauses and silence <= PATIENCE_SECONDS:
            self._begun = heard
            self._ledger.say_again(number)
            return number
        following = self._ledger.break_off(number, voice=heard.speaker, voiced=voiced)
        if number == self._believed[0]:
            self._believed = (following, self._believed[1])
        return following

    def too_short(self, number: int, heard: Heard) -> bool:
        """Whether not even half of the piece can have been said."""
        voiced = heard.contour.voiced(pause=self._least_pause)
        return self._ledger.too_short(number, voice=heard.speaker, voiced=voiced)

    def doubt(self, number: int, heard: Heard, *, engine: str) -> None:
        """A stream of which nobody knows whether all has come, and that cannot have said its text, has broken off
        (`StreamBroken`). Where it is as short the second time, the voice is believed to be so fast."""
        if heard.speaker == self._hasty or not self.too_short(number, heard):
            return
        if (number, heard.speaker) == self._believed:
            self._hasty = heard.speaker
            return
        self._believed = (number, heard.speaker)
        raise StreamBroken(
            f"{engine} ended after {heard.contour.seconds:.1f} s of sound, too little for its text.",
            engine=engine,
            retryable=True,
        )
