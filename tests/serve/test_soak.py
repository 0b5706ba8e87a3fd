"""Many utterances through the server while engines fail by a seed: no word is lost, nothing is left behind, and the
same seed gives the same run. `VOICEMODE_SOAK=2000` makes it long."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.serve.house import WordVoice, house, words_in
from tests.support import voice
from tests.support.fakes import until

pytestmark = pytest.mark.anyio

UTTERANCES = int(os.environ.get("VOICEMODE_SOAK", "24"))
AT_ONCE = 4
SEED = 20_261_128
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet")
GROWTH_BYTES = 6_000_000
"""Of Python's own objects from the middle of a run to its end; a single utterance's sound is a tenth of that."""


class Moody(WordVoice):
    """Fails by a seed: one request in five breaks off after some chunks, one in ten gives no sound at all."""

    def __init__(self, seed: int, *, name: str) -> None:
        super().__init__(name=name)
        self._chance = random.Random(seed)
        self._mood: dict[str, int] = {}

    def before(self, text: str) -> None:
        roll = self._chance.random()
        self._breaks = [self._chance.randrange(2, 12)] if roll < 0.2 else [0] if roll < 0.3 else []


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """`lost` are the words that were not heard of texts that were served."""

    heard: tuple[tuple[str, ...], ...]
    lost: int
    refused: int
    files: int
    threads: int


def texts(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [f"{' '.join(chance.choices(WORDS, k=chance.randrange(4, 12)))}." for _ in range(count)]


async def soak(seed: int, count: int, *, at_once: int) -> Soaked:
    engines = [Moody(seed + number, name=f"moody-{number}") for number in range(2)]
    said = texts(seed, count)
    heard: list[tuple[str, ...]] = [()] * count
    refused = 0
    waiting = iter(range(count))
    async with house(*engines, WordVoice(name="steady")) as server, server.client(retries=8) as client:

        async def one(number: int) -> None:
            nonlocal refused
            for engine in engines:
                engine.before(said[number])
            try:
                answer = await client.audio.speech.create(
                    model="tts-1", voice="ann", input=said[number], response_format="pcm"
                )
            except openai.APIError:
                refused += 1
                return
            heard[number] = tuple(words_in(answer.content))

        async def work() -> None:
            for number in waiting:
                await one(number)

        await one(next(waiting))  # What the first one loads belongs to nobody.
        files, threads = open_files(), threading.active_count()
        await asyncio.gather(*(work() for _ in range(at_once)))
        await until(lambda: server.service.places.active == 0)
        assert all(engine.open == 0 for engine in engines)
        files, threads = open_files() - files, threading.active_count() - threads
    lost = sum(
        len([word for word in set(voice.words(text)) if word not in words])
        for text, words in zip(said, heard, strict=True)
        if words
    )
    return Soaked(heard=tuple(heard), lost=lost, refused=refused, files=files, threads=threads)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.mark.timeout(60 + UTTERANCES)
@pytest.mark.spec("SRV-45")
async def test_no_word_is_lost_and_nothing_is_left_behind() -> None:
    tracemalloc.start()
    try:
        await soak(SEED, UTTERANCES // 2, at_once=AT_ONCE)
        before, _ = tracemalloc.get_traced_memory()
        done = await soak(SEED + 1, UTTERANCES // 2, at_once=AT_ONCE)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (done.lost, done.refused) == (0, 0)
    assert done.files <= 2 * AT_ONCE  # Both ends of the connections that the client keeps.
    assert done.threads <= AT_ONCE + 2  # Of the loop's pool, which is never larger.
    assert after - before < GROWTH_BYTES


@pytest.mark.spec("SRV-45")
async def test_the_same_seed_gives_the_same_run() -> None:
    one, two = [await soak(SEED, 8, at_once=1) for _ in range(2)]
    assert one.heard == two.heard
    assert one.lost == 0
