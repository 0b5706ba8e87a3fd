"""Plays through mixers, panners and tees on the sound card of its environment, and tells what it did as JSON.

`python -m tests.live.tracks_child SCENARIO`. Audio libraries read the environment when they load, so a test's own
process cannot.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.live.tracks_sound import RULES, SAID, SPEECH_WAVE, bed
from voicemode.devices.mixers import mixed, panned, teed
from voicemode.devices.soundcard import SoundCard
from voicemode.devices.tee import Given
from voicemode.errors import VoiceModeError
from voicemode.pcm import SPEECH, PcmFormat
from voicemode.ports import OpenSink

LIMIT_SECONDS = 20.0
TAIL_SECONDS = 0.3
"""Silence after the sound: more than any latency here."""


class Listening:
    """Keeps what it hears, in its order."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.samples = 0
        self.gaps = 0
        self.left_out = -1

    def hear(self, sound: Given) -> None:
        self.gaps += sound.position != self.samples
        self.samples = sound.position + sound.frame.samples
        self.parts.append(sound.frame.data)

    def done(self, left_out: int) -> None:
        self.left_out = left_out


async def play(open_sink: OpenSink, sound: bytes) -> None:
    """`sound` once, then a tail of silence."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    rest = memoryview(sound + SPEECH.silence(SPEECH.samples(TAIL_SECONDS)))

    def pull(samples: int) -> bytes:
        nonlocal rest
        data, rest = bytes(rest[: 2 * samples]), rest[2 * samples :]
        if not rest:
            loop.call_soon_threadsafe(over.set)
        return data + bytes(2 * samples - len(data))

    def lost(error: VoiceModeError) -> None:
        raise error

    async with asyncio.timeout(LIMIT_SECONDS), open_sink(SPEECH, pull, lost):
        await over.wait()


async def main() -> None:
    card = SoundCard()
    what = sys.argv[1]
    told: dict[str, object] = {}
    if what == "panned":
        await play(panned(card.open_sink, float(sys.argv[2])), SPEECH_WAVE)
    elif what == "ducked":
        await play(mixed(card.open_sink, bed, RULES), SAID)
    else:
        listening = Listening()

        def listeners(fmt: PcmFormat) -> list[Listening]:
            return [listening]

        await play(mixed(panned(teed(card.open_sink, listeners), 0.3), bed, RULES), SPEECH_WAVE)
        await asyncio.to_thread(Path(sys.argv[2]).write_bytes, b"".join(listening.parts))
        told = {"gaps": listening.gaps, "left_out": listening.left_out}
    await card.close()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
