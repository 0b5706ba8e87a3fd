"""From judged sound to one turn of the user: what was said, where it begins and ends, and why it is over.

`judging` says what is a voice, `capturing` runs both, `transcribing` goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from voicemode import clock
from voicemode.errors import MicrophoneSilent
from voicemode.events import Emit, TurnEnded, VoiceStarted
from voicemode.flows.guessing import Guess, enough
from voicemode.flows.judging import Echo, Judged
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import BeginRecording, OpenSource, Recording, SttEngine, Vad, Whereabouts
from voicemode.speech import Moved, Outcome, RecordingNote, Transcript
from voicemode.turn_taking.aftersound import SOFT_DECIBELS
from voicemode.turn_taking.interruption import InterruptionRules
from voicemode.turn_taking.patience import Patience, Pauses
from voicemode.turn_taking.turn import Turn, TurnRules, Why

HIDDEN_LEAD_SECONDS = 0.5
"""Kept before the first voice while our own speech sounds, beside which the beginning of a word is no voice to a
detector."""

OPENING_DECIBELS = 6.0
"""A voice that opens a turn stands out of the room by so much: a detector that takes a fan for a voice opens none."""


GONE_SECONDS = 0.3
"""Of zeros behind what was said, from a microphone that gave none before: it was unplugged or muted, and sound servers
give a program that loses one another that is silent, or the loudspeaker's own silence."""


WRITTEN_EVERY_SECONDS = 0.25
"""What is said is put down in pieces so long: a process that is killed takes no more than a syllable with it."""

MUTED_SECONDS = 1.5
"""The same where nobody has spoken until then."""


async def _always() -> bool:
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningPorts:
    """What listening needs of the world.

    `open_echo` None: we may hear ourselves, and nothing that comes while we speak counts as the user's.
    `barge_in` lets the user talk over us, where there is an echo side. `speculative`: what was said is transcribed at
    the first short silence, and not only where it has to be known whether the user means us. `pauses` is what is known
    of the speaker.
    """

    open_source: OpenSource
    open_vad: Callable[[], Vad]
    engine: SttEngine
    begin_recording: BeginRecording
    emit: Emit
    rules: TurnRules
    captured: Callable[[], float] = clock.monotonic
    """When the end of the frame that was read last from `open_source` was at the microphone, as far as it is known."""
    whereabouts: Whereabouts | None = None
    """Of that microphone, where it can be asked: at the first short silence, and where nobody was heard."""
    keep_recording: bool = False
    awaited: Callable[[str], bool] = lambda turn: True
    """Whether somebody waits for this turn's answer now; where nobody does, its recording is kept."""
    prompt: str | None = None
    """Names and words that the recogniser should expect."""
    speculative: bool = True
    barge_in: bool = False
    proved: Callable[[], Awaitable[bool]] = _always
    """Whether that is safe with the devices of this moment."""
    interruption: InterruptionRules = field(default_factory=InterruptionRules)
    open_echo: Callable[[], Echo | None] | None = None
    """May take its time, and is called off the event loop; None where there is no canceller."""
    stop_ear: SttEngine | None = None
    """Asked beside `engine` what somebody has said over us: whether it is a word that asks for silence."""
    pauses: Pauses = field(default_factory=Pauses)


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """What the microphone gave: `audio` is the speech with a little before and after, None when nobody spoke;
    `began` is when its first sample was heard (monotonic seconds); `voice` is how many seconds of it were voice, which
    stood out of the room by `margin` dB; `cut`: they still spoke at the longest time; `interrupted`: it cut our own
    speech short, and `hushed` with a word that asks for silence and nothing else; `late` for how many seconds our
    speech went on until that was known; `gone`: after it the microphone gave nothing but zeros, as it had not
    before; `moved`: it was another microphone by then. `recording` holds just `audio`, and whoever has it ends it."""

    audio: Frame | None
    why: Why
    began: float
    voice: float = 0.0
    margin: float | None = None
    cut: bool = False
    interrupted: bool = False
    hushed: bool = False
    late: float = 0.0
    gone: bool = False
    moved: Moved | None = None
    recording: Recording | None = None


