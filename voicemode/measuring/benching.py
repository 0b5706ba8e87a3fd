"""Measures what the user has set up, through the flows that speak and listen, one engine and format after another.

Nothing is recorded, no microphone is opened, and what is asked of engines is known beforehand (`asked`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from voicemode import clock
from voicemode.bench.figures import longest_gap
from voicemode.bench.results import Kind, Row, Subject
from voicemode.bench.texts import DICTATED, WARMING
from voicemode.bench.words import word_errors
from voicemode.errors import EngineError, VoiceModeError
from voicemode.events import Event, SpeechBroken, SpeechReceived, TurnEnded, Underrun, nowhere
from voicemode.flows.conversation import Conversation
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.loudspeakers import WHOLE
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.measuring.bench_ports import ConfiguredLinks, FreeFloor, Watched, begin_nothing
from voicemode.measuring.timing import said
from voicemode.pcm import LISTENING, Frame
from voicemode.ports import OpenSink, OpenSource, SttEngine, TtsEngine
from voicemode.sound.levels import audible_to
from voicemode.speech import AudioFormat, Outcome, SpeechRequest, Spoken, TranscriptionRequest
from voicemode.turn_taking.patience import Pauses

TAKEN_TO_SPEAK = 120.0
"""Seconds after which a single measurement is given up, whatever an engine's own limits are."""

LEAD_SECONDS = 0.4
"""Of a quiet room before the user's first word: a detector gets used to the room in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """An engine and the formats it can be asked for; `costs`: somebody has to pay for each request."""

    engine: TtsEngine
    formats: tuple[AudioFormat, ...]
    costs: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    engine: SttEngine
    costs: bool = False


class Microphone(OpenSource, Protocol):
    """In which a known sound is heard."""

    @property
    def ended_at(self) -> float | None:
        """When its end was heard."""


class OpenMicrophone(Protocol):
    """A microphone that hears `sound` once, at the pace of a real one; its end lies `until` seconds into it."""

    def __call__(self, sound: Frame, *, lead: float, until: float) -> Microphone: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchPorts:
    """The user's set-up. `sink` is where the sound goes; where it is `heard`, each text is said to its end. `first_of`
    makes the chain that a turn asks; `voices` dictate to the listeners where no speaker is measured."""

    speakers: tuple[Speaker, ...]
    listeners: tuple[Listener, ...]
    mouth: SpeakingPorts
    ear: ListeningPorts
    sink: OpenSink
    microphone: OpenMicrophone
    first_of: Callable[[Sequence[SttEngine]], SttEngine]
    buffer_seconds: float
    language: str | None = None
    voices: tuple[Speaker, ...] = ()
    heard: bool = False

    @property
    def names(self) -> list[str]:
        """Of all engines that could be measured."""
        speaking = [each.engine.name for each in self.speakers]
        return list(dict.fromkeys([*speaking, *(each.engine.name for each in self.listeners)]))

    @property
    def costly(self) -> list[str]:
        """Those that somebody has to pay for."""
        speaking = [each.engine.name for each in (*self.speakers, *self.voices) if each.costs]
        return list(dict.fromkeys([*speaking, *(each.engine.name for each in self.listeners if each.costs)]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`runs` of each measurement after one that is not counted; `texts` to be said, each in each of `formats` that an
    engine has; `dictated` is what recognisers are given. `request` has the voice and the speed."""

    runs: int
    texts: tuple[str, ...]
    formats: tuple[AudioFormat, ...]
    kinds: tuple[Kind, ...]
    request: SpeechRequest
    dictated: str = DICTATED

    @property
    def listens(self) -> bool:
        """Whether a recogniser is asked anything."""
        return Kind.TRANSCRIPTION in self.kinds or Kind.TURN in self.kinds


