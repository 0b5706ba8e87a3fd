"""A turn whose ends a key decides, frame by frame: the key is pressed when the microphone has given so many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext

import pytest

from tests.flows.world import ANSWER, REQUEST, World, over
from tests.support.fakes import DEAD, ROOM, SPOKEN, WORD, FakeMicrophone, FakeVoice, OpenFloor, until
from voicemode.errors import MicrophoneSilent
from voicemode.flows.by_key import KeyedMicrophone
from voicemode.flows.conversation import Conversation
from voicemode.pcm import Frame, PcmFormat
from voicemode.speech import Exchange, Outcome
from voicemode.turn_taking.turn import TurnRules

pytestmark = pytest.mark.anyio

LONG = " ".join(["word"] * 60) + "."
PATIENT = TurnRules(silence=50.0, silence_most=50.0, no_speech=50.0, maximum=60.0)


class PressedAt(FakeMicrophone):
    """Presses `key` when so many blocks have come."""

    def __init__(self, blocks: Sequence[bytes], key: KeyedMicrophone, *presses: int) -> None:
        super().__init__(blocks)
        self._key = key
        self._presses = presses

    async def _frames(self, fmt: PcmFormat) -> AsyncIterator[Frame]:
        async for frame in super()._frames(fmt):
            for _ in range(self._presses.count(self.delivered)):
                self._key.press()
            yield frame


async def listened(
    blocks: Sequence[bytes], *presses: int, push_to_talk: bool, rules: TurnRules = PATIENT
) -> tuple[Exchange, World]:
    key = KeyedMicrophone(push_to_talk=push_to_talk)
    world = World(microphone=PressedAt(blocks, key, *presses), rules=rules)
    conversation = Conversation(
        mouth=world.mouth_ports,
        ear=key.hears(world.ear_ports),
        floor=world.floor,
        emit=world.watched,
    )
    exchange = await over(conversation.listen())
    await conversation.close()
    assert world.quiet
    return exchange, world


@pytest.mark.spec("CNV-26", "CLI-10")
@pytest.mark.parametrize("push_to_talk", [False, True])
@pytest.mark.parametrize("state", ["waiting", "starting", "speaking", "paused"])
async def test_who_takes_the_word_is_listened_to_before_anybody_else_has_the_floor(
    state: str, push_to_talk: bool
) -> None:
    key = KeyedMicrophone(push_to_talk=push_to_talk)
    voice = FakeVoice(gate=asyncio.Semaphore(0 if state == "starting" else 20), chunk_bytes=2 * WORD)
    microphone = PressedAt(ANSWER, key, *([120] if push_to_talk else []))
    world = World(voice=voice, microphone=microphone)
    conversation = Conversation(
        mouth=world.mouth_ports, ear=key.hears(world.ear_ports), floor=world.floor, emit=world.watched
    )
    floor = world.floor
    assert isinstance(floor, OpenFloor)
    async with floor.hold("another") if state == "waiting" else nullcontext():
        call = conversation.converse(LONG, REQUEST)
        behind = conversation.speak("now I.", REQUEST)
        if state == "paused":
            await until(lambda: bool(call.status().heard))
            conversation.pause()
        await until(lambda: call.status().state == state)
        call.give_way()
        if push_to_talk:
            key.press()
    exchange = await over(call)
    assert exchange.outcome is Outcome.INTERRUPTED
    assert exchange.transcript is not None
    assert LONG.startswith(exchange.spoken.heard)
    assert exchange.spoken.unheard
    await until(lambda: "speak" in floor.holders)
    assert [who for who in floor.holders if who != "another"] == ["converse", "speak"]
    await behind.end()
    await conversation.close()
    assert world.quiet


@pytest.mark.spec("CLI-10")
async def test_the_key_ends_a_turn_and_what_the_driver_still_held_belongs_to_it() -> None:
    blocks = [*[ROOM] * 40, *[SPOKEN] * 100]
    exchange, world = await listened(blocks, 100, push_to_talk=False)
    assert exchange.outcome is Outcome.ANSWERED
    assert world.microphone.delivered == 100 + 15
    (asked,) = world.ear.asked
    assert asked.audio.data.count(SPOKEN[:2]) >= 70 * len(SPOKEN) // 2


@pytest.mark.spec("CLI-10")
async def test_the_key_before_a_word_is_nobody_spoke() -> None:
    exchange, world = await listened([ROOM] * 50, 30, push_to_talk=False)
    assert exchange.outcome is Outcome.NO_SPEECH
    assert world.ear.asked == []


@pytest.mark.spec("CLI-12")
async def test_nothing_before_the_key_counts_and_no_pause_ends_it() -> None:
    rules = TurnRules(silence=0.5, no_speech=1.0, maximum=60.0)
    word = (6_000).to_bytes(2, "little") * (len(SPOKEN) // 2)
    blocks = [*[SPOKEN] * 300, *[word] * 30, *[ROOM] * 400, *[word] * 30, *[ROOM] * 10]
    exchange, world = await listened(blocks, 301, 760, push_to_talk=True, rules=rules)
    assert exchange.outcome is Outcome.ANSWERED
    (asked,) = world.ear.asked
    assert SPOKEN[:2] not in {asked.audio.data[at : at + 2] for at in range(0, len(asked.audio.data), 320)}
    assert asked.audio.data.count(word) == 60
    assert asked.audio.seconds == pytest.approx(4.6, abs=0.2)


@pytest.mark.spec("CLI-12")
async def test_two_presses_without_a_word_are_nobody_spoke() -> None:
    exchange, world = await listened([ROOM] * 100, 20, 80, push_to_talk=True)
    assert (exchange.outcome, world.ear.asked) == (Outcome.NO_SPEECH, [])


@pytest.mark.parametrize(("longest", "open_for"), [(None, 2.0), (0.5, 0.5)])
@pytest.mark.spec("CLI-12")
async def test_who_never_presses_the_key_does_not_keep_the_microphone_open(
    longest: float | None, open_for: float
) -> None:
    key = KeyedMicrophone(push_to_talk=True, longest=longest)
    world = World(blocks=[ROOM] * 900, rules=TurnRules(maximum=2.0))
    conversation = Conversation(
        mouth=world.mouth_ports, ear=key.hears(world.ear_ports), floor=world.floor, emit=world.watched
    )
    assert (await over(conversation.listen())).outcome is Outcome.NO_SPEECH
    assert world.microphone.delivered == pytest.approx(100 * open_for, abs=1)
    assert key.unpressed
    assert world.quiet
    await conversation.close()


@pytest.mark.parametrize("push_to_talk", [True, False])
@pytest.mark.spec("CLI-13")
async def test_a_dead_microphone_is_told_before_anybody_has_talked_into_it(push_to_talk: bool) -> None:
    with pytest.raises(MicrophoneSilent):
        await listened([DEAD] * 1000, push_to_talk=push_to_talk)


@pytest.mark.spec("CLI-13")
async def test_a_key_does_not_make_a_dead_microphone_a_silent_user() -> None:
    with pytest.raises(MicrophoneSilent):
        await listened([DEAD] * 1000, 50, push_to_talk=False)


@pytest.mark.spec("CLI-12")
async def test_each_opening_waits_for_its_own_key() -> None:
    key = KeyedMicrophone(push_to_talk=True)
    world = World(microphone=PressedAt([*[SPOKEN] * 100], key, 10, 60), rules=PATIENT)
    conversation = Conversation(
        mouth=world.mouth_ports, ear=key.hears(world.ear_ports), floor=world.floor, emit=world.watched
    )
    assert (await over(conversation.listen())).outcome is Outcome.ANSWERED
    assert not key.heard
    await conversation.close()