class Hearing:
    """What the microphone has given since it was wanted, and what the turn machine makes of it.

    `overhang` is the detector's. `lead` came before and may belong to what is said, but opens no turn; `lead_seconds`
    are kept before the voice. `guess` is asked for the words at short silences. An `untold` hearing emits nothing
    before `tell`, and puts nothing down.
    """

    def __init__(
        self,
        ports: ListeningPorts,
        fmt: PcmFormat,
        *,
        turn: str,
        rules: TurnRules,
        guess: Guess,
        overhang: float = 0.0,
        lead: Iterable[Judged] = (),
        lead_seconds: float,
        untold: bool = False,
    ) -> None:
        self._ports = ports
        self._format = fmt
        self._turn = turn
        self._guess = guess
        self._patience = Patience(rules.patience, ports.pauses)
        self._machine = Turn(rules, self._patience, overhang=overhang)
        self._kept = bytearray()
        self._closed: float | None = None
        """Where the recording ends, once it has been silent for long enough to ask for the words: what is transcribed
        early is thereby all that will be there at the end."""
        self._opened: float | None = None
        self._heard_to: float | None = None
        """When the end of the last frame was at the microphone (monotonic seconds)."""
        self._margins = 0.0
        self._voices = 0
        """Frames of voice, and by how many dB all of them stand out of the room."""
        self._zeros = 0.0
        """Seconds of nothing but digital zeros, the last ones."""
        self._gated = False
        """Whether there were such before: some microphones give zeros wherever nobody speaks."""
        self._lead_seconds = lead_seconds
        self._untold = untold
        self._words: Transcript | None = None
        self._recording: Recording | None = None
        """Of a turn that has opened; as far as it is what would be transcribed if the turn ended now."""
        self._written = 0
        """Bytes of what is kept that are in it, or before it."""
        for each in lead:
            self._keep(each)
        self._lead = fmt.seconds(len(self._kept) // fmt.bytes_per_sample)

    @property
    def why(self) -> Why | None:
        return self._machine.why

    def feed(self, judged: Judged) -> Why | None:
        """One more frame; why the turn has ended, once it has."""
        if self._machine.why is not None:
            return self._machine.why
        self._keep(judged)
        self._watch_for_zeros(judged.frame)
        self._heed_the_words()
        machine, seconds = self._machine, judged.frame.seconds
        spoken = machine.voice_from is not None
        stands_out = judged.margin >= OPENING_DECIBELS
        voice = judged.voice and (not judged.voicelike if spoken else stands_out)
        if voice:
            self._margins += judged.margin
            self._voices += 1
        sound = stands_out and judged.margin >= self._margin - SOFT_DECIBELS
        why = machine.feed(
            seconds,
            voice=voice,
            zeros=self._zeros > 0.0,
            sound=sound,
            maybe=judged.maybe,
            opens=not judged.voicelike,
            levels=judged.parts,
            room=judged.level - judged.margin,
        )
        if not spoken and machine.voice_from is not None and not self._untold:
            self.tell()
        if why is None and machine.voice_from is not None:
            self._ask_early(seconds)
        self._write()
        return why

    def _ask_early(self, seconds: float) -> None:
        silent = self._machine.silent
        if silent <= 0.0:
            self._closed = None
        elif self._closed is None and enough(silent, seconds):
            self._closed = self._machine.now
            if self._ports.whereabouts is not None:  # The end may be one of the microphone, not of the voice.
                self._ports.whereabouts.look()
        self._guess.consider(self.speech, seconds=seconds, silent=silent, needed=self._untold)

    def tell(self) -> None:
        """Somebody has begun to speak, if somebody has."""
        self._untold = False
        position = self._machine.voice_from
        if position is not None:
            at = self._now - self._machine.now + position
            self._ports.emit(VoiceStarted(at=at, turn=self._turn, position=position))
            self._recording = self._ports.begin_recording(kind="stt", turn=self._turn, format=self._format)
            self._written = self._bytes(self._start)
            self._write(whole=True)

    def speech(self) -> Frame | None:
        """What was said, with its lead and tail; None while nobody has spoken."""
        if self._machine.voice_from is None:
            return None
        return Frame(data=bytes(self._kept[self._bytes(self._start) : self._end]), format=self._format)

    def keep(self, outcome: Outcome) -> Recording | None:
        """Puts away what was said before the turn could end; None when nobody had spoken."""
        recording = self._whole()
        if recording is not None:
            recording.finish(
                RecordingNote(kind="stt", turn=self._turn, text="", outcome=outcome, position=self._began)
            )
        return recording

    def captured(self, *, interrupted: bool = False, hushed: bool = False, late: float = 0.0) -> Captured:
        """The turn is over. Raises `MicrophoneSilent`."""
        machine = self._machine
        speech = self.speech()
        why = machine.why or (Why.SILENCE if speech else Why.NO_SPEECH)
        seconds = speech.seconds if speech else 0.0
        silence = None if machine.voice_to is None else round(machine.now - machine.voice_to, 4)
        self._ports.emit(TurnEnded(at=self._now, turn=self._turn, why=why, seconds=seconds, silence=silence))
        if why is Why.DEAD:
            raise MicrophoneSilent(
                f"The microphone was open for {machine.now:.1f} s and delivered nothing but zeros.",
                hint="It is muted, unplugged or not permitted: check the system's microphone permission for this "
                "program and `voicemode doctor`.",
            )
        return Captured(
            audio=speech,
            why=why,
            began=self._began,
            voice=machine.voiced,
            margin=self._margin if self._voices else None,
            cut=machine.cut,
            interrupted=interrupted,
            hushed=hushed,
            late=late,
            gone=self._zeros >= (GONE_SECONDS if speech else MUTED_SECONDS) and not self._gated,
            recording=self._whole(),
        )

    def _write(self, *, whole: bool = False) -> None:
        """Puts down what has been said since the last time, in pieces; `whole`: all of it. Of a silence no more than
        would belong to what was said."""
        if self._recording is None:
            return
        enough = 0.0 if whole or self._closed is not None else WRITTEN_EVERY_SECONDS
        if self._end - self._written >= max(self._bytes(enough), 1):
            said = Frame(data=bytes(self._kept[self._written : self._end]), format=self._format)
            self._recording.write(said)
            self._written += len(said.data)

    def _whole(self) -> Recording | None:
        """With the last of what was said; whoever has it ends it."""
        self._write(whole=True)
        recording, self._recording = self._recording, None
        return recording

    @property
    def _now(self) -> float:
        """On the microphone's clock (monotonic seconds): what happens to the sound happens then, however late it is
        judged."""
        return clock.monotonic() if self._heard_to is None else self._heard_to

    @property
    def _margin(self) -> float:
        """By how many dB the voice stands out of the room."""
        return self._margins / max(self._voices, 1)

    @property
    def _start(self) -> float:
        """In seconds of what is kept."""
        return max(self._lead + (self._machine.voice_from or 0.0) - self._lead_seconds, 0.0)

    @property
    def _end(self) -> int:
        """In bytes of what is kept."""
        return self._bytes(self._lead + (self._machine.now if self._closed is None else self._closed))

    def _bytes(self, seconds: float) -> int:
        return self._format.samples(seconds) * self._format.bytes_per_sample

    @property
    def _began(self) -> float:
        return (self._opened if self._opened is not None else clock.monotonic()) + self._start

    def _keep(self, judged: Judged) -> None:
        if self._opened is None:
            self._opened = judged.began
        self._heard_to = judged.began + judged.frame.seconds
        self._kept += judged.frame.data

    def _watch_for_zeros(self, frame: Frame) -> None:
        if not any(frame.data):
            self._zeros += frame.seconds
            return
        self._gated = self._gated or self._zeros > 0.0
        self._zeros = 0.0

    def _heed_the_words(self) -> None:
        """A recogniser that has to excuse itself for its words is no guide to how long to wait."""
        words = self._guess.transcript
        if words is not None and words is not self._words and not words.note:
            self._patience.heard(words.text, words.language or None)
        self._words = words
