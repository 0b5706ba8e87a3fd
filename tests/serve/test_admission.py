"""How many streams are let in: learned from what was seen, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.house import WordVoice
from tests.support.fakes import until
from voicemode.speech_server.admission import FIRST_LIMIT, Admission, Draining, Full, Progress
from voicemode.speech_server.engines import first_guess


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def stream(admission: Admission, clock: Clock, *, seconds: float, speed: float, crowd: int) -> None:
    """`crowd` streams side by side, each of `seconds` of sound that comes at `speed` times real time."""
    places = [admission.stream() for _ in range(crowd)]
    streams = [place.__enter__() for place in places]
    parts = round(seconds / 0.1)
    for _ in range(parts):
        clock.now += 0.1 / speed
        for progress in streams:
            progress.waited += 0.1 / speed
            progress.sent(0.1, clock.now)
    for place in places:
        place.__exit__(None, None, None)


@pytest.mark.spec("SRV-32")
def test_nobody_is_let_in_beyond_the_limit_and_is_told_when_to_come_back() -> None:
    admission = Admission(most=2, now=Clock())
    with admission.stream(), admission.stream():
        with pytest.raises(Full) as caught:
            admission.stream().__enter__()
        assert 1 <= caught.value.retry_after <= 30
    with admission.stream():
        assert admission.active == 1


@pytest.mark.spec("SRV-36")
def test_an_engine_that_falls_behind_gets_fewer_streams() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, now=clock)
    stream(admission, clock, seconds=5, speed=0.8, crowd=20)
    assert admission.limit == 16
    stream(admission, clock, seconds=5, speed=0.8, crowd=16)
    assert admission.limit < 16


@pytest.mark.spec("SRV-36")
def test_trouble_below_the_limit_lets_in_nobody_more_than_there_were() -> None:
    clock = Clock()
    admission = Admission(most=100, first=64, now=clock)
    stream(admission, clock, seconds=5, speed=0.8, crowd=5)
    assert admission.limit == 5


@pytest.mark.spec("SRV-36")
def test_one_stream_that_falls_behind_and_one_whose_engine_failed_are_no_trouble() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, now=clock)
    for speed in (0.5, 2.0, 0.5, 2.0, 0.5):
        stream(admission, clock, seconds=2, speed=speed, crowd=1)
    for _ in range(5):
        with admission.stream() as progress:
            progress.broke = True
            for _ in range(20):
                clock.now += 1.0
                progress.waited += 1.0
                progress.sent(0.1, clock.now)
    assert admission.limit == 20


@pytest.mark.spec("SRV-36")
def test_an_engine_that_is_slow_even_alone_speaks_with_one_voice() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, now=clock)
    for _ in range(40):
        stream(admission, clock, seconds=5, speed=0.5, crowd=admission.limit)
    assert admission.limit == 1
    with admission.stream(), pytest.raises(Full, match="with one voice at a time, and it is in use"):
        admission.stream().__enter__()


@pytest.mark.spec("SRV-36")
def test_an_engine_that_keeps_up_gets_more_streams_up_to_the_most() -> None:
    clock = Clock()
    admission = Admission(most=30, first=20, now=clock)
    for _ in range(5):
        stream(admission, clock, seconds=1, speed=1.0, crowd=admission.limit)
    assert admission.limit == 30


@pytest.mark.spec("SRV-36")
def test_a_few_good_streams_say_nothing_about_a_crowd() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, now=clock)
    for _ in range(50):
        stream(admission, clock, seconds=1, speed=9.0, crowd=3)
    assert admission.limit == 20


@pytest.mark.spec("SRV-36")
def test_a_client_that_reads_slowly_is_no_fault_of_the_engine() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, now=clock)
    with admission.stream() as progress:
        for _ in range(20):
            clock.now += 1.0
            progress.sent(0.1, clock.now)
    assert admission.limit == 20


@pytest.mark.spec("SRV-37")
def test_one_that_ends_takes_nothing_new() -> None:
    admission = Admission(most=2, now=Clock())
    with admission.stream():
        admission.draining = True
        with pytest.raises(Draining):
            admission.stream().__enter__()
        assert not admission.idle.is_set()
    assert admission.idle.is_set()


class Crowd:
    """Clients of one admission: who has a place, in the order in which they got it."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.served: dict[int, Progress] = {}
        self.refused: list[int] = []
        self._leave = asyncio.Event()

    async def client(self, number: int) -> None:
        try:
            async with self.admission.place() as progress:
                self.served[number] = progress
                await self._leave.wait()
        except Full:
            self.refused.append(number)

    def leave(self) -> None:
        self._leave.set()


