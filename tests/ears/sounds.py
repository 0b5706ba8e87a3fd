"""Sounds for ears: the embedded voice says a sentence, a hum, silence. Mono s16le at the rate of listening."""

from __future__ import annotations

import asyncio
import math
from array import array
from functools import lru_cache

from voicemode.codecs import open_decoder
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.pcm import LISTENING
from voicemode.speech import SpeechRequest

SENTENCE = "Please run the tests again, and tell me what broke."


def said(level: float = 1.0, text: str = SENTENCE) -> bytes:
    """A sentence at −20 dBFS, scaled by `level`."""
    sound = array("h", _spoken(text))
    return array("h", (round(value * level) for value in sound)).tobytes()


def silence(seconds: float) -> bytes:
    return LISTENING.silence(LISTENING.samples(seconds))


def hum(seconds: float, level: float = 0.1) -> bytes:
    """What a transformer does: 100 Hz and its overtones."""
    turn = 2 * math.pi * 100 / LISTENING.rate
    values = (
        sum(math.sin(turn * number * at) / number for number in (1, 2, 3, 5))
        for at in range(LISTENING.samples(seconds))
    )
    return array("h", (round(32_767 * level * value / 2) for value in values)).tobytes()


@lru_cache
def _spoken(text: str) -> bytes:
    return asyncio.run(_say(text))


async def _say(text: str) -> bytes:
    engine = EmbeddedVoice()
    try:
        async with engine.synthesize(SpeechRequest(text=text)) as audio:
            decoder = open_decoder(audio, LISTENING)
            frames = [frame async for chunk in audio.chunks for frame in decoder.feed(chunk)]
            frames += decoder.flush()
    finally:
        await engine.close()
    return b"".join(frame.data for frame in frames)
