"""Pausing, pending answers and the floor between processes, on the virtual sound card."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.battery.wire import Wire, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.listening import AUDIBLE, Samples
from tests.support.looking import looked_for
from tests.support.recording import Recording
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import SpeechServer
from voicemode.clock import monotonic
from voicemode.machine.floor import FROZEN_SECONDS, MachineFloor

pytestmark = [pytest.mark.anyio, pytest.mark.live]

LIMIT = 60
TEXT = "The build is green again. All seven tests pass and the branch is merged."
LONG = "one two three four five six seven eight nine ten " * 6


def without_the_pause(samples: Samples) -> Samples:
    """The recording without its longest silence between two sounds."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > AUDIBLE)
    start, end = max(pairwise(loud.tolist()), key=lambda pair: pair[1] - pair[0])
    return np.concatenate([samples[: start + 1], samples[end:]])


async def after(words: int, host: Wire) -> None:
    """Until so many words of the youngest call have been heard."""

    async def heard() -> bool:
        (*_, call) = calls_of((await host.call("playback")).fields)
        return len(call["heard"].split()) >= words

    await looked_for(heard, LIMIT)


def calls_of(fields: object) -> list[dict[str, str]]:
    assert isinstance(fields, dict)
    return list(fields["calls"])


async def silent(heard: Recording, seconds: float = 0.5) -> int:
    return await asyncio.to_thread(heard.wait_for_silence, seconds, 20.0)


@pytest.mark.timed
@pytest.mark.spec("CNV-18")
async def test_a_pause_is_silence_within_a_tenth_of_a_second_and_no_sample_is_lost_or_said_twice(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), wire(variables) as host:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                await host.call("speak", message=TEXT)
                await after(4, host)
                asked = monotonic()
                shown = await host.call("playback", action="pause")
                last = await silent(heard)
                assert heard.time_of(last) - asked < 0.15
                assert calls_of(shown.fields)[0]["state"] == "paused"
                asked = monotonic()
                await host.call("playback", action="resume")
                first = await asyncio.to_thread(heard.wait_for_sound, 5.0, after=last + RATE // 4)
                assert heard.time_of(first) - asked < 0.2
                await host.until_state("finished")
                await silent(heard)
                samples = heard.samples()
    assert voice.hear(without_the_pause(samples).tobytes(), RATE) == voice.words(TEXT)


@pytest.mark.spec("FLR-1", "FLR-2")
async def test_two_assistants_are_heard_one_after_the_other_and_who_waits_knows_for_whom(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), wire(variables) as first, wire(variables) as second:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                await first.call("speak", message="The first one speaks.")
                await second.call("speak", message="Then the second one.", wait="queued")
                await looked_for(lambda: stand(tmp_path, first, second), LIMIT)
                shown = await second.call("voice_status")
                await second.until_state("finished")
                await silent(heard)
                samples = heard.samples()
    holder, waiter = first.process.pid, second.process.pid
    assert shown.word("floor") == f"speak (process {holder}); waiting: speak (process {waiter})"
    assert voice.hear(samples.tobytes(), RATE) == voice.words("The first one speaks. Then the second one.")


async def stand(folder: Path, *hosts: Wire) -> bool:
    """Just these stand in the line, first come first."""
    return [ticket.pid for ticket in MachineFloor(folder).line()] == [host.process.pid for host in hosts]


@pytest.mark.timed
@pytest.mark.spec("FLR-7")
async def test_a_frozen_assistant_gives_way_and_is_silent_when_it_thaws(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with asyncio.timeout(LIMIT), wire(variables) as first, wire(variables) as second:
            with sound_card.recording() as heard:
                heard.wait_until_running()
                speaking = first.begin("speak", message=LONG, wait="finished")
                await after(4, first)
                waiting = second.begin("speak", message=TEXT, wait="finished")
                await looked_for(lambda: stand(tmp_path, first, second), LIMIT)
                first.process.send_signal(signal.SIGSTOP)
                frozen = monotonic()
                quiet = await silent(heard)
                begun = await asyncio.to_thread(heard.wait_for_sound, LIMIT, after=quiet + RATE // 4)
                assert FROZEN_SECONDS <= heard.time_of(begun) - frozen < FROZEN_SECONDS + 1.5
                first.process.send_signal(signal.SIGCONT)
                lost = await first.answer(speaking)
                assert (await second.answer(waiting)).word("unheard") == ""
                await silent(heard)
                samples = heard.samples()[begun - RATE // 100 :]
    assert lost.failed
    assert "stood still for so long" in lost.text
    said = voice.hear(samples.tobytes(), RATE)
    assert said[-10:] == voice.words(TEXT)[-10:]
    assert not set(said) - set(voice.words(TEXT))


@pytest.mark.spec("TOOL-17")
async def test_an_answer_is_given_while_the_call_is_pending_and_fetched_afterwards(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=server.base_url,
            STT_BASE_URLS=server.base_url,
            CLIENT_LIMIT_S="1.5",
        )
        async with asyncio.timeout(LIMIT), wire(variables) as host:
            found = await host.call("converse", message="Shall I go on?")
            assert found.word("outcome") == "pending"
            await host.until_state("listening")
            sound_card.say(voice.speak("yes please go on"), 24_000)
            while (found := await host.call("converse", handle=found.word("handle"))).word(
                "outcome"
            ) == "pending":
                continue
    assert (found.word("outcome"), found.word("transcript")) == ("answered", "yes please go on")
