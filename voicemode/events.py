"""What happens, as values. Flows emit, everything else (log, recordings, metrics, progress, tests) watches.

Every event carries `at`, monotonic seconds when it happened (`clock.monotonic()`; for sound at the device, the
device's clock), and `turn`, the id of the utterance or exchange it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    at: float
    turn: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnStarted(Event):
    """A call came in. `kind` is speak, converse or listen; `text` is the message as it will be spoken."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FloorTaken(Event):
    """This turn may use loudspeaker and microphone; `waited` seconds in the queue."""

    waited: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechRequested(Event):
    """`piece` counts from 0; `format` is what was asked for."""

    piece: int
    text: str
    engine: str
    format: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointFailed(Event):
    """An engine or endpoint gave up before sound; `next` is who is asked instead ("" when nobody is left)."""

    engine: str
    code: str
    reason: str
    next: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstByte(Event):
    piece: int
    engine: str
    voice: str
    format: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechReceived(Event):
    """The whole of a piece has come: `chunks`, `bytes_received` as sent, `seconds` of sound; from first byte to last
    frame took `elapsed` seconds, of which `decoding` went into the decoder."""

    piece: int
    chunks: int
    bytes_received: int
    seconds: float
    elapsed: float
    decoding: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechBroken(Event):
    """A piece's stream ended early; what had come is played. `again` is what is asked for once more: the whole
    piece, or its text from the clause on in which it broke; "" when that is hopeless."""

    piece: int
    code: str
    reason: str
    again: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechReworded(Event):
    """A piece was said in other words than were written: `how` is the difference."""

    piece: int
    engine: str
    how: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkOpened(Event):
    """`latency` is the seconds from pull to audible sound that the device states."""

    device: str
    rate: int
    channels: int
    latency: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstAudio(Event):
    """The first sample is audible (by the device's clock)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Underrun(Event):
    """The sound ran dry at `position` samples because more came too late, and went on once `refill` seconds were there:
    `at` is when the silence began. Told when the sound goes on: a silence after which nothing came is none."""

    position: int
    refill: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybackResumed(Event):
    """Sound goes on at `position` samples: after an underrun, a pause, or a wait for text still being written."""

    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybackPaused(Event):
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybackEnded(Event):
    """The loudspeaker is done. `outcome` is finished, cut or lost; `heard` and `written` in seconds; the device took
    `blocks` of sound and had `buffered` seconds in store on average."""

    outcome: str
    heard: float
    written: float
    blocks: int
    buffered: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkLost(Event):
    """The loudspeaker went away; playback goes on at `position` samples on the next one that opens."""

    reason: str
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MicrophoneOpened(Event):
    rate: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningStarted(Event):
    """From now on what the microphone gives is the user's, after our own speech; `deaf` seconds lie between the last
    sample of that and the first that was looked at."""

    deaf: float


@dataclass(frozen=True, kw_only=True, slots=True)
class InterruptionJudged(Event):
    """A voice while we speak: `verdict` is suspected (our speech pauses), confirmed, stopped (a stop word) or false (it
    goes on)."""

    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceStarted(Event):
    """Voice opened the turn; `position` is where it began, in seconds of microphone time."""

    position: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnded(Event):
    """The turn machine ended: `why` is silence, no_speech, maximum or dead; `seconds` of voice recorded."""

    why: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptionRequested(Event):
    """`seconds` of sound are asked for; `speculative`: at a short silence, before the turn is over."""

    engine: str
    seconds: float
    speculative: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcribed(Event):
    engine: str
    text: str
    confidence: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioSaved(Event):
    """`kind` is tts or stt."""

    kind: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFailed(Event):
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFinished(Event):
    outcome: str
    heard: str
    unheard: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned(Event):
    """Something beside the conversation went wrong (a full disk, say); the conversation goes on."""

    what: str


Emit = Callable[[Event], None]


def nowhere(event: Event) -> None:
    """The `Emit` of someone who does not watch."""
