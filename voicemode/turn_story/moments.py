"""What happened, in a word or two: the marks that are laid over the sound."""

from __future__ import annotations

from voicemode import events
from voicemode.events import Event
from voicemode.turn_story.nouns import Level, Moment
from voicemode.turn_story.seen import Seen


def moments(seen: Seen) -> list[Moment]:
    found = []
    for event in seen.events:
        told = _moment(event)
        if told is not None:
            name, about, level = told
            found.append(Moment(name=name, at=seen.at(event), about=about, level=level))
    return found


def _moment(event: Event) -> tuple[str, str, Level] | None:
    """What is laid over the sound: a word or two, the rest, how bad it is."""
    match event:
        case events.SpeechRequested():
            return "request", f"piece {event.piece + 1}: {event.text}", Level.NOTE
        case events.EndpointFailed():
            then = f" Then: {event.next}." if event.next else ""
            return "failed over", f"{event.engine}: {event.reason}{then}", Level.BAD
        case events.EndpointRetried():
            return "asked again", f"{event.engine}: {event.reason}", Level.NOTE
        case events.ControlAsked():
            return event.action.replace("_", " "), "somebody asked for it", Level.NOTE
        case events.FirstByte():
            return "first byte", f"piece {event.piece + 1} from {event.engine}", Level.NOTE
        case events.SpeechBroken():
            return "broke off", f"piece {event.piece + 1}: {event.reason}", Level.BAD
        case events.FirstAudio():
            return "first audio", "the first audible sample, by the device's clock", Level.GOOD
        case events.Underrun():
            return "underrun", f"went on once {event.refill:.2f} s were there", Level.BAD
        case events.PlaybackPaused():
            return "paused", "", Level.NOTE
        case events.SinkLost():
            return "loudspeaker lost", event.reason, Level.BAD
        case events.MicrophoneOpened():
            return "microphone", f"open at {event.rate} Hz", Level.NOTE
        case events.InterruptionJudged():
            return f"interruption {event.verdict}", "a voice while we speak", Level.NOTE
        case events.VoiceStarted():
            return "voice onset", "the user begins to speak", Level.GOOD
        case events.TurnEnded():
            level = Level.NOTE if event.why in ("silence", "no_speech") else Level.BAD
            return "end of turn", f"{event.why}, {event.seconds:.1f} s recorded", level
        case events.Transcribed():
            return "transcript", f"{event.engine}: {event.text}", Level.GOOD
        case events.TurnFailed():
            return "failed", event.reason, Level.BAD
    return None
