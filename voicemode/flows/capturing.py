"""From opening the microphone to the end of a turn, also while we still speak."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from voicemode import clock
from voicemode.errors import DeviceError
from voicemode.events import ListeningStarted, MicrophoneClosed, MicrophoneMoved, MicrophoneOpened
from voicemode.flows.guessing import Guess
from voicemode.flows.interrupting import OwnSpeech, TalkingOver, latest
from voicemode.flows.judging import Ear, Echo, Judged, Sound
from voicemode.flows.listening import (
    HIDDEN_LEAD_SECONDS,
    OPENING_DECIBELS,
    Captured,
    Hearing,
    ListeningPorts,
)
from voicemode.ports import Recording
from voicemode.sound.levels import decibels, stands_out
from voicemode.speech import Moved, Outcome
from voicemode.turn_taking.turn import TurnRules

PREROLL_SECONDS = 0.5
"""What the microphone gave before our own last sound had died away, kept for those who begin early."""

ECHOING_LEAD_SECONDS = 0.1
"""Of a pre-roll in which we may hear ourselves, so much may come before the user's voice: too little for a word of
ours, enough for the first sound of theirs."""

ECHO_TAIL_SECONDS = 0.25
"""So long after our last sample what we hear may still be ours: the way through devices and the room, and its tail."""

HEARING_US_SECONDS = 0.1
HEARING_US_DECIBELS = 10.0
"""What stands so far out of a quiet room, for so long in all, while we speak, may be ourselves."""

KNOWING_SECONDS = 0.5
"""Of microphone sound beside our own tell whether we hear ourselves: the last of it is a word, no pause of ours."""

UNFOUND_SECONDS = 0.15
"""Of a beginning voice a detector may take no notice beside ours for so long."""

LONGEST_ECHO_SECONDS = 0.6
"""After our last sample its echo has come and died away."""

REMEMBERED_SECONDS = 2.0
"""What is kept of the microphone while we speak: a suspected voice, and the lead before it."""


@asynccontextmanager
async def open_ear(ports: ListeningPorts) -> AsyncIterator[Ear]:
    """What judges the microphone's sound. It may take a second to load on a busy machine: who will speak first opens it
    before."""
    echo = await _opened(ports.open_echo) if ports.open_echo is not None else None
    ear = Ear(ports.open_vad(), echo, ports.captured)
    try:
        yield ear
    finally:
        ear.close()


async def _opened(open_echo: Callable[[], Echo | None]) -> Echo | None:
    """Whoever is cancelled meanwhile leaves nothing open."""
    opening = asyncio.ensure_future(asyncio.to_thread(open_echo))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Future[Echo | None]) -> None:
    echo = opening.result() if not opening.cancelled() and opening.exception() is None else None
    if echo is not None:
        echo.close()


def without_us(frames: Sequence[Judged]) -> list[Judged]:
    """Of what came before a voice only the last is as it was: a word of ours is in what came earlier, however faint."""
    first = next((number for number, each in enumerate(frames) if each.voice), len(frames))
    kept = latest(frames[:first], UNFOUND_SECONDS)
    quiet = [replace(each, frame=each.quieted or each.frame) for each in list(frames)[: first - len(kept)]]
    return [*quiet, *list(frames)[first - len(kept) :]]


async def capture_with(
    ear: Ear,
    ports: ListeningPorts,
    *,
    turn: str,
    rules: TurnRules,
    guess: Guess,
    own: OwnSpeech | None = None,
) -> Captured:
    """Opens the microphone, waits for a turn and closes it again.

    While `own` speech still sounds the microphone is open all the same, so that no time is deaf between its last word
    and the user's first. Raises `DeviceError`. What had been said when the device went away or someone cancelled is
    kept as a recording.
    """
    attention = _Attention(ports, ear, turn=turn, rules=rules, guess=guess, own=own)
    opened = False
    try:
        async with ports.open_source(ear.format) as source:
            opened = True
            ports.emit(MicrophoneOpened(at=clock.monotonic(), turn=turn, rate=ear.format.rate))
            async for sound in ear.sounds(source):
                if attention.feed(sound):
                    break
            await attention.look_around()
    except BaseException as error:
        cancelled = isinstance(error, asyncio.CancelledError)
        kept = attention.keep(Outcome.CANCELLED if cancelled else Outcome.BROKEN)
        if isinstance(error, DeviceError) and kept is not None and (path := await kept.saved()) is not None:
            error.hint = f"{error.hint} What was said until then is kept in {path}.".lstrip()
        raise
    finally:
        attention.release()
        if opened:
            ports.emit(MicrophoneClosed(at=clock.monotonic(), turn=turn))
    return attention.captured()


async def capture(
    ports: ListeningPorts, *, turn: str, rules: TurnRules, guess: Guess, own: OwnSpeech | None = None
) -> Captured:
    """The same with an ear that is opened for it."""
    async with open_ear(ports) as ear:
        return await capture_with(ear, ports, turn=turn, rules=rules, guess=guess, own=own)


class _Attention:
    """One opening of the microphone: first beside our own speech, then for the user alone."""

    def __init__(
        self,
        ports: ListeningPorts,
        ear: Ear,
        *,
        turn: str,
        rules: TurnRules,
        guess: Guess,
        own: OwnSpeech | None,
    ) -> None:
        self._ports = ports
        self._ear = ear
        self._turn = turn
        self._rules = rules
        self._guess = guess
        self._own = own
        self._hearing: Hearing | None = None
        self._fading = 0.0
        """Seconds for which what sounds may still be our own last word."""
        self._echoing = 0.0
        """Seconds for which a voice that is not more than our echo may be our echo."""
        self._before: deque[Judged] = deque()
        self._before_seconds = 0.0
        self._moved: Moved | None = None
        self._over: TalkingOver | None = None
        if own is not None and ports.barge_in and ear.hears_past_us:
            self._over = TalkingOver(
                ports.interruption, own, guess, turn=turn, emit=ports.emit, begin=self._suspect
            )

    def feed(self, sound: Sound) -> bool:
        """One more frame; whether the turn is over."""
        if self._hearing is None:
            if self._own is not None and not self._own.said:
                return self._overhear(sound)
            self._hearing = self._begin(sound)
        judged = self._ear.judge(sound)
        if self._echoing > 1e-9:
            self._echoing -= sound.frame.seconds
            judged = replace(judged, voice=judged.voice and sound.free)
        if self._fading > 1e-9:
            self._fading = self._fading - sound.frame.seconds if judged.margin >= OPENING_DECIBELS else 0.0
            judged = replace(judged, voice=False)
        return self._hearing.feed(judged) is not None

    def keep(self, outcome: Outcome) -> Recording | None:
        return self._hearing.keep(outcome) if self._hearing is not None else None

    def release(self) -> None:
        if self._over is not None:
            self._over.release()

    async def look_around(self) -> None:
        """Whether this is still the microphone that was opened, while it is open. Who has said something does not wait:
        that was asked at the silence behind it."""
        where = self._ports.whereabouts
        if where is None:
            return
        if self._hearing is None or self._hearing.speech() is None:
            await where.looked()
        self._moved = where.moved
        if self._moved is not None:
            before, after = self._moved.before, self._moved.after
            self._ports.emit(
                MicrophoneMoved(at=clock.monotonic(), turn=self._turn, before=before, after=after)
            )

    def captured(self) -> Captured:
        hearing = self._hearing if self._hearing is not None else self._new()
        over = self._over
        if over is None:
            taken = hearing.captured()
        else:
            taken = hearing.captured(
                interrupted=over.hearing is not None, hushed=over.stopped, late=over.late
            )
        return replace(taken, moved=self._moved)

    def _overhear(self, sound: Sound) -> bool:
        """A frame that came while we still speak; whether the turn is over nevertheless."""
        judged = self._remember(sound)
        if self._over is None:
            return False
        self._over.feed(judged, self._before)
        self._hearing = self._over.hearing
        return self._hearing is not None and (self._over.stopped or self._hearing.why is not None)

    def _remember(self, sound: Sound) -> Judged:
        """A detector that would hear our own speech is not asked: it would remember it."""
        judged = Judged(frame=sound.frame, began=sound.began)
        if self._ear.hears_past_us:
            judged = self._ear.judge(sound)
            if not sound.free or judged.margin < OPENING_DECIBELS:
                judged = replace(judged, voice=False)
        self._before.append(judged)
        self._before_seconds += judged.frame.seconds
        while self._before_seconds > REMEMBERED_SECONDS + 1e-9:
            self._before_seconds -= self._before.popleft().frame.seconds
        return judged

    def _begin(self, sound: Sound) -> Hearing:
        """Our own speech has died away, or there was none."""
        self._tell_deaf_time(sound)
        if self._own is not None and self._ear.hears_past_us:
            self._echoing = LONGEST_ECHO_SECONDS
        found = self._over.take() if self._over is not None else None
        if found is not None:
            return found
        if not self._ear.clean and self._may_hear_us:
            self._fading = ECHO_TAIL_SECONDS
            lead = latest(self._before, ECHOING_LEAD_SECONDS)
            return self._new(lead=lead, lead_seconds=HIDDEN_LEAD_SECONDS)
        early = latest(self._before, PREROLL_SECONDS)
        hearing = self._new(early_seconds=sum(each.frame.seconds for each in early))
        for judged in without_us(early):
            hearing.feed(judged if self._ear.hears_past_us else self._judge_late(judged))
        return hearing

    @property
    def _may_hear_us(self) -> bool:
        """Something sounded in the microphone while we spoke, or too little is known of that."""
        if not self._before:
            return self._own is not None
        levels = [decibels(each.frame) for each in self._before]
        frame = self._before[0].frame.seconds
        heard = sum(stands_out(levels, HEARING_US_DECIBELS)) * frame
        return self._before_seconds < KNOWING_SECONDS - frame or heard >= HEARING_US_SECONDS

    def _judge_late(self, unjudged: Judged) -> Judged:
        return self._ear.judge(Sound(frame=unjudged.frame, began=unjudged.began))

    def _suspect(self, frames: Sequence[Judged]) -> Hearing:
        hearing = self._new(lead_seconds=HIDDEN_LEAD_SECONDS, untold=True)
        for judged in without_us(frames):
            hearing.feed(judged)
        return hearing

    def _new(
        self,
        *,
        lead: Sequence[Judged] = (),
        lead_seconds: float | None = None,
        early_seconds: float = 0.0,
        untold: bool = False,
    ) -> Hearing:
        """`early_seconds` of what it will be fed came before the user's turn, whose limits they do not shorten."""
        rules = self._rules
        longer = replace(
            rules, maximum=rules.maximum + early_seconds, no_speech=rules.no_speech + early_seconds
        )
        return Hearing(
            self._ports,
            self._ear.format,
            turn=self._turn,
            rules=longer,
            guess=self._guess,
            overhang=self._ear.overhang_seconds,
            lead=lead,
            lead_seconds=self._ear.onset_seconds if lead_seconds is None else lead_seconds,
            untold=untold,
        )

    def _tell_deaf_time(self, sound: Sound) -> None:
        if self._own is None:
            return
        ended = self._own.ended
        deaf = 0.0 if self._before or ended is None else max(sound.began - ended, 0.0)
        self._ports.emit(ListeningStarted(at=sound.began, turn=self._turn, deaf=round(deaf, 4)))
