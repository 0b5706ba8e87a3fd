"""What is measured of a turn: how soon an answer is there, what of it is lost, and what an interruption does.

The user is a voice made of a person's recordings, fed into the microphone at a known moment. Nobody plays chimes: the
closest peer would lose another half second of time to each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from scripts.measuring.contenders import Contender
from scripts.measuring.host import Answer, Host
from scripts.measuring.rows import (
    END_LIMIT,
    FIRST_SOUND_LIMIT,
    NUMBERS,
    QUIET_SECONDS,
    TTFB_SECONDS,
    Plan,
    Row,
    note,
)
from scripts.measuring.stage import Seen, Stage
from tests.support import voice
from tests.support.human_voice import HumanVoice, sound
from tests.support.room import Echo, Room
from tests.support.speakers import Speech, Survived, counting, survived
from voicemode import clock
from voicemode.logs.logbook import read_events
from voicemode.pcm import SPEECH

TRANSCRIBE_SECONDS = 0.3
"""The transcription server's own time: a good cloud's, and the same for all."""
WORDS = 8
"""Of an answer: three seconds, since the peer ends none before two."""
UNHURRIED_SECONDS = 1.5
"""From its last word to the user's first: by then the peer's microphone is open, too."""
AT_ONCE_SECONDS = 0.01
LIKENESS = 0.7
"""The peer's upload is mp3."""
LOUD, FAINT = 10.0, 20.0
ECHO_DELAY_MS = 100.0
INTERRUPT_AFTER_SECONDS = (2.5, 2.63, 2.76, 2.89, 3.02, 3.15, 3.28)
"""One after the other: on words and between them. A canceller that has just begun to listen may ask for patience."""
LEFT_SECONDS = 0.5
"""Who is silent later than so long before the end has not been interrupted."""
MOST_MOVES = 20
"""Of the walls, in the row echo."""
CLOSING_SECONDS = 1.0
"""Nobody answers in the row echo: so long is listened."""
BARGE_IN = {"VOICEMODE_BARGE_IN": "true"}

PROSE = (
    "The test suite has passed on all three systems. One warning is left, and it comes from a library that we do not "
    "own. I looked at the function that you asked about: it reads the file twice, once for its length and once for "
    "its words. Reading it once would be faster, and it would take four lines less. Shall I change that now, or would "
    "you rather finish the other branch first? There is one more thing. The server was restarted at noon, and since "
    "then the queue has been empty; nobody has noticed, because the page shows old numbers until it is loaded again."
)


UNBROKEN = (
    "The test suite has passed on all three systems and one warning is left that comes from a library we do not own",
    "I looked at the function that you asked about and it reads the file once for its length and once for its words",
    "Reading it once would be faster and it would take four lines less so that is what I would change before the rest",
    "The server was restarted at noon and since then the queue has been empty but the page still shows the old numbers",
)
"""Without a pause that could be taken for silence."""


