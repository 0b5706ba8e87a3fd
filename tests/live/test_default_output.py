"""The default output becomes another one while somebody speaks: what two loudspeakers play is one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.battery.reading_back import walk, whole_words
from tests.battery.wire import events, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.sound_card import RATE, SPEAKER, VirtualSoundCard
from tests.support.speech_server import SpeechServer

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timed, pytest.mark.spec("PLY-29")]

TEXT = "Harbour quiet tonight. Seven boats wait there, nobody sails; the wind is north and very cold."
HEADSET = "headset"

Move = Callable[[VirtualSoundCard], object]


@pytest.fixture
def two_outputs() -> Iterator[VirtualSoundCard]:
    with VirtualSoundCard() as card:
        null = ("module-null-sink", "format=s16le", "rate=48000", "norewinds=1", "channels=2")
        card.pactl("load-module", *null, f"sink_name={HEADSET}")
        card.pactl(
            "load-module", "module-loopback", f"source={HEADSET}.monitor", "sink=pace", "latency_msec=5"
        )
        card.pactl("set-default-sink", SPEAKER)
        yield card


def plugged_in(card: VirtualSoundCard) -> None:
    """What a desktop does when a headset comes."""
    card.pactl("set-default-sink", HEADSET)


def moved_by_hand(card: VirtualSoundCard) -> None:
    """What a mixer's window does. The voice is the one stream that comes from ALSA."""
    for block in card.pactl("list", "sink-inputs").split("Sink Input #")[1:]:
        if "ALSA" in block:
            card.pactl("move-sink-input", block.split("\n")[0], HEADSET)


@pytest.mark.parametrize("move", [plugged_in, moved_by_hand])
async def test_a_message_goes_on_where_the_user_now_listens(
    two_outputs: VirtualSoundCard, tmp_path: Path, move: Move
) -> None:
    with SpeechServer() as server:
        async with wire(
            environment(two_outputs, tmp_path, TTS_BASE_URLS=server.base_url, PHRASE_CACHE_MB="0")
        ) as host:
            with two_outputs.recording() as old, two_outputs.recording(of=f"{HEADSET}.monitor") as new:
                call = host.begin("speak", message=TEXT, wait="finished")
                first = await asyncio.to_thread(old.wait_for_sound, 10.0)
                await asyncio.to_thread(old.wait_for_sound, 10.0, after=first + RATE)
                await asyncio.to_thread(move, two_outputs)
                said = await host.answer(call)
                before = whole_words(old.samples().tobytes(), RATE)
                after = whole_words(new.samples().tobytes(), RATE)
    assert (said.word("heard"), said.word("unheard")) == (TEXT, "")
    assert len(before) >= 3
    assert len(after) >= 5
    found = walk([*before, *after], voice.words(TEXT))
    # The word that was being said may be heard in two halves.
    assert len(found.lost) <= 1, found
    assert not any(found.again)
    assert not [event for event in events(tmp_path) if event.name in ("sink_lost", "underrun")]
