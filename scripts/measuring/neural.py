"""What a neural voice at work does to the rest of the process: in a thread of it, and in a process of its own.

`python -m scripts.measuring.neural [SECONDS]` makes a voice as heavy as a real one (the tiny one, behind matrices of
random weights), lets it speak for that long both ways, and prints how late the event loop and a thread like the audio
callback's (every 7.5 ms, 40 µs of work) were served meanwhile. Before that it shows what a damaged model does to the
process that loads it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import tiny_models
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.neural.reading import pieces
from voicemode.engines.neural.voice import NeuralVoice
from voicemode.models.store import at
from voicemode.speech import SpeechRequest

TEXT = "All tests are green again, and the new version has been built and put where you asked for it. " * 4
CALLBACK_SECONDS = 0.0075
LOOP_SECONDS = 0.005
BURDEN = 250
"""Products of 1024 × 1024 weights per token: half a gigaflop, as a model of 80 million weights needs."""


class Lateness:
    """How much later than due something was served, in seconds."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def __str__(self) -> str:
        found = sorted(self.found)
        middle, high, worst = found[len(found) // 2], found[int(len(found) * 0.99)], found[-1]
        return f"median {middle * 1000:.2f} ms, p99 {high * 1000:.2f} ms, worst {worst * 1000:.2f} ms ({len(found)})"


def callbacks(over: threading.Event, late: Lateness) -> None:
    """A thread that is due every 7.5 ms and needs the interpreter for a moment, as the audio callback does."""
    due = time.perf_counter() + CALLBACK_SECONDS
    while not over.is_set():
        time.sleep(max(0.0, due - time.perf_counter()))
        sum(range(1500))
        late.found.append(time.perf_counter() - due)
        due = max(due + CALLBACK_SECONDS, time.perf_counter())


async def beside(work: Callable[[], asyncio.Future[Any]]) -> tuple[Lateness, Lateness]:
    """(event loop, callbacks) while `work` goes on."""
    loop_late, thread_late, over = Lateness(), Lateness(), threading.Event()
    thread = threading.Thread(target=callbacks, args=(over, thread_late))
    thread.start()
    task = work()
    while not task.done():
        due = time.perf_counter() + LOOP_SECONDS
        await asyncio.sleep(LOOP_SECONDS)
        loop_late.found.append(time.perf_counter() - due)
    await task
    over.set()
    thread.join()
    return loop_late, thread_late


def in_thread(folder: Path, order: list[list[int]], seconds: float) -> int:
    """Speaks in this process; gives the samples made."""
    import numpy
    import sherpa_onnx as sherpa

    files = {name: str(folder / f"{name}.{end}") for name, end in (("model", "onnx"), ("tokens", "txt"))}
    model = sherpa.OfflineTtsModelConfig(vits=sherpa.OfflineTtsVitsModelConfig(**files), num_threads=1)
    voice = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=model))
    end, made = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        for piece in order:
            how = sherpa.GenerationConfig()
            how.phoneme_codepoints = [piece]
            made += len(numpy.asarray(voice.generate("", how).samples, "float32"))
    return made


async def in_process(folder: Path, reader: EmbeddedVoice, seconds: float) -> int:
    engine = NeuralVoice(at(folder), ipa=reader.ipa, threads=1)
    await engine.warm()
    end, made = time.perf_counter() + seconds, 0
    try:
        while time.perf_counter() < end:
            async with engine.synthesize(SpeechRequest(text=TEXT)) as audio:
                async for chunk in audio.chunks:
                    made += len(chunk) // 2
    finally:
        await engine.close()
    return made


async def compare(seconds: float) -> None:
    reader = EmbeddedVoice()
    with tempfile.TemporaryDirectory() as name:
        folder = tiny_models.piper(Path(name) / "heavy", burden=BURDEN)
        order = await pieces(TEXT, "en-us", reader.ipa)
        print(f"{os.cpu_count()} cores, {seconds:g} s each, one thread of inference")
        for what, work in (
            ("nothing", lambda: asyncio.ensure_future(asyncio.sleep(seconds))),
            (
                "in a thread",
                lambda: asyncio.ensure_future(asyncio.to_thread(in_thread, folder, order, seconds)),
            ),
            ("in a process", lambda: asyncio.ensure_future(in_process(folder, reader, seconds))),
        ):
            loop_late, thread_late = await beside(work)
            print(f"{what:13} event loop: {loop_late}\n{'':13} callbacks:  {thread_late}")
    await reader.close()


def damaged() -> None:
    """Loads a voice with half its styles in a process that has something else to do."""
    with tempfile.TemporaryDirectory() as name:
        folder = tiny_models.kokoro(Path(name) / "kokoro")
        (folder / "voices.bin").write_bytes(b"short")
        program = (
            "import sherpa_onnx as s\n"
            "files = {n: f'{n}.{e}' for n, e in (('model', 'onnx'), ('voices', 'bin'), ('tokens', 'txt'))}\n"
            "model = s.OfflineTtsModelConfig(kokoro=s.OfflineTtsKokoroModelConfig(**files))\n"
            "try:\n    s.OfflineTts(s.OfflineTtsConfig(model=model))\n"
            "finally:\n    print('the process goes on')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
        )
        print(f"a damaged model: exit status {done.returncode}, {done.stdout.strip() or 'nothing went on'}")


if __name__ == "__main__":
    damaged()
    asyncio.run(compare(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
