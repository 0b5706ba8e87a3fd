"""What happens, as values. Flows emit, everything else (log, recordings, metrics, progress, tests) watches.

Every event carries `at`, monotonic seconds when it happened (`clock.monotonic()`; for sound at the device, the
device's clock), and `turn`, the id of the utterance or exchange it belongs to; "" for what belongs to none. `piece` is
the part of a message that is asked for at once, counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar, dataclass_transform


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Event:
    at: float
    turn: str

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, each.name) for each in fields(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        told = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
        return f"{type(self).__name__}({', '.join(told)})"


E = TypeVar("E", bound=Event)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def event(kind: type[E]) -> type[E]:
    """A frozen dataclass. What all events do alike stands in `Event` once: generated for each it would be 0.3 MB and
    10 ms of every start."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(kind)


@event
class ConversationOpened(Event):
    """The first thing that a process tells: what it is and runs on. It is told when there is something else to tell."""

    version: str
    python: str
    system: str


@event
class ConversationClosed(Event):
    """The process ends in order. Where this is missing it still runs, or was killed."""


@event
class CallRefused(Event):
    """A call was turned away before it became a turn: what it asked for makes no sense, or too many wait."""

    code: str
    reason: str


@event
class TurnStarted(Event):
    """A call came in. `kind` is speak, converse or listen; `text` is the message as it will be spoken."""

    kind: str
    text: str


@event
class ControlAsked(Event):
    """Somebody acts on the turn. `action` is pause, resume, skip, stop, replace (by the turn `other`), replay (it says
    again what `other` said), talk (the user takes the word with a key), cancel (the caller took the call back or has
    gone), pause_limit (it was paused too long) or close (the process ends)."""

    action: str
    other: str = ""


@event
class FloorAwaited(Event):
    """Others are before this turn; `holder` has loudspeaker and microphone now, e.g. "speak (process 1234)"."""

    holder: str


@event
class FloorTaken(Event):
    """This turn may use loudspeaker and microphone; `waited` seconds in the queue."""

    waited: float


@event
class SpeechRequested(Event):
    """`engine` names those that may be asked, in order; `format` is what was asked for."""

    piece: int
    text: str
    engine: str
    format: str


@event
class EndpointFailed(Event):
    """An engine or endpoint gave up before sound or words; `next` is who is asked instead ("" when nobody is left).
    `piece` is None where it was asked for a transcript."""

    engine: str
    code: str
    reason: str
    next: str
    piece: int | None = None


@event
class EndpointRetried(Event):
    """An engine or endpoint is asked once more, `after` seconds: it refused for a moment, a kept connection was closed,
    or it is asked for another model. `piece` is None where it was asked for a transcript."""

    engine: str
    code: str
    reason: str
    after: float
    piece: int | None = None


@event
class FirstByte(Event):
    """The first of a piece has come. `format` is what was found; `kept`: it comes from the phrases on this machine.
    `begins`: this engine says the first words, because it begins sooner than the one that says the rest."""

    piece: int
    engine: str
    voice: str
    format: str
    kept: bool = False
    begins: bool = False


@event
class SpeechReceived(Event):
    """The whole of a piece has come: `chunks`, `bytes_received` as sent, `seconds` of sound; they came within
    `elapsed` seconds, first byte to last, and were decoded in `decoding`."""

    piece: int
    chunks: int
    bytes_received: int
    seconds: float
    elapsed: float
    decoding: float


@event
class SpeechBroken(Event):
    """A piece's stream ended early; what had come is played. `again` is what is asked for once more: the whole
    piece, or its text from the clause on in which it broke; "" when that is hopeless."""

    piece: int
    code: str
    reason: str
    again: str


@event
class SpeechReworded(Event):
    """A piece was said in other words than were written: `how` is the difference."""

    piece: int
    engine: str
    how: str


@event
class SinkOpened(Event):
    """`latency` is the seconds from pull to audible sound that the device states."""

    device: str
    rate: int
    channels: int
    latency: float


@event
class SinkMissing(Event):
    """No loudspeaker could be opened: the sound goes into a file, and nobody hears it."""

    code: str
    reason: str


@event
class FirstAudio(Event):
    """The first sample is audible (by the device's clock)."""


@event
class Underrun(Event):
    """The sound ran dry at `position` samples because more came too late, and went on once `refill` seconds were there:
    `at` is when the silence was heard to begin. Told when the sound goes on: a silence after which nothing came is
    none."""

    position: int
    refill: float


