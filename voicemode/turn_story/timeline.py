"""A turn told to a person: what each event means, in a sentence, and where the time went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from voicemode import events as ev
from voicemode.events import Event

E = TypeVar("E", bound=Event)

LONGEST_QUOTE = 100
"""Characters of a text that stand in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A step of a turn: `start` and `seconds` in seconds from its beginning; `seconds` None: it came to no end."""

    what: str
    start: float
    seconds: float | None


def spans(events: Sequence[Event]) -> list[Span]:
    """The steps of one turn in the order in which they began. Speaking and listening may overlap."""
    began = _first(events, ev.TurnStarted)
    if began is None:
        return []
    first_byte, first_audio = _first(events, ev.FirstByte), _first(events, ev.FirstAudio)
    opened, over = _first(events, ev.MicrophoneOpened), _last(events, ev.PlaybackEnded)
    voice, ended = _last(events, ev.VoiceStarted), _last(events, ev.TurnEnded)
    words = _last(events, ev.Transcribed)
    asked = _last(events, ev.TranscriptionRequested)
    waits = ended if ended is not None and asked is not None and asked.at < ended.at else asked
    listening = _last(events, ev.ListeningStarted) or opened
    steps = [
        ("waiting for the floor", began, _first(events, ev.FloorTaken)),
        ("the engine's first byte", _first(events, ev.SpeechRequested), first_byte),
        ("from first byte to sound", first_byte, first_audio),
        ("speaking", first_audio, over),
        ("waiting for a voice", listening, voice or ended),
        ("the user's turn", voice, ended),
        ("transcribing", waits, words or _last(events, ev.TurnFailed)),
    ]
    found = [
        Span(
            what=what,
            start=max(start.at - began.at, 0.0),
            seconds=max(end.at - start.at, 0.0) if end is not None else None,
        )
        for what, start, end in steps
        if start is not None
    ]
    return sorted(found, key=lambda span: span.start)


def sentence(event: Event) -> str:
    """What happened, in plain words."""
    tell = _SENTENCES[type(event)]
    return tell(event)


def printable(text: str) -> str:
    """On one line and without anything a terminal would obey: what was said and what servers answer is not ours."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split())


def quoted(text: str, longest: int = LONGEST_QUOTE) -> str:
    shown = printable(text)
    return f"“{shown[: longest - 1]}…”" if len(shown) > longest else f"“{shown}”"


