"""What lasted: who was at work when, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

from voicemode import events
from voicemode.events import Event
from voicemode.turn_story.nouns import Lane, Level, Span
from voicemode.turn_story.seen import LONG_BYTE, LONG_FILL, LONG_FLOOR, LONG_WORDS, NO_WAIT, Seen, first, last


class Spans:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def all(self) -> list[Span]:
        return [
            *self._floor(),
            *self._server(),
            *self._loudspeaker(),
            *self._microphone(),
            *self._recogniser(),
        ]

    def _floor(self) -> list[Span]:
        taken = self._seen.first(events.FloorTaken)
        if taken is None or taken.waited < NO_WAIT:
            return []
        end = self._seen.at(taken)
        level = Level.BAD if taken.waited >= LONG_FLOOR else Level.NOTE
        before = self._seen.first(events.FloorAwaited)
        who = before.holder if before is not None else "Another call"
        return [
            Span(
                lane=Lane.CALL,
                name="waited for the floor",
                start=end - taken.waited,
                end=end,
                about=f"{who} had loudspeaker and microphone.",
                level=level,
            )
        ]

    def _server(self) -> list[Span]:
        """For each piece of the message: asked for, failed, asked elsewhere, received."""
        found: list[Span] = []
        for piece, asked in self._seen.requests().items():
            mine = self._seen.of_piece(piece)
            name = f"piece {piece + 1}"
            start = self._seen.at(asked)
            for failed in self._seen.failures(asked):
                end = self._seen.at(failed)
                about = f"{failed.engine} failed: {failed.reason}"
                found.append(
                    Span(
                        lane=Lane.SERVER,
                        name=f"{name}: failed, {failed.engine}",
                        start=start,
                        end=end,
                        about=about,
                        level=Level.BAD,
                    )
                )
                start = end
            byte = first(mine, events.FirstByte)
            came = self._seen.at(byte) if byte is not None else None
            slow = came is not None and came - start >= LONG_BYTE
            found.append(
                Span(
                    lane=Lane.SERVER,
                    name=f"{name}: waiting for the first byte",
                    start=start,
                    end=came,
                    about=f"{byte.engine if byte else asked.engine}: {asked.text}",
                    level=Level.BAD if slow or byte is None else Level.NOTE,
                )
            )
            if byte is not None:
                found.append(self._receiving(name, byte, mine))
        return found

    def _receiving(self, name: str, byte: events.FirstByte, mine: Sequence[Event]) -> Span:
        received, broken = last(mine, events.SpeechReceived), last(mine, events.SpeechBroken)
        end = received or broken
        about = f"{byte.engine}, voice {byte.voice}, {byte.format}"
        level = Level.GOOD
        if received is not None and received.elapsed > 0:
            pace = received.seconds / received.elapsed
            about += (
                f": {received.seconds:.1f} s of sound in {received.elapsed:.1f} s ({pace:.1f} × real time)"
            )
            level = Level.BAD if pace < 1.0 else Level.GOOD
        elif broken is not None:
            about += f": broke off, {broken.reason}"
            level = Level.BAD
        return Span(
            lane=Lane.SERVER,
            name=f"{name}: receiving",
            start=self._seen.at(byte),
            end=self._seen.at(end) if end is not None else None,
            about=about,
            level=level,
        )

    def _loudspeaker(self) -> list[Span]:
        found: list[Span] = []
        byte, first = self._seen.first(events.FirstByte), self._seen.first(events.FirstAudio)
        if first is None:
            return found
        if byte is not None and byte.at < first.at:
            long = first.at - byte.at >= LONG_FILL
            found.append(
                Span(
                    lane=Lane.LOUDSPEAKER,
                    name="filling the buffer",
                    start=self._seen.at(byte),
                    end=self._seen.at(first),
                    about="From the first byte to the first audible sample.",
                    level=Level.BAD if long else Level.NOTE,
                )
            )
        start, ended = self._seen.at(first), self._seen.last(events.PlaybackEnded)
        stop = self._seen.at(ended) if ended is not None else None
        for begins, ends, why, level in self._silences():
            if begins > start:
                found.append(self._sounding(start, begins))
            found.append(
                Span(lane=Lane.LOUDSPEAKER, name=why, start=max(begins, start), end=ends, level=level)
            )
            start = stop if ends is None else max(ends, start)  # type: ignore[assignment]
            if start is None:
                return found
        if stop is None or stop > start:
            found.append(self._sounding(start, stop))
        return found

    def _sounding(self, start: float, end: float | None) -> Span:
        return Span(lane=Lane.LOUDSPEAKER, name="speaking", start=start, end=end, level=Level.GOOD)

    def _silences(self) -> list[tuple[float, float | None, str, Level]]:
        """(from, to, why, how bad): where the sound stood still in the middle."""
        found: list[tuple[float, float | None, str, Level]] = []
        for event in self._seen.events:
            if isinstance(event, events.Underrun):
                found.append((self._seen.at(event), self._seen.goes_on(event.at), "underrun", Level.BAD))
            elif isinstance(event, events.PlaybackPaused):
                found.append((self._seen.at(event), self._seen.goes_on(event.at), "paused", Level.NOTE))
            elif isinstance(event, events.SinkLost):
                found.append(
                    (self._seen.at(event), self._seen.goes_on(event.at), "loudspeaker lost", Level.BAD)
                )
        return sorted(found, key=lambda each: each[0])

    def _microphone(self) -> list[Span]:
        opened, voice = self._seen.first(events.MicrophoneOpened), self._seen.first(events.VoiceStarted)
        ended = self._seen.last(events.TurnEnded)
        heard = self._seen.last(events.ListeningStarted)
        begins = heard or opened
        if begins is None:
            return []
        stop = self._seen.at(ended) if ended is not None else None
        if voice is None:
            return [Span(lane=Lane.MICROPHONE, name="listening", start=self._seen.at(begins), end=stop)]
        start = self._seen.at(voice)
        found = []
        if start > self._seen.at(begins):
            found.append(Span(lane=Lane.MICROPHONE, name="listening", start=self._seen.at(begins), end=start))
        if ended is None or ended.silence is None or stop is None:
            return [*found, Span(lane=Lane.MICROPHONE, name="voice", start=start, end=stop, level=Level.GOOD)]
        last = max(stop - ended.silence, start)
        found.append(Span(lane=Lane.MICROPHONE, name="voice", start=start, end=last, level=Level.GOOD))
        about = f"{ended.silence:.2f} s without a voice ended the turn."
        return [*found, Span(lane=Lane.MICROPHONE, name="silence", start=last, end=stop, about=about)]

    def _recogniser(self) -> list[Span]:
        """Each request ends with the words, when it was dropped, or with the next."""
        ends = (events.Transcribed, events.TranscriptionDropped, events.TranscriptionRequested)
        seen = [event for event in self._seen.events if isinstance(event, ends)]
        ended = self._seen.last(events.TurnEnded)
        found = []
        for number, event in enumerate(seen):
            if not isinstance(event, events.TranscriptionRequested):
                continue
            over = seen[number + 1] if number + 1 < len(seen) else None
            answered = isinstance(over, events.Transcribed)
            late = over is not None and answered and over.at - (ended or event).at >= LONG_WORDS
            about = f"{event.engine}: {event.seconds:.1f} s of sound"
            if event.speculative:
                about += ", asked ahead of the end of the turn"
            found.append(
                Span(
                    lane=Lane.RECOGNISER,
                    name="transcribing" if answered or over is None else "transcribing, dropped",
                    start=self._seen.at(event),
                    end=None if over is None else self._seen.at(over),
                    about=about,
                    level=Level.BAD if late else Level.NOTE,
                )
            )
        return found