@asynccontextmanager
async def crowd(admission: Admission, count: int) -> AsyncIterator[tuple[Crowd, list[asyncio.Task[None]]]]:
    """`count` clients that came at once."""
    clients = Crowd(admission)
    tasks = [asyncio.create_task(clients.client(number)) for number in range(count)]
    try:
        async with asyncio.timeout(10):
            await until(lambda: len(clients.served) + admission.waiting == count)
            yield clients, tasks
            clients.leave()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.anyio
@pytest.mark.spec("SRV-46")
async def test_while_the_limit_is_a_guess_whoever_comes_beyond_it_is_let_in_as_soon_as_others_keep_up() -> (
    None
):
    clock = Clock()
    admission = Admission(most=100, first=4, line_seconds=9.0, now=clock)
    async with crowd(admission, 30) as (clients, _):
        assert sorted(clients.served) == [0, 1, 2, 3]
        for expected in (8, 12, 16):
            clock.now += 0.4
            for progress in list(clients.served.values()):
                progress.sent(0.6, clock.now)
            await until(lambda: admission.active == admission.limit)
            assert list(clients.served) == list(range(expected))
    assert clients.refused == []
    assert admission.active == admission.waiting == 0


@pytest.mark.anyio
@pytest.mark.spec("SRV-46")
async def test_a_stream_that_is_not_ahead_of_its_sound_lets_in_nobody() -> None:
    clock = Clock()
    admission = Admission(most=100, first=4, line_seconds=0.05, now=clock)
    async with crowd(admission, 6) as (clients, _):
        clock.now += 1.5
        for progress in clients.served.values():
            progress.sent(
                1.0, clock.now
            )  # The first sound of an engine that took longer than the sound lasts.
        await until(lambda: len(clients.refused) == 2)
        assert admission.limit == 4
    assert clients.refused == [4, 5]


@pytest.mark.anyio
@pytest.mark.spec("SRV-46")
async def test_a_place_that_is_left_goes_to_who_has_waited_longest_and_still_waits() -> None:
    admission = Admission(most=100, first=1, line_seconds=9.0, now=Clock())
    async with crowd(admission, 4) as (clients, tasks):
        tasks[1].cancel()
        await until(lambda: admission.waiting == 2)
        tasks[0].cancel()
        await until(lambda: 2 in clients.served)
        assert admission.active == 1
        # Called and gone before it could sit down: the next one is not forgotten.
        tasks[2].cancel()
        await asyncio.wait({tasks[2]})
        tasks[3].cancel()
        await asyncio.wait({tasks[3]})
    assert admission.active == admission.waiting == 0
    with admission.stream():
        assert admission.active == 1


@pytest.mark.anyio
@pytest.mark.spec("SRV-32")
async def test_once_the_limit_is_known_nobody_waits_for_it() -> None:
    clock = Clock()
    admission = Admission(most=100, first=20, line_seconds=9.0, now=clock)
    stream(admission, clock, seconds=5, speed=0.8, crowd=20)
    async with crowd(admission, admission.limit):
        with pytest.raises(Full):
            await admission.place().__aenter__()
    assert admission.active == 0


class Known(WordVoice):
    def __init__(self, holds: float | None) -> None:
        super().__init__()
        self._holds = holds

    async def holds(self) -> float | None:
        return self._holds


@pytest.mark.anyio
@pytest.mark.spec("SRV-36")
async def test_the_first_guess_is_what_the_first_engine_was_measured_to_hold() -> None:
    assert await first_guess([Known(3.5), WordVoice()]) == 3.5
    assert await first_guess([Known(None), Known(3.5)]) == FIRST_LIMIT
    assert await first_guess([WordVoice(), Known(3.5)]) == FIRST_LIMIT
    assert Admission(most=4, first=0.3, now=Clock()).limit == 1


@given(st.lists(st.tuples(st.floats(0.2, 5.0), st.integers(1, 40)), max_size=20))
def test_the_limit_stays_between_one_and_the_most(rounds: list[tuple[float, int]]) -> None:
    clock = Clock()
    admission = Admission(most=25, first=10, now=clock)
    for speed, crowd in rounds:
        stream(admission, clock, seconds=1, speed=speed, crowd=min(crowd, admission.limit))
        assert 1 <= admission.limit <= 25
        assert admission.active == 0
