"""The ledger on a sound card: streams that stall and creep, a loudspeaker that goes and comes back, a daemon
that freezes or dies. What was heard is read back at the sink."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.battery.reading_back import walk, whole_words
from tests.battery.wire import Answer, events, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.sound_card import RATE, Recording, VirtualSoundCard
from tests.support.speech_server import Behaviour, SpeechServer

pytestmark = [pytest.mark.anyio, pytest.mark.live]

TEXT = "Harbour quiet tonight. Seven boats wait there, nobody sails; the wind is north and very cold."
PIECES = (
    f"{TEXT} Morning brings better weather, perhaps sun. Fishermen mend their nets until noon, then leave."
)
SECOND = 48_000
"""Bytes of raw sound."""


def heard_words(heard: Recording) -> list[str]:
    return whole_words(heard.samples().tobytes(), RATE)


def marks(folder: Path) -> list[float]:
    """What was gathered after each underrun, in seconds."""
    told = [event.fields["refill"] for event in events(folder) if event.name == "underrun"]
    return [float(str(seconds)) for seconds in told]


@pytest.mark.spec("PLY-24")
async def test_a_server_that_stalls_and_goes_on_costs_one_silence_and_no_word(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        server.then(Behaviour(pace=1.2, stall_after_bytes=SECOND, stall_s=1.2))
        async with wire(
            environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, PHRASE_CACHE_MB="0")
        ) as host:
            with sound_card.recording() as heard:
                said = await host.call("speak", message=TEXT, wait="finished")
                words = heard_words(heard)
    assert said.word("heard") == TEXT
    assert words == voice.words(TEXT)
    assert len(marks(tmp_path)) == 1


@pytest.mark.spec("PLY-25")
async def test_a_server_slower_than_its_sound_is_waited_for_longer_each_time_and_asked_for_less(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer(Behaviour(pace=0.6)) as server:
        async with wire(
            environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, PHRASE_CACHE_MB="0")
        ) as host:
            with sound_card.recording() as heard:
                said = await host.call("speak", message=PIECES, wait="finished")
                words = heard_words(heard)
            await host.call("speak", message="Once more.", wait="finished")
        formats = [request.format for request in server.requests if request.text]
    assert said.word("heard") == PIECES
    assert words == voice.words(PIECES)
    grown = marks(tmp_path)
    assert grown == sorted(grown)
    assert grown[-1] > grown[0]
    assert formats[0] == "pcm"
    assert set(formats[1:]) == {"mp3"}


async def harmed(card: VirtualSoundCard, folder: Path, harm: str) -> tuple[Answer, list[str]]:
    """What came back and what was heard of a message in whose middle the card is harmed."""
    with SpeechServer() as server:
        async with wire(
            environment(card, folder, TTS_BASE_URLS=server.base_url, PHRASE_CACHE_MB="0")
        ) as host:
            with card.recording() as heard:
                call = host.begin("speak", message=TEXT, wait="finished")
                first = await asyncio.to_thread(heard.wait_for_sound, 10.0)
                await asyncio.to_thread(heard.wait_for_sound, 10.0, after=first + RATE)
                match harm:
                    case "unplugged":
                        await asyncio.to_thread(card.unplug_speaker)
                        await asyncio.sleep(2.0)  # The time a headset takes to come back.
                        await asyncio.to_thread(card.plug_speaker)
                    case "frozen":
                        card.freeze(1.0)
                    case _:
                        card.kill()
                        await asyncio.to_thread(card.restart)
                said = await host.answer(call)
                return said, heard_words(heard)


@pytest.mark.spec("PLY-27")
@pytest.mark.parametrize("harm", ["unplugged", "frozen", "killed"])
async def test_a_card_that_goes_and_comes_back_costs_no_word(tmp_path: Path, harm: str) -> None:
    with VirtualSoundCard() as card:
        said, words = await harmed(card, tmp_path, harm)
    assert not said.failed, said.text
    assert (said.word("heard"), said.word("unheard")) == (TEXT, "")
    lost = [event for event in events(tmp_path) if event.name == "sink_lost"]
    assert lost or harm == "frozen"
    found = walk(words, voice.words(TEXT))
    # The word in which it went is heard in two halves.
    assert len(found.lost) <= 1, found
    assert not any(found.again)