class _Told(BaseModel):
    """What is read of an answer to `converse`."""

    outcome: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Seconds from the user's last voiced moment to the result and to the request that has all of the answer; what of
    the answer was uploaded."""

    result: float
    request: float
    kept: Survived


def turning(plan: Plan) -> list[Row]:
    """A user who waits until it listens."""
    result = Row(name="end of speech → result", unit="ms", goal="≤ silence that ends the turn + 20 ms")
    request = Row(name="end of speech → transcription request", unit="ms", goal="≤ 200 ms + 20 ms")
    words = Row(name="words lost of an answer", unit=f"of {WORDS}", goal="0")
    for contender, turn in _turns(plan, UNHURRIED_SECONDS, "turn"):
        result.add(contender, turn.result * 1000)
        request.add(contender, turn.request * 1000)
        words.add(contender, len(turn.kept.lost_words))
    return [result, request, words]


def deaf(plan: Plan) -> list[Row]:
    """A user who begins as its last word ends: what is missing at the start of the upload is what it was deaf for."""
    start = Row(name="deaf time: lost of an answer given at once", unit="ms", goal="0")
    words = Row(name="words lost of an answer given at once", unit=f"of {WORDS}", goal="0")
    for contender, turn in _turns(plan, AT_ONCE_SECONDS, "deaf"):
        start.add(contender, turn.kept.start_s * 1000)
        words.add(contender, len(turn.kept.lost_words))
    return [start, words]


def _turns(plan: Plan, pause_s: float, name: str) -> list[tuple[Contender, Turn]]:
    found: list[tuple[Contender, Turn]] = []
    service = plan.stage.service
    service.behave(time_to_first_byte_s=TTFB_SECONDS, pace=None)
    said = " ".join(word.text for word in counting(WORDS).words)
    service.behave(route="transcriptions", time_to_first_byte_s=TRANSCRIBE_SECONDS, transcript=said)
    with Room(plan.stage.card) as room, plan.stage.hosts(plan.listeners, "pcm") as hosts:
        for run in range(plan.runs + 1):
            for contender in plan.listeners:
                try:
                    turn = _turn(plan.stage, room, hosts[contender.name], contender, run, pause_s)
                except (TimeoutError, RuntimeError, OSError, IndexError) as error:
                    note(f"{name}, {contender.name}: {error}")
                    continue
                if run:  # the first is not counted
                    found.append((contender, turn))
            note(f"{name} {run}/{plan.runs}")
        if room.underruns:
            note(f"{name}: the user's voice broke off {room.underruns} times")
    return found


def _turn(stage: Stage, room: Room, host: Host, contender: Contender, run: int, pause_s: float) -> Turn:
    # A question ends in a quarter of a second of silence, as every voice's last sentence does.
    question = f"is run {NUMBERS[run % len(NUMBERS)]} of the bench to go on?"
    speech = counting(WORDS, first=run % len(NUMBERS))
    stage.service.forget()
    before = stage.recording.position
    answer = host.call(contender.asks, contender.question(question))
    first = stage.recording.wait_for_sound(FIRST_SOUND_LIMIT, after=before)
    own_end = stage.recording.time_of(first) + voice.timetable(question)[-1].end
    placed = room.say(speech, at=own_end + pause_s - speech.starts_s)
    said_to = room.moment(placed, speech.ends_s)
    answer.wait(END_LIMIT)
    assert answer.came_at is not None
    asked = stage.service.transcription_requests()
    uploads = [seen for seen in asked if seen.recording is not None and seen.aborted_at is None]
    whole = next((seen for seen in asked if seen.received_at > said_to), None)
    if whole is None or not uploads:
        raise RuntimeError(f"nothing was sent to be transcribed; the answer was {str(answer.message)[:300]}")
    return Turn(
        result=answer.came_at - said_to,
        request=whole.received_at - said_to,
        kept=_kept(uploads[-1], speech),
    )


def _kept(seen: Seen, speech: Speech) -> Survived:
    assert seen.recording is not None
    return survived(seen.recording.samples(), seen.recording.rate, speech, likeness=LIKENESS)


def interrupting(plan: Plan) -> list[Row]:
    """The user talks over it on a loudspeaker; nobody else here can be interrupted by voice.

    It speaks in a person's voice: the word-coded one is a few steady tones, from which no canceller learns a room.
    """
    row = Row(name="interruption by voice → silence, echo of −10 dB", unit="ms", goal="≤ 350 ms")
    plan.stage.service.behave(route="transcriptions", time_to_first_byte_s=TRANSCRIBE_SECONDS)
    ours = [contender for contender in plan.listeners if contender.name == "voicemode"]
    echo = Echo(loss_db=LOUD, delay_ms=ECHO_DELAY_MS)
    with (
        HumanVoice() as human,
        Room(plan.stage.card, echo=echo) as room,
        plan.stage.hosts(ours, "pcm", {**BARGE_IN, "VOICEMODE_TTS_BASE_URLS": human.base_url}) as hosts,
    ):
        note(f"interrupt: the path of the echo is {room.path}")
        for run in range(plan.runs + 1):
            for contender in ours:
                seconds = _interrupted(plan.stage, room, hosts[contender.name], contender, run)
                if seconds is None:
                    note(f"interrupt, {contender.name}: it was not interrupted")
                elif run:
                    row.add(contender, seconds * 1000)
            note(f"interrupt {run}/{plan.runs}")
    return [row]


def _interrupted(stage: Stage, room: Room, host: Host, contender: Contender, run: int) -> float | None:
    """Seconds from the user's first voiced moment to the last audible sample; None when it spoke to its end."""
    text = UNBROKEN[run % len(UNBROKEN)]
    after = INTERRUPT_AFTER_SECONDS[run % len(INTERRUPT_AFTER_SECONDS)]
    speech = counting(5, first=run)
    before = stage.recording.position
    answer = host.call(contender.asks, contender.question(text))
    first = stage.recording.wait_for_sound(FIRST_SOUND_LIMIT, after=before)
    began = stage.recording.time_of(first)
    placed = room.say(speech, at=began + after - speech.starts_s)
    last = stage.recording.wait_for_silence(QUIET_SECONDS, END_LIMIT)
    _over(answer)
    end = stage.recording.time_of(last - 1)
    if end - began > SPEECH.seconds(len(sound(text)) // SPEECH.bytes_per_sample) - LEFT_SECONDS:
        return None
    return end - room.moment(placed, speech.starts_s)


def echoing(plan: Plan) -> list[Row]:
    """Nobody says a word while it speaks in a person's voice, is heard by the microphone, and listens."""
    with HumanVoice() as human:
        settings = {**BARGE_IN, "VOICEMODE_TTS_BASE_URLS": human.base_url}
        return [row for loss_db in (LOUD, FAINT) for row in _echoing(plan, loss_db, settings)]


def _echoing(plan: Plan, loss_db: float, settings: dict[str, str]) -> list[Row]:
    ours = [contender for contender in plan.listeners if contender.name == "voicemode"]
    what = f"in {plan.echo_minutes:g} min of its own speech, echo of −{loss_db:g} dB"
    cut = Row(name=f"false interruptions {what}", unit="", goal="0")
    held = Row(name=f"needless pauses {what}", unit="", goal="0")
    sent = Row(name=f"own words sent to be transcribed {what}", unit="", goal="0")
    echo = Echo(loss_db=loss_db, delay_ms=ECHO_DELAY_MS)
    with plan.stage.hosts(ours, "pcm", settings) as hosts:
        for contender in ours:
            counts = _alone(plan, hosts[contender.name], contender, echo)
            for row, value in zip((cut, held, sent), counts, strict=True):
                row.add(contender, value)
    return [cut, held, sent]


def _alone(plan: Plan, host: Host, contender: Contender, echo: Echo) -> tuple[int, int, int]:
    """Calls that ended as interrupted, pauses of the playback, requests to transcribe.

    A machine so busy that the room's own stream ran dry has moved the walls: that message does not count, and the room
    is built again.
    """
    cut = paused = sent = 0
    wanted, seconds, moved = plan.echo_minutes * 60, 0.0, 0
    while seconds < wanted:
        if moved > MOST_MOVES:
            raise RuntimeError(f"the walls moved {moved} times: this machine is too busy for a room")
        with Room(plan.stage.card, echo=echo) as room:
            note(f"echo: its path is {room.path}")
            while seconds < wanted:
                plan.stage.service.forget()
                known, began, dry = _pauses(plan.stage, contender), clock.monotonic(), room.underruns
                question = contender.question(PROSE, max_listen_seconds=CLOSING_SECONDS)
                told = _Told.model_validate(_over(host.call(contender.asks, question)))
                if room.underruns > dry:
                    moved += 1
                    break
                seconds += clock.monotonic() - began
                cut += told.outcome == "interrupted"
                paused += _pauses(plan.stage, contender) - known
                sent += len(plan.stage.service.transcription_requests())
                note(f"echo: {told.outcome}, {paused} pauses, {max(wanted - seconds, 0):.0f} s to go")
    note(f"echo −{echo.loss_db:g} dB: the walls moved {moved} times")
    return cut, paused, sent


def _pauses(stage: Stage, contender: Contender) -> int:
    """Written in the event log so far."""
    events = stage.folder / contender.name / "data" / "events"
    return sum(
        event.name == "playback_paused" for path in events.glob("*.jsonl") for event in read_events(path)
    )


def _over(answer: Answer) -> JsonValue:
    """The structured part of an answer, whatever it says."""
    return answer.wait(END_LIMIT).get("structuredContent") or {}


ROWS: dict[str, Callable[[Plan], list[Row]]] = {
    "turn": turning,
    "deaf": deaf,
    "interrupt": interrupting,
    "echo": echoing,
}
