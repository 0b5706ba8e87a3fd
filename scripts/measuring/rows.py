"""What is measured, row by row. Every row runs its contenders in turn, run by run, so that they share the weather."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from scripts.measuring.contenders import Contender
from scripts.measuring.host import Host
from scripts.measuring.stage import Seen, Stage
from scripts.measuring.tokens import as_given, as_listed, count_tokens
from tests.support import voice
from tests.support.listening import Samples, compare, samples_of
from tests.support.listening import gaps as silences_in
from tests.support.sound_card import RATE
from voicemode import clock

SOURCE_RATE = 24_000
TTFB_SECONDS = 0.2
"""The speech server's own time to first byte: a good cloud's, and the same for all."""
FIRST_SOUND_LIMIT = 45.0
"""Who waits for the whole of 30 s at 1.5 × starts to sound after 20 s and more."""
END_LIMIT = 90.0
SETTLE_SECONDS = 2.0
"""After `tools/list`, before memory is read: what warms up in the background has been loaded by then."""
QUIET_SECONDS = 0.6
STALLED_SECONDS = 2.0
"""Longer than any silence in a stream that stumbles."""
LONGEST_PAUSE_SECONDS = 0.45
"""The word-coded voice pauses for 0.3 s at a full stop."""
BEFORE_CANCEL_SECONDS = 0.5
LONG_SECONDS = 10.0
JITTER_SECONDS = 8.0
CPU_SECONDS = 8.0
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(kw_only=True)
class Row:
    """`values` by contender, one for each run, in `unit`; `goal` is for a person; `more_is_better` turns the ratio."""

    name: str
    unit: str
    goal: str
    values: dict[str, list[float]] = field(default_factory=dict)
    more_is_better: bool = False

    def add(self, contender: Contender, value: float) -> None:
        self.values.setdefault(contender.name, []).append(value)


@dataclass(frozen=True, kw_only=True)
class Plan:
    stage: Stage
    contenders: list[Contender]
    runs: int
    formats: list[str]
    paces: list[float | None]
    lengths: list[float]
    long_runs: int
    echo_minutes: float

    @property
    def listeners(self) -> list[Contender]:
        return [contender for contender in self.contenders if contender.asks]

    @property
    def speakers(self) -> list[Contender]:
        return [contender for contender in self.contenders if contender.tool]


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """`overhead` and `whole` in seconds, `complete` from 0 to 1, `pieces` unbroken runs of the source."""

    overhead: float
    whole: float
    complete: float
    pieces: int


def note(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def sentence(run: int) -> str:
    """About three seconds in the word-coded voice, another one each time: nothing may come from a cache."""
    return f"the build is green and run {NUMBERS[run % len(NUMBERS)]} of the bench has begun to speak"


def message(run: int, seconds: float) -> str:
    """About so many seconds in the word-coded voice (a quarter of a second a word), in sentences of twelve words."""
    words = [NUMBERS[(run + at) % len(NUMBERS)] for at in range(max(int(seconds * 4), 4))]
    sentences = [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]
    return ". ".join(sentences) + "."


def start_up(plan: Plan) -> list[Row]:
    hello = Row(
        name="start → initialize answered", unit="ms", goal="≤ 1.1 × bare SDK, ≥ 3.5 × faster than peer"
    )
    listed = Row(
        name="start → tools/list answered", unit="ms", goal="≤ 1.1 × bare SDK, ≥ 3.5 × faster than peer"
    )
    memory = Row(name="resident after tools/list", unit="MB", goal="≤ 80 MB")
    # One run more than is counted: the first one fills the page cache.
    for run in range(plan.runs + 1):
        for contender in plan.contenders:
            log = plan.stage.folder / "start.log"
            with Host(contender.command, plan.stage.environment(contender, "pcm"), log) as host:
                to_hello, to_list = host.shake_hands()
                if not run:
                    continue
                pause(SETTLE_SECONDS)
                hello.add(contender, to_hello * 1000)
                listed.add(contender, to_list * 1000)
                memory.add(contender, host.resident_bytes() / 1e6)
        note(f"start-up {run}/{plan.runs}")
    return [hello, listed, memory]


def tokens(plan: Plan) -> list[Row]:
    listed = Row(name="tool definitions, as listed", unit="tokens", goal="≤ 1,500")
    given = Row(name="tool definitions, as a model gets them", unit="tokens", goal="≤ 1,500")
    with plan.stage.hosts(plan.speakers, "pcm") as hosts:
        for contender in plan.speakers:
            tools = hosts[contender.name].tools
            listed.add(contender, count_tokens(as_listed(tools)))
            given.add(contender, count_tokens(as_given(tools)))
    return [listed, given]


def speaking(plan: Plan) -> list[Row]:
    """First byte → audible, the whole way, and how much arrived: for each format, length and pace of the server."""
    rows: list[Row] = []
    memory = Row(name="resident after one sentence", unit="MB", goal="≤ 130 MB")
    for audio_format in plan.formats:
        with plan.stage.hosts(plan.speakers, audio_format) as hosts:
            for length in plan.lengths:
                for pace in plan.paces:
                    plan.stage.service.behave(time_to_first_byte_s=TTFB_SECONDS, pace=pace)
                    rows += _speaking(plan, hosts, audio_format, length, pace, memory)
    return [*rows, memory]


def _speaking(
    plan: Plan, hosts: dict[str, Host], audio_format: str, length: float, pace: float | None, memory: Row
) -> list[Row]:
    ceiling = 30 if audio_format in ("pcm", "wav") else 60
    what = f"{audio_format}, {length:g} s{f' at {pace:g} ×' if pace else ''}"
    overhead = Row(name=f"TTFA overhead, {what}", unit="ms", goal=f"≤ {ceiling} ms")
    whole = Row(name=f"call → audible, {what}", unit="ms", goal=f"≤ {200 + ceiling + 20} ms")
    complete = Row(name=f"completeness, {what}", unit="%", goal="100 %", more_is_better=True)
    pieces = Row(name=f"unbroken pieces, {what}", unit="", goal="1")
    # The first run is not counted, except where one takes half a minute and more.
    runs = range(plan.runs + 1) if length < LONG_SECONDS else range(1, plan.long_runs + 1)
    for run in runs:
        for contender in plan.speakers:
            host = hosts[contender.name]
            said = _utter(plan.stage, host, contender, message(run, length))
            if said is None:
                note(f"{what} {contender.name}: nothing was heard")
                continue
            if not run:
                memory.add(contender, host.resident_bytes() / 1e6)
                continue
            overhead.add(contender, said.overhead * 1000)
            whole.add(contender, said.whole * 1000)
            complete.add(contender, said.complete * 100)
            pieces.add(contender, said.pieces)
        note(f"{what} {run}/{runs[-1]}")
    return [overhead, whole, complete, pieces]


def gaps(plan: Plan) -> list[Row]:
    """Silences in a stream at real time that comes in bursts of 200 ms and once pauses for 600 ms."""
    row = Row(name="gaps under jitter", unit="", goal="≤ 1")
    lost = Row(name="completeness under jitter", unit="%", goal="100 %", more_is_better=True)
    plan.stage.service.behave(
        time_to_first_byte_s=TTFB_SECONDS, pace=1.0, burst_s=0.2, hiccup_after_s=4.0, hiccup_s=0.6
    )
    with plan.stage.hosts(plan.speakers, "pcm") as hosts:
        for run in range(1, plan.runs + 1):
            for contender in plan.speakers:
                # One sentence: the silence between two would count as a gap.
                words = message(run, JITTER_SECONDS).replace(".", "")
                said = _utter(plan.stage, hosts[contender.name], contender, words, quiet_s=STALLED_SECONDS)
                if said is not None:
                    row.add(contender, said.pieces - 1)
                    lost.add(contender, said.complete * 100)
            note(f"gaps {run}/{plan.runs}")
    return [row, lost]


def cpu(plan: Plan) -> list[Row]:
    row = Row(name="CPU while speaking", unit="% of a core", goal="≤ 2 %")
    plan.stage.service.behave(time_to_first_byte_s=TTFB_SECONDS, pace=None)
    with plan.stage.hosts(plan.speakers, "pcm") as hosts:
        for run in range(plan.runs + 1):
            for contender in plan.speakers:
                host = hosts[contender.name]
                before, began = host.cpu_seconds(), clock.monotonic()
                said = _utter(plan.stage, host, contender, message(run, CPU_SECONDS))
                if run and said is not None:
                    elapsed = clock.monotonic() - began
                    row.add(contender, (host.cpu_seconds() - before) / elapsed * 100)
            note(f"cpu {run}/{plan.runs}")
    return [row]


def ping(plan: Plan) -> list[Row]:
    """The longest answer to a ping while it speaks bounds how long the event loop was not served."""
    row = Row(name="event loop stall (longest ping while speaking)", unit="ms", goal="≤ 20 ms")

    def while_speaking(host: Host, contender: Contender, run: int) -> float:
        longest = 0.0
        answer = host.call(contender.tool, contender.saying(sentence(run)))
        while not answer.arrived:
            probe = host.ask("ping")
            probe.wait(END_LIMIT)
            longest = max(longest, probe.seconds)
            pause(0.005)
        answer.wait(END_LIMIT)
        plan.stage.recording.wait_for_silence(QUIET_SECONDS, END_LIMIT)
        return longest * 1000

    return _each_run(plan, row, while_speaking)


def cancelling(plan: Plan) -> list[Row]:
    row = Row(name="cancel → silence", unit="ms", goal="≤ 100 ms")

    def cancelled(host: Host, contender: Contender, run: int) -> float:
        recording = plan.stage.recording
        before = recording.position
        answer = host.call(contender.tool, contender.saying(sentence(run)))
        recording.wait_for_sound(FIRST_SOUND_LIMIT, after=before)
        pause(BEFORE_CANCEL_SECONDS)
        said_stop = host.cancel(answer)
        last = recording.wait_for_silence(QUIET_SECONDS, END_LIMIT)
        return max(recording.time_of(last - 1) - said_stop, 0.0) * 1000

    return _each_run(plan, row, cancelled)


def _each_run(plan: Plan, row: Row, measure: Callable[[Host, Contender, int], float]) -> list[Row]:
    plan.stage.service.behave(time_to_first_byte_s=TTFB_SECONDS, pace=None)
    with plan.stage.hosts(plan.speakers, "pcm") as hosts:
        for contender in plan.speakers:
            _utter(plan.stage, hosts[contender.name], contender, sentence(0))
        for run in range(1, plan.runs + 1):
            for contender in plan.speakers:
                try:
                    row.add(contender, measure(hosts[contender.name], contender, run))
                except (TimeoutError, RuntimeError, OSError) as error:
                    note(f"{row.name}, {contender.name}: {error}")
            note(f"{row.name} {run}/{plan.runs}")
    return [row]


def _utter(
    stage: Stage, host: Host, contender: Contender, text: str, *, quiet_s: float = QUIET_SECONDS
) -> Utterance | None:
    """One message through a server and out of the loudspeaker, which is over after `quiet_s` of silence; None when
    nothing was heard."""
    before = stage.recording.position
    answer = host.call(contender.tool, contender.saying(text))
    try:
        first = stage.recording.wait_for_sound(FIRST_SOUND_LIMIT, after=before)
    except TimeoutError:
        note(f"{contender.name} answered: {json.dumps(answer.message)[:400]}")
        return None
    audible = stage.recording.time_of(first)
    answer.wait(END_LIMIT)
    stage.recording.wait_for_silence(quiet_s, END_LIMIT)
    # What was heard once the message had all been played; half a second before it for what the search wants.
    start = max(before, first - RATE // 2)
    heard = stage.recording.samples()[start : stage.recording.position]
    complete, pieces = by_words(heard, text) if "." in text[:-1] else by_samples(heard, text)
    sent = _first_byte(stage.service.speech_requests(), answer.sent_at)
    return Utterance(
        overhead=audible - sent, whole=audible - answer.sent_at, complete=complete, pieces=pieces
    )


def by_samples(heard: Samples, text: str) -> tuple[float, int]:
    """How much of a sentence's sound was heard as it was sent (0-1), and in how many unbroken pieces."""
    found = compare(heard, RATE, samples_of(voice.speak(text, SOURCE_RATE)), SOURCE_RATE)
    return found.complete, len(found.pieces)


def by_words(heard: Samples, text: str) -> tuple[float, int]:
    """The same of several sentences, whose pauses are the player's choice: words read back in order, and 1 + the
    silences that are longer than any pause between two sentences."""
    said, wanted = voice.hear(heard.tobytes(), RATE), voice.words(text)
    blocks = SequenceMatcher(a=wanted, b=said, autojunk=False).get_matching_blocks()
    silences = silences_in(heard, RATE, at_least_s=LONGEST_PAUSE_SECONDS)
    return sum(block.size for block in blocks) / len(wanted), 1 + len(silences)


def _first_byte(requests: list[Seen], since: float) -> float:
    moments = [
        seen.first_byte_sent_at for seen in requests if seen.received_at >= since and seen.first_byte_sent_at
    ]
    if not moments:
        raise RuntimeError("the speech server was not asked")
    return min(moments)


ROWS: dict[str, Callable[[Plan], list[Row]]] = {
    "start": start_up,
    "tokens": tokens,
    "speaking": speaking,
    "ping": ping,
    "cancel": cancelling,
    "gaps": gaps,
    "cpu": cpu,
}
