"""Reading ahead of playback."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fakes import FakeVoice, until, words_as_sound
from voicemode import clock
from voicemode.errors import EndpointUnreachable, StreamBroken
from voicemode.flows.ahead import ReadAhead
from voicemode.flows.receiving import BREATH_SECONDS, Receiving
from voicemode.pcm import SPEECH, Frame
from voicemode.speech import SpeechRequest

pytestmark = pytest.mark.anyio

TEXT = "alpha beta gamma delta epsilon zeta"


def ask(voice: FakeVoice, **settings: int) -> ReadAhead:
    return ReadAhead(voice, SpeechRequest(text=TEXT), **settings)  # type: ignore[arg-type]


@pytest.mark.spec("PLY-9")
async def test_everything_comes_in_order_however_small_the_cap() -> None:
    for cap in (1, 5_000, 1_000_000):
        async with ask(FakeVoice(), cap=cap) as ahead:
            assert (await ahead.opened()).engine == "fake voice"
            assert b"".join([chunk async for chunk in ahead]) == words_as_sound(TEXT)


@pytest.mark.spec("PLY-9")
async def test_beyond_the_cap_the_server_waits() -> None:
    voice = FakeVoice(chunk_bytes=1_000)
    read = False

    def done() -> None:
        nonlocal read
        read = True

    async with ReadAhead(voice, SpeechRequest(text=TEXT), on_read=done, cap=4_000) as ahead:
        await until(lambda: ahead._held >= 4_000)
        for _ in range(20):
            await asyncio.sleep(0)
        assert ahead._held == 4_000
        assert not read
        assert b"".join([chunk async for chunk in ahead]) == words_as_sound(TEXT)
        assert read


@pytest.mark.spec("PLY-10")
@pytest.mark.parametrize("cap", [1_000, 1_000_000])
async def test_leaving_early_closes_the_connection(cap: int) -> None:
    voice = FakeVoice()
    async with ask(voice, cap=cap) as ahead:
        await ahead.opened()
        await anext(ahead)
        assert voice.open in (0, 1)
    assert voice.open == 0


@pytest.mark.spec("PLY-10")
async def test_leaving_before_it_opened_closes_it_too() -> None:
    voice = FakeVoice(gate=asyncio.Semaphore(0))
    async with ask(voice):
        pass
    assert voice.open == 0


@pytest.mark.spec("PLY-9")
async def test_all_that_came_before_a_break_is_given_before_the_error() -> None:
    error = StreamBroken("server:1 broke off.", engine="server:1")
    async with ask(FakeVoice(chunk_bytes=1_000, error=error, fail_after=7)) as ahead:
        got = b"".join([await anext(ahead) for _ in range(7)])
        with pytest.raises(StreamBroken):
            await anext(ahead)
    assert got == words_as_sound(TEXT)[:7_000]


@pytest.mark.spec("PLY-9")
async def test_an_engine_that_gives_no_sound_is_told_by_opened() -> None:
    error = EndpointUnreachable("Nobody answers.", engine="server:1")
    async with ask(FakeVoice(error=error)) as ahead:
        with pytest.raises(EndpointUnreachable):
            await ahead.opened()


@pytest.mark.spec("PLY-34")
@pytest.mark.parametrize("after", [0, 2])
async def test_a_mistake_of_our_own_is_for_whoever_waits_for_sound(after: int) -> None:
    async def listen() -> None:
        async with ask(FakeVoice(chunk_bytes=1_000, error=KeyError("a mistake"), fail_after=after)) as ahead:
            await ahead.opened()
            async for _ in ahead:
                pass

    async with asyncio.timeout(5):
        with pytest.raises(KeyError):
            await listen()


@pytest.mark.spec("SPK-62")
async def test_how_long_the_server_took_does_not_grow_while_the_sound_is_played() -> None:
    async with ReadAhead(FakeVoice(chunk_bytes=1_000), SpeechRequest(text=TEXT)) as ahead:
        await until(lambda: ahead.read)
        took = ahead.arrivals.elapsed
        assert [chunk async for chunk in ahead]
        assert ahead.arrivals.elapsed == took


class Slow:
    """A decoder that takes longer for each part than a loop may be held."""

    def feed(self, item: bytes) -> list[Frame]:
        until_then = clock.monotonic() + 1.5 * BREATH_SECONDS
        while clock.monotonic() < until_then:
            pass
        return [Frame(data=bytes(len(item)), format=SPEECH)]

    def flush(self) -> list[Frame]:
        return []


@pytest.mark.spec("SPK-63")
async def test_while_sound_that_came_at_once_is_decoded_others_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def give(frame: Frame) -> None:
        """There is room."""

    async with ReadAhead(FakeVoice(chunk_bytes=1_000_000), SpeechRequest(text=TEXT)) as ahead:
        audio = await ahead.opened()
        await until(lambda: ahead.read)
        receiving = Receiving(ahead, SPEECH, chunk_bytes=len(words_as_sound(TEXT)) // 9)
        waiting = asyncio.create_task(others())
        await receiving.run(audio, lambda audio, fmt: Slow(), give)
        waiting.cancel()
    assert turns >= 9
