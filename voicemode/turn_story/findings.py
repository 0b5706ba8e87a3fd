"""What was not as it should be, told in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from voicemode import events
from voicemode.events import Event
from voicemode.turn_story.metrics import timings
from voicemode.turn_story.nouns import Finding, Level
from voicemode.turn_story.seen import (
    LONG_BYTE,
    LONG_DEAF,
    LONG_FLOOR,
    LONG_SILENCE,
    LONG_SOUND,
    LONG_WORDS,
    Seen,
    first,
)


class Findings:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def all(self) -> list[Finding]:
        found = [*self._of_the_way(), *self._of_the_sound(), *self._of_the_answer(), *self._of_the_end()]
        return found or [Finding(level=Level.GOOD, text="Nothing went wrong in this turn.")]

    def _of_the_way(self) -> list[Finding]:
        """From the call to the first sound."""
        found = []
        times = timings(self._seen.events)
        if times.ttfa is not None and times.ttfa >= LONG_SOUND:
            found.append(self._bad(f"The first sound came {times.ttfa:.1f} s after the call.", times.ttfa))
        taken = self._seen.first(events.FloorTaken)
        if taken is not None and taken.waited >= LONG_FLOOR:
            found.append(
                self._bad(
                    f"It waited {taken.waited:.1f} s for the floor: another call had loudspeaker and microphone.",
                    self._seen.at(taken) - taken.waited,
                )
            )
        for asked in self._seen.requests().values():
            mine = [event for event in self._seen.events if getattr(event, "piece", None) == asked.piece]
            start = asked.at
            for failed in self._seen.failures(asked):
                instead = f"; {failed.next} was asked instead" if failed.next else "; nobody was left to ask"
                found.append(
                    self._bad(
                        f"{failed.engine} failed after {max(failed.at - start, 0):.1f} s "
                        f"({_plain(failed.reason)}){instead}.",
                        self._seen.at(failed),
                    )
                )
                start = failed.at
            found += self._asked_again(mine)
            byte = first(mine, events.FirstByte)
            if byte is not None and byte.at - start >= LONG_BYTE:
                found.append(
                    self._bad(
                        f"{byte.engine} took {byte.at - start:.1f} s to the first byte of piece {asked.piece + 1}.",
                        self._seen.at(byte),
                    )
                )
        return found

    def _asked_again(self, mine: Sequence[Event]) -> list[Finding]:
        return [
            Finding(
                level=Level.NOTE,
                text=f"{event.engine} was asked again after {event.after:.1f} s ({_plain(event.reason)}).",
                at=self._seen.at(event),
            )
            for event in mine
            if isinstance(event, events.EndpointRetried)
        ]

    def _of_the_sound(self) -> list[Finding]:
        found = []
        for event in self._seen.events:
            at = self._seen.at(event)
            if isinstance(event, events.Underrun):
                ends = self._seen.goes_on(event.at)
                lasted = f" for {ends - at:.1f} s" if ends is not None else ""
                found.append(self._bad(f"The sound ran dry{lasted}: {self._pace(event.at)}.", at))
            elif isinstance(event, events.SpeechBroken):
                again = " It was asked for again." if event.again else ""
                found.append(
                    self._bad(f"Piece {event.piece + 1} broke off ({_plain(event.reason)}).{again}", at)
                )
            elif isinstance(event, events.SinkLost):
                found.append(self._bad(f"The loudspeaker went away ({_plain(event.reason)}).", at))
            elif isinstance(event, events.SinkMissing):
                found.append(self._bad(f"No loudspeaker could be opened ({_plain(event.reason)}).", at))
            elif isinstance(event, events.SpeechReworded):
                found.append(self._bad(f"It was said in other words than were written: {event.how}", at))
            elif isinstance(event, events.InterruptionJudged) and event.verdict in ("confirmed", "stopped"):
                found.append(
                    Finding(level=Level.NOTE, text="The user talked over it and interrupted it.", at=at)
                )
            elif isinstance(event, events.InterruptionJudged) and event.verdict == "false":
                found.append(
                    Finding(level=Level.NOTE, text="It paused for a sound that was no interruption.", at=at)
                )
        return found

    def _pace(self, at: float) -> str:
        """Why the sound ran dry at that moment, as far as the events tell."""
        for event in self._seen.events:
            if isinstance(event, events.SpeechReceived) and event.at >= at and event.elapsed > 0:
                byte = first(
                    [each for each in self._seen.events if getattr(each, "piece", None) == event.piece],
                    events.FirstByte,
                )
                if byte is None or byte.at > at:
                    continue
                pace = event.seconds / event.elapsed
                if pace < 1.0:
                    return f"{byte.engine} sent piece {event.piece + 1} at {pace:.2f} × real time"
                return f"{byte.engine} stood still while it sent piece {event.piece + 1}"
        return "the next sound came too late"

    def _of_the_answer(self) -> list[Finding]:
        found = []
        deaf = self._seen.last(events.ListeningStarted)
        if deaf is not None and deaf.deaf >= LONG_DEAF:
            found.append(
                self._bad(f"For {deaf.deaf:.1f} s after its last word nobody listened.", self._seen.at(deaf))
            )
        for event in self._seen.events:
            if isinstance(event, events.EndpointFailed) and event.piece is None:
                instead = f"; {event.next} was asked instead" if event.next else ""
                text = f"{event.engine} gave no transcript ({_plain(event.reason)}){instead}."
                found.append(self._bad(text, self._seen.at(event)))
        ended = self._seen.last(events.TurnEnded)
        if ended is not None and ended.why != "silence":
            found.append(self._of_the_end_of_listening(ended))
        words = timings(self._seen.events).transcription
        last = self._seen.last(events.Transcribed)
        if words is not None and last is not None and words >= LONG_WORDS:
            found.append(
                self._bad(f"The words came {words:.1f} s after the end of the turn.", self._seen.at(last))
            )
        return found

    def _of_the_end_of_listening(self, ended: events.TurnEnded) -> Finding:
        why = {
            "no_speech": "Nobody spoke.",
            "maximum": "The user was still speaking when the longest listening time was over.",
            "dead": "The microphone gave nothing but zeros.",
        }.get(ended.why, f"Listening ended: {ended.why}.")
        level = Level.NOTE if ended.why == "no_speech" else Level.BAD
        if ended.why == "maximum" and (ended.silence is None or ended.silence >= LONG_SILENCE):
            level, why = Level.NOTE, "The microphone was open for the longest listening time."
        return Finding(level=level, text=why, at=self._seen.at(ended))

    def _of_the_end(self) -> list[Finding]:
        found = []
        for event in self._seen.events:
            if isinstance(event, events.TurnFailed):
                found.append(self._bad(f"It failed: {_plain(event.reason)}.", self._seen.at(event)))
            elif isinstance(event, events.ControlAsked):
                told = f"Somebody asked for it: {event.action}."
                found.append(Finding(level=Level.NOTE, text=told, at=self._seen.at(event)))
            elif isinstance(event, events.Warned):
                found.append(Finding(level=Level.NOTE, text=event.what, at=self._seen.at(event)))
            elif isinstance(event, events.TurnFinished) and event.unheard and event.outcome != "not_played":
                found.append(
                    Finding(
                        level=Level.NOTE, text="A part of the message was not heard.", at=self._seen.at(event)
                    )
                )
            elif isinstance(event, events.TurnFinished) and event.outcome == "not_played":
                text = "There was no loudspeaker: the sound is in a file, and nobody heard it."
                found.append(self._bad(text, self._seen.at(event)))
        return found

    def _bad(self, text: str, at: float) -> Finding:
        return Finding(level=Level.BAD, text=text, at=at)


def _plain(reason: str) -> str:
    return reason.strip().rstrip(".")
