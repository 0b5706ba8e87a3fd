"""A microphone's frames from the device's thread to the loop."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.devices.capture import LAG_SECONDS, Capture
from voicemode.errors import DeviceLost
from voicemode.pcm import LISTENING, Frame, PcmFormat

pytestmark = pytest.mark.anyio

TEN_MS = 320
"""Bytes of 10 ms at 16 kHz mono."""


def capture_here() -> Capture:
    return Capture(LISTENING, asyncio.get_running_loop(), lambda: 3.0)


async def read(capture: Capture, count: int) -> list[Frame]:
    async with asyncio.timeout(5):
        return [await anext(capture) for _ in range(count)]


async def test_frames_of_ten_milliseconds_come_out_of_blocks_of_any_size() -> None:
    capture = capture_here()
    sound = bytes(range(256)) * 5
    for start in range(0, 1280, 130):
        capture.give(sound[start : start + 130])
    frames = await read(capture, 4)
    assert [frame.samples for frame in frames] == [160] * 4
    assert b"".join(frame.data for frame in frames) == sound[:1280]
    assert capture.last_at == 3.0


@given(cuts=st.lists(st.integers(min_value=0, max_value=900), max_size=12))
def test_the_frames_are_the_same_however_the_device_cuts(cuts: list[int]) -> None:
    sound = bytes(value % 251 for value in range(4 * TEN_MS))
    edges = [0, *sorted({min(2 * cut, len(sound)) for cut in cuts}), len(sound)]

    async def run() -> bytes:
        capture = capture_here()
        for start, end in pairwise(edges):
            capture.give(sound[start:end])
        return b"".join(frame.data for frame in await read(capture, 4))

    assert asyncio.run(run()) == sound


async def test_a_reader_that_waits_is_woken_from_the_device_thread() -> None:
    capture = capture_here()
    waiting = asyncio.create_task(read(capture, 1))
    await asyncio.sleep(0)
    thread = threading.Thread(target=capture.give, args=(bytes(TEN_MS),))
    thread.start()
    assert (await waiting)[0].samples == 160
    thread.join(5)


async def test_what_came_before_a_loss_is_read_first() -> None:
    capture = capture_here()
    capture.give(bytes(2 * TEN_MS))
    capture.lose(DeviceLost("unplugged"))
    capture.give(bytes(TEN_MS))
    assert len(await read(capture, 2)) == 2
    with pytest.raises(DeviceLost, match="unplugged"):
        await read(capture, 1)
    with pytest.raises(DeviceLost, match="unplugged"):
        await read(capture, 1)


async def test_a_reader_that_lags_five_seconds_gets_what_was_kept_and_then_device_lost() -> None:
    capture = capture_here()
    for _ in range(round(LAG_SECONDS * 100) + 200):
        capture.give(bytes(TEN_MS))
    kept = await read(capture, round(LAG_SECONDS * 100))
    assert len(kept) == 500
    await read(capture, 1)
    with pytest.raises(DeviceLost, match="not read for 5 s"):
        await read(capture, 1)


async def test_leaving_ends_the_reader_and_drops_the_rest() -> None:
    capture = capture_here()
    capture.give(bytes(3 * TEN_MS))
    capture.stop()
    async with asyncio.timeout(5):
        assert [frame async for frame in capture] == []


class Halve:
    """A stage from 32 kHz stereo to 16 kHz mono that keeps every fourth value."""

    def feed(self, item: Frame) -> list[Frame]:
        kept = b"".join(item.data[at : at + 2] for at in range(0, len(item.data), 8))
        return [Frame(data=kept, format=LISTENING)]

    def flush(self) -> list[Frame]:
        return []


class Broken(Halve):
    def feed(self, item: Frame) -> list[Frame]:
        raise RuntimeError("no filter")


async def test_a_device_of_another_rate_is_converted() -> None:
    capture = capture_here()
    capture.convert_from(PcmFormat(rate=32_000, channels=2), Halve())
    capture.give(b"\x01\x02\x03\x04\x05\x06\x07\x08" * 160)
    frames = await read(capture, 1)
    assert frames[0] == Frame(data=b"\x01\x02" * 160, format=LISTENING)


async def test_a_conversion_that_fails_is_device_lost_and_never_reaches_the_library() -> None:
    capture = capture_here()
    capture.convert_from(PcmFormat(rate=32_000, channels=2), Broken())
    capture.give(bytes(8))
    with pytest.raises(DeviceLost, match="no filter"):
        await read(capture, 1)
