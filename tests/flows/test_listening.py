"""From spoken sound to text, over fakes of the ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flows.test_guessing import ScriptedEar
from tests.flows.world import ANSWER, RULES, SlowEar, World
from tests.support.fakes import (
    DEAD,
    ROOM,
    SPOKEN,
    FakeEar,
    FakeEcho,
    FakeMicrophone,
    FakeOwnSpeech,
    FakeRecording,
    LoudVad,
    Shelf,
    until,
)
from voicemode import clock
from voicemode.errors import DeviceLost, EndpointUnreachable, MicrophoneSilent, NoDevice
from voicemode.events import (
    ListeningStarted,
    MicrophoneOpened,
    Transcribed,
    TranscriptionRequested,
    TurnEnded,
    TurnFailed,
    VoiceStarted,
)
from voicemode.flows.capturing import capture
from voicemode.flows.guessing import Guess
from voicemode.flows.listening import Captured
from voicemode.flows.transcribing import Heard, transcribe
from voicemode.pcm import LISTENING, Frame, PcmFormat
from voicemode.ports import VOICELIKE
from voicemode.speech import Outcome, Transcript, TranscriptionRequest
from voicemode.turn_story.metrics import timings
from voicemode.turn_taking.turn import TurnRules, Why

pytestmark = pytest.mark.anyio

BLOCK_BYTES = len(ROOM)
BREATH = (4_321).to_bytes(2, "little") * (BLOCK_BYTES // 2)
LIMIT_SECONDS = 20.0


def numbered(first: int, count: int) -> list[bytes]:
    """Blocks of 10 ms that can be told apart; from 5,000 on they are voice."""
    return [(first + number).to_bytes(2, "little") * (BLOCK_BYTES // 2) for number in range(count)]


async def captured(world: World, rules: TurnRules = RULES) -> Captured:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await capture(world.ear_ports, turn="t1", rules=rules, guess=Guess())


async def heard(world: World, audio: Frame, why: Why = Why.SILENCE, *, cut: bool = False) -> Heard:
    taken = replace(recorded(world, audio, why), cut=cut)
    async with asyncio.timeout(LIMIT_SECONDS):
        return await transcribe(world.ear_ports, taken, turn="t1", language="en", guess=Guess())


def recorded(world: World, audio: Frame, why: Why = Why.SILENCE) -> Captured:
    recording = world.shelf(kind="stt", turn="t1", format=audio.format)
    recording.write(audio)
    return Captured(audio=audio, why=why, began=12.5, recording=recording)


def spoken_sound(blocks: int = 50) -> Frame:
    return Frame(data=SPOKEN * blocks, format=LISTENING)


def only(recordings: list[FakeRecording]) -> FakeRecording:
    (recording,) = recordings
    return recording


@pytest.mark.spec("LSN-20")
async def test_a_turn_starts_on_voice_ends_on_silence_and_gives_it_with_lead_and_tail_to_the_sample() -> None:
    blocks = [*numbered(1, 70), *numbered(5_000, 40), *numbered(100, 90)]
    world = World(blocks=blocks)
    taken = await captured(world)
    assert taken.why is Why.SILENCE
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[70 - 30 : 70 + 40 + 19])
    assert world.watched.names() == ["MicrophoneOpened", "VoiceStarted", "MicrophoneClosed", "TurnEnded"]
    started = next(event for event in world.watched.events if isinstance(event, VoiceStarted))
    assert started.position == pytest.approx(0.70)
    assert world.microphone.delivered == 70 + 40 + 50


@pytest.mark.spec("LSN-20")
async def test_voice_from_the_first_frame_on_loses_nothing_of_its_beginning() -> None:
    blocks = [*numbered(5_000, 40), *numbered(100, 90)]
    taken = await captured(World(blocks=blocks))
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[:59])


@pytest.mark.spec("LSN-21")
@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(min_value=1, max_value=2_000), min_size=1, max_size=30))
def test_however_the_microphone_cuts_its_blocks_the_same_sound_is_taken(cuts: list[int]) -> None:
    sound = b"".join([*numbered(1, 70), *numbered(5_000, 40), *numbered(100, 90)])
    blocks: list[bytes] = []
    start = 0
    while start < len(sound):
        size = 2 * cuts[len(blocks) % len(cuts)]
        blocks.append(sound[start : start + size])
        start += size
    taken = asyncio.run(captured(World(blocks=blocks)))
    assert taken.audio is not None
    assert taken.audio.data == sound[(70 - 30) * BLOCK_BYTES : (70 + 40 + 19) * BLOCK_BYTES]


@pytest.mark.spec("LSN-22")
async def test_what_comes_while_we_still_speak_opens_no_turn_and_the_first_frame_after_it_does() -> None:
    blocks = [*numbered(6_000, 30), *numbered(5_000, 40), *numbered(100, 90)]
    world = World(blocks=blocks)
    own = FakeOwnSpeech(said=lambda: world.microphone.delivered > 30)
    async with asyncio.timeout(LIMIT_SECONDS):
        taken = await capture(world.ear_ports, turn="t1", rules=RULES, guess=Guess(), own=own)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[30 - 10 : 30 + 40 + 19])


EARLY = [*numbered(1, 80), *numbered(5_000, 60), *numbered(100, 90)]
"""0.8 s of room, 0.6 s of voice, and more silence than ends a turn."""


async def beside(world: World, sounding: int, *, ended: float | None = None) -> Captured:
    """A turn whose first `sounding` blocks come while our own speech sounds."""
    own = FakeOwnSpeech(said=lambda: world.microphone.delivered > sounding, ended=ended)
    async with asyncio.timeout(LIMIT_SECONDS):
        return await capture(world.ear_ports, turn="t1", rules=RULES, guess=Guess(), own=own)


@pytest.mark.spec("LSN-40")
async def test_who_begins_over_our_last_word_is_heard_from_their_first_where_we_cannot_hear_ourselves() -> (
    None
):
    taken = await beside(World(blocks=EARLY, echo=FakeEcho()), sounding=100)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(EARLY[50:159])
    assert not taken.interrupted


@pytest.mark.spec("LSN-40")
async def test_an_answer_given_within_the_preroll_alone_is_an_answer() -> None:
    blocks = [*numbered(1, 80), *numbered(5_000, 20), *numbered(100, 90)]
    taken = await beside(World(blocks=blocks, echo=FakeEcho()), sounding=110)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[60:119])


@pytest.mark.spec("LSN-22", "LSN-40")
@pytest.mark.parametrize("echo", [None, FakeEcho(clean=False)], ids=["nothing", "still adapting"])
async def test_where_we_may_hear_ourselves_only_the_end_of_the_preroll_is_kept_as_lead(
    echo: FakeEcho | None,
) -> None:
    taken = await beside(World(blocks=EARLY, echo=echo), sounding=100)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(EARLY[90:159])


@pytest.mark.spec("LSN-42")
@pytest.mark.parametrize("echo", [None, FakeEcho(clean=False)], ids=["nothing", "still adapting"])
async def test_a_microphone_in_which_nothing_sounds_while_we_speak_does_not_hear_us(
    echo: FakeEcho | None,
) -> None:
    """The voice begins 50 ms before our last sample: a word of 120 ms is heard whole, with all of its lead."""
    blocks = [*[ROOM] * 95, *numbered(5_000, 12), *numbered(100, 90)]
    taken = await beside(World(blocks=blocks, echo=echo), sounding=100)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[65 : 95 + 12 + 19])


@pytest.mark.spec("LSN-18")
async def test_the_limits_of_a_turn_count_from_our_last_sample() -> None:
    """The user speaks on from half a second before it."""
    world = World(blocks=[*[ROOM] * 60, *[SPOKEN] * 900], echo=FakeEcho())
    taken = await beside(world, sounding=110)
    assert taken.why is Why.MAXIMUM
    assert world.microphone.delivered == pytest.approx(110 + 400, abs=1)


@pytest.mark.spec("LSN-20")
async def test_as_much_is_kept_before_a_voice_as_the_detector_may_be_late() -> None:
    class Late(LoudVad):
        @property
        def onset_seconds(self) -> float:
            return 0.45

    blocks = [*numbered(1, 70), *numbered(5_000, 40), *numbered(100, 90)]
    world = World(blocks=blocks)
    world.ear_ports = replace(world.ear_ports, open_vad=Late)
    taken = await captured(world)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[70 - 45 : 70 + 40 + 19])


@pytest.mark.spec("LSN-42")
async def test_our_own_last_word_in_a_room_opens_no_turn() -> None:
    """It sounds on for 0.2 s in devices and room, and nobody answers."""
    world = World(blocks=[*numbered(6_000, 120), *[ROOM] * 300])
    taken = await beside(world, sounding=100)
    assert (taken.audio, taken.why) == (None, Why.NO_SPEECH)


@pytest.mark.spec("LSN-42")
async def test_who_answers_our_last_word_in_a_room_at_once_loses_nothing_of_it() -> None:
    blocks = [*numbered(6_000, 100), *numbered(5_000, 40), *numbered(100, 90)]
    taken = await beside(World(blocks=blocks), sounding=100)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[90 : 140 + 19])


@pytest.mark.spec("LSN-42")
async def test_once_our_last_word_has_died_away_the_shortest_answer_is_one() -> None:
    blocks = [*numbered(6_000, 105), *numbered(1, 3), *numbered(5_000, 10), *numbered(100, 90)]
    taken = await beside(World(blocks=blocks), sounding=100)
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[90 : 118 + 19])


@pytest.mark.spec("LSN-42")
async def test_too_little_heard_beside_us_is_no_proof_that_we_are_not_heard() -> None:
    taken = await beside(World(blocks=[*[ROOM] * 20, *numbered(6_000, 20), *[ROOM] * 300]), sounding=20)
    assert taken.why is Why.NO_SPEECH


@pytest.mark.spec("LSN-22")
async def test_our_own_speech_alone_is_nobody_speaking() -> None:
    world = World(blocks=[*numbered(6_000, 100), *[ROOM] * 300])
    taken = await beside(world, sounding=100)
    assert (taken.audio, taken.why) == (None, Why.NO_SPEECH)
    assert world.microphone.delivered == pytest.approx(300, abs=1)


@pytest.mark.spec("LSN-41")
async def test_a_microphone_that_was_open_before_our_last_sample_was_deaf_for_no_time() -> None:
    world = World(blocks=EARLY)
    await beside(world, sounding=100, ended=0.0)
    started = [event for event in world.watched.events if isinstance(event, ListeningStarted)]
    assert [event.deaf for event in started] == [0.0]
    assert timings(world.watched.events).deaf == 0.0


@pytest.mark.spec("LSN-41")
async def test_a_microphone_that_opened_late_tells_how_long_it_was_deaf() -> None:
    world = World(blocks=EARLY)
    await beside(world, sounding=0, ended=clock.monotonic() - 2.0)
    assert timings(world.watched.events).deaf == pytest.approx(2.0, abs=0.5)


@pytest.mark.spec("LSN-37")
async def test_what_the_detector_takes_for_voice_opens_no_turn_unless_it_stands_out_of_the_room() -> None:
    fan, voice = (1_100).to_bytes(2, "little") * 160, (5_000).to_bytes(2, "little") * 160
    # Two seconds in which the detector wakes up now and then, and at last takes the fan for a voice.
    humming = [(900).to_bytes(2, "little") * 160] * 195
    world = World(blocks=[*humming, *[fan] * 40, *humming[:20], *[voice] * 30, *humming])
    taken = await captured(world, replace(RULES, no_speech=9.0, maximum=9.0))
    assert taken.audio is not None
    assert taken.audio.data[: 30 * BLOCK_BYTES] == b"".join([*[fan] * 10, *humming[:20]])
    assert taken.voice == pytest.approx(0.3)
    assert taken.margin is not None
    assert taken.margin > 10.0


class PitchVad(LoudVad):
    """What is loud is a voice, and just as loud as a breath is like one."""

    def feed(self, frame: Frame) -> float:
        return VOICELIKE if frame.data[:2] == BREATH[:2] else super().feed(frame)


@pytest.mark.spec("LSN-67")
async def test_a_breath_opens_no_turn_and_puts_off_no_end_but_begins_a_word() -> None:
    breath, word = [BREATH] * 60, [SPOKEN] * 30
    heard = [*breath, *[ROOM] * 50, *breath[:20], *word, *[ROOM] * 40, *breath, *[ROOM] * 100]
    world = World(blocks=heard)
    world.ear_ports = replace(world.ear_ports, open_vad=PitchVad)
    taken = await captured(world, replace(RULES, silence=0.8, silence_least=0.8, silence_most=0.8))
    assert taken.audio is not None
    assert taken.voice == pytest.approx(0.5)
    ended = next(event for event in world.watched.events if isinstance(event, TurnEnded))
    assert ended.silence == pytest.approx(0.8, abs=0.15)


@pytest.mark.spec("LSN-23")
@pytest.mark.parametrize("rules", [RULES, replace(RULES, no_speech=0.5, maximum=0.5)], ids=["usual", "short"])
async def test_a_microphone_of_nothing_but_zeros_is_an_error_with_the_way_out(rules: TurnRules) -> None:
    world = World(blocks=[DEAD] * 400)
    with pytest.raises(MicrophoneSilent, match=r"nothing but zeros.*permission.*voicemode doctor"):
        await captured(world, rules)
    assert world.microphone.open == 0
    assert world.microphone.delivered <= 150
    ended = next(event for event in world.watched.events if isinstance(event, TurnEnded))
    assert ended.why == Why.DEAD


@pytest.mark.spec("LSN-24")
async def test_when_nobody_speaks_the_microphone_closes_at_the_limit_with_nothing_to_transcribe() -> None:
    world = World(blocks=[])
    taken = await captured(world)
    assert (taken.audio, taken.why) == (None, Why.NO_SPEECH)
    assert world.microphone.open == 0
    assert world.microphone.delivered == 200
    assert world.shelf.recordings == []


@pytest.mark.spec("LSN-25")
async def test_who_speaks_to_the_maximum_is_cut_there_and_kept_to_the_last_sample() -> None:
    blocks = [*numbered(1, 50), *numbered(5_000, 900)]
    world = World(blocks=blocks)
    taken = await captured(world)
    assert taken.why is Why.MAXIMUM
    assert taken.audio is not None
    assert taken.audio.data == b"".join(blocks[20:400])


@pytest.mark.spec("LSN-26")
async def test_the_transcript_comes_with_the_language_asked_for_and_its_events() -> None:
    world = World(ear=FakeEar("Yes, please."))
    found = await heard(world, spoken_sound())
    assert found.transcript is not None
    assert found.transcript.text == "Yes, please."
    assert [(asked.language, asked.audio) for asked in world.ear.asked] == [("en", spoken_sound())]
    assert [type(event) for event in world.watched.events] == [TranscriptionRequested, Transcribed]
    assert found.recording is None
    assert world.shelf.recordings == []


class Polyglot(FakeEar):
    """Says in which language it has understood."""

    def __init__(self, language: str) -> None:
        super().__init__("Ja.")
        self._language = language

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        return replace(await super().transcribe(request), language=self._language)


@pytest.mark.spec("LSN-97")
@pytest.mark.parametrize(("told", "known"), [("german", "de"), ("de", "de"), ("", "en")])
async def test_the_words_are_in_the_language_that_the_recogniser_names_or_else_the_one_asked_for(
    told: str, known: str
) -> None:
    found = await heard(World(ear=Polyglot(told)), spoken_sound())
    assert found.transcript is not None
    assert found.transcript.language == known


@pytest.mark.spec("LSN-27")
async def test_a_transcript_is_cleaned_of_control_and_direction_marks_before_anyone_sees_it() -> None:
    world = World(ear=FakeEar("  rm\x1b[2J \u202eevil\u202c\x00 file\x07\n"), keep_recording=True)
    found = await heard(world, spoken_sound())
    assert found.transcript is not None
    hidden = {"\x1b", "\u202e", "\u202c", "\x00", "\x07"}
    noted = only(world.shelf.recordings).note
    assert noted is not None
    told = next(event for event in world.watched.events if isinstance(event, Transcribed))
    for text in (found.transcript.text, noted.text, told.text):
        assert not hidden & set(text)
        assert "evil" in text
        assert "file" in text


@pytest.mark.spec("LSN-28")
async def test_when_the_recogniser_fails_the_recording_is_kept_whole_and_named() -> None:
    error = EndpointUnreachable("Nobody answers at ear:1.", engine="ear:1", hint="Start it.")
    world = World(ear=FakeEar(error=error))
    found = await heard(world, spoken_sound())
    recording = only(world.shelf.recordings)
    assert (found.transcript, found.failure, found.recording) == (None, error, recording.path)
    assert bytes(recording.data) == spoken_sound().data
    assert recording.note is not None
    assert (recording.note.outcome, recording.note.position) == (Outcome.NOT_TRANSCRIBED, 12.5)
    failed = next(event for event in world.watched.events if isinstance(event, TurnFailed))
    assert failed.code == "unreachable"


@pytest.mark.spec("LSN-29")
async def test_cancelled_while_listening_the_microphone_closes_and_what_was_said_is_kept() -> None:
    blocks = [*numbered(1, 40), *numbered(5_000, 50)]
    world = World(blocks=[*blocks, *[SPOKEN] * 100_000], rules=replace(RULES, maximum=900))
    listening = asyncio.create_task(
        capture(world.ear_ports, turn="t1", rules=world.ear_ports.rules, guess=Guess())
    )
    await until(lambda: world.microphone.delivered >= 90)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert world.microphone.open == 0
    recording = only(world.shelf.recordings)
    assert bytes(recording.data).startswith(b"".join(blocks[10:90]))
    assert recording.note is not None
    assert recording.note.outcome == Outcome.CANCELLED


@pytest.mark.spec("LSN-29")
async def test_cancelled_before_anybody_spoke_nothing_is_kept() -> None:
    world = World(blocks=[])
    listening = asyncio.create_task(
        capture(world.ear_ports, turn="t1", rules=replace(RULES, no_speech=900, maximum=900), guess=Guess())
    )
    await until(lambda: world.microphone.delivered >= 50)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert world.microphone.open == 0
    assert world.shelf.recordings == []


@pytest.mark.spec("LSN-29")
async def test_cancelled_while_transcribing_the_recording_is_kept() -> None:
    ear = SlowEar()
    world = World(ear=ear)
    transcribing = asyncio.create_task(heard(world, spoken_sound()))
    await until(lambda: ear.listening == 1)
    transcribing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await transcribing
    assert ear.listening == 0
    recording = only(world.shelf.recordings)
    assert bytes(recording.data) == spoken_sound().data
    assert recording.note is not None


@pytest.mark.spec("LSN-30")
async def test_a_microphone_that_goes_away_in_mid_speech_is_an_error_that_names_what_is_kept() -> None:
    lost = DeviceLost("The microphone went away.", hint="Plug it in again.")
    blocks = [*numbered(1, 40), *numbered(5_000, 50)]
    world = World(microphone=FakeMicrophone(blocks, error=lost))
    with pytest.raises(DeviceLost, match=r"Plug it in again\. .* kept in ") as told:
        await captured(world)
    recording = only(world.shelf.recordings)
    assert str(recording.path) in str(told.value)
    assert bytes(recording.data) == b"".join(blocks[10:])
    assert recording.note is not None
    assert recording.note.outcome == Outcome.BROKEN


@pytest.mark.spec("LSN-30")
async def test_a_microphone_that_goes_away_before_anybody_spoke_leaves_nothing() -> None:
    lost = NoDevice("The microphone went away.", hint="Plug it in again.")
    world = World(microphone=FakeMicrophone([ROOM] * 20, error=lost))
    with pytest.raises(NoDevice, match=r"Plug it in again\.$"):
        await captured(world)
    assert world.shelf.recordings == []


@pytest.mark.spec("LSN-31")
@pytest.mark.parametrize(
    ("why", "cut", "outcome"),
    [(Why.SILENCE, False, "answered"), (Why.MAXIMUM, True, "timed_out"), (Why.MAXIMUM, False, "answered")],
)
async def test_a_kept_recording_holds_exactly_what_was_sent_and_how_it_ended(
    why: Why, outcome: str, *, cut: bool
) -> None:
    world = World(ear=FakeEar("yes"), keep_recording=True)
    found = await heard(world, spoken_sound(), why, cut=cut)
    recording = only(world.shelf.recordings)
    assert recording.kind == "stt"
    assert found.recording == recording.path
    assert bytes(recording.data) == world.ear.asked[0].audio.data
    assert recording.note is not None
    assert (recording.note.text, recording.note.outcome) == ("yes", outcome)


@pytest.mark.spec("LSN-31")
async def test_a_recording_that_is_kept_is_written_before_the_recogniser_is_asked() -> None:
    ear = SlowEar()
    world = World(ear=ear, keep_recording=True)
    transcribing = asyncio.create_task(heard(world, spoken_sound()))
    await until(lambda: ear.listening == 1)
    assert bytes(only(world.shelf.recordings).data) == spoken_sound().data
    transcribing.cancel()
    await asyncio.wait([transcribing], timeout=LIMIT_SECONDS)
    assert len(world.shelf.recordings) == 1


@pytest.mark.spec("LSN-91")
@pytest.mark.parametrize("pending", [False, True])
async def test_what_was_said_is_on_disk_until_its_words_are_there_and_then_goes_unless_it_is_pending(
    *, pending: bool
) -> None:
    ear = ScriptedEar(["yes"], slow=True)
    world = World(ear=ear)
    waited_for = True
    ports = replace(world.ear_ports, awaited=lambda turn: waited_for)
    taken = recorded(world, spoken_sound())
    async with asyncio.timeout(LIMIT_SECONDS):
        transcribing = asyncio.create_task(transcribe(ports, taken, turn="t1", language="en", guess=Guess()))
        await until(lambda: ear.under_way == 1)
        assert bytes(only(world.shelf.recordings).data) == spoken_sound().data
        waited_for = not pending  # Its caller's limit comes while it is transcribed.
        ear.let.set()
        found = await transcribing
    assert found.transcript is not None
    assert (found.recording is None, world.shelf.recordings == []) == (not pending, not pending)


class WatchedMicrophone(FakeMicrophone):
    """Notes what is on the shelf before each block."""

    def __init__(self, blocks: Sequence[bytes], shelf: Shelf) -> None:
        super().__init__(blocks)
        self.on_shelf: list[bytes] = []
        self._shelf = shelf

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        async for frame in super()._frames(fmt):
            self.on_shelf.append(b"".join(recording.data for recording in self._shelf.recordings))
            yield frame


class MistakenMicrophone(FakeMicrophone):
    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        for block in self._blocks:
            yield Frame(data=block, format=fmt)
        raise ZeroDivisionError


@pytest.mark.spec("LSN-91")
@settings(deadline=None, max_examples=50)
@given(spoken=st.lists(st.tuples(st.integers(5, 80), st.integers(0, 60)), max_size=5))
def test_what_is_said_is_on_disk_while_it_is_said_and_nothing_of_a_silence(
    spoken: list[tuple[int, int]],
) -> None:
    blocks = [*[ROOM] * 40, *(each for voice, room in spoken for each in [SPOKEN] * voice + [ROOM] * room)]
    world = World()
    world.microphone = microphone = WatchedMicrophone(blocks, world.shelf)
    world.ear_ports = replace(world.ear_ports, open_source=microphone)
    taken = asyncio.run(captured(world))
    if taken.audio is None:
        assert (taken.recording, world.shelf.recordings) == (None, [])
        return
    recording = only(world.shelf.recordings)
    assert taken.recording is recording
    assert recording.note is None
    assert bytes(recording.data) == taken.audio.data
    told = next(event for event in world.watched.events if isinstance(event, VoiceStarted))
    start, opened = (round((told.position + seconds) * 100) for seconds in (-0.3, RULES.onset))
    for number, data in enumerate(microphone.on_shelf):
        if number < opened:
            assert data == b""
            continue
        voiced = [at - start for at, block in enumerate(blocks[:number], 1) if block is SPOKEN]
        sure = voiced[-3]  # Of a voice that comes back, so much has to be heard first.
        assert taken.audio.data.startswith(data)
        assert sure - 25 <= len(data) / BLOCK_BYTES <= voiced[-1] + 19


@pytest.mark.spec("LSN-29")
async def test_what_was_said_before_a_mistake_of_ours_is_kept_as_well() -> None:
    world = World(microphone=MistakenMicrophone(ANSWER[:80]))
    with pytest.raises(ZeroDivisionError):
        await captured(world)
    recording = only(world.shelf.recordings)
    assert bytes(recording.data) == b"".join(ANSWER[10:80])
    assert recording.note is not None
    assert recording.note.outcome == Outcome.BROKEN


@pytest.mark.spec("LSN-32")
async def test_where_a_recording_begins_is_told_by_the_clock_of_the_events() -> None:
    world = World(blocks=ANSWER)
    taken = await captured(world)
    opened = next(event for event in world.watched.events if isinstance(event, MicrophoneOpened))
    ended = next(event for event in world.watched.events if isinstance(event, TurnEnded))
    # The fake gives 1.4 s of sound at once; the lead starts 0.1 s into it.
    assert opened.at - 0.01 <= taken.began - 0.1 <= ended.at
    assert ended.seconds == pytest.approx(0.3 + 0.5 + 0.19)


def test_transcribing_nothing_is_a_mistake_of_the_caller() -> None:
    nothing = Captured(audio=None, why=Why.NO_SPEECH, began=0.0)
    with pytest.raises(ValueError, match="nobody spoke"):
        asyncio.run(transcribe(World().ear_ports, nothing, turn="t1", language=None, guess=Guess()))
