"""The quiet sound between a user's answer and the assistant's next call."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from tests.support.fakes import FakeLoudspeaker, until
from voicemode.events import Event, FloorTaken, TurnFinished, TurnStarted
from voicemode.flows.meanwhile import Meanwhile
from voicemode.pcm import Frame, PcmFormat
from voicemode.sound.thinking import thinking_sound
from voicemode.speech import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.spec("TRK-13")]


def finished(outcome: Outcome) -> Event:
    return TurnFinished(at=0.0, turn="1", outcome=outcome, heard="", unheard="")


STARTED = TurnStarted(at=0.0, turn="2", kind="converse", text="")


@asynccontextmanager
async def meanwhile(
    speaker: FakeLoudspeaker,
    *,
    bed: Callable[[PcmFormat], Frame] = thinking_sound,
    longest_seconds: float = 60.0,
) -> AsyncIterator[Meanwhile]:
    waiting = Meanwhile(speaker, bed, longest_seconds=longest_seconds)
    try:
        yield waiting
    finally:
        await waiting.close()


def steady(fmt: PcmFormat) -> Frame:
    """A bed of one value: its loudness can be read from every sample."""
    return Frame(data=(600).to_bytes(2, "little") * 480, format=fmt)


async def test_it_sounds_after_an_answer_and_fades_with_the_next_call() -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker, bed=steady) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: speaker.heard[-2:] == (600).to_bytes(2, "little"))
        waiting.watch(STARTED)
        await until(lambda: not waiting.sounding)
    heard = [value for (value,) in struct.iter_unpack("<h", bytes(speaker.heard))]
    assert heard[-1] == heard[0] == 0
    assert max(abs(after - before) for before, after in pairwise(heard)) <= 25
    assert (speaker.opened, speaker.open) == (1, 0)


async def test_it_ends_when_a_call_that_has_waited_behind_the_answer_has_the_floor() -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: speaker.open == 1)
        waiting.watch(FloorTaken(at=0.0, turn="2", waited=1.0))
        await until(lambda: not waiting.sounding)
    assert speaker.open == 0


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.ANSWERED])
async def test_nothing_sounds_when_nobody_answered(outcome: Outcome) -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker) as waiting:
        waiting.watch(STARTED)
        waiting.watch(finished(outcome))
        assert not waiting.sounding
    assert speaker.opened == 0


async def test_it_does_not_go_on_for_ever() -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker, longest_seconds=0.05) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: speaker.opened == 1)
        await until(lambda: not waiting.sounding)
    assert speaker.open == 0


async def test_closing_is_silence_at_once() -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: speaker.open == 1)
    assert speaker.open == 0
    assert not waiting.sounding


async def test_answers_in_quick_succession_leave_one_sound() -> None:
    speaker = FakeLoudspeaker()
    async with meanwhile(speaker) as waiting:
        for _ in range(3):
            waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: speaker.opened == 3 and speaker.open == 1)


async def test_without_a_loudspeaker_nothing_happens() -> None:
    async with meanwhile(FakeLoudspeaker(missing=True)) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        await until(lambda: not waiting.sounding)


async def test_a_loudspeaker_that_goes_away_ends_it() -> None:
    speaker = FakeLoudspeaker(lost_after=480)
    async with meanwhile(speaker) as waiting:
        waiting.watch(finished(Outcome.ANSWERED))
        async with asyncio.timeout(5):
            await until(lambda: not waiting.sounding)
    assert speaker.open == 0


def test_the_thinking_sound_is_made_in_any_format() -> None:
    assert thinking_sound(PcmFormat(rate=48_000, channels=2)).format.channels == 2
