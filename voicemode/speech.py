"""The nouns of speaking and listening. No behaviour lives here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from voicemode.pcm import SPEECH, Frame, PcmFormat


def as_written() -> str | None:
    """The `reworded` of an engine that says what is written."""
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class WordBegins:
    """A word in a text that is said: where it begins in the sound (seconds), and at which character of the text."""

    at: float
    character: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """The sound server has gone over from one microphone to another; `hint` is what helps if that does not hear."""

    before: str
    after: str
    hint: str


def untimed() -> Sequence[WordBegins]:
    """The `words` of an engine that does not tell when it says what."""
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What an engine met before it answered, or instead. It is asked once more `after` seconds; None: it has given up,
    and `following` is asked, or nobody ("") where none is left."""

    engine: str
    code: str
    reason: str
    following: str = ""
    after: float | None = None


Tell = Callable[[Trouble], None]


def untold(trouble: Trouble) -> None:
    """The `Tell` of someone who does not watch."""


class AudioFormat(StrEnum):
    """The six formats of `/v1/audio/speech`. `opus` is Ogg/Opus, `aac` is ADTS."""

    PCM = "pcm"
    WAV = "wav"
    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"


class Outcome(StrEnum):
    """How a call ended."""

    FINISHED = "finished"
    """Everything was heard; nobody was asked to answer."""
    ANSWERED = "answered"
    NO_SPEECH = "no_speech"
    """The microphone worked and nobody spoke."""
    TIMED_OUT = "timed_out"
    """The user was still speaking at the hard maximum; what was said is transcribed."""
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    BROKEN = "broken"
    """The sound broke off (a stream that ended early, a device that went away); `unheard` was not played."""
    NOT_PLAYED = "not_played"
    """There is no audio device: the sound was written to a file and nobody heard it."""
    NOT_TRANSCRIBED = "not_transcribed"
    """Something was said and recorded, and no recogniser could be reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A voice that an engine offers. `id` is what a request names; `language` is a BCP 47 tag or empty. `usual`: the id
    is no voice of its own but a name for the usual one, which differs from engine to engine."""

    id: str
    engine: str
    name: str = ""
    language: str = ""
    usual: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """Who speaks: an engine, with one of its voices."""

    engine: str
    voice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How a neural voice that is made token by token speaks (`presets.py` has the ranges and sets of them).

    `exaggeration` 0.5 is as the voice is; `cfg_weight` is how closely it keeps to voice and text, `temperature` how
    much chance there is in it; `steps` are the decoder's; `first_chunk` and `chunk` are speech tokens, 25 to the
    second, that are made into sound at a time.
    """

    exaggeration: float
    cfg_weight: float
    temperature: float
    steps: int
    first_chunk: int
    chunk: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechRequest:
    """One piece of text to be said.

    `voice` None means the engine's own choice; `speed` is a factor (1.0 is normal, 0.25–4.0); `format` is what
    is asked for, not what is trusted to come; `language` is a BCP 47 tag or None. `delivery` is for engines that know
    it; the others pass it over. `tell` hears of trouble on the way to sound, and is no part of what is asked for.
    """

    text: str
    voice: str | None = None
    speed: float = 1.0
    instructions: str | None = None
    format: AudioFormat = AudioFormat.PCM
    language: str | None = None
    delivery: Delivery | None = None
    tell: Tell = field(default=untold, compare=False, repr=False)
    turn: str = field(default="", compare=False)
    piece: int = field(default=0, compare=False)
    """Of which turn it is a piece, and which: for those who keep what comes. To an engine it says nothing."""
    opening: bool = field(default=False, compare=False)
    """Nothing of its message has been said yet: how soon its sound comes counts for more than with other pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedAudio:
    """Sound as it comes from an engine, still encoded.

    `format` is what the engine says the bytes are (the decoder sniffs all the same); `pcm` is how raw PCM
    bytes are to be read. `chunks` gives bytes in whatever sizes they arrive, and raises `EngineError` when the
    stream breaks. `engine`, `voice` and `model` say who is speaking.
    """

    chunks: AsyncIterator[bytes]
    format: AudioFormat
    engine: str
    voice: str
    model: str = ""
    pcm: PcmFormat = SPEECH
    kept: bool = False
    """From a store on this machine: it says nothing about how fast the engine is."""
    note: str = ""
    """What the listener has to know about who speaks, e.g. that the engine they chose refuses."""
    unsealed: bool = False
    """Its end is no more than a connection that closes: a stream that broke off looks the same."""
    reworded: Callable[[], str | None] = as_written
    """How the words said depart from the text; None where they do not. Known when the chunks have ended."""
    words: Callable[[], Sequence[WordBegins]] = untimed
    """Which words begin when, as far as the sound has come, in order."""
    rest: Speaker | None = None
    """Who says the rest of the message, where this engine says its first words because it begins sooner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptionRequest:
    """What was recorded (`audio`, mono), the language spoken (BCP 47, None: let the engine find out), and words
    to expect. `tell` hears of trouble on the way to the words."""

    audio: Frame
    language: str | None = None
    prompt: str | None = None
    timed: bool = False
    """The time of each word is wanted, which costs some engines more work."""
    tell: Tell = field(default=untold, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedWord:
    """A word of a recording; `start` and `end` in seconds from its beginning."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """`text` is empty when nothing was understood; `confidence` is 0–1 where the engine gives one."""

    text: str
    engine: str
    model: str = ""
    language: str = ""
    confidence: float | None = None
    words: tuple[TimedWord, ...] | None = None
    """Those of the text with their times; None where the engine does not know them, or was not asked."""
    note: str = ""
    """A limit of the engine that the reader has to know, e.g. that it is poor at dictation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Seconds; None where the step did not happen."""

    ttfa: float | None = None
    """Call received → first audible sample, by the device's clock."""
    generation: float | None = None
    """First request sent → last byte of speech received."""
    playback: float | None = None
    """First audible sample → last."""
    listening: float | None = None
    """Microphone open → turn ended."""
    deaf: float | None = None
    """Last audible sample of our own speech → the first that the microphone was listened to for an answer."""
    transcription: float | None = None
    """Turn ended, or the recogniser asked if that was later → the words."""
    total: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """How an utterance went, made from its events. Seconds where nothing else is said."""

    ttfa: float | None = None
    """Call received → first audible sample, by the device's clock."""
    generation: float | None = None
    playback: float | None = None
    underruns: int = 0
    chunks_received: int = 0
    """As the network gave them."""
    chunks_played: int = 0
    """Blocks of sound that the device took."""
    average_buffer: float = 0.0
    """Decoded sound in store while it played."""
    throughput: float | None = None
    """Encoded bytes per second, from first byte to last."""
    decoding: float = 0.0
    """Spent in decoders, for all chunks together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingNote:
    """What stands in the JSON beside a recording. `kind` is tts or stt; `text` is what was to be said, or the
    transcript; `position` is where the recording begins, in monotonic seconds of the process that made it."""

    kind: str
    turn: str
    text: str
    engine: str = ""
    voice: str = ""
    outcome: str = ""
    heard: str = ""
    unheard: str = ""
    position: float = 0.0
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """What became of a message. `heard` + `unheard` is the whole of the spoken text."""

    heard: str
    unheard: str
    outcome: Outcome
    timings: Timings = field(default_factory=Timings)
    engine: str = ""
    voice: str = ""
    """Of whom spoke last."""
    speakers: tuple[Speaker, ...] = ()
    """All who spoke, in the order of their first words."""
    metrics: Metrics = field(default_factory=Metrics)
    seconds_heard: float = 0.0
    recording: Path | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A whole turn: what was said to the user and what came back."""

    spoken: Spoken
    outcome: Outcome
    transcript: Transcript | None = None
    timings: Timings = field(default_factory=Timings)
    recording: Path | None = None
    """The user's recording, where it is kept."""
    files: dict[str, Path] = field(default_factory=dict)
    """What is kept of the turn beside it, by kind: its JSON (`turn`), what the loudspeaker pulled, the microphone."""
    note: str = ""