@dataclass(kw_only=True, slots=True)
class Asked:
    """What an engine will be asked, at most: characters to say, recordings of `DICTATED` to transcribe."""

    characters: int = 0
    recordings: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is being measured now: run `number` of `runs` (0: the one that is not counted)."""

    subject: Subject
    number: int
    runs: int


Watch = Callable[[Step], None]


def asked(ports: BenchPorts, plan: Plan) -> dict[str, Asked]:
    """By engine, what the plan comes to at most, warming included. For a turn a listener may be asked twice, ahead of
    its end and then; long texts are asked for in more than one piece, which costs nothing more."""
    found: dict[str, Asked] = {}
    for speaker in ports.speakers:
        mine = found.setdefault(speaker.engine.name, Asked())
        if Kind.SPEECH in plan.kinds:
            rounds = plan.runs * len(_formats(speaker, plan))
            mine.characters += rounds * sum(map(len, plan.texts)) + len(WARMING)
    for voice in (ports.speakers or ports.voices) if plan.listens and ports.listeners else ():
        found.setdefault(voice.engine.name, Asked()).characters += len(plan.dictated)
    for listener in ports.listeners:
        mine = found.setdefault(listener.engine.name, Asked())
        mine.recordings += plan.runs + 1 if Kind.TRANSCRIPTION in plan.kinds else 0
        mine.recordings += 2 * plan.runs if Kind.TURN in plan.kinds else 0
    return found


class Bench:
    """One run. `rows` fill while it goes on, so that who interrupts it has what was measured."""

    def __init__(self, ports: BenchPorts, plan: Plan, watch: Watch = lambda step: None) -> None:
        self.rows: list[Row] = []
        self._ports = ports
        self._plan = plan
        self._watch = watch

    async def run(self) -> None:
        """Cancelling closes everything; an engine that fails is left alone and the others go on."""
        if Kind.SPEECH in self._plan.kinds:
            for speaker in self._ports.speakers:
                await self._speech(speaker)
        if not (self._plan.listens and self._ports.listeners):
            return
        said = await self._dictated()
        if said is None:
            return
        if Kind.TRANSCRIPTION in self._plan.kinds:
            for listener in self._ports.listeners:
                await self._transcription(listener, *said)
        if Kind.TURN in self._plan.kinds:
            await self._turns(*said)

    # Speech.

    async def _speech(self, speaker: Speaker) -> None:
        formats = _formats(speaker, self._plan)
        if not formats:
            return
        name = speaker.engine.name
        warming = self._row(Subject(kind=Kind.SPEECH, engine=name))
        with self._measuring(warming, 0):
            await self._said(speaker.engine, warming, WARMING, formats[0])
        if warming.failure:
            return
        self.rows.remove(warming)
        for text in self._plan.texts:
            for audio_format in formats:
                # A format that only one of them has says nothing.
                shown = audio_format.value if len(speaker.formats) > 1 else ""
                row = self._row(Subject(kind=Kind.SPEECH, engine=name, format=shown, text=text))
                for number in range(1, self._plan.runs + 1):
                    with self._measuring(row, number):
                        await self._said(speaker.engine, row, text, audio_format)
                    if row.failure:
                        break

    async def _said(self, engine: TtsEngine, row: Row, text: str, audio_format: AudioFormat) -> None:
        ports = self._ports
        watched = Watched(engine, ports.mouth.open_decoder, ports.sink)
        mouth = replace(
            ports.mouth,
            engine=watched,
            open_decoder=watched.open_decoder,
            open_sink=watched.open_sink,
            begin_recording=begin_nothing,
            keep_recording=False,
            emit=nowhere,
            links=ConfiguredLinks(fill_seconds=ports.buffer_seconds, limit_seconds=WHOLE),
            limit_seconds=WHOLE,  # The stream is never held back: what it does by itself is measured.
        )
        request = replace(self._plan.request, format=audio_format)
        began = clock.monotonic()
        utterance = Utterance(mouth, text, request, turn="bench")
        async with asyncio.timeout(TAKEN_TO_SPEAK):
            spoken = await (utterance.run() if ports.heard else _until_audible(utterance, watched))
        received = [event for event in utterance.events if isinstance(event, SpeechReceived)]
        seconds = sum(event.seconds for event in received)
        if (
            spoken.outcome is Outcome.BROKEN
            or watched.audible_at is None
            or watched.first_sound is None
            or not seconds
        ):
            raise EngineError(f"{engine.name} broke off. {spoken.note}".strip(), engine=engine.name)
        row.add(
            first_byte=watched.chunks[0][0] - began,
            first_sound=watched.first_sound - began,
            audible=watched.audible_at - began,
            factor=(max(times[-1] for times in watched.chunks) - began) / seconds,
            stall=max(longest_gap(times) for times in watched.chunks),
            underruns=sum(isinstance(event, Underrun) for event in utterance.events),
        )
        row.note(spoken.note)
        if any(isinstance(event, SpeechBroken) for event in utterance.events):
            row.note("its stream broke off and was asked for again")
        if watched.sent_as not in ("", audio_format.value):
            row.note(f"it sends {watched.sent_as} when {audio_format.value} is asked for")

    # Transcription and turns.

    async def _dictated(self) -> tuple[Frame, str] | None:
        """The text as sound, from the first engine that says it, and that engine's name."""
        request = replace(self._plan.request, text=self._plan.dictated, format=AudioFormat.PCM)
        for speaker in self._ports.speakers or self._ports.voices:
            try:
                async with asyncio.timeout(TAKEN_TO_SPEAK):
                    sound, _ = await said(speaker.engine, request, self._ports.mouth.open_decoder, LISTENING)
                return sound, speaker.engine.name
            except (VoiceModeError, TimeoutError):
                continue
        self._row(
            Subject(kind=Kind.TRANSCRIPTION, engine="")
        ).failure = "no engine speaks: there is nothing to be heard"
        return None

    async def _transcription(self, listener: Listener, sound: Frame, voice: str) -> None:
        engine = listener.engine
        row = self._row(Subject(kind=Kind.TRANSCRIPTION, engine=engine.name, text=self._plan.dictated))
        request = TranscriptionRequest(
            audio=sound, language=self._ports.language, prompt=self._ports.ear.prompt
        )
        for number in range(self._plan.runs + 1):
            with self._measuring(row, number):
                began = clock.monotonic()
                async with asyncio.timeout(TAKEN_TO_SPEAK):
                    found = await engine.transcribe(request)
                if number:
                    row.add(
                        answer=clock.monotonic() - began,
                        word_errors=word_errors(self._plan.dictated, found.text),
                    )
            if row.failure:
                return
        row.note(f"{sound.seconds:.1f} s said by {voice}")

    async def _turns(self, sound: Frame, voice: str) -> None:
        ports = self._ports
        engine = ports.first_of([listener.engine for listener in ports.listeners])
        row = self._row(Subject(kind=Kind.TURN, engine="your settings", text=self._plan.dictated))
        until = sound.format.seconds(audible_to(sound))
        for number in range(1, self._plan.runs + 1):
            with self._measuring(row, number):
                async with asyncio.timeout(TAKEN_TO_SPEAK):
                    await self._turn(engine, row, sound, until)
            if row.failure:
                return
        row.note(f"{sound.seconds:.1f} s said by {voice}, heard in a quiet room that is not real")

    async def _turn(self, engine: SttEngine, row: Row, sound: Frame, until: float) -> None:
        microphone = self._ports.microphone(sound, lead=LEAD_SECONDS, until=until)
        events: list[Event] = []
        ear = replace(
            self._ports.ear,
            open_source=microphone,
            engine=engine,
            begin_recording=begin_nothing,
            keep_recording=False,
            barge_in=False,
            open_echo=None,
            stop_ear=None,
            pauses=Pauses(),
        )
        conversation = Conversation(mouth=self._ports.mouth, ear=ear, floor=FreeFloor(), emit=events.append)
        try:
            exchange = await conversation.listen(language=self._ports.language).result()
            now = clock.monotonic()
        finally:
            await conversation.close()
        ended = next((event.at for event in events if isinstance(event, TurnEnded)), now)
        if exchange.transcript is None or microphone.ended_at is None:
            raise EngineError(f"Nothing was heard. {exchange.note}".strip(), engine=engine.name)
        if ended < microphone.ended_at:
            raise EngineError(
                f"The turn ended in the middle of the speech, {microphone.ended_at - ended:.1f} s too early.",
                engine=engine.name,
                hint="VOICEMODE_SILENCE_THRESHOLD_MS or VOICEMODE_SILENCE_MIN_MS is shorter than the voice's pauses.",
            )
        row.add(turn=now - microphone.ended_at, silence=ended - microphone.ended_at)
        row.note(f"answered by {exchange.transcript.engine}")

    def _row(self, subject: Subject) -> Row:
        row = Row(subject=subject)
        self.rows.append(row)
        return row

    @contextmanager
    def _measuring(self, row: Row, number: int) -> Iterator[None]:
        self._watch(Step(subject=row.subject, number=number, runs=self._plan.runs))
        try:
            yield
        except VoiceModeError as error:
            row.failure = error.message
        except TimeoutError:
            row.failure = f"nothing came of it within {TAKEN_TO_SPEAK:g} s"


async def _until_audible(utterance: Utterance, watched: Watched) -> Spoken:
    """Plays until all has come and its beginning has been taken: nothing can run dry after that."""
    saying = asyncio.create_task(utterance.run())
    heard = asyncio.create_task(watched.audible.wait())
    try:
        await utterance.ending.wait()
        await asyncio.wait([saying, heard], return_when=asyncio.FIRST_COMPLETED)
        utterance.stop()
        return await saying
    finally:
        saying.cancel()
        heard.cancel()
        await asyncio.wait([saying, heard])


def _formats(speaker: Speaker, plan: Plan) -> tuple[AudioFormat, ...]:
    """Those of the plan that it has; what has only one is measured in it whatever the plan says."""
    return (
        speaker.formats
        if len(speaker.formats) == 1
        else tuple(f for f in speaker.formats if f in plan.formats)
    )