@event
class PlaybackResumed(Event):
    """Sound goes on at `position` samples: after an underrun, a pause, or a wait for text still being written."""

    position: int


@event
class PlaybackPaused(Event):
    """Silence at `position` samples: the caller asked for it, or somebody may be talking over us."""

    position: int


@event
class PlaybackEnded(Event):
    """The loudspeaker is done. `outcome` is finished, cut or lost; `heard` and `written` in seconds; the device took
    `blocks` of sound and had `buffered` seconds in store on average."""

    outcome: str
    heard: float
    written: float
    blocks: int
    buffered: float


@event
class SinkLost(Event):
    """The loudspeaker went away; playback goes on at `position` samples on the next one that opens."""

    reason: str
    position: int


@event
class MicrophoneOpened(Event):
    """The microphone gives sound, at `rate` samples per second; perhaps while we still speak."""

    rate: int


@event
class MicrophoneMoved(Event):
    """The sound server has gone over to another microphone while the turn was listened to: told at its end."""

    before: str
    after: str


@event
class MicrophoneClosed(Event):
    """Nothing is heard any more."""


@event
class ListeningStarted(Event):
    """From now on what the microphone gives is the user's, after our own speech; `deaf` seconds lie between the last
    sample of that and the first that was looked at."""

    deaf: float


@event
class InterruptionJudged(Event):
    """A voice while we speak: `verdict` is suspected (our speech pauses), confirmed, stopped (a stop word), postponed
    (it goes on until the words are known) or false (it goes on)."""

    verdict: str


@event
class VoiceStarted(Event):
    """Voice opened the turn: `at` is when it began at the microphone, `position` seconds into what was listened to."""

    position: float


@event
class TurnEnded(Event):
    """The turn machine ended, `at` on the microphone's clock: `why` is silence, no_speech, maximum or dead; `seconds`
    of voice recorded; the last voice was `silence` seconds ago, None where nobody spoke."""

    why: str
    seconds: float
    silence: float | None = None


@event
class TranscriptionRequested(Event):
    """`seconds` of sound are asked for; `speculative`: at a short silence, before the turn is over."""

    engine: str
    seconds: float
    speculative: bool = False


@event
class TranscriptionDropped(Event):
    """What was asked for is of no use any more: the voice went on, it was none, or the call is over."""

    engine: str


@event
class Transcribed(Event):
    """The words of the turn; `note` says what else is to be known, e.g. why there are none."""

    engine: str
    text: str
    confidence: float | None
    note: str = ""


@event
class AudioSaved(Event):
    """What was said (`kind` tts) or heard (stt) is in a file."""

    kind: str
    path: str


@event
class TurnFailed(Event):
    """The turn ends with an error, or goes on to its end without a transcript. `code` mistake: one of our own."""

    code: str
    reason: str


@event
class TurnFinished(Event):
    """The turn is over. `outcome` is one of `Outcome`; `heard` and `unheard` together are the message."""

    outcome: str
    heard: str
    unheard: str


@event
class SpeechServed(Event):
    """The speech server has answered, or tried to: `outcome` is finished, left (the client hung up) or an error's code.
    `sound` seconds of speech were sent in `format`, the first of it `first` seconds after the request and all `total`;
    `voice_load`, `generation` and `transcoding` are the seconds of its stages. `breaks` of the engine were mended."""

    route: str
    outcome: str
    engine: str
    voice: str
    format: str
    pieces: int
    breaks: int
    sound: float
    first: float | None
    voice_load: float
    generation: float
    transcoding: float
    total: float


@event
class TranscriptServed(Event):
    """The speech server has written down `seconds` of a client's sound, in `total` seconds, or tried to (`outcome`)."""

    route: str
    outcome: str
    engine: str
    seconds: float
    total: float


@event
class RequestRefused(Event):
    """Somebody was turned away at the speech server's door, with this HTTP status."""

    status: int
    reason: str


@event
class RequestFailed(Event):
    """A mistake of our own ended a request of the speech server (`turn` is its id), or, where that and `route` are
    empty, something beside them: the `error`'s type, its `place` and the `frames` that led there, without a value."""

    route: str
    error: str
    place: str
    frames: str


@event
class Warned(Event):
    """Something beside the conversation went wrong (a full disk, say); the conversation goes on."""

    what: str


Emit = Callable[[Event], None]


def nowhere(event: Event) -> None:
    """The `Emit` of someone who does not watch."""