def _first(events: Sequence[Event], kind: type[E]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def _last(events: Sequence[Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"


def _for(piece: int | None) -> str:
    return "the transcript" if piece is None else f"piece {piece}"


_ACTIONS = {
    "pause": "The caller asks for a pause.",
    "resume": "The caller lets it go on.",
    "skip": "The caller skips it.",
    "stop": "The caller stops it.",
    "cancel": "The caller takes the call back, or has gone.",
    "talk": "The user takes the word with a key: the message ends, and they are listened to.",
    "pause_limit": "It was paused for too long and is stopped.",
    "close": "The process ends: silence.",
}
_VERDICTS = {
    "suspected": "A voice is suspected: our speech pauses.",
    "confirmed": "The user talks over us: our speech ends.",
    "stopped": "The user asks for silence.",
    "postponed": "Their words are not known yet: our speech goes on.",
    "false": "It was no voice that meant us: our speech goes on.",
}
_WHYS = {
    "silence": "they fell silent",
    "no_speech": "nobody spoke",
    "maximum": "the longest time was over",
    "dead": "the microphone gave nothing but zeros",
}


def _turn_started(event: ev.TurnStarted) -> str:
    return (
        f"A call comes in: {event.kind} {quoted(event.text)}." if event.text else "A call comes in: listen."
    )


def _control_asked(event: ev.ControlAsked) -> str:
    if event.action == "replace":
        return f"Turn {event.other} takes its place: silence."
    if event.action == "replay":
        return f"It says again what turn {event.other} said."
    return _ACTIONS.get(event.action, f"The caller asks: {event.action}.")


def _floor_taken(event: ev.FloorTaken) -> str:
    return f"It has the floor, after {_ms(event.waited)}."


def _speech_requested(event: ev.SpeechRequested) -> str:
    return f"Asks for piece {event.piece} as {event.format}: {quoted(event.text)} ({event.engine})."


def _endpoint_failed(event: ev.EndpointFailed) -> str:
    then = f"{event.next} is asked instead" if event.next else "nobody is left to be asked"
    return f"{event.engine} gives no answer for {_for(event.piece)} ({event.code}): {event.reason} → {then}."


def _endpoint_retried(event: ev.EndpointRetried) -> str:
    when = f" after {_ms(event.after)}" if event.after else ""
    return f"{event.engine} is asked for {_for(event.piece)} once more{when} ({event.code}): {event.reason}"


def _first_byte(event: ev.FirstByte) -> str:
    whence = "from the phrases on this machine, " if event.kept else ""
    voice = f", voice {event.voice}" if event.voice else ""
    begins = ", which only begins" if event.begins else ""
    return f"First byte of piece {event.piece} ({whence}{event.engine}{begins}{voice}, {event.format})."


def _speech_received(event: ev.SpeechReceived) -> str:
    return (
        f"Piece {event.piece} is complete: {event.seconds:.2f} s of sound, {event.bytes_received:,} bytes in "
        f"{event.chunks} chunks within {_ms(event.elapsed)} (decoding {_ms(event.decoding)})."
    )


def _speech_broken(event: ev.SpeechBroken) -> str:
    then = f"asks again from {quoted(event.again, 40)}" if event.again else "nothing more is asked"
    return f"Piece {event.piece} breaks off ({event.code}): {event.reason} → {then}."


def _sink_opened(event: ev.SinkOpened) -> str:
    return f"The loudspeaker is open: {event.device}, {event.rate} Hz, {_ms(event.latency)} to the ear."


def _underrun(event: ev.Underrun) -> str:
    return f"The sound runs dry, and goes on once {_ms(event.refill)} are there."


def _playback_ended(event: ev.PlaybackEnded) -> str:
    return (
        f"Playback is over ({event.outcome}): {event.heard:.2f} of {event.written:.2f} s heard, "
        f"{_ms(event.buffered)} in store on average."
    )


def _turn_ended(event: ev.TurnEnded) -> str:
    return f"The user's turn is over, {_WHYS.get(event.why, event.why)}: {event.seconds:.2f} s to transcribe."


def _transcription_requested(event: ev.TranscriptionRequested) -> str:
    early = ", ahead of time" if event.speculative else ""
    return f"Asks {event.engine} for the words of {event.seconds:.2f} s{early}."


def _transcribed(event: ev.Transcribed) -> str:
    sure = f", {event.confidence:.0%} sure" if event.confidence is not None else ""
    note = f" {event.note}" if event.note else ""
    return f"{event.engine} understood {quoted(event.text)}{sure}.{note}"


def _turn_finished(event: ev.TurnFinished) -> str:
    unheard = f"; unheard: {quoted(event.unheard, 60)}" if event.unheard else ""
    return f"The turn is over: {event.outcome}{unheard}."


def _speech_served(e: ev.SpeechServed) -> str:
    first = "" if e.first is None else f", the first of it after {_ms(e.first)}"
    mended = f"; {e.breaks} breaks were mended" if e.breaks else ""
    return (
        f"Served {e.route} ({e.outcome}): {e.sound:.2f} s of sound as {e.format}{first}, within {_ms(e.total)} "
        f"({e.engine}, voice {e.voice}){mended}."
    )


_SENTENCES: Mapping[type[Event], Callable[[Any], str]] = {
    ev.SpeechServed: _speech_served,
    ev.TranscriptServed: lambda e: (
        f"Served {e.route} ({e.outcome}): {e.seconds:.2f} s of sound written down within {_ms(e.total)} ({e.engine})."
    ),
    ev.RequestRefused: lambda e: f"A request is turned away with status {e.status}: {e.reason}",
    ev.RequestFailed: lambda e: f"A mistake of voicemode's own: {e.error} at {e.place} ({e.frames}).",
    ev.ConversationOpened: lambda e: f"voicemode {e.version} on Python {e.python}, {e.system}.",
    ev.ConversationClosed: lambda e: "The process ends in order.",
    ev.CallRefused: lambda e: f"A call is turned away ({e.code}): {e.reason}",
    ev.TurnStarted: _turn_started,
    ev.ControlAsked: _control_asked,
    ev.FloorAwaited: lambda e: f"It waits for the floor, which {e.holder} has.",
    ev.FloorTaken: _floor_taken,
    ev.SpeechRequested: _speech_requested,
    ev.EndpointFailed: _endpoint_failed,
    ev.EndpointRetried: _endpoint_retried,
    ev.FirstByte: _first_byte,
    ev.SpeechReceived: _speech_received,
    ev.SpeechBroken: _speech_broken,
    ev.SpeechReworded: lambda e: f"Piece {e.piece} was said in other words: {e.how}",
    ev.SinkOpened: _sink_opened,
    ev.SinkMissing: lambda e: f"There is no loudspeaker ({e.code}); the sound goes into a file: {e.reason}",
    ev.FirstAudio: lambda e: "First sound is audible.",
    ev.Underrun: _underrun,
    ev.PlaybackResumed: lambda e: "The sound goes on.",
    ev.PlaybackPaused: lambda e: "The sound pauses.",
    ev.PlaybackEnded: _playback_ended,
    ev.SinkLost: lambda e: f"The loudspeaker has gone, another one is looked for: {e.reason}",
    ev.MicrophoneOpened: lambda e: f"The microphone is open ({e.rate} Hz).",
    ev.MicrophoneMoved: lambda e: (
        f"The microphone has become another: {e.before!r} was opened, {e.after!r} it is."
    ),
    ev.MicrophoneClosed: lambda e: "The microphone is closed.",
    ev.ListeningStarted: lambda e: f"What the microphone hears is the user's now (deaf for {_ms(e.deaf)}).",
    ev.InterruptionJudged: lambda e: _VERDICTS.get(e.verdict, f"A voice over ours: {e.verdict}."),
    ev.VoiceStarted: lambda e: f"The user speaks, since {e.position:.2f} s of microphone time.",
    ev.TurnEnded: _turn_ended,
    ev.TranscriptionRequested: _transcription_requested,
    ev.TranscriptionDropped: lambda e: "That transcription is of no use any more.",
    ev.Transcribed: _transcribed,
    ev.AudioSaved: lambda e: f"The {'message' if e.kind == 'tts' else 'answer'} is in {e.path}",
    ev.TurnFailed: lambda e: f"It fails ({e.code}): {e.reason}",
    ev.TurnFinished: _turn_finished,
    ev.Warned: lambda e: f"Beside the conversation: {e.what}",
}
