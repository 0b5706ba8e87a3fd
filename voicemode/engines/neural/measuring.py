"""How fast a model is on this machine, and with how many threads: found by trying, once, and remembered."""

from __future__ import annotations

import asyncio
import json
import os

from voicemode import clock
from voicemode.engines.neural.reading import Ipa, pieces
from voicemode.engines.neural.worker import Worker
from voicemode.models.store import Installed, Measured, keep_measured
from voicemode.pcm import LISTENING, PcmFormat

CLAUSE = "That is done."
SENTENCE = "All tests are green again, and the new version has been built and put where you asked for it."
HEARD_SECONDS = 3.0
TRIES = (1, 2, 4, 8)
WORTH = 0.85
"""More threads are taken only where they need at most this share of the time: the others hear the fan too."""


async def measure(model: Installed, *, ipa: Ipa) -> Measured:
    """Takes about three sentences per number of threads. Raises `EngineError` where the model cannot be used."""
    cores = os.cpu_count() or 1
    best: Measured | None = None
    for threads in (each for each in TRIES if each <= cores):
        worker = Worker(f"neural {model.id}", model, threads=threads)
        try:
            found = await (_voice(model, worker, ipa) if model.speaks else _ear(model, worker))
        finally:
            await worker.close()
        factor, first = found
        if best is not None and factor > best.factor * WORTH:
            break
        best = Measured(threads=threads, factor=factor, first_seconds=first, cores=cores)
    assert best is not None
    await asyncio.to_thread(keep_measured, model, best)
    return best


async def _voice(model: Installed, worker: Worker, ipa: Ipa) -> tuple[float, float]:
    """(working time over length of the sound, seconds to the first sound of a short clause)."""
    speaker = model.speakers[0]
    clause = await _say(worker, await pieces(CLAUSE, speaker.espeak, ipa), speaker.number)
    first = await _say(worker, await pieces(CLAUSE, speaker.espeak, ipa), speaker.number)
    whole = await _say(worker, await pieces(SENTENCE, speaker.espeak, ipa), speaker.number)
    return whole[1] / max(whole[2], 0.001), min(clause[0], first[0])


async def _say(worker: Worker, order: list[list[int]], speaker: int) -> tuple[float, float, float]:
    """(until the first sound, of work, of sound) in seconds."""
    payload = json.dumps({"pieces": order, "speaker": speaker, "speed": 1.0}).encode()
    await worker.load()
    begun, size = clock.monotonic(), 0
    async with worker.asked(b"S", payload) as (answers, message):
        first = clock.monotonic() - begun
        while message.kind == b"A":
            size += len(message.payload)
            message = await answers.next()
    work = clock.monotonic() - begun
    return first, work, size / 2 / PcmFormat(rate=worker.rate).rate


async def _ear(model: Installed, worker: Worker) -> tuple[float, float]:
    """A streaming ear works as long on a hum as on words: it decodes every chunk."""
    head = json.dumps({"as": 1, "after": 0, "terms": [], "tail": model.tail_seconds}).encode()
    count = LISTENING.samples(HEARD_SECONDS)
    hum = b"".join(
        (6000 * (1 if at % 80 < 40 else -1)).to_bytes(2, "little", signed=True) for at in range(count)
    )
    await worker.load()
    times = []
    for _ in range(2):
        begun = clock.monotonic()
        async with worker.asked(b"T", head + b"\0" + hum):
            times.append(clock.monotonic() - begun)
    return min(times) / HEARD_SECONDS, min(times)
